//! The kind `chatwoot` among the settings.

use std::sync::Arc;

use axum::Router;
use futures::future::BoxFuture;

use super::ledger::Ledger;
use super::settings::ChatwootSettings;
use super::{ChatwootBot, Options, calls, examine};
use crate::agent::kind::{self, Error, Making, Serving};
use crate::agent::{Agent, Patience};
use crate::clock::Clock;
use crate::config::{Declaration, Settings};
use crate::finding::Finding;

/// The kind of agent that is a bot written for Chatwoot.
pub struct Kind;

impl kind::Kind for Kind {
    fn declares(&self) -> Declaration {
        Declaration::of::<ChatwootSettings>("chatwoot")
    }

    fn make<'a>(&'a self, of: Making<'a>) -> BoxFuture<'a, Result<Arc<dyn Agent>, Error>> {
        Box::pin(async move {
            let settings: &ChatwootSettings = kind::own(of.settings)?;
            let url = settings.url.as_ref().ok_or(Error::Missing("chatwoot.url"))?;
            let options = Options {
                url: url.url().clone(),
                secret: settings.secret.clone(),
                dialect: settings.dialect,
                timeout: of.settings.agent.timeout,
                patience: Patience::asking_again(settings.answer_within),
            };
            let memory = (Ledger(of.documents.clone()), of.clock);
            let agent: Arc<dyn Agent> = Arc::new(ChatwootBot::new(options, of.client()?, memory));
            Ok(agent)
        })
    }

    fn examine<'a>(
        &'a self,
        settings: &'a Settings,
        clock: Clock,
    ) -> BoxFuture<'a, Result<Vec<Finding>, Error>> {
        Box::pin(examine::bot(settings, clock))
    }

    fn routes(&self, of: Serving<'_>) -> Option<Router> {
        let own: &ChatwootSettings = kind::own(of.settings).ok()?;
        let token = own.token.clone()?;
        let Serving { outbox, handover, documents, clock, .. } = of;
        Some(calls::router(calls::BotApi {
            token,
            outbox,
            handover,
            ledger: Ledger(documents),
            clock,
        }))
    }
}

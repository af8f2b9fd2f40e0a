//! The kind `http` among the settings.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::settings::HttpSettings;
use super::{HttpAgent, Options, examine};
use crate::agent::kind::{self, Error, Making};
use crate::agent::{Agent, Patience};
use crate::clock::Clock;
use crate::config::{Declaration, Settings};
use crate::finding::Finding;
use crate::thread::Budget;

/// The kind of agent that is behind a URL.
pub struct Kind;

impl kind::Kind for Kind {
    fn declares(&self) -> Declaration {
        Declaration::of::<HttpSettings>("http")
    }

    fn make<'a>(&'a self, of: Making<'a>) -> BoxFuture<'a, Result<Arc<dyn Agent>, Error>> {
        Box::pin(async move {
            let settings = &of.settings.agent;
            let own: &HttpSettings = kind::own(of.settings)?;
            let url = own.url.as_ref().ok_or(Error::Missing("agent.url"))?;
            let client = of.client()?;
            let options = Options {
                url: url.url().clone(),
                secret: kind::secret(settings)?,
                timeout: settings.timeout,
                response_bytes_max: settings.response_bytes_max.0,
                history: Budget { messages: own.history_messages, chars: own.history_chars },
                report_url: own.report_url.as_ref().map(|url| url.url().clone()),
                patience: Patience::asking_again(own.answer_within),
            };
            let agent: Arc<dyn Agent> = Arc::new(HttpAgent::new(options, client, of.clock));
            Ok(agent)
        })
    }

    fn examine<'a>(
        &'a self,
        settings: &'a Settings,
        clock: Clock,
    ) -> BoxFuture<'a, Result<Vec<Finding>, Error>> {
        Box::pin(async move {
            match &kind::own::<HttpSettings>(settings)?.url {
                Some(url) => examine::server(settings, url.url(), clock).await,
                None => Ok(Vec::new()),
            }
        })
    }
}

//! The kind `openai` among the settings.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::settings::OpenAiSettings;
use super::{OpenAi, Options, examine};
use crate::agent::Agent;
use crate::agent::kind::{self, Error, Making};
use crate::clock::Clock;
use crate::config::{Declaration, Settings};
use crate::finding::Finding;

/// The kind of agent that is a model behind the OpenAI API.
pub struct Kind;

impl kind::Kind for Kind {
    fn declares(&self) -> Declaration {
        Declaration::of::<OpenAiSettings>("openai")
    }

    fn make<'a>(&'a self, of: Making<'a>) -> BoxFuture<'a, Result<Arc<dyn Agent>, Error>> {
        Box::pin(async move {
            let options = Options::of(of.settings, kind::own(of.settings)?);
            let options = options.map_err(|error| Error::Settings(Box::new(error)))?;
            let agent: Arc<dyn Agent> =
                Arc::new(OpenAi::new(options, of.client()?, (of.clock, of.metrics)));
            Ok(agent)
        })
    }

    fn examine<'a>(
        &'a self,
        settings: &'a Settings,
        _: Clock,
    ) -> BoxFuture<'a, Result<Vec<Finding>, Error>> {
        Box::pin(examine::examine(settings))
    }
}

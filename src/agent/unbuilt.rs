//! A kind of agent that is no part of this build: its settings are known, and a word on why it is not there.

use std::sync::Arc;

use futures::future::{BoxFuture, ready};

use super::Agent;
use super::kind::{self, Error, Making};
use crate::clock::Clock;
use crate::config::{AgentSettings, Declaration, Settings};
use crate::finding::Finding;

/// What is left of such a kind.
pub trait Unbuilt: Sync {
    /// What `agent.kind` calls it.
    const WORD: &'static str;
    /// The cargo feature that it needs.
    const FEATURE: &'static str;
    /// The keys that it has for itself.
    type Own: AgentSettings;
}

impl<T: Unbuilt> kind::Kind for T {
    fn declares(&self) -> Declaration {
        Declaration::of::<T::Own>(T::WORD)
    }

    fn make<'a>(&'a self, _: Making<'a>) -> BoxFuture<'a, Result<Arc<dyn Agent>, Error>> {
        Box::pin(ready(Err(Error::NotBuilt { kind: T::WORD, feature: T::FEATURE })))
    }

    fn examine<'a>(
        &'a self,
        _: &'a Settings,
        _: Clock,
    ) -> BoxFuture<'a, Result<Vec<Finding>, Error>> {
        Box::pin(ready(Err(Error::NotBuilt { kind: T::WORD, feature: T::FEATURE })))
    }
}

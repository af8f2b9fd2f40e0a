//! What is left of the agent that is BitBrat in a build without NATS: its settings, and a word on why not.

use std::sync::Arc;

use futures::future::{BoxFuture, ready};

pub mod settings;

use super::Agent;
use super::kind::{self, Error, Making};
use crate::config::{Declaration, Settings};
use crate::finding::Finding;

/// The kind of agent that is a platform behind its message bus.
pub struct Kind;

const NOT_BUILT: Error = Error::NotBuilt { kind: "bitbrat", feature: "nats" };

impl kind::Kind for Kind {
    fn declares(&self) -> Declaration {
        Declaration::of::<settings::BitBratSettings>("bitbrat")
    }

    fn make<'a>(&'a self, _: Making<'a>) -> BoxFuture<'a, Result<Arc<dyn Agent>, Error>> {
        Box::pin(ready(Err(NOT_BUILT)))
    }

    fn examine<'a>(&'a self, _: &'a Settings) -> BoxFuture<'a, Result<Vec<Finding>, Error>> {
        Box::pin(ready(Err(NOT_BUILT)))
    }
}

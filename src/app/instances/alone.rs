//! This instance alone: built without NATS, where the settings refuse to share.

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::SharedDuty;
use crate::admin;
use crate::app::store;
use crate::channels::instances::Instances;
use crate::clock::Clock;
use crate::config::Settings;
use crate::queue::{self, Store};
use crate::timeline::{self, Timeline};

/// Nobody to share with: there is no such value.
#[derive(Clone, Debug)]
pub enum Cluster {}

/// Why this instance could not take part.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store could not be opened.
    #[error("the queue could not be opened")]
    Store(#[from] queue::Error),
}

/// Opens the queues.
///
/// # Errors
///
/// If the file cannot be opened, or another process has it.
pub async fn open(
    settings: &Settings,
    _: &str,
    clock: Clock,
) -> Result<(Option<Cluster>, Store), Error> {
    Ok((None, store::open(settings, clock)?))
}

impl Cluster {
    /// Runs `work` for each name of a duty while it is this instance's.
    pub fn hold<W>(&self, _: SharedDuty, _: W, _: CancellationToken) -> BoxFuture<'static, ()>
    where
        W: Fn(String, CancellationToken) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    {
        match *self {}
    }

    /// With whom the limits of the account are shared.
    pub fn instances(&self) -> Instances {
        match *self {}
    }

    /// Keeps count of those that share the service's limits.
    pub fn count(&self, _: Clock, _: CancellationToken) -> BoxFuture<'static, ()> {
        match *self {}
    }

    /// Opens the timeline that all instances share.
    pub async fn timeline(&self, _: &Settings, _: u64) -> Result<Timeline, timeline::Error> {
        match *self {}
    }

    /// What the debug pages show.
    pub fn view(&self) -> admin::Cluster {
        match *self {}
    }

    /// Gives everything back.
    pub async fn leave(&self) {
        match *self {}
    }
}

//! What everything is built from. Plain values.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::instances::Cluster;
use crate::config::Settings;
use crate::config::settings::Twilio;
use crate::jobs::dependency::Dependency;
use crate::jobs::recorder::Recorder;
use crate::jobs::status::Status;
use crate::queue::Store;

/// What everything is built from.
pub struct Parts<'a> {
    /// All settings.
    pub settings: &'a Settings,
    /// Twilio's part of them.
    pub twilio: &'a Twilio,
    /// Where what happens is written down.
    pub recorder: &'a Recorder,
    /// What the workers know about those that they depend on.
    pub vitals: &'a Vitals,
    /// The queues.
    pub store: &'a Store,
    /// What outlives the workers: the sockets.
    pub sockets: &'a Group,
    /// The other instances, if there may be some.
    pub cluster: Option<&'a Cluster>,
}

/// What the workers know about those that they depend on. Clones are the same.
#[derive(Clone, Debug)]
pub struct Vitals {
    status: Arc<Status>,
    agent: Arc<Dependency>,
}

impl Default for Vitals {
    fn default() -> Self {
        Self { status: Arc::default(), agent: Arc::new(Dependency::new("agent")) }
    }
}

impl Vitals {
    /// What they know about Twilio's willingness.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// What they know about the agent.
    pub fn agent(&self) -> Arc<Dependency> {
        Arc::clone(&self.agent)
    }
}

/// Tasks that end together.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The tasks.
    pub tasks: TaskTracker,
    /// Ends them.
    pub stop: CancellationToken,
}

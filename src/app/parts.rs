//! What everything is built from. Plain values.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::instances::Cluster;
use crate::config::Settings;
use crate::config::kinds::AgentName;
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
    agents: Arc<[(AgentName, Arc<Dependency>)]>,
}

impl Vitals {
    /// Takes all to be there.
    pub fn of(settings: &Settings) -> Self {
        let named = settings.routing.agents.iter().map(|named| named.name.clone());
        let names = std::iter::once(AgentName::plain()).chain(named);
        let health = |name: AgentName| {
            let shown = if name.is_plain() { "agent".to_owned() } else { format!("agents.{name}") };
            (name, Arc::new(Dependency::new(shown)))
        };
        Self { status: Arc::default(), agents: names.map(health).collect() }
    }

    /// What they know about Twilio's willingness.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// What they know about an agent.
    pub fn agent(&self, name: &AgentName) -> Arc<Dependency> {
        let known = self.agents.iter().find(|(known, _)| known == name);
        let (_, plain) = &self.agents[0];
        Arc::clone(known.map_or(plain, |(_, health)| health))
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

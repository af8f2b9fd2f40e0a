//! The scripted agent with a service that asks it.

#[path = "../scripted_agent/mod.rs"]
mod scripted_agent;

pub use self::scripted_agent::Agent;
use crate::rig::Rig;

impl Agent {
    /// A service that asks this agent.
    pub async fn rig(&self) -> Rig {
        self.rig_with(&[]).await
    }

    /// As [`Agent::rig`], with more settings.
    pub async fn rig_with(&self, extra: &[(&'static str, &str)]) -> Rig {
        let ours = [("CHIMEIN_AGENT_KIND", "http"), ("CHIMEIN_AGENT_URL", self.url())];
        Rig::start(&[&ours, extra].concat()).await
    }
}

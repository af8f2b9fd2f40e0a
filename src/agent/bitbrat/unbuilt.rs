//! What is left of the agent that is BitBrat in a build without NATS: its settings.

use super::unbuilt::Unbuilt;

pub mod settings;

/// The kind of agent that is a platform behind its message bus.
pub struct Kind;

impl Unbuilt for Kind {
    const WORD: &'static str = "bitbrat";
    const FEATURE: &'static str = "nats";
    type Own = settings::BitBratSettings;
}

//! What is left of the agent that is a workflow in a build without Temporal: its settings.

use super::unbuilt::Unbuilt;

pub mod settings;

/// The kind of agent that is a workflow of Temporal.
pub struct Kind;

impl Unbuilt for Kind {
    const WORD: &'static str = "temporal";
    const FEATURE: &'static str = "temporal";
    type Own = settings::TemporalSettings;
}

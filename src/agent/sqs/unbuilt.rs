//! What is left of the agent behind queues in a build without SQS: its settings.

use super::unbuilt::Unbuilt;

pub mod settings;

/// The kind of agent that is behind queues of Amazon SQS.
pub struct Kind;

impl Unbuilt for Kind {
    const WORD: &'static str = "sqs";
    const FEATURE: &'static str = "sqs";
    type Own = settings::SqsSettings;
}

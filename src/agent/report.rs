//! What became of a reply, told to the agent that asked to know. Pure values.
//!
//! An agent that gives a reply may give an [`Origin`] with it: whatever it needs to tell its own side
//! what became of that reply. The pipeline stores it beside the reply, never looks into it, and hands
//! it back in a [`Report`] once the reply is settled. No time, no I/O, no secret; an origin holds what
//! people wrote, so its `Debug` prints nothing of it.

mod document;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::thread::{MessageId, Thread};
use crate::twilio::messaging::MessageStatus;
use crate::twilio::sid::ParticipantSid;

pub use document::SCHEMA;
pub(super) use document::{Document, id};

/// What an agent wants back when its reply is settled.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct Origin {
    /// The agent's own note; its form and version are the agent's.
    pub note: Value,
    /// Which part of the reply this is, from 1: long replies are cut for some channels.
    pub part: usize,
    /// How many parts the reply has.
    pub parts: usize,
    /// Which agent gave it, of several; none is the one that older releases knew alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

impl Origin {
    /// Makes the origin of a reply that is not cut.
    #[must_use]
    pub const fn new(note: Value) -> Self {
        Self { note, part: 1, parts: 1, agent: None }
    }

    /// Whether no part of the same reply comes after this one.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        self.part >= self.parts
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin")
            .field("part", &self.part)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

/// One settled reply.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Report {
    /// The reply's id.
    pub reply: Uuid,
    /// Where it was to go.
    pub thread: Thread,
    /// The turn that it answers, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<MessageId>,
    /// What the agent gave with it.
    pub origin: Origin,
    /// What became of it.
    pub fate: Fate,
    /// When that was known.
    pub at: Timestamp,
}

/// What became of a reply.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// Twilio took it.
    Sent {
        /// Its sid in the conversation.
        message: MessageId,
    },
    /// Twilio has told how it fares since.
    Fares {
        /// Where it stands.
        status: MessageStatus,
        /// Why it failed, if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<u32>,
        /// Its sid.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<MessageId>,
        /// On the way to whom, of several.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recipient: Option<ParticipantSid>,
    },
    /// It is a dead letter.
    Dead {
        /// Why, one of a closed set of words.
        class: String,
        /// Twilio's error code, if it gave one.
        code: Option<u32>,
        /// A sentence for the operator.
        detail: String,
    },
    /// It was not sent, because a person has the conversation or has removed the bot from it.
    Silenced,
}

impl Fate {
    /// The word for it.
    #[must_use]
    pub const fn state(&self) -> &'static str {
        match self {
            Self::Sent { .. } => MessageStatus::Accepted.as_str(),
            Self::Fares { status, .. } => status.as_str(),
            Self::Dead { .. } => "dead",
            Self::Silenced => "silenced",
        }
    }

    /// How far on its way the reply is; none if it has none, so that a new one would begin at its start.
    #[must_use]
    pub const fn rank(&self) -> Option<u8> {
        match self {
            Self::Sent { .. } => Some(MessageStatus::Accepted.rank()),
            Self::Fares { status, .. } => Some(status.rank()),
            Self::Dead { .. } | Self::Silenced => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_note() {
        let origin = Origin::new(json!({"text": "call +15555550123"}));
        assert_eq!(format!("{origin:?}"), "Origin { part: 1, parts: 1, .. }");
    }

    #[test]
    fn only_the_last_part_is_last() {
        let part = |part| Origin { part, parts: 3, ..Origin::new(Value::Null) };
        assert_eq!([1, 2, 3].map(|n| part(n).is_last()), [false, false, true]);
        assert!(Origin::new(Value::Null).is_last());
    }
}

//! What passes between the pipeline and an agent: turns in, replies out. Pure values.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::json;
use crate::pii::Pii;
use crate::telemetry::trace::{TraceId, Way};
use crate::twilio::sid::{ConversationSid, MediaSid, MessageSid, ParseSidError, ParticipantSid};

/// Where a turn came from and its replies go: what keeps order.
///
/// Today always a conversation; the enum leaves room for a pair of addresses of plain messaging.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Thread {
    /// A conversation of Twilio Conversations.
    Conversation(ConversationSid),
}

impl Thread {
    /// The conversation, if the thread is one.
    #[must_use]
    pub const fn conversation(&self) -> Option<ConversationSid> {
        match self {
            Self::Conversation(sid) => Some(*sid),
        }
    }
}

impl fmt::Display for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conversation(sid) => sid.fmt(f),
        }
    }
}

impl FromStr for Thread {
    type Err = ParseSidError;

    fn from_str(text: &str) -> Result<Self, ParseSidError> {
        text.parse().map(Self::Conversation)
    }
}

impl Serialize for Thread {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Thread {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// One message of a user, as an agent sees it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TurnMessage {
    /// The message's sid.
    pub sid: MessageSid,
    /// Its place in the conversation; grows, with gaps.
    pub index: Option<u64>,
    /// Who wrote it: an identity or an address.
    pub author: Pii,
    /// The text; absent for a message of media alone.
    pub body: Option<Pii>,
    /// The attributes, a JSON object.
    #[serde(default, deserialize_with = "json::null_as_default")]
    pub attributes: Map<String, Value>,
    /// Attached files.
    #[serde(default, deserialize_with = "json::null_as_default")]
    pub media: Vec<Media>,
    /// The participant who wrote it, where Twilio says so.
    pub participant: Option<ParticipantSid>,
    /// When Twilio stored it.
    pub created: Option<Timestamp>,
}

/// A file attached to a message.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Media {
    /// The file's sid at Twilio's media service.
    pub sid: MediaSid,
    /// Its MIME type.
    pub content_type: Option<String>,
    /// Its name, as the sender gave it.
    pub filename: Option<Pii>,
    /// Its size in bytes.
    pub size: Option<u64>,
}

/// One inbound message, or a burst of them, waiting for an answer.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Never changes, whichever door saw the messages and however often the agent is asked: the sid
    /// of the turn's last message. A turn with another message is another turn.
    pub id: MessageSid,
    /// Where it came from.
    pub thread: Thread,
    /// The bot's identity there.
    pub identity: String,
    /// What was said, oldest first; never empty.
    pub messages: Vec<TurnMessage>,
    /// How often the agent was asked, this time included.
    pub attempt: u32,
}

impl Turn {
    /// The trace of the turn's first message.
    #[must_use]
    pub fn trace(&self) -> TraceId {
        let index = self.messages.first().and_then(|message| message.index);
        Way::of_message(self.thread.conversation(), self.id, index).trace()
    }
}

/// One outbound message, as an agent wants it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reply {
    /// The text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Pii>,
    /// Attributes to set on the message; the key `chimein` is ours.
    #[serde(
        default,
        deserialize_with = "json::null_as_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub attributes: Map<String, Value>,
    /// Files already uploaded to Twilio's media service.
    #[serde(
        default,
        deserialize_with = "json::null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub media_sids: Vec<MediaSid>,
    /// A content template (`HX…`) to send instead of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_sid: Option<crate::twilio::sid::ContentSid>,
    /// The template's variables.
    #[serde(
        default,
        deserialize_with = "json::null_as_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub content_variables: Map<String, Value>,
}

impl Reply {
    /// A reply of text alone.
    #[must_use]
    pub fn text(body: impl Into<Pii>) -> Self {
        Self { body: Some(body.into()), ..Self::default() }
    }

    /// Whether there is nothing in it to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.reveal().trim().is_empty())
            && self.media_sids.is_empty()
            && self.content_sid.is_none()
    }
}

/// What an agent says to a turn.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// These replies, in this order; none means that there is nothing to say.
    Replies(Vec<Reply>),
    /// The agent has taken the turn over and will send its replies by [`super::later`].
    Later,
}

//! What is said: messages in, replies out.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::MessageId;
use crate::clock::Timestamp;
use crate::json;
use crate::pii::Pii;
use crate::twilio::sid::{ContentSid, MediaSid, ParticipantSid};

/// One message of a user, as an agent sees it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TurnMessage {
    /// The message's sid.
    pub sid: MessageId,
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
    pub content_sid: Option<ContentSid>,
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

//! What is said: messages in, replies out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::MessageId;
use crate::clock::Timestamp;
use crate::json;
use crate::pii::Pii;
use crate::twilio::messaging::{Choice, Location, OptOut, Quoted, Referral};
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
    /// What only some channels say of a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extras: Option<Box<Extras>>,
}

/// What only some channels say of a message.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Extras {
    /// The name that the writer gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_name: Option<Pii>,
    /// The writer's WhatsApp number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wa_id: Option<Pii>,
    /// The writer's WhatsApp id of the business, which stays when the number is hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_user_id: Option<Pii>,
    /// A place that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// A button that was pressed, or an entry of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
    /// The message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quoted: Option<Quoted>,
    /// The advertisement that it came by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referral: Option<Referral>,
    /// What Twilio's own handling of opt-outs made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opt_out: Option<OptOut>,
    /// What else Twilio said, by its own names.
    #[serde(
        default,
        deserialize_with = "json::null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub other: BTreeMap<String, Pii>,
}

/// A file attached to a message.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Media {
    /// The file's sid at Twilio, where it is known.
    pub sid: Option<MediaSid>,
    /// Where Twilio has it, for a message that belongs to no conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Pii>,
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
    /// What may be chosen; a numbered list under the text where a channel has no buttons.
    #[serde(
        default,
        deserialize_with = "json::null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub buttons: Vec<Button>,
    /// Files by their public places, for channels that fetch them there.
    #[serde(
        default,
        deserialize_with = "json::null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub media_urls: Vec<Pii>,
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

/// Something to choose under a reply.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Button {
    /// What stands there to read.
    pub title: Pii,
    /// What the agent calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Pii>,
    /// A place on the web that it leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Pii>,
}

impl Button {
    /// How many one reply may have. Source: WhatsApp's list picker, 1 to 10 items, read 2026-11-29.
    pub const COUNT_MAX: usize = 10;
    /// The longest title in characters. Source: as above.
    pub const TITLE_CHARS_MAX: usize = 24;
    /// The longest id in characters. Source: as above.
    pub const ID_CHARS_MAX: usize = 200;
    /// The longest address in characters; as much as a text of one part leaves room for (assumed).
    pub const URL_CHARS_MAX: usize = 1_000;

    /// One with a title alone.
    #[must_use]
    pub fn new(title: impl Into<Pii>) -> Self {
        Self { title: title.into(), id: None, url: None }
    }
}

impl Reply {
    /// A reply of text alone.
    #[must_use]
    pub fn text(body: impl Into<Pii>) -> Self {
        Self { body: Some(body.into()), ..Self::default() }
    }

    /// The variables of its template as Twilio takes them, JSON as text; nothing if there are none.
    #[must_use]
    pub fn variables_text(&self) -> Option<Pii> {
        let variables = &self.content_variables;
        (!variables.is_empty()).then(|| Value::Object(variables.clone()).to_string().into())
    }

    /// Whether there is nothing in it to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.reveal().trim().is_empty())
            && self.media_sids.is_empty()
            && self.media_urls.is_empty()
            && self.content_sid.is_none()
            && self.buttons.is_empty()
    }
}

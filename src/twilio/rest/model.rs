//! What the API answers, as far as this program reads it, and what it is asked to write.
//!
//! Sids that name the thing itself are required; all else may be missing or null. A list entry's
//! unknown fields are ignored. Source: vendor definition of April 2026. Pure.

use serde::{Deserialize, Deserializer};

use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::twilio::events::ConversationState;
use crate::twilio::sid::{
    AddressSid, ChatServiceSid, ContentSid, ConversationSid, MediaSid, MessageSid,
    MessagingServiceSid, ParticipantSid,
};

/// A conversation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Conversation {
    /// Its sid.
    pub sid: ConversationSid,
    /// The chat service.
    #[serde(default)]
    pub chat_service_sid: Option<ChatServiceSid>,
    /// The messaging service.
    #[serde(default)]
    pub messaging_service_sid: Option<MessagingServiceSid>,
    /// The name people see.
    #[serde(default)]
    pub friendly_name: Option<Pii>,
    /// The name programs use.
    #[serde(default)]
    pub unique_name: Option<Pii>,
    /// JSON as text.
    #[serde(default)]
    pub attributes: Option<Pii>,
    /// Where it stands.
    #[serde(default)]
    pub state: Option<ConversationState>,
    /// When it was made.
    #[serde(default, rename = "date_created", deserialize_with = "time")]
    pub created: Option<Timestamp>,
    /// When it was changed.
    #[serde(default, rename = "date_updated", deserialize_with = "time")]
    pub updated: Option<Timestamp>,
}

/// A participant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Participant {
    /// Its sid.
    pub sid: ParticipantSid,
    /// The conversation.
    pub conversation_sid: ConversationSid,
    /// The identity, for chat.
    #[serde(default)]
    pub identity: Option<Pii>,
    /// The addresses, for other channels.
    #[serde(default)]
    pub messaging_binding: Option<Binding>,
    /// JSON as text.
    #[serde(default)]
    pub attributes: Option<Pii>,
    /// The index up to which the participant has read.
    #[serde(default)]
    pub last_read_message_index: Option<u64>,
}

/// The addresses of a participant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Binding {
    /// The channel: `sms`, `whatsapp` and the like. Open text.
    #[serde(default, rename = "type")]
    pub channel: Option<String>,
    /// Their address.
    #[serde(default)]
    pub address: Option<Pii>,
    /// Our address that they see.
    #[serde(default)]
    pub proxy_address: Option<Pii>,
    /// The address that stands for a chat participant in a group.
    #[serde(default)]
    pub projected_address: Option<Pii>,
}

/// One of an identity's conversations.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct ParticipantConversation {
    /// The conversation.
    pub conversation_sid: ConversationSid,
    /// The identity's membership of it.
    pub participant_sid: ParticipantSid,
    /// Where the conversation stands.
    #[serde(default)]
    pub conversation_state: Option<ConversationState>,
    /// When the conversation was made.
    #[serde(default, rename = "conversation_date_created", deserialize_with = "time")]
    pub conversation_created: Option<Timestamp>,
    /// When the conversation was changed.
    #[serde(default, rename = "conversation_date_updated", deserialize_with = "time")]
    pub conversation_updated: Option<Timestamp>,
}

/// A message.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Message {
    /// Its sid.
    pub sid: MessageSid,
    /// The conversation.
    pub conversation_sid: ConversationSid,
    /// Its place in the conversation; may skip numbers, never goes back.
    pub index: u64,
    /// Who wrote it: an identity, an address, or any text.
    #[serde(default)]
    pub author: Option<Pii>,
    /// The text.
    #[serde(default)]
    pub body: Option<Pii>,
    /// JSON as text.
    #[serde(default)]
    pub attributes: Option<Pii>,
    /// The participant who wrote it, if one did.
    #[serde(default)]
    pub participant_sid: Option<ParticipantSid>,
    /// The files.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub media: Vec<Media>,
    /// The template it was made from.
    #[serde(default)]
    pub content_sid: Option<ContentSid>,
    /// When it was added.
    #[serde(default, rename = "date_created", deserialize_with = "time")]
    pub created: Option<Timestamp>,
    /// When it was changed.
    #[serde(default, rename = "date_updated", deserialize_with = "time")]
    pub updated: Option<Timestamp>,
}

/// A file of a message.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Media {
    /// Its sid.
    pub sid: MediaSid,
    /// Its size in bytes.
    #[serde(default)]
    pub size: Option<u64>,
    /// Its type, as the sender said.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Its name, where it has one.
    #[serde(default)]
    pub filename: Option<Pii>,
}

/// Where a service's webhooks go, and which of them.
///
/// The service answers null for what was never set. Source: Conversations notes, service-scope
/// webhooks, read 2026-11-21.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct Webhooks {
    /// `GET` or `POST`, in either case.
    #[serde(default)]
    pub method: Option<String>,
    /// The events that are sent; nothing else is.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub filters: Vec<String>,
    /// Where pre-action webhooks go. May hold a user's name and password.
    #[serde(default)]
    pub pre_webhook_url: Option<Pii>,
    /// Where post-action webhooks go. May hold a user's name and password.
    #[serde(default)]
    pub post_webhook_url: Option<Pii>,
}

/// How an address of the account is set up for Conversations.
/// Source: API definition, `conversations.v1.configuration.configuration_address`, read 2026-11-21.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct AddressConfiguration {
    /// The configuration's sid.
    pub sid: AddressSid,
    /// The address: a number, perhaps behind the name of a channel.
    #[serde(default)]
    pub address: Option<Pii>,
    /// What becomes of a message that belongs to no conversation.
    #[serde(default)]
    pub auto_creation: Option<AutoCreation>,
}

/// What becomes of a message that belongs to no conversation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct AutoCreation {
    /// Whether it makes one.
    #[serde(default)]
    pub enabled: bool,
    /// `webhook`, `studio` or `default`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// The chat service that the conversation belongs to; the account's default one without.
    #[serde(default)]
    pub conversation_service_sid: Option<ChatServiceSid>,
}

/// A message to add.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NewMessage {
    /// Who writes it; the bot's identity, for the message to count as the participant's.
    pub author: String,
    /// The text; ignored by Twilio with a template.
    pub body: Option<Pii>,
    /// JSON as text; at most 4 KB.
    pub attributes: Option<String>,
    /// Files uploaded before; ignored by Twilio with a template.
    pub media: Vec<MediaSid>,
    /// A template.
    pub content_sid: Option<ContentSid>,
    /// The template's variables, JSON as text.
    pub content_variables: Option<Pii>,
}

/// Which conversations to list.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ConversationFilter {
    /// Only those in this state.
    pub state: Option<ConversationState>,
    /// Only those made on or after this day (UTC).
    pub from: Option<Timestamp>,
}

/// Messages after an index, oldest first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MessagesAfter {
    /// The messages.
    pub messages: Vec<Message>,
    /// Whether that is all of them; if not, older ones were left out.
    pub complete: bool,
}

/// A time that cannot be read counts as missing; nothing rests on it.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.as_deref().and_then(Timestamp::parse_rfc3339))
}

fn null_as_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

//! The webhook events on their way: whom they concern and which fields they carry.
//!
//! Pure. Source: Conversations webhooks page, tables of pre- and post-action events, in the webhook
//! notes 1.5 and 1.6, read 2026-11-21.

use serde_json::json;

pub use super::event_kind::EventKind;
use super::model::{Conversation, Message, Participant, Receipt, User};
use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::twilio::sid::{ChatServiceSid, ConversationSid};

/// The fields of an event, in the order they are sent. Names may repeat.
pub type Fields = Vec<(&'static str, Pii)>;

/// An event on its way to the webhooks.
#[derive(Clone, Debug)]
pub struct Occurrence {
    /// Which.
    pub kind: EventKind,
    /// The chat service it happened in.
    pub service: ChatServiceSid,
    /// The conversation, if there is one yet.
    pub conversation: Option<ConversationSid>,
    /// The message's index, for webhooks that replay.
    pub index: Option<u64>,
    /// SDK, API, SMS or WHATSAPP.
    pub source: &'static str,
    /// Who acted, for actions of SDK clients.
    pub client_identity: Option<Pii>,
    /// What it carries besides the common fields.
    pub fields: Fields,
}

fn put(fields: &mut Fields, name: &'static str, value: impl Into<String>) {
    fields.push((name, Pii::new(value)));
}

fn put_some(fields: &mut Fields, name: &'static str, value: Option<impl Into<String>>) {
    if let Some(value) = value {
        put(fields, name, value);
    }
}

/// Fields that describe a conversation; `ConversationSid` and the dates once it exists.
#[must_use]
pub fn conversation_fields(conversation: &Conversation, exists: bool) -> Fields {
    let mut fields = Fields::new();
    if exists {
        put(&mut fields, "ConversationSid", conversation.sid.to_string());
        put(&mut fields, "DateUpdated", conversation.updated.to_string());
    }
    put(&mut fields, "DateCreated", conversation.created.to_string());
    put(&mut fields, "FriendlyName", conversation.friendly_name.clone().unwrap_or_default());
    put(&mut fields, "UniqueName", conversation.unique_name.clone().unwrap_or_default());
    put(&mut fields, "Attributes", conversation.attributes.clone());
    put(&mut fields, "ChatServiceSid", conversation.service.to_string());
    put(&mut fields, "MessagingServiceSid", conversation.messaging_service.to_string());
    put(&mut fields, "State", conversation.state.as_str());
    fields
}

/// Fields of the state event.
#[must_use]
pub fn state_fields(conversation: &Conversation, from: &'static str, reason: &str) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "ChatServiceSid", conversation.service.to_string());
    put(&mut fields, "StateUpdated", conversation.state_changed.to_string());
    put(&mut fields, "StateFrom", from);
    put(&mut fields, "StateTo", conversation.state.as_str());
    put(&mut fields, "ConversationSid", conversation.sid.to_string());
    put(&mut fields, "Reason", reason);
    put(&mut fields, "MessagingServiceSid", conversation.messaging_service.to_string());
    fields
}

/// Fields that describe a message; sid and index once it exists.
#[must_use]
pub fn message_fields(conversation: &Conversation, message: &Message, exists: bool) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "ConversationSid", conversation.sid.to_string());
    if exists {
        put(&mut fields, "MessageSid", message.sid.to_string());
        put(&mut fields, "Index", message.index.to_string());
        put(&mut fields, "DateCreated", message.created.to_string());
    }
    put_some(&mut fields, "Body", message.body.clone());
    put(&mut fields, "Author", message.author.clone());
    put_some(&mut fields, "ParticipantSid", message.participant.map(|sid| sid.to_string()));
    put(&mut fields, "Attributes", message.attributes.clone());
    if !message.media.is_empty() {
        let media: Vec<_> = message
            .media
            .iter()
            .map(|media| {
                json!({
                    "Sid": media.sid,
                    "Filename": media.filename,
                    "ContentType": media.content_type,
                    "Size": media.size,
                })
            })
            .collect();
        put(&mut fields, "Media", serde_json::Value::from(media).to_string());
    }
    fields
}

/// Fields that describe a participant; sid and date once it exists.
#[must_use]
pub fn participant_fields(
    conversation: &Conversation,
    participant: &Participant,
    exists: bool,
) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "ConversationSid", conversation.sid.to_string());
    if exists {
        put(&mut fields, "ParticipantSid", participant.sid.to_string());
        put(&mut fields, "DateCreated", participant.created.to_string());
    }
    put_some(&mut fields, "Identity", participant.identity.clone());
    put(&mut fields, "RoleSid", participant.role.to_string());
    put(&mut fields, "Attributes", participant.attributes.clone());
    match &participant.binding {
        Some(binding) => {
            put(&mut fields, "MessagingBinding.Type", binding.channel.source());
            if let Some(address) = &binding.address {
                fields.push(("MessagingBinding.Address", address.clone()));
            }
            if let Some(proxy) = &binding.proxy {
                fields.push(("MessagingBinding.ProxyAddress", proxy.clone()));
            }
            if let Some(projected) = &binding.projected {
                fields.push(("MessagingBinding.ProjectedAddress", projected.clone()));
            }
        }
        None => put(&mut fields, "MessagingBinding.Type", "CHAT"),
    }
    fields
}

/// Fields of a delivery event.
#[must_use]
pub fn delivery_fields(
    conversation: &Conversation,
    message: &Message,
    receipt: &Receipt,
) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "ConversationSid", conversation.sid.to_string());
    put(&mut fields, "ChatServiceSid", conversation.service.to_string());
    put(&mut fields, "MessageSid", message.sid.to_string());
    put(&mut fields, "DeliveryReceiptSid", receipt.sid.to_string());
    put(&mut fields, "ChannelMessageSid", receipt.channel_message_sid.clone());
    put(&mut fields, "ParticipantSid", receipt.participant.to_string());
    put(&mut fields, "Status", receipt.status.as_str());
    put(&mut fields, "ErrorCode", receipt.error_code.unwrap_or(0).to_string());
    put(&mut fields, "DateCreated", receipt.created.to_string());
    put(&mut fields, "DateUpdated", receipt.updated.to_string());
    fields
}

/// Fields that describe a user.
#[must_use]
pub fn user_fields(user: &User, updated: bool) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "ChatServiceSid", user.service.to_string());
    put(&mut fields, "UserSid", user.sid.to_string());
    put(&mut fields, "DateCreated", user.created.to_string());
    put(&mut fields, "Identity", user.identity.clone());
    put(&mut fields, "RoleSid", user.role.to_string());
    put(&mut fields, "Attributes", user.attributes.clone());
    put(&mut fields, "FriendlyName", user.friendly_name.clone().unwrap_or_default());
    if updated {
        put(&mut fields, "DateUpdated", user.updated.to_string());
        put(&mut fields, "isOnline", user.online.to_string());
        put(&mut fields, "isNotifiable", "false");
    }
    fields
}

/// Adds a date under a name, for the events that have one more.
#[must_use]
pub fn with_date(mut fields: Fields, name: &'static str, at: Timestamp) -> Fields {
    fields.retain(|(known, _)| *known != name);
    put(&mut fields, name, at.to_string());
    fields
}

//! The webhook events: their names, which are asked beforehand, and which fields they carry.
//!
//! Pure. Source: Conversations webhooks page, tables of pre- and post-action events, in the webhook
//! notes 1.5 and 1.6, read 2026-11-21.

use serde_json::json;

use super::model::{Conversation, Message, Participant, Receipt, User, words};
use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::twilio::sid::{ChatServiceSid, ConversationSid};

words! {
    /// An event that webhooks can be asked for.
    EventKind {
        /// Asked before a conversation is made.
        ConversationAdd = "onConversationAdd",
        /// Told after a conversation was made.
        ConversationAdded = "onConversationAdded",
        /// Asked before a conversation is removed.
        ConversationRemove = "onConversationRemove",
        /// Told after a conversation was removed.
        ConversationRemoved = "onConversationRemoved",
        /// Asked before a conversation is changed.
        ConversationUpdate = "onConversationUpdate",
        /// Told after a conversation was changed.
        ConversationUpdated = "onConversationUpdated",
        /// Told after a conversation's state changed.
        ConversationStateUpdated = "onConversationStateUpdated",
        /// Asked before a message is stored.
        MessageAdd = "onMessageAdd",
        /// Told after a message was stored.
        MessageAdded = "onMessageAdded",
        /// Asked before a message is removed.
        MessageRemove = "onMessageRemove",
        /// Told after a message was removed.
        MessageRemoved = "onMessageRemoved",
        /// Asked before a message is changed.
        MessageUpdate = "onMessageUpdate",
        /// Told after a message was changed.
        MessageUpdated = "onMessageUpdated",
        /// Asked before a participant comes in.
        ParticipantAdd = "onParticipantAdd",
        /// Told after a participant came in.
        ParticipantAdded = "onParticipantAdded",
        /// Asked before a participant is removed.
        ParticipantRemove = "onParticipantRemove",
        /// Told after a participant was removed.
        ParticipantRemoved = "onParticipantRemoved",
        /// Asked before a participant is changed.
        ParticipantUpdate = "onParticipantUpdate",
        /// Told after a participant was changed.
        ParticipantUpdated = "onParticipantUpdated",
        /// Told after a message got further on its way to a phone.
        DeliveryUpdated = "onDeliveryUpdated",
        /// Told after a user was made.
        UserAdded = "onUserAdded",
        /// Asked before a user is changed.
        UserUpdate = "onUserUpdate",
        /// Told after a user was changed.
        UserUpdated = "onUserUpdated",
    }
}

impl EventKind {
    /// Whether the change waits for the answer.
    #[must_use]
    pub const fn is_pre(self) -> bool {
        match self {
            Self::ConversationAdd
            | Self::ConversationRemove
            | Self::ConversationUpdate
            | Self::MessageAdd
            | Self::MessageRemove
            | Self::MessageUpdate
            | Self::ParticipantAdd
            | Self::ParticipantRemove
            | Self::ParticipantUpdate
            | Self::UserUpdate => true,
            Self::ConversationAdded
            | Self::ConversationRemoved
            | Self::ConversationUpdated
            | Self::ConversationStateUpdated
            | Self::MessageAdded
            | Self::MessageRemoved
            | Self::MessageUpdated
            | Self::ParticipantAdded
            | Self::ParticipantRemoved
            | Self::ParticipantUpdated
            | Self::DeliveryUpdated
            | Self::UserAdded
            | Self::UserUpdated => false,
        }
    }

    /// Whether it is about a user and not about a conversation.
    #[must_use]
    pub const fn is_of_user(self) -> bool {
        matches!(self, Self::UserAdded | Self::UserUpdate | Self::UserUpdated)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_three_events_are_known_and_ten_of_them_wait_for_an_answer() {
        assert_eq!(EventKind::ALL.len(), 23);
        assert_eq!(EventKind::ALL.iter().filter(|kind| kind.is_pre()).count(), 10);
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_word(kind.as_str()), Some(*kind));
        }
    }
}

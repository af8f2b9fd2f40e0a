//! What the events carry.
//!
//! One struct serves several events where the fields are nearly the same; a field that some of them
//! lack is an `Option`. Drafts are what a pre-action event says of a thing that has no sid yet.
//! Source: Conversations webhooks, pre- and post-action tables, read 2026-11-21. Pure.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Error, Fields};
use crate::clock::Timestamp;
use crate::json::{self, Members};
use crate::pii::Pii;
use crate::twilio::sid::{
    ChatServiceSid, ConversationSid, DeliveryReceiptSid, MediaSid, MessageSid, MessagingServiceSid,
    ParticipantSid, RoleSid, UserSid,
};

/// Where a conversation stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConversationState {
    /// A group conversation is being made and cannot be changed yet.
    Initializing,
    /// Messages come and go.
    Active,
    /// Nothing has happened for a while; a message makes it active again.
    Inactive,
    /// Over for good.
    Closed,
    /// A state that this program does not know.
    #[serde(other)]
    Other,
}

impl ConversationState {
    /// Reads Twilio's word for a state.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "initializing" => Self::Initializing,
            "active" => Self::Active,
            "inactive" => Self::Inactive,
            "closed" => Self::Closed,
            _ => Self::Other,
        }
    }
}

/// The addresses by which somebody is reached outside of chat.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Binding {
    /// The channel: `SMS`, `WHATSAPP`, `CHAT` and the like. Open text; participants only.
    pub channel: Option<String>,
    /// Their address; several for the receivers of a group message.
    pub addresses: Vec<Pii>,
    /// Our address that they see.
    pub proxy_address: Option<Pii>,
    /// The address that stands for a chat participant in a group.
    pub projected_address: Option<Pii>,
    /// The sender of the message that made a group conversation.
    pub author_address: Option<Pii>,
}

impl Binding {
    fn decode(fields: &Fields<'_>) -> Option<Self> {
        let binding = Self {
            channel: fields.text("MessagingBinding.Type").map(str::to_owned),
            addresses: fields.all_pii("MessagingBinding.Address"),
            proxy_address: fields.pii("MessagingBinding.ProxyAddress"),
            projected_address: fields.pii("MessagingBinding.ProjectedAddress"),
            author_address: fields.pii("MessagingBinding.AuthorAddress"),
        };
        (binding != Self::default()).then_some(binding)
    }
}

/// A file that came with a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Media {
    /// Its sid.
    pub sid: MediaSid,
    /// Its name, where it has one.
    pub filename: Option<Pii>,
    /// Its type, as the sender said.
    pub content_type: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
}

impl Media {
    /// Reads the JSON list; an entry that cannot be read is left out, because the message counts
    /// more than its files, and the files can be read from the message later.
    fn decode(fields: &Fields<'_>) -> Vec<Self> {
        let Some(text) = fields.text("Media") else { return Vec::new() };
        let list: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
        list.into_iter().filter_map(Self::read).collect()
    }

    fn read(entry: &RawValue) -> Option<Self> {
        let mut room = Vec::new();
        let of: Members<'_> = json::lend(entry.get().as_bytes(), &mut room).ok()?;
        Some(Self {
            sid: of.get("Sid")?,
            filename: of.get("Filename"),
            content_type: of.get("ContentType"),
            size: of.number("Size"),
        })
    }
}

/// A conversation that is about to be made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConversationDraft {
    /// The chat service.
    pub chat_service_sid: Option<ChatServiceSid>,
    /// The messaging service.
    pub messaging_service_sid: Option<MessagingServiceSid>,
    /// The name people see.
    pub friendly_name: Option<Pii>,
    /// The name programs use.
    pub unique_name: Option<Pii>,
    /// JSON as text.
    pub attributes: Option<Pii>,
    /// The addresses, where a message from outside makes it.
    pub binding: Option<Binding>,
    /// The text of that message.
    pub message_body: Option<Pii>,
    /// The files of that message.
    pub media: Vec<Media>,
    /// Where it will stand.
    pub state: Option<ConversationState>,
}

impl ConversationDraft {
    pub(super) fn decode(fields: &Fields<'_>) -> Self {
        Self {
            chat_service_sid: fields.sid_if_any("ChatServiceSid"),
            messaging_service_sid: fields.sid_if_any("MessagingServiceSid"),
            friendly_name: fields.pii("FriendlyName"),
            unique_name: fields.pii("UniqueName"),
            attributes: fields.pii("Attributes"),
            binding: Binding::decode(fields),
            message_body: fields.pii("MessageBody"),
            media: Media::decode(fields),
            state: fields.text("State").map(ConversationState::parse),
        }
    }
}

/// A conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conversation {
    /// Its sid.
    pub conversation_sid: ConversationSid,
    /// The chat service.
    pub chat_service_sid: Option<ChatServiceSid>,
    /// The messaging service.
    pub messaging_service_sid: Option<MessagingServiceSid>,
    /// The name people see.
    pub friendly_name: Option<Pii>,
    /// The name programs use.
    pub unique_name: Option<Pii>,
    /// JSON as text.
    pub attributes: Option<Pii>,
    /// The addresses, where a message from outside made it.
    pub binding: Option<Binding>,
    /// Where it stands.
    pub state: Option<ConversationState>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it was changed.
    pub updated: Option<Timestamp>,
    /// When it was removed.
    pub removed: Option<Timestamp>,
}

impl Conversation {
    pub(super) fn decode(fields: &Fields<'_>) -> Result<Self, Error> {
        Ok(Self {
            conversation_sid: fields.sid("ConversationSid")?,
            chat_service_sid: fields.sid_if_any("ChatServiceSid"),
            messaging_service_sid: fields.sid_if_any("MessagingServiceSid"),
            friendly_name: fields.pii("FriendlyName"),
            unique_name: fields.pii("UniqueName"),
            attributes: fields.pii("Attributes"),
            binding: Binding::decode(fields),
            state: fields.text("State").map(ConversationState::parse),
            created: fields.time("DateCreated"),
            updated: fields.time("DateUpdated"),
            removed: fields.time("DateRemoved"),
        })
    }
}

/// A conversation's step from one state to another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StateChange {
    /// The conversation.
    pub conversation_sid: ConversationSid,
    /// The chat service.
    pub chat_service_sid: Option<ChatServiceSid>,
    /// The messaging service.
    pub messaging_service_sid: Option<MessagingServiceSid>,
    /// Where it stood.
    pub from: Option<ConversationState>,
    /// Where it stands.
    pub to: Option<ConversationState>,
    /// Why: `API`, `TIMER` or `EVENT`. Open text.
    pub reason: Option<String>,
    /// When.
    pub updated: Option<Timestamp>,
}

impl StateChange {
    pub(super) fn decode(fields: &Fields<'_>) -> Result<Self, Error> {
        Ok(Self {
            conversation_sid: fields.sid("ConversationSid")?,
            chat_service_sid: fields.sid_if_any("ChatServiceSid"),
            messaging_service_sid: fields.sid_if_any("MessagingServiceSid"),
            from: fields.text("StateFrom").map(ConversationState::parse),
            to: fields.text("StateTo").map(ConversationState::parse),
            reason: fields.text("Reason").map(str::to_owned),
            updated: fields.time("StateUpdated"),
        })
    }
}

/// A message that is about to be added.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MessageDraft {
    /// The conversation.
    pub conversation_sid: ConversationSid,
    /// Who wrote it: an identity, an address, or any text.
    pub author: Option<Pii>,
    /// The participant who wrote it, if one did.
    pub participant_sid: Option<ParticipantSid>,
    /// The text; a message of files only has none.
    pub body: Option<Pii>,
    /// JSON as text.
    pub attributes: Option<Pii>,
    /// The files.
    pub media: Vec<Media>,
}

impl MessageDraft {
    pub(super) fn decode(fields: &Fields<'_>) -> Result<Self, Error> {
        Ok(Self {
            conversation_sid: fields.sid("ConversationSid")?,
            author: fields.pii("Author"),
            participant_sid: fields.sid_if_any("ParticipantSid"),
            body: fields.pii("Body"),
            attributes: fields.pii("Attributes"),
            media: Media::decode(fields),
        })
    }
}

/// A message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// The conversation.
    pub conversation_sid: ConversationSid,
    /// Its sid.
    pub message_sid: MessageSid,
    /// Its place in the conversation; may skip numbers, never goes back.
    pub index: Option<u64>,
    /// The messaging service.
    pub messaging_service_sid: Option<MessagingServiceSid>,
    /// Who wrote it: an identity, an address, or any text.
    pub author: Option<Pii>,
    /// The participant who wrote it, if one did.
    pub participant_sid: Option<ParticipantSid>,
    /// The text; a message of files only has none.
    pub body: Option<Pii>,
    /// JSON as text.
    pub attributes: Option<Pii>,
    /// The files.
    pub media: Vec<Media>,
    /// When it was added.
    pub created: Option<Timestamp>,
    /// When it was changed.
    pub updated: Option<Timestamp>,
    /// When it was removed.
    pub removed: Option<Timestamp>,
}

impl Message {
    pub(super) fn decode(fields: &Fields<'_>) -> Result<Self, Error> {
        Ok(Self {
            conversation_sid: fields.sid("ConversationSid")?,
            message_sid: fields.sid("MessageSid")?,
            index: fields.number("Index"),
            messaging_service_sid: fields.sid_if_any("MessagingServiceSid"),
            author: fields.pii("Author"),
            participant_sid: fields.sid_if_any("ParticipantSid"),
            body: fields.pii("Body"),
            attributes: fields.pii("Attributes"),
            media: Media::decode(fields),
            created: fields.time("DateCreated"),
            updated: fields.time("DateUpdated"),
            removed: fields.time("DateRemoved"),
        })
    }
}

/// A participant who is about to be added.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParticipantDraft {
    /// The conversation.
    pub conversation_sid: ConversationSid,
    /// The identity, for chat.
    pub identity: Option<Pii>,
    /// The role.
    pub role_sid: Option<RoleSid>,
    /// JSON as text.
    pub attributes: Option<Pii>,
    /// The addresses, for other channels.
    pub binding: Option<Binding>,
}

impl ParticipantDraft {
    pub(super) fn decode(fields: &Fields<'_>) -> Result<Self, Error> {
        Ok(Self {
            conversation_sid: fields.sid("ConversationSid")?,
            identity: fields.pii("Identity"),
            role_sid: fields.sid_if_any("RoleSid"),
            attributes: fields.pii("Attributes"),
            binding: Binding::decode(fields),
        })
    }
}

/// A participant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Participant {
    /// The conversation.
    pub conversation_sid: ConversationSid,
    /// Its sid.
    pub participant_sid: ParticipantSid,
    /// The identity, for chat.
    pub identity: Option<Pii>,
    /// The role.
    pub role_sid: Option<RoleSid>,
    /// JSON as text.
    pub attributes: Option<Pii>,
    /// The addresses, for other channels.
    pub binding: Option<Binding>,
    /// The index up to which the participant has read.
    pub last_read_message_index: Option<u64>,
    /// When it was added.
    pub created: Option<Timestamp>,
    /// When it was changed.
    pub updated: Option<Timestamp>,
    /// When it was removed.
    pub removed: Option<Timestamp>,
}

impl Participant {
    pub(super) fn decode(fields: &Fields<'_>) -> Result<Self, Error> {
        Ok(Self {
            conversation_sid: fields.sid("ConversationSid")?,
            participant_sid: fields.sid("ParticipantSid")?,
            identity: fields.pii("Identity"),
            role_sid: fields.sid_if_any("RoleSid"),
            attributes: fields.pii("Attributes"),
            binding: Binding::decode(fields),
            last_read_message_index: fields.number("LastReadMessageIndex"),
            created: fields.time("DateCreated"),
            updated: fields.time("DateUpdated"),
            removed: fields.time("DateRemoved"),
        })
    }
}

/// How far a message got to one recipient.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DeliveryStatus {
    /// The carrier has it.
    Sent,
    /// The handset has it.
    Delivered,
    /// It was read.
    Read,
    /// It could not be sent.
    Failed,
    /// It was sent and did not arrive.
    Undelivered,
    /// A status that this program does not know.
    Other,
}

impl DeliveryStatus {
    /// Reads Twilio's word for a status.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "sent" => Self::Sent,
            "delivered" => Self::Delivered,
            "read" => Self::Read,
            "failed" => Self::Failed,
            "undelivered" => Self::Undelivered,
            _ => Self::Other,
        }
    }
}

/// News of one message's way to one recipient. They may overtake each other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeliveryUpdate {
    /// The conversation.
    pub conversation_sid: ConversationSid,
    /// The message.
    pub message_sid: MessageSid,
    /// The receipt, one for each recipient.
    pub delivery_receipt_sid: Option<DeliveryReceiptSid>,
    /// The carrier's message, `SM…`, `MM…` or `WA…`.
    pub channel_message_sid: Option<String>,
    /// The recipient.
    pub participant_sid: Option<ParticipantSid>,
    /// How far it got.
    pub status: Option<DeliveryStatus>,
    /// Why it failed, see the catalogue.
    pub error_code: Option<u32>,
    /// When the receipt was made.
    pub created: Option<Timestamp>,
    /// When it was changed.
    pub updated: Option<Timestamp>,
}

impl DeliveryUpdate {
    pub(super) fn decode(fields: &Fields<'_>) -> Result<Self, Error> {
        Ok(Self {
            conversation_sid: fields.sid("ConversationSid")?,
            message_sid: fields.sid("MessageSid")?,
            delivery_receipt_sid: fields.sid_if_any("DeliveryReceiptSid"),
            channel_message_sid: fields.text("ChannelMessageSid").map(str::to_owned),
            participant_sid: fields.sid_if_any("ParticipantSid"),
            status: fields.text("Status").map(DeliveryStatus::parse),
            error_code: fields
                .number("ErrorCode")
                .and_then(|code| u32::try_from(code).ok())
                .filter(|code| *code != 0),
            created: fields.time("DateCreated"),
            updated: fields.time("DateUpdated"),
        })
    }
}

/// A user of the chat service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// Its sid.
    pub user_sid: UserSid,
    /// The chat service.
    pub chat_service_sid: Option<ChatServiceSid>,
    /// The identity.
    pub identity: Option<Pii>,
    /// The role.
    pub role_sid: Option<RoleSid>,
    /// JSON as text.
    pub attributes: Option<Pii>,
    /// The name people see.
    pub friendly_name: Option<Pii>,
    /// Whether a client of the user is connected.
    pub is_online: Option<bool>,
    /// Whether the user can be reached by push.
    pub is_notifiable: Option<bool>,
    /// When it was added.
    pub created: Option<Timestamp>,
    /// When it was changed.
    pub updated: Option<Timestamp>,
}

impl User {
    pub(super) fn decode(fields: &Fields<'_>) -> Result<Self, Error> {
        Ok(Self {
            user_sid: fields.sid("UserSid")?,
            chat_service_sid: fields.sid_if_any("ChatServiceSid"),
            identity: fields.pii("Identity"),
            role_sid: fields.sid_if_any("RoleSid"),
            attributes: fields.pii("Attributes"),
            friendly_name: fields.pii("FriendlyName"),
            is_online: fields.truth("isOnline"),
            is_notifiable: fields.truth("isNotifiable"),
            created: fields.time("DateCreated"),
            updated: fields.time("DateUpdated"),
        })
    }
}

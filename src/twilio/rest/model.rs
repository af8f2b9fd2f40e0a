//! What the API answers, as far as this program reads it, and what it is asked to write.
//!
//! Sids that name the thing itself are required, and a message's index; all else may be missing, null
//! or of a form that this program does not know, and costs nothing but itself. Unknown fields are
//! ignored. Source: vendor definition of April 2026. Pure.

use serde::{Deserialize, Deserializer};

use crate::clock::Timestamp;
use crate::json::{Members, Unreadable};
use crate::pii::Pii;
use crate::twilio::events::ConversationState;
use crate::twilio::sid::{
    AddressSid, ChatServiceSid, ContentSid, ConversationSid, MediaSid, MessageSid,
    MessagingServiceSid, ParticipantSid,
};

/// A conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conversation {
    /// Its sid.
    pub sid: ConversationSid,
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
    /// Where it stands.
    pub state: Option<ConversationState>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it was changed.
    pub updated: Option<Timestamp>,
}

/// A participant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Participant {
    /// Its sid.
    pub sid: ParticipantSid,
    /// The conversation; whoever asked for its participants knows it.
    pub conversation_sid: Option<ConversationSid>,
    /// The identity, for chat.
    pub identity: Option<Pii>,
    /// The addresses, for other channels.
    pub messaging_binding: Option<Binding>,
    /// JSON as text.
    pub attributes: Option<Pii>,
    /// The index up to which the participant has read.
    pub last_read_message_index: Option<u64>,
}

/// The addresses of a participant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Binding {
    /// The channel: `sms`, `whatsapp` and the like. Open text.
    pub channel: Option<String>,
    /// Their address.
    pub address: Option<Pii>,
    /// Our address that they see.
    pub proxy_address: Option<Pii>,
    /// The address that stands for a chat participant in a group.
    pub projected_address: Option<Pii>,
}

/// One of an identity's conversations.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParticipantConversation {
    /// The conversation.
    pub conversation_sid: ConversationSid,
    /// The identity's membership of it.
    pub participant_sid: Option<ParticipantSid>,
    /// Where the conversation stands.
    pub conversation_state: Option<ConversationState>,
    /// When the conversation was made.
    pub conversation_created: Option<Timestamp>,
    /// When the conversation was changed.
    pub conversation_updated: Option<Timestamp>,
}

/// A message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// Its sid.
    pub sid: MessageSid,
    /// The conversation; whoever asked for its messages knows it.
    pub conversation_sid: Option<ConversationSid>,
    /// Its place in the conversation; may skip numbers, never goes back.
    pub index: u64,
    /// Who wrote it: an identity, an address, or any text.
    pub author: Option<Pii>,
    /// The text.
    pub body: Option<Pii>,
    /// JSON as text.
    pub attributes: Option<Pii>,
    /// The participant who wrote it, if one did.
    pub participant_sid: Option<ParticipantSid>,
    /// The files.
    pub media: Vec<Media>,
    /// The template it was made from.
    pub content_sid: Option<ContentSid>,
    /// When it was added.
    pub created: Option<Timestamp>,
    /// When it was changed.
    pub updated: Option<Timestamp>,
}

/// A file of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Media {
    /// Its sid.
    pub sid: MediaSid,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Its type, as the sender said.
    pub content_type: Option<String>,
    /// Its name, where it has one.
    pub filename: Option<Pii>,
}

/// Where a service's webhooks go, and which of them.
///
/// The service answers null for what was never set. Source: Conversations notes, service-scope
/// webhooks, read 2026-11-21.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Webhooks {
    /// `GET` or `POST`, in either case.
    pub method: Option<String>,
    /// The events that are sent; nothing else is.
    pub filters: Vec<String>,
    /// Where pre-action webhooks go. May hold a user's name and password.
    pub pre_webhook_url: Option<Pii>,
    /// Where post-action webhooks go. May hold a user's name and password.
    pub post_webhook_url: Option<Pii>,
}

/// How an address of the account is set up for Conversations.
/// Source: API definition, `conversations.v1.configuration.configuration_address`, read 2026-11-21.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AddressConfiguration {
    /// The configuration's sid.
    pub sid: AddressSid,
    /// The address: a number, perhaps behind the name of a channel.
    pub address: Option<Pii>,
    /// What becomes of a message that belongs to no conversation.
    pub auto_creation: Option<AutoCreation>,
}

/// What becomes of a message that belongs to no conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AutoCreation {
    /// Whether it makes one.
    pub enabled: bool,
    /// `webhook`, `studio` or `default`.
    pub kind: Option<String>,
    /// The chat service that the conversation belongs to; the account's default one without.
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

/// Something that an answer or a listing's entry is read into.
pub trait Entry: Sized {
    /// Reads it, as far as it can be read.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] with the first field that it cannot do without.
    fn read(of: &Members<'_>) -> Result<Self, Unreadable>;
}

impl Entry for Conversation {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            sid: of.need("sid")?,
            chat_service_sid: of.get("chat_service_sid"),
            messaging_service_sid: of.get("messaging_service_sid"),
            friendly_name: of.get("friendly_name"),
            unique_name: of.get("unique_name"),
            attributes: attributes(of),
            state: of.get("state"),
            created: time(of, "date_created"),
            updated: time(of, "date_updated"),
        })
    }
}

impl Entry for Participant {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            sid: of.need("sid")?,
            conversation_sid: of.get("conversation_sid"),
            identity: of.get("identity"),
            messaging_binding: of.get("messaging_binding"),
            attributes: attributes(of),
            last_read_message_index: of.number("last_read_message_index"),
        })
    }
}

impl Entry for Binding {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            channel: of.get("type"),
            address: of.get("address"),
            proxy_address: of.get("proxy_address"),
            projected_address: of.get("projected_address"),
        })
    }
}

impl Entry for ParticipantConversation {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            conversation_sid: of.need("conversation_sid")?,
            participant_sid: of.get("participant_sid"),
            conversation_state: of.get("conversation_state"),
            conversation_created: time(of, "conversation_date_created"),
            conversation_updated: time(of, "conversation_date_updated"),
        })
    }
}

impl Entry for Message {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            sid: of.need("sid")?,
            conversation_sid: of.get("conversation_sid"),
            index: of.number("index").ok_or(Unreadable { field: "index" })?,
            author: of.get("author"),
            body: of.get("body"),
            attributes: attributes(of),
            participant_sid: of.get("participant_sid"),
            media: of.list("media"),
            content_sid: of.get("content_sid"),
            created: time(of, "date_created"),
            updated: time(of, "date_updated"),
        })
    }
}

impl Entry for Media {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            sid: of.need("sid")?,
            size: of.number("size"),
            content_type: of.get("content_type"),
            filename: of.get("filename"),
        })
    }
}

impl Entry for Webhooks {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            method: of.get("method"),
            filters: of.list("filters"),
            pre_webhook_url: of.get("pre_webhook_url"),
            post_webhook_url: of.get("post_webhook_url"),
        })
    }
}

impl Entry for AddressConfiguration {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            sid: of.need("sid")?,
            address: of.get("address"),
            auto_creation: of.get("auto_creation"),
        })
    }
}

impl Entry for AutoCreation {
    fn read(of: &Members<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            enabled: of.get("enabled").unwrap_or_default(),
            kind: of.get("type"),
            conversation_service_sid: of.get("conversation_service_sid"),
        })
    }
}

macro_rules! read_by_members {
    ($($kind:ty)*) => {$(
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let members = Members::deserialize(deserializer)?;
                Self::read(&members).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

pub(super) use read_by_members;

read_by_members! {
    AddressConfiguration AutoCreation Binding Conversation Media Message Participant
    ParticipantConversation Webhooks
}

/// JSON as text; what comes as JSON itself becomes the text it is. Assumed: the definition knows text
/// only, the socket has both.
fn attributes(of: &Members<'_>) -> Option<Pii> {
    let raw = of.raw("attributes")?;
    of.get("attributes").or_else(|| Some(Pii::new(raw.get())))
}

/// A time that cannot be read counts as missing; nothing rests on it.
fn time(of: &Members<'_>, name: &str) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(&of.get::<String>(name)?)
}

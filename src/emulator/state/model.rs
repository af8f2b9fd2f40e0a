//! What the emulated Twilio knows: conversations, participants, messages, receipts, users,
//! services, addresses and webhook settings, as plain data.
//!
//! Pure; nothing here decides. Everything can be stored, which is what a snapshot is.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::event_kind::EventKind;
use super::limits::Window;
use super::words::words;
use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::twilio::sid::{
    AddressSid, ChatServiceSid, ConversationSid, DeliveryReceiptSid, MediaSid, MessageSid,
    MessagingServiceSid, ParticipantSid, RoleSid, UserSid, WebhookSid,
};

words! {
    /// The state of a conversation.
    State {
        /// Being set up; nothing can be changed.
        Initializing = "initializing",
        /// Open.
        Active = "active",
        /// Open, nothing said for a while.
        Inactive = "inactive",
        /// Closed for good.
        Closed = "closed",
    }
}

words! {
    /// The road between Twilio and a person outside chat.
    Channel {
        /// Text messages.
        Sms = "sms",
        /// WhatsApp.
        Whatsapp = "whatsapp",
        /// Rich Communication Services.
        Rcs = "rcs",
    }
}

impl Channel {
    /// The channel that an address belongs to, if it is one.
    #[must_use]
    pub fn of(address: &str) -> Option<Self> {
        let (channel, is_address) = match address.split_once(':') {
            Some(("whatsapp", name)) => (Self::Whatsapp, is_number(name) || is_user_id(name)),
            Some(("rcs", name)) => (Self::Rcs, is_number(name) || is_agent(name)),
            Some(_) => return None,
            None => (Self::Sms, is_number(address) || is_short_code(address)),
        };
        is_address.then_some(channel)
    }

    /// The word in the `Source` field of webhooks.
    #[must_use]
    pub const fn source(self) -> &'static str {
        match self {
            Self::Sms => "SMS",
            Self::Whatsapp => "WHATSAPP",
            Self::Rcs => "RCS",
        }
    }
}

/// A number with its plus and country.
fn is_number(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (2..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// A number that only a country knows.
fn is_short_code(text: &str) -> bool {
    (3..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A business's own id of a person: two letters, a dot, up to 128 letters and digits, perhaps with `ENT.`
/// before them. Source: channel notes 3, read 2026-11-29.
fn is_user_id(text: &str) -> bool {
    let Some((country, id)) = text.split_once('.') else { return false };
    let id = id.strip_prefix("ENT.").unwrap_or(id);
    country.len() == 2
        && country.bytes().all(|byte| byte.is_ascii_uppercase())
        && (1..=128).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The name of a brand's agent (its form is assumed).
fn is_agent(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !text.is_empty() && text.bytes().all(is_letter)
}

words! {
    /// How far a message got on its way to a phone.
    DeliveryStatus {
        /// Handed to the carrier.
        Sent = "sent",
        /// On the phone.
        Delivered = "delivered",
        /// Seen.
        Read = "read",
        /// Never left.
        Failed = "failed",
        /// Left, did not arrive.
        Undelivered = "undelivered",
    }
}

words! {
    /// How a webhook is called.
    HookMethod {
        /// Fields in the query.
        Get = "GET",
        /// Fields in the body.
        Post = "POST",
    }
}

/// A conversation with all that is in it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct Conversation {
    pub sid: ConversationSid,
    pub seq: u64,
    pub service: ChatServiceSid,
    pub messaging_service: MessagingServiceSid,
    pub friendly_name: Option<String>,
    pub unique_name: Option<String>,
    pub attributes: String,
    pub state: State,
    pub state_changed: Timestamp,
    pub timers: Timers,
    pub created_by: String,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub participants: BTreeMap<u64, Participant>,
    pub messages: BTreeMap<u64, Message>,
    pub message_indexes: HashMap<MessageSid, u64>,
    pub hooks: Vec<ScopedHook>,
    /// What each mutation id made, for the answer to a repeat.
    pub mutations: HashMap<String, Made>,
    pub writes: Window,
    /// Sync objects: the document, the list of messages, the map of participants.
    pub document: String,
    pub list: String,
    pub roster: String,
}

/// When a conversation falls asleep and when it closes, as ISO 8601 durations.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct Timers {
    pub inactive: Option<String>,
    pub closed: Option<String>,
}

/// What a write made.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[expect(missing_docs, reason = "each is what it says")]
pub enum Made {
    Participant(ParticipantSid),
    Message(MessageSid),
}

/// Somebody in a conversation.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct Participant {
    pub sid: ParticipantSid,
    pub seq: u64,
    pub identity: Option<String>,
    pub binding: Option<Binding>,
    pub attributes: String,
    pub role: RoleSid,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub last_read_index: Option<u64>,
    pub last_read_at: Option<Timestamp>,
    pub notification_level: NotificationLevel,
}

words! {
    /// Whether a user wants push messages of a conversation.
    NotificationLevel {
        /// Yes.
        Default = "default",
        /// No.
        Muted = "muted",
    }
}

/// How somebody outside chat is reached.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct Binding {
    pub channel: Channel,
    /// Missing only for our own number in a group MMS.
    pub address: Option<Pii>,
    pub proxy: Option<Pii>,
    pub projected: Option<Pii>,
}

/// A message.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct Message {
    pub sid: MessageSid,
    pub index: u64,
    pub author: String,
    pub body: Option<String>,
    pub subject: Option<String>,
    pub attributes: String,
    pub participant: Option<ParticipantSid>,
    pub media: Vec<Media>,
    pub content_sid: Option<String>,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub last_updated_by: Option<String>,
    pub receipts: Vec<Receipt>,
}

/// A media file's description.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct Media {
    pub sid: MediaSid,
    pub category: String,
    pub filename: Option<String>,
    pub content_type: String,
    pub size: usize,
}

/// The fate of a message on its way to one phone.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct Receipt {
    pub sid: DeliveryReceiptSid,
    pub participant: ParticipantSid,
    pub channel_message_sid: String,
    pub status: DeliveryStatus,
    pub error_code: Option<u32>,
    pub created: Timestamp,
    pub updated: Timestamp,
}

/// A user of a chat service.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct User {
    pub sid: UserSid,
    pub seq: u64,
    pub service: ChatServiceSid,
    pub identity: String,
    pub friendly_name: Option<String>,
    pub attributes: String,
    pub role: RoleSid,
    pub online: bool,
    pub created: Timestamp,
    pub updated: Timestamp,
    /// Sync map `<identity>.channels`.
    pub channels: String,
    /// Sync map `<US>.info`.
    pub info: String,
}

/// A chat service.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct Service {
    pub sid: ChatServiceSid,
    pub seq: u64,
    pub friendly_name: String,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub hooks: HookSettings,
    pub conversation_role: RoleSid,
    pub creator_role: RoleSid,
    pub service_role: RoleSid,
    pub reachability: bool,
    pub writes: Window,
}

/// Webhook settings of an account or a service.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct HookSettings {
    pub pre_url: Option<String>,
    pub post_url: Option<String>,
    pub filters: Vec<EventKind>,
    pub method: Option<HookMethod>,
}

impl HookSettings {
    /// Whether any URL is set.
    #[must_use]
    pub const fn is_configured(&self) -> bool {
        self.pre_url.is_some() || self.post_url.is_some()
    }
}

/// A webhook of one conversation.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct ScopedHook {
    pub sid: WebhookSid,
    pub seq: u64,
    pub target: HookTarget,
    pub url: Option<String>,
    pub method: HookMethod,
    pub filters: Vec<EventKind>,
    pub triggers: Vec<String>,
    pub flow_sid: Option<String>,
    pub replay_after: Option<u64>,
    pub created: Timestamp,
    pub updated: Timestamp,
}

words! {
    /// What a conversation's webhook does.
    HookTarget {
        /// Calls a URL on events.
        Webhook = "webhook",
        /// Calls a URL on keywords.
        Trigger = "trigger",
        /// Starts a Studio flow; the emulator has none and calls nothing.
        Studio = "studio",
    }
}

/// An address that makes conversations of incoming messages.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct Address {
    pub sid: AddressSid,
    pub seq: u64,
    pub channel: String,
    pub address: String,
    pub friendly_name: Option<String>,
    pub country: Option<String>,
    pub autocreation: Autocreation,
    pub created: Timestamp,
    pub updated: Timestamp,
}

/// What an address does with a message that no conversation waits for.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct Autocreation {
    pub enabled: bool,
    pub kind: AutocreationKind,
    pub service: Option<ChatServiceSid>,
    pub hook_url: Option<String>,
    pub hook_method: Option<HookMethod>,
    pub hook_filters: Vec<EventKind>,
    pub flow_sid: Option<String>,
    pub flow_retries: Option<u32>,
}

words! {
    /// The kinds of autocreation.
    AutocreationKind {
        /// The conversation gets a webhook.
        Webhook = "webhook",
        /// The conversation gets a Studio flow; the emulator has none.
        Studio = "studio",
        /// The conversation gets nothing.
        Default = "default",
    }
}

#[expect(clippy::derivable_impls, reason = "the macro has no place for #[default]")]
impl Default for AutocreationKind {
    fn default() -> Self {
        Self::Default
    }
}

impl Conversation {
    /// Whether it is active or inactive, so that it holds its addresses.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed)
    }

    /// Finds a participant by sid or identity.
    #[must_use]
    pub fn participant(&self, sid_or_identity: &str) -> Option<&Participant> {
        match sid_or_identity.parse::<ParticipantSid>() {
            Ok(sid) => self.participant_by_sid(sid),
            Err(_) => self.participant_by_identity(sid_or_identity),
        }
    }

    /// Finds a participant by sid.
    #[must_use]
    pub fn participant_by_sid(&self, sid: ParticipantSid) -> Option<&Participant> {
        self.participants.values().find(|participant| participant.sid == sid)
    }

    /// Finds a participant by identity.
    #[must_use]
    pub fn participant_by_identity(&self, identity: &str) -> Option<&Participant> {
        self.participants
            .values()
            .find(|participant| participant.identity.as_deref() == Some(identity))
    }

    /// Finds a participant by address.
    #[must_use]
    pub fn participant_by_address(&self, address: &str) -> Option<&Participant> {
        self.participants.values().find(|participant| {
            let binding = participant.binding.as_ref();
            let held = binding.and_then(Binding::any_address);
            held.is_some_and(|held| held.reveal() == address)
        })
    }

    /// Finds a message.
    #[must_use]
    pub fn message(&self, sid: MessageSid) -> Option<&Message> {
        self.messages.get(self.message_indexes.get(&sid)?)
    }

    /// How many messages a participant has not read; unknown until it has read one.
    #[must_use]
    pub fn unread(&self, participant: &Participant) -> Option<usize> {
        let read = participant.last_read_index?;
        Some(self.messages.range(read.saturating_add(1)..).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_tell_their_channel() {
        for (address, channel) in [
            ("+15555550123", Some(Channel::Sms)),
            ("whatsapp:+15555550123", Some(Channel::Whatsapp)),
            ("whatsapp:US.13491208655302741918", Some(Channel::Whatsapp)),
            ("whatsapp:US.ENT.1349", Some(Channel::Whatsapp)),
            ("whatsapp:us.1349", None),
            ("whatsapp:12345", None),
            ("rcs:+15555550123", Some(Channel::Rcs)),
            ("rcs:brand_agent", Some(Channel::Rcs)),
            ("rcs:", None),
            ("12345", Some(Channel::Sms)),
            ("messenger:123", None),
            ("15555550123", None),
            ("+1555abc", None),
            ("", None),
        ] {
            assert_eq!(Channel::of(address), channel, "{address}");
        }
    }

    #[test]
    fn words_are_read_in_any_case() {
        assert_eq!(HookMethod::from_word("get"), Some(HookMethod::Get));
        assert_eq!(State::from_word("closed"), Some(State::Closed));
        assert_eq!(State::from_word("open"), None);
    }
}

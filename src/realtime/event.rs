//! What the client tells its owner, and what it does on the owner's word.
//!
//! Decides nothing: the public vocabulary of the room. Pure. Text, addresses and attributes are
//! [`Pii`], so that no `Debug` shows them.

use uuid::Uuid;

pub use super::twilsock::session::DisconnectReason;
use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::twilio::sid::{ContentSid, ConversationSid, MediaSid, MessageSid, ParticipantSid};

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The connection is up; subscriptions are being made.
    Connected {
        /// Whether it is not the first one of this client.
        again: bool,
    },
    /// All known seats are subscribed on this connection: nothing new can be missed from here on.
    Live {
        /// How many seats there are.
        seats: usize,
    },
    /// The connection is down; the client comes back by itself.
    Disconnected {
        /// Why.
        reason: DisconnectReason,
    },
    /// The bot has a seat in a conversation, at start or by being added.
    Joined {
        /// The conversation.
        conversation: ConversationSid,
        /// What is known of it; nothing if the seat was resumed and nothing has changed.
        details: Option<Details>,
    },
    /// The bot has no seat in a conversation any more; also one that it lost before it could be told, or
    /// that it had where a client stopped, see [`crate::realtime::Config::resume`].
    Left {
        /// The conversation.
        conversation: ConversationSid,
    },
    /// A message, once per client and in order per conversation.
    MessageAdded(Message),
    /// A message changed: its text, its attributes, its delivery.
    MessageUpdated(Message),
    /// A message was removed.
    MessageRemoved {
        /// The conversation.
        conversation: ConversationSid,
        /// The message's index.
        index: u64,
        /// The message's sid, where the server said it.
        sid: Option<MessageSid>,
    },
    /// Everything that was stored before has been delivered.
    CaughtUp {
        /// The conversation.
        conversation: ConversationSid,
        /// The highest index delivered or handled before, if there is any.
        through: Option<u64>,
        /// When the conversation was changed last as far as it was read, if that is known.
        updated: Option<Timestamp>,
    },
    /// Attributes, state or names of a conversation changed.
    ConversationUpdated {
        /// The conversation.
        conversation: ConversationSid,
        /// What is known of it now.
        details: Details,
    },
    /// A participant is new (only with [`crate::realtime::Config::roster`]).
    ParticipantJoined(Participant),
    /// A participant changed (only with the roster).
    ParticipantUpdated(Participant),
    /// A participant left (only with the roster).
    ParticipantLeft {
        /// The conversation.
        conversation: ConversationSid,
        /// The participant.
        participant: ParticipantSid,
    },
    /// Somebody types.
    Typing {
        /// The conversation.
        conversation: ConversationSid,
        /// Who.
        identity: Pii,
    },
    /// The server refuses this client: somebody must act. Told once; the client goes on trying after
    /// long pauses until it is taken, see [`DisconnectReason`].
    Fatal {
        /// Why.
        reason: DisconnectReason,
    },
}

/// Where a client stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum State {
    /// Fetches a token, opens the socket, introduces itself.
    Connecting,
    /// Waits for the time of the next attempt.
    Waiting,
    /// Connected; subscriptions are being made.
    Connected,
    /// Connected, and all known seats are subscribed.
    Live,
    /// Refused by the server, also while it is asked again after long pauses; see
    /// [`crate::realtime::Client::renew`].
    Refused,
    /// Done.
    ShutDown,
}

impl State {
    /// Whether the socket is connected.
    #[must_use]
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Connected | Self::Live)
    }
}

/// What is known of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    /// Attributes as JSON text.
    pub attributes: Option<Pii>,
    /// Whether it is open for messages.
    pub state: ConversationState,
    /// Its friendly name, which Twilio sets to an address for conversations made by an SMS.
    pub friendly_name: Option<Pii>,
    /// Its unique name.
    pub unique_name: Option<Pii>,
    /// The index of its last message.
    pub last_message_index: Option<u64>,
    /// When it was changed last, to the millisecond.
    pub updated: Option<Timestamp>,
}

/// The state of a conversation.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ConversationState {
    /// Open.
    #[default]
    Active,
    /// Quiet for its time; open.
    Inactive,
    /// Closed for good.
    Closed,
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its conversation.
    pub conversation: ConversationSid,
    /// Its sid.
    pub sid: MessageSid,
    /// Its place in the conversation; ascending, with gaps.
    pub index: u64,
    /// An identity, an address, or `system`.
    pub author: Pii,
    /// Its text.
    pub body: Option<Pii>,
    /// Its attributes as JSON text.
    pub attributes: Option<Pii>,
    /// Its media.
    pub media: Vec<Media>,
    /// Its author as a participant.
    pub participant: Option<ParticipantSid>,
    /// When it was stored.
    pub created: Timestamp,
    /// Its delivery so far, if the server counts it.
    pub delivery: Option<DeliveryCount>,
    /// How it came.
    pub door: MessageSource,
}

/// How a message reached the client.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MessageSource {
    /// Pushed as it happened.
    Live,
    /// Replayed after a reconnect.
    Replay,
    /// Read from the conversation.
    CatchUp,
}

/// A file of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    /// Its sid.
    pub sid: MediaSid,
    /// Its media type.
    pub content_type: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Its name.
    pub filename: Option<Pii>,
    /// `media`, `body` or `history`.
    pub category: Option<String>,
}

/// How many of the recipients a message reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeliveryCount {
    /// Recipients.
    pub total: u32,
    /// Sent to.
    pub sent: Share,
    /// Delivered to.
    pub delivered: Share,
    /// Read by.
    pub read: Share,
    /// Failed for.
    pub failed: Share,
    /// Not delivered to.
    pub undelivered: Share,
}

/// A share of the recipients.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Share {
    /// None of them.
    #[default]
    None,
    /// Some of them.
    Some,
    /// All of them.
    All,
}

/// A participant.
#[derive(Clone, Debug, PartialEq)]
pub struct Participant {
    /// The conversation.
    pub conversation: ConversationSid,
    /// The participant.
    pub sid: ParticipantSid,
    /// The identity of a chat participant.
    pub identity: Option<Pii>,
    /// `chat`, `sms`, `whatsapp` and others.
    pub kind: Option<String>,
    /// Attributes as JSON text.
    pub attributes: Option<Pii>,
}

/// A message to send.
#[derive(Clone, Debug, PartialEq)]
pub struct SendMessage {
    /// Where to.
    pub conversation: ConversationSid,
    /// Chosen by the caller and kept for every attempt of the same message.
    pub mutation_id: Uuid,
    /// Text.
    pub body: Option<Pii>,
    /// Attributes as JSON text, `{}` by default.
    pub attributes: Option<Pii>,
    /// Media that were uploaded before.
    pub media: Vec<MediaSid>,
    /// A content template and its variables as JSON text.
    pub content: Option<(ContentSid, Option<Pii>)>,
}

impl SendMessage {
    /// A message of plain text.
    #[must_use]
    pub fn text(conversation: ConversationSid, mutation_id: Uuid, body: impl Into<Pii>) -> Self {
        Self {
            conversation,
            mutation_id,
            body: Some(body.into()),
            attributes: None,
            media: Vec::new(),
            content: None,
        }
    }
}

/// A message that was stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sent {
    /// Its sid.
    pub sid: MessageSid,
    /// Its place.
    pub index: u64,
}

/// What became of a command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome<T> {
    /// It was done.
    Done(T),
    /// The server refused it; nothing was changed.
    Refused {
        /// HTTP status.
        status: u16,
        /// Twilio's error code.
        code: Option<u32>,
        /// How long the server wants to be left alone.
        retry_after: Option<std::time::Duration>,
    },
    /// It never left this machine: safe to send elsewhere or again.
    NotSent {
        /// Why.
        reason: NotSentReason,
    },
    /// It was sent, and nobody knows whether it was done: look before sending again.
    Unknown {
        /// Why.
        reason: UnknownReason,
    },
}

/// Says why a command never left this machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotSentReason {
    /// There was no connection in time.
    NotConnected,
    /// Too many commands are waiting.
    Busy,
    /// The server refuses the connection.
    Denied,
    /// The client is shut down.
    ShutDown,
}

/// Says why the end of a command is not known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UnknownReason {
    /// The connection was lost before the answer came.
    Lost,
    /// No answer came in time.
    TimedOut,
    /// The server, or one in between, failed.
    ServerError {
        /// Its status.
        status: u16,
    },
    /// The answer could not be read.
    Unreadable,
}

//! Twilio's Conversations webhook events as types.
//!
//! Every pre-action and post-action event has a variant of [`Event`] with what its payload holds; an
//! event type that nobody knows stays representable. Decoding is strict about the sids that a
//! consumer cannot do without, and names the field that is wrong; all else is lenient, because
//! Twilio adds, empties and leaves out fields without notice: a missing, empty or unreadable optional
//! field is `None`. Pre-action events never need to be decoded to be let through; ask the
//! [`EventType`] first.
//! Source: Conversations webhooks, pre- and post-action tables, read 2026-11-21, and captured requests.
//!
//! Pure. Addresses, identities, text and attributes are [`Pii`]; an [`Error`] holds
//! the name of a field and never its value.

mod event_type;
mod fields;
mod payload;

use crate::pii::Pii;
use crate::twilio::sid::{AccountSid, ChatServiceSid, ParseSidError};

pub use self::event_type::{EventType, Phase};
pub use self::fields::Fields;
pub use self::payload::{
    Binding, Conversation, ConversationDraft, ConversationState, DeliveryStatus, DeliveryUpdate,
    Media, Message, MessageDraft, Participant, ParticipantDraft, StateChange, User,
};

/// One webhook request: what all events have in common, and the event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Envelope {
    /// The account in whose name it came.
    pub account_sid: AccountSid,
    /// The chat service, where the event names it; message and participant events need not.
    pub chat_service_sid: Option<ChatServiceSid>,
    /// Who caused it: `SDK`, `API`, `SMS` and the like. Open text.
    pub source: Option<String>,
    /// The identity that acted, for actions of SDK clients.
    pub client_identity: Option<Pii>,
    /// How often Twilio says it has tried before.
    pub retry_count: Option<u64>,
    /// What happened, or is about to.
    pub event: Event,
}

/// What happened, or for pre-action events is about to.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// `onConversationAdd`, pre-action.
    ConversationAdd(ConversationDraft),
    /// `onConversationRemove`, pre-action.
    ConversationRemove(Conversation),
    /// `onConversationUpdate`, pre-action.
    ConversationUpdate(Conversation),
    /// `onMessageAdd`, pre-action.
    MessageAdd(MessageDraft),
    /// `onMessageRemove`, pre-action.
    MessageRemove(Message),
    /// `onMessageUpdate`, pre-action.
    MessageUpdate(Message),
    /// `onParticipantAdd`, pre-action.
    ParticipantAdd(ParticipantDraft),
    /// `onParticipantRemove`, pre-action.
    ParticipantRemove(Participant),
    /// `onParticipantUpdate`, pre-action.
    ParticipantUpdate(Participant),
    /// `onUserUpdate`, pre-action.
    UserUpdate(User),
    /// `onConversationAdded`.
    ConversationAdded(Conversation),
    /// `onConversationRemoved`.
    ConversationRemoved(Conversation),
    /// `onConversationUpdated`.
    ConversationUpdated(Conversation),
    /// `onConversationStateUpdated`.
    ConversationStateUpdated(StateChange),
    /// `onMessageAdded`.
    MessageAdded(Message),
    /// `onMessageUpdated`.
    MessageUpdated(Message),
    /// `onMessageRemoved`.
    MessageRemoved(Message),
    /// `onParticipantAdded`.
    ParticipantAdded(Participant),
    /// `onParticipantRemoved`.
    ParticipantRemoved(Participant),
    /// `onParticipantUpdated`.
    ParticipantUpdated(Participant),
    /// `onDeliveryUpdated`.
    DeliveryUpdated(DeliveryUpdate),
    /// `onUserAdded`.
    UserAdded(User),
    /// `onUserUpdated`.
    UserUpdated(User),
    /// A type that this catalogue does not have.
    Unknown {
        /// The type's name as it came, cut to a sane length.
        event_type: String,
    },
}

/// Says why a request is no event.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The body is not a JSON object.
    #[error("the body is no json object, at line {line}, column {column}")]
    Json {
        /// Where reading stopped.
        line: usize,
        /// Where reading stopped.
        column: usize,
    },
    /// A field that the event cannot do without is missing or empty.
    #[error("the field {field} is missing")]
    Missing {
        /// The field's name.
        field: &'static str,
    },
    /// A sid that the event cannot do without is not one.
    #[error("the field {field} cannot be read")]
    Malformed {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: ParseSidError,
    },
}

impl Error {
    /// Names the field that is wrong, where it is one field.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Json { .. } => None,
            Self::Missing { field } | Self::Malformed { field, .. } => Some(field),
        }
    }
}

/// Reads a request's fields as an event.
///
/// # Errors
///
/// Names the field without which the event means nothing.
pub fn decode(fields: &Fields<'_>) -> Result<Envelope, Error> {
    Ok(Envelope {
        account_sid: fields.sid("AccountSid")?,
        chat_service_sid: fields.sid_if_any("ChatServiceSid"),
        source: fields.text("Source").map(str::to_owned),
        client_identity: fields.pii("ClientIdentity"),
        retry_count: fields.number("RetryCount"),
        event: decode_event(fields)?,
    })
}

fn decode_event(fields: &Fields<'_>) -> Result<Event, Error> {
    use EventType as T;
    Ok(match EventType::of(fields)? {
        T::ConversationAdd => Event::ConversationAdd(ConversationDraft::decode(fields)),
        T::ConversationRemove => Event::ConversationRemove(Conversation::decode(fields)?),
        T::ConversationUpdate => Event::ConversationUpdate(Conversation::decode(fields)?),
        T::MessageAdd => Event::MessageAdd(MessageDraft::decode(fields)?),
        T::MessageRemove => Event::MessageRemove(Message::decode(fields)?),
        T::MessageUpdate => Event::MessageUpdate(Message::decode(fields)?),
        T::ParticipantAdd => Event::ParticipantAdd(ParticipantDraft::decode(fields)?),
        T::ParticipantRemove => Event::ParticipantRemove(Participant::decode(fields)?),
        T::ParticipantUpdate => Event::ParticipantUpdate(Participant::decode(fields)?),
        T::UserUpdate => Event::UserUpdate(User::decode(fields)?),
        T::ConversationAdded => Event::ConversationAdded(Conversation::decode(fields)?),
        T::ConversationRemoved => Event::ConversationRemoved(Conversation::decode(fields)?),
        T::ConversationUpdated => Event::ConversationUpdated(Conversation::decode(fields)?),
        T::ConversationStateUpdated => {
            Event::ConversationStateUpdated(StateChange::decode(fields)?)
        }
        T::MessageAdded => Event::MessageAdded(Message::decode(fields)?),
        T::MessageUpdated => Event::MessageUpdated(Message::decode(fields)?),
        T::MessageRemoved => Event::MessageRemoved(Message::decode(fields)?),
        T::ParticipantAdded => Event::ParticipantAdded(Participant::decode(fields)?),
        T::ParticipantRemoved => Event::ParticipantRemoved(Participant::decode(fields)?),
        T::ParticipantUpdated => Event::ParticipantUpdated(Participant::decode(fields)?),
        T::DeliveryUpdated => Event::DeliveryUpdated(DeliveryUpdate::decode(fields)?),
        T::UserAdded => Event::UserAdded(User::decode(fields)?),
        T::UserUpdated => Event::UserUpdated(User::decode(fields)?),
        T::Unknown => {
            let name = fields.text("EventType").unwrap_or("");
            Event::Unknown { event_type: name.chars().take(UNKNOWN_NAME_MAX).collect() }
        }
    })
}

/// How much of an unknown type's name is kept: twice the longest known one.
const UNKNOWN_NAME_MAX: usize = 52;

#[cfg(test)]
mod tests;

//! The writes that the emulated Twilio understands, whichever road they came by.
//!
//! Pure data. REST forms, proxied JSON and phones all become a [`Command`] of an [`Actor`]; a
//! pre-action webhook may change one by an [`Amendment`] before it is applied.

use serde::Deserialize;

use super::model::{Channel, NotificationLevel, State, Timers};
use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::twilio::sid::{
    ChatServiceSid, ConversationSid, MediaSid, MessageSid, MessagingServiceSid, ParticipantSid,
    RoleSid, UserSid,
};

/// Who acts, and so whether webhooks fire.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Actor {
    /// The REST API; webhooks fire only if the call asks for them.
    Api {
        /// Whether it asked.
        hooks: bool,
    },
    /// An SDK client.
    Sdk {
        /// Its identity.
        identity: String,
    },
    /// A phone.
    Channel(Channel),
}

impl Actor {
    /// The `Source` field of webhooks.
    #[must_use]
    pub const fn source(&self) -> &'static str {
        match self {
            Self::Api { .. } => "API",
            Self::Sdk { .. } => "SDK",
            Self::Channel(channel) => channel.source(),
        }
    }

    /// The `ClientIdentity` field of webhooks.
    #[must_use]
    pub fn client_identity(&self) -> Option<Pii> {
        match self {
            Self::Sdk { identity } => Some(Pii::new(identity.clone())),
            Self::Api { .. } | Self::Channel(_) => None,
        }
    }

    /// Whether its actions fire webhooks.
    ///
    /// Source: webhook notes 1.3, read 2026-11-21.
    #[must_use]
    pub const fn fires(&self) -> bool {
        match self {
            Self::Api { hooks } => *hooks,
            Self::Sdk { .. } | Self::Channel(_) => true,
        }
    }

    /// The name under which things are created.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Sdk { identity } => identity,
            Self::Api { .. } | Self::Channel(_) => "system",
        }
    }
}

/// Dates that an import gives.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct Dates {
    pub created: Option<Timestamp>,
    pub updated: Option<Timestamp>,
}

/// A conversation to be made.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct NewConversation {
    pub friendly_name: Option<String>,
    pub unique_name: Option<String>,
    pub attributes: Option<String>,
    pub messaging_service: Option<MessagingServiceSid>,
    pub state: Option<State>,
    pub timers: Timers,
    pub dates: Dates,
}

/// A participant to be added.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct NewParticipant {
    pub identity: Option<String>,
    pub address: Option<Pii>,
    pub proxy: Option<Pii>,
    pub projected: Option<Pii>,
    pub attributes: Option<String>,
    pub role: Option<RoleSid>,
    pub dates: Dates,
}

/// A participant's changes; what is absent stays.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct ParticipantChange {
    pub attributes: Option<String>,
    pub role: Option<RoleSid>,
    pub identity: Option<String>,
    pub proxy: Option<Pii>,
    pub projected: Option<Pii>,
    pub last_read: Option<LastRead>,
    pub notification_level: Option<NotificationLevel>,
    pub dates: Dates,
}

/// How far a participant has read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LastRead {
    /// Up to this message; nothing is read without.
    pub index: Option<u64>,
    /// When, if the caller says so.
    pub at: Option<Timestamp>,
}

/// A message to be stored.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct NewMessage {
    pub author: Option<String>,
    pub body: Option<String>,
    pub subject: Option<String>,
    pub attributes: Option<String>,
    pub media: Vec<MediaSid>,
    pub content_sid: Option<String>,
    pub dates: Dates,
}

/// A message's changes; what is absent stays.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct MessageChange {
    pub author: Option<String>,
    pub body: Option<String>,
    pub subject: Option<String>,
    pub attributes: Option<String>,
    pub dates: Dates,
}

/// A user to be made or changed.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the fields are those of Twilio's resource")]
pub struct UserFields {
    pub friendly_name: Option<String>,
    pub attributes: Option<String>,
    pub role: Option<RoleSid>,
}

/// A write.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is what it says, with what it needs")]
pub enum Command {
    CreateConversation {
        service: ChatServiceSid,
        new: NewConversation,
    },
    UpdateConversation {
        conversation: ConversationSid,
        change: NewConversation,
    },
    RemoveConversation {
        conversation: ConversationSid,
    },
    AddParticipant {
        conversation: ConversationSid,
        new: NewParticipant,
        mutation: Option<String>,
    },
    UpdateParticipant {
        conversation: ConversationSid,
        participant: ParticipantSid,
        change: ParticipantChange,
    },
    RemoveParticipant {
        conversation: ConversationSid,
        participant: ParticipantSid,
    },
    CreateMessage {
        conversation: ConversationSid,
        new: NewMessage,
        mutation: Option<String>,
    },
    UpdateMessage {
        conversation: ConversationSid,
        message: MessageSid,
        change: MessageChange,
    },
    RemoveMessage {
        conversation: ConversationSid,
        message: MessageSid,
    },
    CreateUser {
        service: ChatServiceSid,
        identity: String,
        fields: UserFields,
    },
    UpdateUser {
        user: UserSid,
        fields: UserFields,
    },
    RemoveUser {
        user: UserSid,
    },
}

/// What a write made or changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "each is what it says")]
pub enum Outcome {
    Conversation(ConversationSid),
    Participant(ConversationSid, ParticipantSid),
    Message(ConversationSid, MessageSid),
    User(UserSid),
    Removed,
    /// The mutation id had been used: this is what it made.
    RepeatedParticipant(ConversationSid, ParticipantSid),
    /// The mutation id had been used: this is what it made.
    RepeatedMessage(ConversationSid, MessageSid),
}

/// What a pre-action webhook wants changed.
///
/// Source: webhook notes 1.4, read 2026-11-21.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct Amendment {
    /// Of conversations.
    #[serde(default)]
    pub friendly_name: Option<String>,
    /// Of messages.
    #[serde(default)]
    pub body: Option<String>,
    /// Of messages.
    #[serde(default)]
    pub author: Option<String>,
    /// Of messages, as JSON text.
    #[serde(default)]
    pub attributes: Option<String>,
}

impl Command {
    /// Takes a pre-action webhook's changes over, as far as the event allows them.
    pub fn amend(&mut self, amendment: Amendment) {
        let Amendment { friendly_name, body, author, attributes } = amendment;
        match self {
            Self::CreateConversation { new: conversation, .. }
            | Self::UpdateConversation { change: conversation, .. } => {
                replace(&mut conversation.friendly_name, friendly_name);
            }
            Self::CreateMessage { new, .. } => {
                replace(&mut new.body, body);
                replace(&mut new.author, author);
                replace(&mut new.attributes, attributes);
            }
            Self::UpdateMessage { change, .. } => {
                replace(&mut change.body, body);
                replace(&mut change.author, author);
                replace(&mut change.attributes, attributes);
            }
            Self::RemoveConversation { .. }
            | Self::AddParticipant { .. }
            | Self::UpdateParticipant { .. }
            | Self::RemoveParticipant { .. }
            | Self::RemoveMessage { .. }
            | Self::CreateUser { .. }
            | Self::UpdateUser { .. }
            | Self::RemoveUser { .. } => {}
        }
    }
}

fn replace(now: &mut Option<String>, wanted: Option<String>) {
    if wanted.is_some() {
        *now = wanted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amendment_changes_only_what_it_names() {
        let mut command = Command::CreateMessage {
            conversation: ConversationSid::from_bytes([1; 16]),
            new: NewMessage {
                body: Some("old".into()),
                author: Some("me".into()),
                ..NewMessage::default()
            },
            mutation: None,
        };
        command.amend(serde_json::from_str(r#"{"body":"new","unknown":1}"#).unwrap());
        let Command::CreateMessage { new, .. } = command else { panic!("the command changed") };
        assert_eq!((new.body.as_deref(), new.author.as_deref()), (Some("new"), Some("me")));
    }
}

//! The names of all Conversations webhook events, and whether the action waits for the answer.
//!
//! A closed set, so that it can label a counter; a name that is not in it is [`EventType::Unknown`].
//! Source: Conversations webhooks, read 2026-11-21. Pure.

use std::fmt;

use super::{Error, Fields};

/// When Twilio sends an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Before the action, which waits for the answer and does not happen after a 4xx or 5xx.
    Pre,
    /// After the action.
    Post,
    /// Nobody knows.
    Unknown,
}

macro_rules! event_types {
    ($($variant:ident = $name:literal, $phase:ident;)*) => {
        /// The type of an event.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum EventType {
            $(#[doc = concat!("`", $name, "`.")] $variant,)*
            /// Any other name.
            Unknown,
        }

        impl EventType {
            /// Every type, `Unknown` last.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)* Self::Unknown];

            /// Reads a type's name; case counts.
            #[must_use]
            pub fn parse(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)*
                    _ => Self::Unknown,
                }
            }

            /// Gives the type's name, `unknown` for those without.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Unknown => "unknown",
                }
            }

            /// Says when Twilio sends it.
            #[must_use]
            pub const fn phase(self) -> Phase {
                match self {
                    $(Self::$variant => Phase::$phase,)*
                    Self::Unknown => Phase::Unknown,
                }
            }
        }
    };
}

event_types! {
    ConversationAdd = "onConversationAdd", Pre;
    ConversationRemove = "onConversationRemove", Pre;
    ConversationUpdate = "onConversationUpdate", Pre;
    MessageAdd = "onMessageAdd", Pre;
    MessageRemove = "onMessageRemove", Pre;
    MessageUpdate = "onMessageUpdate", Pre;
    ParticipantAdd = "onParticipantAdd", Pre;
    ParticipantRemove = "onParticipantRemove", Pre;
    ParticipantUpdate = "onParticipantUpdate", Pre;
    UserUpdate = "onUserUpdate", Pre;
    ConversationAdded = "onConversationAdded", Post;
    ConversationRemoved = "onConversationRemoved", Post;
    ConversationUpdated = "onConversationUpdated", Post;
    ConversationStateUpdated = "onConversationStateUpdated", Post;
    MessageAdded = "onMessageAdded", Post;
    MessageUpdated = "onMessageUpdated", Post;
    MessageRemoved = "onMessageRemoved", Post;
    ParticipantAdded = "onParticipantAdded", Post;
    ParticipantRemoved = "onParticipantRemoved", Post;
    ParticipantUpdated = "onParticipantUpdated", Post;
    DeliveryUpdated = "onDeliveryUpdated", Post;
    UserAdded = "onUserAdded", Post;
    UserUpdated = "onUserUpdated", Post;
}

impl EventType {
    /// Reads the type of a request.
    ///
    /// # Errors
    ///
    /// Where the request names none.
    pub fn of(fields: &Fields<'_>) -> Result<Self, Error> {
        fields.text("EventType").map(Self::parse).ok_or(Error::Missing { field: "EventType" })
    }

    /// Gives the type's place in [`EventType::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|known| *known == self).unwrap_or(Self::ALL.len() - 1)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

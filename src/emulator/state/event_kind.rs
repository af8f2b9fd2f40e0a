//! The kinds of webhook events: their names, and which are asked beforehand.
//!
//! Pure. Source: Conversations webhooks page, tables of pre- and post-action events, in the webhook
//! notes 1.5 and 1.6, read 2026-11-21.

use super::words::words;

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

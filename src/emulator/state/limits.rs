//! The emulated Twilio's limits, all adjustable, and the window that counts writes.
//!
//! Pure: the time is an argument. Source of the numbers: limits page and error dictionary, in the
//! REST notes, section 4, read 2026-11-21.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// Every limit that the emulator holds, Twilio's own by default.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Open conversations that one identity may be in.
    pub conversations_per_identity: usize,
    /// Participants of one conversation; a new service starts with 100.
    pub participants: usize,
    /// Participants of one conversation that are not in chat.
    pub participants_outside_chat: usize,
    /// Addresses in a group MMS, ours among them.
    pub group_participants: usize,
    /// Milliseconds until a group conversation that a phone began can be changed.
    pub group_setup_ms: u64,
    /// Writes a second on one conversation.
    pub conversation_writes: usize,
    /// Creations and removals a second of conversations and users in one service.
    pub service_writes: usize,
    /// Bytes of a message body.
    pub body_bytes: usize,
    /// Characters of a message that leaves by SMS or WhatsApp.
    pub channel_body_chars: usize,
    /// Bytes of a conversation's attributes.
    pub conversation_attributes_bytes: usize,
    /// Bytes of a message's or participant's attributes.
    pub message_attributes_bytes: usize,
    /// Characters of names, identities, addresses and authors.
    pub name_chars: usize,
    /// Webhooks of one conversation.
    pub hooks: usize,
    /// Events that one Sync object keeps for replay; Twilio's number is not known.
    pub sync_events: usize,
    /// Hours after a WhatsApp user's last message in which free text may be sent.
    pub whatsapp_window_hours: u64,
    /// Media files kept, oldest forgotten first; a limit of the emulator's memory.
    pub media_files: usize,
    /// Messages of the plain messaging API kept, oldest forgotten first.
    pub plain_messages: usize,
    /// Segments a second from a long code.
    pub long_code_rate: u32,
    /// Segments a second from a toll-free number.
    pub toll_free_rate: u32,
    /// Segments a second from a short code.
    pub short_code_rate: u32,
    /// Messages a second from a WhatsApp sender.
    pub whatsapp_rate: u32,
    /// Messages a second from an RCS sender.
    pub rcs_rate: u32,
    /// Hours that a text may have to wait for its sender's turn.
    pub sender_queue_hours: u64,
    /// Milliseconds until a text is in the list; it can be fetched at once. People have seen the real
    /// list lag behind. Source: twilio-node issue 647 and twilio-java issue 442, read 2026-11-29.
    pub list_lag_ms: u64,
    /// Whether people of WhatsApp and RCS read what arrives.
    pub read_receipts: bool,
    /// Whether the words of opting out and in, and of help, are answered with a text, as Twilio does
    /// it; off, so that a phone shows what the bot says and nothing else.
    pub keyword_answers: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            conversations_per_identity: 1000,
            participants: 100,
            participants_outside_chat: 50,
            group_participants: 10,
            // Source: webhook notes 1.7, a field report, read 2026-11-21.
            group_setup_ms: 700,
            conversation_writes: 30,
            service_writes: 30,
            body_bytes: 32 * 1024,
            channel_body_chars: 1600,
            conversation_attributes_bytes: 16 * 1024,
            message_attributes_bytes: 4 * 1024,
            name_chars: 256,
            hooks: 5,
            sync_events: 10_000,
            whatsapp_window_hours: 24,
            media_files: 1000,
            plain_messages: 10_000,
            // Source: channel notes 2, "Rate", read 2026-11-29; toll-free and RCS are assumed.
            long_code_rate: 1,
            toll_free_rate: 3,
            short_code_rate: 100,
            whatsapp_rate: 80,
            rcs_rate: 80,
            sender_queue_hours: 10,
            list_lag_ms: 0,
            read_receipts: true,
            keyword_answers: false,
        }
    }
}

/// Counts writes over the last second: a log of their times, as long as the limit.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Window {
    taken: VecDeque<Timestamp>,
}

const WINDOW: Duration = Duration::from_secs(1);

impl Window {
    /// Takes one write at `at`; false, and nothing taken, if `limit` were passed.
    pub fn take(&mut self, at: Timestamp, limit: usize) -> bool {
        while self.taken.front().is_some_and(|first| at.since(*first) >= WINDOW) {
            self.taken.pop_front();
        }
        if self.taken.len() >= limit {
            return false;
        }
        self.taken.push_back(at);
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_second_ever_holds_more_than_the_limit(
            steps in prop::collection::vec(0_i64..400, 1..200),
            limit in 1_usize..40,
        ) {
            let (mut window, mut at, mut taken) = (Window::default(), 0, Vec::new());
            for step in steps {
                at += step;
                let inside = taken.iter().filter(|then| at - **then < 1000).count();
                let allowed = window.take(Timestamp::from_millis(at), limit);
                prop_assert_eq!(allowed, inside < limit);
                if allowed {
                    taken.push(at);
                }
            }
        }
    }

    #[test]
    fn limits_can_be_given_in_part() {
        let limits: Limits = serde_json::from_str(r#"{"conversation_writes":3}"#).unwrap();
        assert_eq!(limits, Limits { conversation_writes: 3, ..Limits::default() });
        assert!(serde_json::from_str::<Limits>(r#"{"conversation_wites":3}"#).is_err());
    }
}

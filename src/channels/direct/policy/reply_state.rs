//! How a reply fares after Twilio took it. Pure.
//!
//! Callbacks come in any order, twice, and before the answer to the request that made the message; of all
//! that is heard the farthest counts.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::thread::{CauseClass, SkipReason};
use crate::twilio::messaging::MessageStatus;
use crate::twilio::sid::TextSid;

/// Where a reply stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReplyState {
    /// Its message at Twilio.
    pub sid: TextSid,
    /// How far it has come.
    pub status: MessageStatus,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
    /// Since when.
    pub at: Timestamp,
}

impl ReplyState {
    /// What is known after this is heard; nothing if it says nothing new. Another message under the same
    /// reply is a second attempt of ours, and what is known of the first stays.
    #[must_use]
    pub fn after(before: Option<Self>, heard: Self) -> Option<Self> {
        match before {
            None => Some(heard),
            Some(before) if before.sid != heard.sid => None,
            Some(before) => (heard.status.rank() > before.status.rank()).then_some(heard),
        }
    }
}

/// The person has opted out. Source: error dictionary 21610, read 2026-11-21.
pub const OPTED_OUT: u32 = 21610;
/// WhatsApp's window is closed. Source: error dictionary 63016, read 2026-11-29.
pub const WINDOW_CLOSED: u32 = 63016;

/// What follows of a failure after the fact.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is sent once more.
    Again,
    /// It is a dead letter, of this class.
    Dead(CauseClass),
}

/// Judges a failure by Twilio's code as one before the fact would be.
///
/// Source: error dictionary, read 2026-11-29: 30001 queue overflow and 30008 unknown error pass; 30003,
/// 30005 and 30006 are of the handset and stay; 21610 is an opt-out, 63016 WhatsApp's window.
#[must_use]
pub const fn judge(code: Option<u32>, was_again: bool) -> Verdict {
    match code {
        Some(30001 | 30008) if !was_again => Verdict::Again,
        Some(OPTED_OUT) => Verdict::Dead(CauseClass::Skipped(SkipReason::OptedOut)),
        Some(WINDOW_CLOSED) => Verdict::Dead(CauseClass::WindowClosed),
        _ => Verdict::Dead(CauseClass::Undelivered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_farthest_counts_in_whatever_order_it_is_told() {
        use MessageStatus::{Delivered, Failed, Queued, Read, Sent};
        for (order, expected) in [
            (vec![Queued, Sent, Delivered], Delivered),
            (vec![Delivered, Sent, Queued], Delivered),
            (vec![Sent, Read, Delivered], Read),
            (vec![Failed, Queued, Sent], Failed),
        ] {
            let mut known = None;
            for status in &order {
                known = ReplyState::after(known, state(1, *status)).or(known);
            }
            assert_eq!(known.unwrap().status, expected, "{order:?}");
        }
    }

    #[test]
    fn another_message_is_not_the_one_that_is_known() {
        let known = state(1, MessageStatus::Queued);
        assert_eq!(ReplyState::after(Some(known), state(2, MessageStatus::Delivered)), None);
    }

    #[test]
    fn only_what_passes_is_tried_again_and_only_once() {
        for (code, was_again, verdict) in [
            (Some(30008), false, Verdict::Again),
            (Some(30001), false, Verdict::Again),
            (Some(30008), true, Verdict::Dead(CauseClass::Undelivered)),
            (Some(30003), false, Verdict::Dead(CauseClass::Undelivered)),
            (Some(30005), false, Verdict::Dead(CauseClass::Undelivered)),
            (Some(30006), false, Verdict::Dead(CauseClass::Undelivered)),
            (Some(21610), false, Verdict::Dead(CauseClass::Skipped(SkipReason::OptedOut))),
            (Some(63016), false, Verdict::Dead(CauseClass::WindowClosed)),
            (None, false, Verdict::Dead(CauseClass::Undelivered)),
        ] {
            assert_eq!(judge(code, was_again), verdict, "{code:?}");
        }
    }

    fn state(n: u8, status: MessageStatus) -> ReplyState {
        let sid = format!("SM{n:032x}").parse().unwrap();
        ReplyState { sid, status, code: None, at: Timestamp::from_millis(0) }
    }
}

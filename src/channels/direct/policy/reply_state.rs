//! How a reply fares after Twilio took it. Pure.
//!
//! Callbacks come in any order, twice, and before the answer to the request that made the message; of all
//! that is heard the farthest counts.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
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

    fn state(n: u8, status: MessageStatus) -> ReplyState {
        let sid = format!("SM{n:032x}").parse().unwrap();
        ReplyState { sid, status, code: None, at: Timestamp::from_millis(0) }
    }
}

//! How a message fares on its way to each of those who get it on a phone. Pure.
//!
//! Each has a stream of receipts of its own. Of one, whatever the order and however often it is told, the
//! farthest counts.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::twilio::messaging::MessageStatus;
use crate::twilio::sid::ParticipantSid;

/// How many receivers of one message are followed; a group of phones has ten. Source: group messaging,
/// read 2026-11-21.
pub const RECEIVERS_MAX: usize = 64;

/// How far a message has come on its way to one of its receivers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Receipt {
    /// Who gets it, where Twilio says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant: Option<ParticipantSid>,
    /// How far it is.
    pub status: MessageStatus,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
    /// Since when.
    pub at: Timestamp,
}

/// The receipts of one message, the first one told first.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Receipts(Vec<Receipt>);

impl Receipts {
    /// Hears of one; says whether that is news.
    pub fn hear(&mut self, heard: Receipt) -> bool {
        let is_full = self.0.len() >= RECEIVERS_MAX;
        match self.0.iter_mut().find(|known| known.participant == heard.participant) {
            Some(known) if heard.status.rank() > known.status.rank() => *known = heard,
            None if !is_full => self.0.push(heard),
            Some(_) | None => return false,
        }
        true
    }

    /// What is known.
    pub fn iter(&self) -> impl Iterator<Item = &Receipt> {
        self.0.iter()
    }

    /// Whether nothing more can follow of any that is known: so the message itself need not be kept.
    #[must_use]
    pub fn have_arrived(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|one| one.status.has_arrived())
    }
}

#[cfg(test)]
mod tests {
    use MessageStatus::{Delivered, Failed, Read, Sent, Undelivered};

    use super::*;

    #[test]
    fn the_farthest_counts_for_each_whatever_the_order() {
        for (order, expected) in [
            (vec![(1, Sent), (1, Delivered), (2, Sent)], vec![(1, Delivered), (2, Sent)]),
            (vec![(1, Delivered), (1, Sent), (1, Sent)], vec![(1, Delivered)]),
            (vec![(1, Sent), (1, Read), (1, Delivered)], vec![(1, Read)]),
            (vec![(1, Failed), (2, Delivered), (1, Sent)], vec![(1, Failed), (2, Delivered)]),
            (vec![(1, Undelivered), (1, Undelivered)], vec![(1, Undelivered)]),
        ] {
            let mut receipts = Receipts::default();
            let told = order.iter().filter(|(n, status)| receipts.hear(receipt(*n, *status)));
            assert!(told.count() >= expected.len(), "{order:?}");
            let expected: Vec<_> = expected.into_iter().map(|(n, s)| receipt(n, s)).collect();
            assert_eq!(receipts.0, expected, "{order:?}");
        }
    }

    #[test]
    fn all_that_are_known_must_have_arrived_and_not_too_many_are() {
        let mut receipts = Receipts::default();
        assert!(!receipts.have_arrived());
        assert!(receipts.hear(receipt(1, Delivered)) && receipts.have_arrived());
        assert!(receipts.hear(receipt(2, Sent)) && !receipts.have_arrived());
        assert!(receipts.hear(receipt(2, Read)) && receipts.have_arrived());
        for n in 0..=u8::MAX {
            receipts.hear(receipt(n, Sent));
        }
        assert_eq!(receipts.iter().count(), RECEIVERS_MAX);
    }

    fn receipt(n: u8, status: MessageStatus) -> Receipt {
        let participant = Some(ParticipantSid::from_bytes([n; 16]));
        Receipt { participant, status, code: None, at: Timestamp::from_millis(7) }
    }
}

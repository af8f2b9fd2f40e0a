//! The brake on two machines that answer each other: too many replies of webhooks in one chain fail.
//!
//! Pure: the time is an argument. Source: error 14107, REST notes 6.3, read 2026-11-21: over 15 replies
//! between two numbers, each within 30 s of the one before. That one that fails counts too, so that a
//! chain ends only by silence, is assumed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// Replies of a chain that go out.
const REPLIES_MAX: u32 = 15;
/// How soon a reply must follow the one before to belong to its chain.
const GAP: Duration = Duration::from_secs(30);
/// Pairs that are remembered; chains that have ended are forgotten beyond it.
const PAIRS_MAX: usize = 10_000;

/// The chains of replies by their pairs of addresses.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Chains {
    replies: BTreeMap<String, (u32, Timestamp)>,
}

impl Chains {
    /// Counts a reply between a pair; says whether it goes out.
    pub(super) fn takes(&mut self, at: Timestamp, pair: String) -> bool {
        let goes_on = |last: &Timestamp| at.since(*last) < GAP;
        if self.replies.len() >= PAIRS_MAX {
            self.replies.retain(|_, (_, last)| goes_on(last));
        }
        let (count, last) = self.replies.entry(pair).or_insert((0, at));
        *count = if goes_on(last) { count.saturating_add(1) } else { 1 };
        *last = at;
        *count <= REPLIES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_cut_after_fifteen_replies_until_half_a_minute_of_silence() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let mut chains = Chains::default();
        for n in 0..15 {
            assert!(chains.takes(at(n * 29), "a b".to_owned()), "{n}");
        }
        assert!(!chains.takes(at(435), "a b".to_owned()));
        assert!(chains.takes(at(435), "a c".to_owned()), "another pair");
        assert!(!chains.takes(at(464), "a b".to_owned()));
        assert!(chains.takes(at(494), "a b".to_owned()));
    }
}

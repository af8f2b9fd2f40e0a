//! Which waiting messages of a conversation make one turn. Pure.
//!
//! | strategy | a message that comes while the agent thinks | messages that come close together |
//! | --- | --- | --- |
//! | `queue` | waits for its own turn | one turn each, in order |
//! | `burst` | waits for the next turn | one turn, once it is quiet |
//! | `supersede` | ends the thinking; a new turn has it and those before | one turn |
//! | `drop` | gets no turn | one turn each, in order |
//!
//! A burst is told by when its messages were stored, not by when somebody looked, so that after a
//! crash the same messages make the same turn.

use std::time::Duration;

use crate::clock::Timestamp;

/// How long a burst is looked at after its quiet time has passed: a message stored in time is seen a
/// moment later, when it is on disk.
const SLACK: Duration = Duration::from_millis(100);

/// How turns are made of messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Strategy {
    /// One turn for each message.
    Queue,
    /// One turn for messages that come close together.
    Burst(Burst),
    /// One turn for all that is unanswered, begun anew with each message.
    Supersede {
        /// How many messages a turn holds at most; a full one is thought to its end.
        messages_max: usize,
    },
    /// One turn at a time; what comes meanwhile gets none.
    Drop,
}

/// What makes a burst.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Burst {
    /// How long nothing must come for a burst to be over.
    pub quiet: Duration,
    /// How long its first message waits at most.
    pub longest: Duration,
    /// How many messages it has at most.
    pub messages_max: usize,
}

/// What a look at the waiting messages says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Look {
    /// More may come; look again after this time.
    Wait(Duration),
    /// The first so many are a turn.
    Take(usize),
}

impl Burst {
    /// Looks at when the waiting messages were stored, in the order of the conversation.
    #[must_use]
    pub fn look(&self, stored: &[Timestamp], now: Timestamp) -> Look {
        let Some(&first) = stored.first() else { return Look::Take(0) };
        let mut last = first;
        let mut count = 1;
        for &at in &stored[1..] {
            let is_late = at >= last + self.quiet || at >= first + self.longest;
            if is_late || count == self.messages_max {
                return Look::Take(count);
            }
            last = last.max(at);
            count += 1;
        }
        let end = (last + self.quiet).min(first + self.longest) + SLACK;
        if count >= self.messages_max || now >= end {
            return Look::Take(count);
        }
        // A wall clock that was set back must not make anybody wait longer than promised.
        Look::Wait(end.since(now).min(self.longest + SLACK))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BURST: Burst =
        Burst { quiet: Duration::from_secs(2), longest: Duration::from_secs(5), messages_max: 4 };

    #[test]
    fn a_burst_ends_by_quiet_by_its_longest_wait_or_by_its_size() {
        let wait = |millis| Look::Wait(Duration::from_millis(millis));
        for (stored, now, wanted) in [
            (&[0][..], 0, wait(2_100)),
            (&[0], 2_099, wait(1)),
            (&[0], 2_100, Look::Take(1)),
            (&[0, 1_999], 2_100, wait(1_999)),
            (&[0, 2_000], 2_000, Look::Take(1)),
            (&[0, 1_500, 3_000], 3_100, wait(2_000)),
            (&[0, 1_500, 3_000, 4_500], 4_500, Look::Take(4)),
            (&[0, 1_900, 3_800, 5_000], 5_000, Look::Take(3)),
            (&[0, 10, 20, 30, 40], 40, Look::Take(4)),
            (&[500, 0], 500, wait(2_100)),
            (&[9_000], 0, wait(5_100)),
            (&[], 0, Look::Take(0)),
        ] {
            assert_eq!(BURST.look(&times(stored), at(now)), wanted, "{stored:?} at {now}");
        }
    }

    proptest! {
        #[test]
        fn messages_that_come_later_never_change_a_burst_that_was_taken(
            gaps in prop::collection::vec(0..3_000_i64, 1..12),
        ) {
            let stored: Vec<i64> = gaps
                .iter()
                .scan(0, |time, gap| {
                    *time += gap;
                    Some(*time)
                })
                .collect();
            for now in (0..20_000).step_by(50) {
                let there: Vec<i64> = stored.iter().copied().filter(|&time| time <= now).collect();
                if let Look::Take(count) = BURST.look(&times(&there), at(now))
                    && count > 0
                {
                    prop_assert_eq!(BURST.look(&times(&stored), at(99_999)), Look::Take(count));
                }
            }
        }

        #[test]
        fn every_message_is_in_one_burst_and_none_waits_longer_than_promised(
            gaps in prop::collection::vec(0..3_000_i64, 1..12),
        ) {
            let mut left: Vec<i64> = gaps
                .iter()
                .scan(0, |time, gap| {
                    *time += gap;
                    Some(*time)
                })
                .collect();
            while !left.is_empty() {
                let promised = at(left[0]) + BURST.longest + SLACK;
                let Look::Take(count) = BURST.look(&times(&left), promised) else {
                    return Err(TestCaseError::fail("it waits longer"));
                };
                prop_assert!((1..=BURST.messages_max).contains(&count));
                left.drain(..count);
            }
        }
    }

    fn times(millis: &[i64]) -> Vec<Timestamp> {
        millis.iter().map(|&millis| at(millis)).collect()
    }

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000 + millis)
    }
}

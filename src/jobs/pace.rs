//! Keeps writes under Twilio's limits: at most so many in any second. Pure.
//!
//! The generic cell rate algorithm: all that is kept is the moment at which the next write would be
//! due at an even pace. With a burst of `b` and a steady rate of `r` a second, no window of a second
//! holds more than `b + r` writes; [`Rate::within`] shares a limit between the two so that the sum
//! never passes it. See <https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>.

use std::time::Duration;

use crate::bounded_map::Worth;
use crate::clock::Moment;

/// How fast writes may follow each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    interval: Duration,
    burst: u32,
}

impl Rate {
    /// A rate that stays within `limit` writes in any second: a sixth of it, at least one, may go at
    /// once, the rest evenly.
    #[must_use]
    pub fn within(limit: u32) -> Self {
        let burst = (limit / 6).max(1);
        let steady = limit.saturating_sub(burst).max(1);
        Self { interval: Duration::from_secs(1) / steady, burst }
    }
}

/// One conversation's or one service's pace.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pace {
    due: Moment,
}

impl Pace {
    /// Takes a place in the row: gives the moment at which the write may go, `now` or later.
    pub fn reserve(&mut self, rate: Rate, now: Moment) -> Moment {
        let due = self.due.max(now);
        let ahead = rate.interval * (rate.burst - 1);
        self.due = due + rate.interval;
        // Up to `burst` writes may run ahead of the even pace.
        let early = due.since(Moment::ORIGIN).saturating_sub(ahead);
        (Moment::ORIGIN + early).max(now)
    }

    /// Whether forgetting it would change nothing.
    #[must_use]
    pub fn is_idle(&self, now: Moment) -> bool {
        self.due <= now
    }

    /// What forgetting it would cost.
    #[must_use]
    pub fn worth(&self, now: Moment) -> Worth {
        if self.is_idle(now) { Worth::Nothing } else { Worth::InUse }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    #[test]
    fn a_short_burst_goes_at_once_and_the_rest_evenly() {
        let rate = Rate::within(30);
        let mut pace = Pace::default();
        let went: Vec<_> =
            (0..7).map(|_| pace.reserve(rate, at(0)).since(at(0)).as_millis()).collect();
        assert_eq!(went, [0, 0, 0, 0, 0, 40, 80]);
    }

    #[test]
    fn an_idle_pace_is_as_good_as_new() {
        let rate = Rate::within(30);
        let mut pace = Pace::default();
        pace.reserve(rate, at(0));
        assert!(!pace.is_idle(at(0)));
        assert!(pace.is_idle(at(40)));
        assert_eq!(pace.reserve(rate, at(5000)), Pace::default().reserve(rate, at(5000)));
    }

    proptest! {
        #[test]
        fn no_window_of_a_second_holds_more_than_the_limit(
            limit in 1_u32..60,
            gaps in prop::collection::vec(0_u64..200, 1..300),
        ) {
            let (rate, mut pace, mut now) = (Rate::within(limit), Pace::default(), 0);
            let mut went = Vec::new();
            for gap in gaps {
                now += gap;
                let goes = pace.reserve(rate, at(now));
                prop_assert!(goes >= at(now));
                went.push(goes);
            }
            // One write a second is the least there is: with a limit of one, burst and pace are one.
            let most = usize::try_from(limit.max(2)).unwrap();
            for (n, first) in went.iter().enumerate() {
                let end = *first + Duration::from_secs(1);
                prop_assert!(went[n..].iter().take_while(|goes| **goes < end).count() <= most);
            }
        }
    }
}

//! When a failed attempt is tried again: a list of delays, readable at a glance.
//!
//! The n-th failure waits for the n-th delay, spread by jitter so that many jobs do not come back at
//! once; after the last delay the job is dead. The random number is an argument.

use std::time::Duration;

/// The delays between attempts; an empty list means a single attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Schedule(Vec<Duration>);

impl Schedule {
    /// Takes the delays in the order in which they are waited for.
    #[must_use]
    pub const fn new(delays: Vec<Duration>) -> Self {
        Self(delays)
    }

    /// The delay after `attempt` (counted from 1) has failed; `None` when it was the last one.
    ///
    /// `jitter` from 0 to 1 moves the delay between four fifths and six fifths of its length. A wait
    /// that the other side asked for is never cut short.
    #[must_use]
    pub fn delay_after(
        &self,
        attempt: u32,
        asked: Option<Duration>,
        jitter: f64,
    ) -> Option<Duration> {
        let at = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        let delay = self.0.get(at)?.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0));
        Some(asked.map_or(delay, |asked| asked.max(delay)))
    }

    /// The last delay, for what is tried for ever.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.0.last().copied().unwrap_or(Duration::from_secs(60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn delays_are_taken_in_order_and_end() {
        let schedule = Schedule::new(vec![secs(1), secs(10)]);
        assert_eq!(schedule.delay_after(1, None, 0.5), Some(secs(1)));
        assert_eq!(schedule.delay_after(2, None, 0.5), Some(secs(10)));
        assert_eq!(schedule.delay_after(3, None, 0.5), None);
        assert_eq!(Schedule::new(Vec::new()).delay_after(1, None, 0.5), None);
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        let schedule = Schedule::new(vec![secs(10)]);
        for jitter in [-1.0, 0.0, 0.3, 1.0, 7.0] {
            let delay = schedule.delay_after(1, None, jitter).unwrap();
            assert!((secs(8)..=secs(12)).contains(&delay), "{delay:?}");
        }
    }

    #[test]
    fn a_wait_that_was_asked_for_is_never_cut_short() {
        let schedule = Schedule::new(vec![secs(1)]);
        assert_eq!(schedule.delay_after(1, Some(secs(30)), 0.5), Some(secs(30)));
        assert_eq!(schedule.delay_after(1, Some(secs(0)), 0.5), Some(secs(1)));
    }
}

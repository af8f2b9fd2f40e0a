//! The pace of the sweep: at most fifty requests a second over all that it does and all joins that it
//! brings, so that it never crowds out the work of those who wait.
//!
//! The rule is pure and in [`policy::pace`](crate::jobs::pace); here it meets the clock. Requests that
//! others make are not counted: a conversation that the sweep brings back has turns and replies, which
//! are nobody's to hold back.

use std::sync::{Mutex, PoisonError};

use crate::clock::{Clock, Moment};
use crate::jobs::pace::{Pace, Rate};

/// How many requests may go in any second.
pub const REQUESTS_MAX: u32 = 50;

/// What is planned for: less, since a request that is late comes together with those after it.
const PLANNED: u32 = REQUESTS_MAX / 5 * 4;

/// One process's sweeping.
#[derive(Debug)]
pub struct SweepPace {
    clock: Clock,
    pace: Mutex<Pace>,
}

impl SweepPace {
    /// Starts at rest.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, pace: Mutex::default() }
    }

    /// Waits until so many more requests are within the pace.
    ///
    /// # Cancel safety
    ///
    /// The place in the row is taken at once and lost when this is dropped; nothing else is.
    pub async fn wait(&self, requests: usize) {
        let due = self.reserve(requests, self.clock.now());
        self.clock.sleep_until(due).await;
    }

    fn reserve(&self, requests: usize, now: Moment) -> Moment {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let due = (0..requests).map(|_| pace.reserve(Rate::within(PLANNED), now));
        due.max().unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn requests_that_go_together_wait_for_the_last_of_them() {
        let pace = SweepPace::new(Clock::start());
        let now = Moment::ORIGIN;
        assert_eq!(pace.reserve(0, now), now);
        let mut due = Vec::new();
        for requests in [1, 3, 2].into_iter().cycle().take(300) {
            let at = pace.reserve(requests, now);
            due.extend((0..requests).map(|_| at));
        }
        for (n, first) in due.iter().enumerate() {
            let end = *first + Duration::from_secs(1);
            let count = due[n..].iter().take_while(|at| **at < end).count();
            assert!(count <= usize::try_from(REQUESTS_MAX).unwrap(), "{count}");
        }
    }
}

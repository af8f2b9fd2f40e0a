//! Whether there is room for more reports: who does not take them is not to fill the store that turns and
//! replies need.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::queue::Queue;
use crate::telemetry::chain::Chain;

/// How many reports wait at most, and what is told meanwhile; each takes less than a kilobyte.
pub const WAITING_MAX: u64 = 100_000;
/// How often they are counted.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// Where reports are told whether there is room for them.
#[derive(Clone, Debug)]
pub struct Room {
    /// The queue of reports.
    pub queue: Queue,
    is_full: Arc<AtomicBool>,
}

impl Room {
    /// Starts with room.
    #[must_use]
    pub fn new(queue: Queue) -> Self {
        Self { queue, is_full: Arc::default() }
    }

    /// Whether one more report may wait.
    #[must_use]
    pub fn has_place(&self) -> bool {
        !self.is_full.load(Ordering::Relaxed)
    }

    /// Counts now and then until the service stops.
    pub async fn watch(self, clock: Clock, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = clock.sleep(COUNT_EVERY) => {}
            }
            match self.queue.stats().await {
                Ok(stats) => self.counted(stats.open()),
                Err(error) => {
                    tracing::debug!(error = %Chain(&error), "reports could not be counted");
                }
            }
        }
    }

    fn counted(&self, waiting: u64) {
        let is_full = waiting >= WAITING_MAX;
        if self.is_full.swap(is_full, Ordering::Relaxed) != is_full {
            if is_full {
                tracing::warn!(
                    count = waiting,
                    "nobody takes reports on replies; what is told meanwhile is left out"
                );
            } else {
                tracing::info!(count = waiting, "there is room for reports on replies again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{QueueName, Store, embedded};

    #[tokio::test]
    async fn there_is_room_until_too_many_wait_and_again_later() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::open(embedded::Options::new(place.path().join("queue.db"))).unwrap();
        let room = Room::new(store.queue(QueueName::Reports));
        for (waiting, has_place) in
            [(0, true), (WAITING_MAX - 1, true), (WAITING_MAX, false), (WAITING_MAX - 1, true)]
        {
            room.counted(waiting);
            assert_eq!(room.clone().has_place(), has_place, "{waiting}");
        }
    }
}

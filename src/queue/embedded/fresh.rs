//! Payloads that were just written, kept in memory until they are delivered for the first time.
//!
//! Most jobs go out within milliseconds of their append; this spares them the way back from the
//! disk. It is a shortcut and no memory: what is not here is read from the file, so nothing depends
//! on it. Decides only what still has room. Reads no clock and does no I/O.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::rows::Loaded;

/// How many bytes are kept at most, over all queues. A backlog beyond it waits on disk.
pub(super) const BYTES_MAX: usize = 8 * 1024 * 1024;

/// What an entry costs beside its payload: the rest of the row and its place in the map.
const ENTRY_BYTES: usize = 128;

/// Jobs that nobody has seen, by `seq`.
#[derive(Default)]
pub(super) struct Fresh(Mutex<FreshJob>);

#[derive(Default)]
struct FreshJob {
    jobs: HashMap<u64, Loaded>,
    bytes: usize,
}

impl Fresh {
    /// Keeps a job that is on disk now, if there is room.
    pub(super) fn keep(&self, seq: u64, job: Loaded) {
        let mut kept = self.lock();
        let bytes = kept.bytes + cost(&job);
        if bytes <= BYTES_MAX {
            kept.bytes = bytes;
            kept.jobs.insert(seq, job);
        }
    }

    /// Gives a job away; `None` if it has to be read.
    pub(super) fn take(&self, seq: u64) -> Option<Loaded> {
        let mut kept = self.lock();
        let job = kept.jobs.remove(&seq)?;
        kept.bytes -= cost(&job);
        Some(job)
    }

    fn lock(&self) -> MutexGuard<'_, FreshJob> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn cost(job: &Loaded) -> usize {
    job.payload.capacity() + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::queue::JobId;

    #[test]
    fn a_job_is_given_away_once() {
        let fresh = Fresh::default();
        fresh.keep(1, job(10));
        assert_eq!(fresh.take(1).map(|job| job.payload.len()), Some(10));
        assert!(fresh.take(1).is_none() && fresh.take(2).is_none());
    }

    #[test]
    fn what_has_no_room_is_left_to_the_disk_and_room_comes_back() {
        let fresh = Fresh::default();
        let half = BYTES_MAX / 2 - ENTRY_BYTES;
        fresh.keep(1, job(half));
        fresh.keep(2, job(half));
        fresh.keep(3, job(0));
        assert!(fresh.take(3).is_none(), "it is full");
        assert!(fresh.take(1).is_some());
        fresh.keep(4, job(half));
        assert!(fresh.take(4).is_some() && fresh.take(2).is_some());
        assert_eq!(fresh.lock().bytes, 0);
    }

    fn job(bytes: usize) -> Loaded {
        Loaded {
            id: JobId::from_bytes([1; 16]),
            position: None,
            appended_at: Timestamp::from_millis(1),
            payload: vec![7; bytes],
        }
    }
}

//! One partition for as long as this process holds it.
//!
//! Keeps the book behind a lock that is never held across an `.await`, and says how far the stream was
//! read. Decides nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::book::JobBook;
use super::holdings::HeldPartition;

/// A partition that was gained.
pub(super) struct Holding {
    pub(super) partition: u16,
    /// Unlike every other holding of every process.
    pub(super) stamp: String,
    /// Unlike every other holding of this process.
    pub(super) generation: u64,
    held: Box<dyn HeldPartition>,
    book: Mutex<JobBook>,
    seen: watch::Sender<u64>,
    /// The newest record that is known to be stored, seen or not.
    stored: AtomicU64,
    /// Cancelled when it is this process's no longer.
    pub(super) ended: CancellationToken,
}

impl Holding {
    pub(super) fn new(
        (partition, generation): (u16, u64),
        stamp: String,
        held: Box<dyn HeldPartition>,
        (book, ended): (JobBook, CancellationToken),
    ) -> Self {
        let (book, seen) = (Mutex::new(book), watch::Sender::new(0));
        let stored = AtomicU64::new(0);
        Self { partition, stamp, generation, held, book, seen, stored, ended }
    }

    /// Whether the partition is still this process's.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_held()
    }

    /// The book, for a few map operations.
    pub(super) fn book(&self) -> MutexGuard<'_, JobBook> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the effects of all records up to this one are there.
    pub(super) fn has_seen(&self, rev: u64) {
        self.seen.send_if_modified(|seen| std::mem::replace(seen, rev.max(*seen)) < rev);
    }

    /// Notes that a record is stored, whoever wrote it.
    pub(super) fn is_stored(&self, rev: u64) {
        self.stored.fetch_max(rev, Ordering::Relaxed);
    }

    /// The newest record that is known to be stored.
    #[cfg(test)]
    pub(super) fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    /// Waits until the effects of all records are there that are known to be stored. Cancel safe.
    pub(super) async fn wait_for_stored(&self) {
        self.wait_for(self.stored.load(Ordering::Relaxed)).await;
    }

    /// Waits until the effects of a record are there. Cancel safe.
    pub(super) async fn wait_for(&self, rev: u64) {
        // The sender lives in this very value.
        let _ = self.seen.subscribe().wait_for(|&seen| seen >= rev).await;
    }
}

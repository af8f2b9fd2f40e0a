//! One partition for as long as this process holds it.
//!
//! Keeps the book behind a lock that is never held across an `.await`, and says how far the stream was
//! read. Decides nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::book::Book;
use super::holdings::Held;

/// A partition that was gained.
pub(super) struct Holding {
    pub(super) partition: u16,
    /// Unlike every other holding of every process.
    pub(super) stamp: String,
    /// Unlike every other holding of this process.
    pub(super) generation: u64,
    held: Box<dyn Held>,
    book: Mutex<Book>,
    seen: watch::Sender<u64>,
}

impl Holding {
    pub(super) fn new(
        (partition, generation): (u16, u64),
        stamp: String,
        held: Box<dyn Held>,
        book: Book,
    ) -> Self {
        let (book, seen) = (Mutex::new(book), watch::Sender::new(0));
        Self { partition, stamp, generation, held, book, seen }
    }

    /// Whether the partition is still this process's.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_held()
    }

    /// The book, for a few map operations.
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the effects of all records up to this one are there.
    pub(super) fn has_seen(&self, rev: u64) {
        self.seen.send_if_modified(|seen| std::mem::replace(seen, rev.max(*seen)) < rev);
    }

    /// Waits until the effects of a record are there. Cancel safe.
    pub(super) async fn wait_for(&self, rev: u64) {
        // The sender lives in this very value.
        let _ = self.seen.subscribe().wait_for(|&seen| seen >= rev).await;
    }
}

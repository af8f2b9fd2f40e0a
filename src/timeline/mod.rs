//! What happened to each message, kept on disk for a time and up to a size.
//!
//! The [journal](crate::telemetry::journal) tells of every step; the [`keeper`] hears it and writes what
//! it heard a few times a second, so that nobody who works on a message ever waits for it: without an
//! `fsync`, and what cannot be written is dropped and counted. A timeline is a view of the work, never its
//! memory: nothing is decided by it. Its records are the journal's, sids and closed words, no address and
//! no text; a thread of two addresses is named by their digest.
//!
//! Two engines, one behaviour, which `contract` holds both to: [`segments`], files beside the embedded
//! queue, and [`jetstream`], a stream beside the one on NATS. Time enters with the records and through the
//! clock.

#[cfg(test)]
mod contract;
#[cfg(feature = "nats")]
pub mod jetstream;
pub mod keeper;
pub mod segments;
mod story;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::telemetry::journal::Record;
use crate::thread::{MessageId, ThreadId};

/// The most records of one page.
pub const PAGE_MAX: usize = 1000;

/// Of whom records are asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Subject {
    /// Of a thread, all its messages and itself.
    Thread(ThreadId),
    /// Of a thread itself, its joins and the like: what names no message.
    ThreadAlone(ThreadId),
    /// Of a message: its own, and those of replies to it; by a reply's sid those of that reply.
    Message(MessageId),
    /// Of a reply, by the id that never changes.
    Reply(Uuid),
    /// Of all of them.
    Everything,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct TimelineQuery {
    /// Of whom.
    pub subject: Subject,
    /// Where an earlier page ended: what came after it. Without it the newest records are given.
    pub after: Option<String>,
    /// How many records at most, 1 to [`PAGE_MAX`].
    pub limit: usize,
}

/// Some records, oldest first.
#[derive(Debug, Serialize)]
pub struct Page {
    /// The records, as the journal writes them.
    pub records: Vec<Value>,
    /// Where to go on, also once something new has happened; none where nothing was ever written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Whether there is more already: newer ones after `next`, or older ones where no page was named.
    pub more: bool,
}

/// Says why the timeline could not be read, written or erased.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be used.
    #[error("cannot {doing} {path}: is the disk full or gone, and may this user write there?")]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// NATS did not do it.
    #[error("cannot {doing} the stream {stream}: is NATS there, and is JetStream enabled?")]
    Stream {
        /// What was being done.
        doing: &'static str,
        /// The stream.
        stream: String,
        /// What the client says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A cursor is of another timeline, or of none.
    #[error("the cursor is none of this timeline; ask without `after`")]
    Cursor,
    /// It took too long.
    #[error("the timeline took too long: is its disk, or NATS, overloaded?")]
    Late,
    /// The process is short of threads, or ends.
    #[error("the timeline was cut short by the end of the process; ask again")]
    Ended,
}

/// One record as it is kept: a line of JSON.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// What it is of.
    #[cfg_attr(
        not(feature = "nats"),
        expect(dead_code, reason = "files have the line alone, a stream its subject too")
    )]
    pub(crate) record: Record,
    /// The record in JSON, without a line's end.
    pub(crate) text: String,
}

impl Line {
    /// Writes a record.
    pub(crate) fn of(record: Record) -> Self {
        let text = serde_json::to_string(&record).expect("a record is sids, words and numbers");
        Self { record, text }
    }
}

/// What an engine found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The lines, oldest first.
    pub(crate) lines: Vec<String>,
    /// Where to go on.
    pub(crate) next: Option<String>,
    /// Whether there are more.
    pub(crate) more: bool,
}

/// Keeps lines.
pub(crate) trait TimelineEngine: Send + Sync + 'static {
    /// Writes lines behind all others; those that were too old or too many before go.
    fn write(&self, lines: Vec<Line>) -> BoxFuture<'_, Result<(), Error>>;

    /// Finds the first lines after a cursor, or the last ones without one.
    fn find(&self, ask: TimelineQuery) -> BoxFuture<'_, Result<Found, Error>>;

    /// Takes out what is kept of a thread, for good; says how many records it was, or is where it is not to
    /// `act`.
    fn erase(&self, threads: Vec<ThreadId>, act: bool) -> BoxFuture<'_, Result<Vec<u64>, Error>>;

    /// Takes out what is too old.
    fn tidy(&self) -> BoxFuture<'_, Result<(), Error>>;
}

/// The timeline's handle; clones share one store.
#[derive(Clone)]
pub struct Timeline {
    engine: Arc<dyn TimelineEngine>,
}

impl Timeline {
    pub(crate) fn on(engine: impl TimelineEngine) -> Self {
        Self { engine: Arc::new(engine) }
    }

    /// Gives records of a thread or a message.
    ///
    /// # Errors
    ///
    /// [`Error::Cursor`], or what keeps the store from being read.
    pub async fn read(&self, ask: TimelineQuery) -> Result<Page, Error> {
        let ask = TimelineQuery { limit: ask.limit.clamp(1, PAGE_MAX), ..ask };
        let found = self.engine.find(ask.clone()).await?;
        let (next, more) = (found.next, found.more);
        let mut records = story::parsed(&found.lines);
        if let (Subject::Message(message), None) = (ask.subject, &ask.after)
            && let Some(thread) = story::thread_of(&records)
        {
            // Its joins and the like are the thread's, and name no message.
            let subject = Subject::ThreadAlone(thread);
            let of_thread =
                self.engine.find(TimelineQuery { subject, limit: PAGE_MAX, ..ask }).await?;
            records = story::of_message(message, records, story::parsed(&of_thread.lines));
        }
        story::sort(&mut records);
        Ok(Page { records, next, more })
    }

    /// Writes records at once, for tests of who reads them.
    #[cfg(test)]
    pub(crate) async fn told(&self, records: Vec<Record>) -> Result<(), Error> {
        self.engine.write(records.into_iter().map(Line::of).collect()).await
    }

    /// Takes out what is kept of threads, for good, in one go; says how many records it was of each.
    ///
    /// # Errors
    ///
    /// What keeps the store from being written; then some may be left.
    pub async fn erase(&self, threads: &[ThreadId]) -> Result<Vec<u64>, Error> {
        self.engine.erase(threads.to_vec(), true).await
    }

    /// Counts what is kept of each of some threads.
    ///
    /// # Errors
    ///
    /// What keeps the store from being read.
    pub async fn count(&self, threads: &[ThreadId]) -> Result<Vec<u64>, Error> {
        self.engine.erase(threads.to_vec(), false).await
    }

    /// The thread of a message, if it is known.
    ///
    /// # Errors
    ///
    /// What keeps the store from being read.
    pub async fn thread_of(&self, message: MessageId) -> Result<Option<ThreadId>, Error> {
        let ask = TimelineQuery { subject: Subject::Message(message), after: None, limit: 1 };
        Ok(story::thread_of(&story::parsed(&self.engine.find(ask).await?.lines)))
    }
}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeline").finish_non_exhaustive()
    }
}

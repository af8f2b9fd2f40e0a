//! What an engine has to do; [`Queue`](super::Queue) and its kin are this with a good face.
//!
//! The contract is in the room's own page. Engines own time and I/O; this file owns neither.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::watch;

use super::{
    Append, Appended, Cause, DeadCauses, DeadLetter, DeadLetters, DocumentCursor, DocumentPage,
    Error, Filter, JobId, JobStatus, Key, LanesAsked, OpenLane, Page, QueueName, Stats,
};
use crate::clock::Timestamp;

/// What a name stands for, and how often it was written.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct StoredDocument {
    pub(super) value: Vec<u8>,
    /// Grows with every write.
    pub(super) revision: u64,
}

/// What a document is to say.
#[derive(Clone)]
pub(super) struct Value {
    pub(super) bytes: Vec<u8>,
    /// Whether it holds what somebody wrote, and will not for long.
    pub(super) is_passing: bool,
}

/// Says whether a payload is one that is looked for.
pub(super) type Fits = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// Stores and hands out jobs for all queues of one store.
pub(super) trait Engine: Send + Sync + 'static {
    /// Appends to any queues, all or nothing, durable when it answers.
    fn append(&self, jobs: Vec<(QueueName, Append)>)
    -> BoxFuture<'_, Result<Vec<Appended>, Error>>;

    /// Whether what an append has not stored, however it broke off, it has stored nothing of.
    fn appends_whole(&self) -> bool {
        true
    }

    /// Waits for the next job and leases it. Cancel safe.
    fn next(&self, queue: QueueName) -> BoxFuture<'_, Result<Leased, Error>>;

    /// Leases the first job of a key, due or not. Cancel safe.
    fn take(&self, queue: QueueName, key: &Key) -> BoxFuture<'_, Result<LaneHead<Leased>, Error>>;

    /// How many jobs of a key are open here, those that are out included; none if another process has them.
    fn open_jobs(&self, queue: QueueName, key: &Key) -> Option<usize>;

    /// The keys that begin so and have a job, open or dead, whose payload fits; whoever hands them out.
    fn keys_holding(
        &self,
        queue: QueueName,
        beginning: String,
        fits: Fits,
    ) -> BoxFuture<'_, Result<Vec<Key>, Error>>;

    /// Returns once nothing of what was deleted before is in this engine's files.
    fn write_over(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Lists some short-lived documents whose names begin so.
    fn list_short_lived(
        &self,
        beginning: String,
        after: Option<DocumentCursor>,
    ) -> BoxFuture<'_, Result<DocumentPage, Error>>;

    /// Lets what was put off in a lane go out now. A hint: an engine may hear of it late.
    fn wake(&self, queue: QueueName, key: &Key);

    /// Whether a job of this key may be open; false only if it is known that none is.
    fn may_be_open(&self, queue: QueueName, key: &Key) -> bool;

    /// Tells whether the store fails to keep what it is given.
    fn trouble(&self) -> &watch::Sender<Trouble>;

    /// Counts.
    fn stats(&self, queue: QueueName) -> BoxFuture<'_, Result<Stats, Error>>;

    /// Tells of lanes with open jobs, the one whose oldest job was appended first before others.
    fn open_lanes(
        &self,
        queue: QueueName,
        asked: LanesAsked,
    ) -> BoxFuture<'_, Result<Vec<OpenLane>, Error>>;

    /// Finds a job of a key by its id.
    fn find(
        &self,
        queue: QueueName,
        id: JobId,
        key: &Key,
    ) -> BoxFuture<'_, Result<Option<JobStatus>, Error>>;

    /// What a job of a key holds that is open or dead.
    fn payload(
        &self,
        queue: QueueName,
        id: JobId,
        key: &Key,
    ) -> BoxFuture<'_, Result<Option<Vec<u8>>, Error>>;

    /// Lists dead letters.
    fn dead_letters(
        &self,
        queue: QueueName,
        filter: Filter,
        page: Page,
    ) -> BoxFuture<'_, Result<DeadLetters, Error>>;

    /// Counts dead letters by cause, the oldest appends first and at most so many of them.
    fn dead_causes(
        &self,
        queue: QueueName,
        filter: Filter,
        letters_max: u32,
    ) -> BoxFuture<'_, Result<DeadCauses, Error>>;

    /// Shows one dead letter.
    fn dead_letter(&self, queue: QueueName, id: JobId) -> BoxFuture<'_, Result<DeadLetter, Error>>;

    /// Makes a dead letter an open job again.
    fn redrive(&self, queue: QueueName, id: JobId) -> BoxFuture<'_, Result<(), Error>>;

    /// Forgets a dead letter, but not its id.
    fn discard(&self, queue: QueueName, id: JobId) -> BoxFuture<'_, Result<(), Error>>;

    /// Reads a mark.
    fn read_mark(&self, name: String) -> BoxFuture<'_, Result<Option<u64>, Error>>;

    /// Raises a mark, never lowers it.
    fn raise_mark(&self, name: String, value: u64) -> BoxFuture<'_, Result<(), Error>>;

    /// Reads a document.
    fn document(&self, name: String) -> BoxFuture<'_, Result<Option<StoredDocument>, Error>>;

    /// Writes a document by its name and value if its revision is still this one, or if there is none
    /// where none is given; durable when it answers. Says whether it did.
    fn put_document(
        &self,
        document: (String, Value),
        revision: Option<u64>,
    ) -> BoxFuture<'_, Result<bool, Error>>;

    /// Lists some documents whose names begin so.
    fn list_documents(
        &self,
        beginning: String,
        after: Option<DocumentCursor>,
    ) -> BoxFuture<'_, Result<DocumentPage, Error>>;

    /// Forgets a document if its revision is still this one; durable when it answers. Says whether it did.
    fn remove_document(&self, name: String, revision: u64) -> BoxFuture<'_, Result<bool, Error>>;

    /// Waits until whatever anybody stored under a key before is in its lane, if that is here. Cancel
    /// safe.
    fn sync(&self, key: &Key) -> BoxFuture<'_, Result<(), Error>>;

    /// Refuses what comes after, finishes what came before.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// What there is at the head of a lane.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LaneHead<T> {
    /// No job of that key is open.
    Nothing,
    /// Somebody works on its first job.
    Out,
    /// Another process hands out the jobs of that key.
    Elsewhere,
    /// The first one, which waited.
    Taken(T),
}

/// What keeps a store from keeping what it is given.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// It is as large as it may become: appends are refused, and work that ends makes room.
    AtItsBound,
    /// It cannot be written.
    NotWritten,
}

/// Says what becomes of a delivered job.
#[derive(Debug)]
pub(super) enum Settlement {
    /// Done, with all that was absorbed; these come of it, in the same transaction.
    Ack(Vec<(QueueName, Append)>),
    /// Again, after this time, with all that was absorbed.
    Retry(Duration, Cause),
    /// Never again; what was absorbed comes again at once.
    Dead(Cause),
    /// Again, after this time or when woken, as if it had not been delivered; not stored.
    PutOff(Duration),
    /// As `PutOff`, and it counts as held.
    Shelve(Duration),
    /// Again, after this time or when woken; it may have had effects, but counts no attempt; not stored.
    Park(Duration),
}

/// The right to settle one delivery.
pub(super) trait Lease: Send + Sync {
    /// Settles, unless the lease was lost. Whatever the answer, the lease is over.
    fn settle(&self, settlement: Settlement) -> BoxFuture<'_, Result<Vec<Appended>, Error>>;

    /// Takes the next jobs of the lane along, if they are due, under this lease. Cancel safe.
    fn absorb(&self, max: usize) -> BoxFuture<'_, Result<Vec<Absorbed>, Error>>;

    /// Lets absorbed jobs wait again, unseen; does nothing if the lease is over.
    fn leave(&self, seqs: &[u64]);

    /// Starts the time of the lease anew.
    fn extend(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Waits until another job of the lane is due. Cancel safe.
    fn grown(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Whether the lease holds at this moment.
    fn is_held(&self) -> bool;

    /// Waits until the lease is lost for another reason than its time. Cancel safe.
    fn lost(&self) -> BoxFuture<'_, ()>;

    /// Whether a job that goes before this one in its lane came in since it was leased, all those being
    /// there that this process knows to be stored. Cancel safe.
    fn overtaken(&self) -> BoxFuture<'_, Result<bool, Error>>;

    /// Gives all that is out back; does nothing if the lease is over.
    fn give_back(&self);
}

/// One leased job.
pub(super) struct Leased {
    pub(super) id: JobId,
    pub(super) key: Key,
    pub(super) position: Option<u64>,
    pub(super) appended_at: Timestamp,
    pub(super) payload: Vec<u8>,
    pub(super) attempt: u32,
    pub(super) redelivered: bool,
    pub(super) rested: Duration,
    pub(super) lease_time: Duration,
    pub(super) lease: Box<dyn Lease>,
}

/// A job that a delivery took along.
#[derive(Clone, Eq, PartialEq)]
pub struct Absorbed {
    /// The engine's name for the job.
    pub(super) seq: u64,
    /// Names the job.
    pub id: JobId,
    /// The position it was appended with.
    pub position: Option<u64>,
    /// When it was appended.
    pub appended_at: Timestamp,
    /// What the consumer gets.
    pub payload: Vec<u8>,
    /// Counts the deliveries of this job, from 1.
    pub attempt: u32,
    /// Whether an earlier delivery may have had effects, also one before a crash.
    pub redelivered: bool,
}

impl fmt::Debug for Absorbed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Absorbed")
            .field("id", &self.id)
            .field("attempt", &self.attempt)
            .field("redelivered", &self.redelivered)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

//! The handles that the rest of the program holds.
//!
//! They check arguments and pass on to the engine; they keep no state, read no time and do no I/O.

use std::fmt;
use std::sync::Arc;

use super::embedded::{self, Embedded};
use super::engine::{Engine, LaneHead, Trouble};
use super::job;
use super::{
    Append, Appended, CAUSE_LETTERS_MAX, DeadCauses, DeadLetter, DeadLetters, Delivery, Documents,
    Error, Filter, JobId, JobStatus, Key, LANES_MAX, LanesAsked, OpenLane, Page, QueueName, Stats,
};

/// One opened engine with all its queues.
#[derive(Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
}

impl Store {
    /// Opens the embedded engine, and makes its file if there is none.
    ///
    /// Blocks for the time it takes to read the open jobs, well under a second for a hundred
    /// thousand.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] if another process has it open, [`Error::Newer`] if a newer version wrote it,
    /// [`Error::NotWritable`], [`Error::Corrupt`], [`Error::Full`] or [`Error::Storage`] by the state
    /// of the file.
    pub fn open(options: embedded::Options) -> Result<Self, Error> {
        Ok(Self { engine: Arc::new(Embedded::open(options)?) })
    }

    /// Opens the engine on NATS `JetStream`; makes its streams and bucket if they are not there.
    ///
    /// Jobs are stored at once and delivered as far as `holdings` gives partitions to this process.
    ///
    /// # Errors
    ///
    /// [`Error::Unfit`] if server, streams or bucket are not as they have to be, [`Error::Away`] if the
    /// server does not answer.
    #[cfg(feature = "nats")]
    pub async fn open_jetstream(
        options: super::jetstream::Options,
        holdings: impl super::jetstream::Holdings,
    ) -> Result<Self, Error> {
        let engine = super::jetstream::JetStream::open(options, Box::new(holdings)).await?;
        Ok(Self::on(engine))
    }

    /// Wraps an opened engine.
    #[cfg(feature = "nats")]
    pub(super) fn on(engine: impl Engine) -> Self {
        Self { engine: Arc::new(engine) }
    }

    /// Gives one of the queues.
    #[must_use]
    pub fn queue(&self, name: QueueName) -> Queue {
        Queue { engine: Arc::clone(&self.engine), name }
    }

    /// Gives the marks.
    #[must_use]
    pub fn marks(&self) -> Marks {
        Marks { engine: Arc::clone(&self.engine) }
    }

    /// Gives the documents.
    #[must_use]
    pub fn documents(&self) -> Documents {
        Documents::new(Arc::clone(&self.engine))
    }

    /// Whether the last write failed, for want of room on the disk or otherwise. Ends by itself with
    /// the first write that is kept; while nobody writes, the store tries every second.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        *self.engine.trouble().borrow() != Trouble::None
    }

    /// Returns once nothing of what was deleted before is in this process's files: not in free pages, not
    /// in the log. What a server keeps is the server's.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Locked`] if somebody reads the file for long, [`Error::Crowded`] if it
    /// holds too much for that, or a storage error.
    pub async fn write_over(&self) -> Result<(), Error> {
        self.engine.write_over().await
    }

    /// Closes the store: what was accepted is finished, everything after answers
    /// [`Error::Closed`], and the file is free when this returns.
    ///
    /// Deliveries still out come again at the next open.
    pub async fn close(&self) {
        self.engine.close().await;
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// One queue of a store. Cheap to clone, any number of producers and consumers.
#[derive(Clone)]
pub struct Queue {
    engine: Arc<dyn Engine>,
    name: QueueName,
}

impl Queue {
    /// The most jobs that one append takes.
    pub const APPEND_JOBS_MAX: usize = job::APPEND_JOBS_MAX;

    /// Gives its name.
    #[must_use]
    pub const fn name(&self) -> QueueName {
        self.name
    }

    /// Appends jobs, all or none; they are on disk when this returns.
    ///
    /// Answers for each job in turn. Waits while too many appends are under way.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] and its kin if it could not be stored, [`Error::Invalid`] if a bound is not
    /// kept. After an error append again with the same ids: those that were stored are duplicates.
    ///
    /// # Cancel safety
    ///
    /// Dropped while waiting, the jobs may be stored or not.
    pub async fn append(&self, jobs: Vec<Append>) -> Result<Vec<Appended>, Error> {
        let jobs: Vec<_> = jobs.into_iter().map(|job| (self.name, job)).collect();
        job::check(&jobs)?;
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        self.engine.append(jobs).await
    }

    /// Whether an append that broke off, by an error or a crash, has stored nothing.
    #[must_use]
    pub fn appends_whole(&self) -> bool {
        self.engine.appends_whole()
    }

    /// Waits until whatever anybody stored under a key before this call is in its lane, if this process
    /// delivers it: for who has it from elsewhere that something was stored.
    ///
    /// # Errors
    ///
    /// [`Error::Away`] if that cannot be said now.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    pub async fn sync(&self, key: &Key) -> Result<(), Error> {
        self.engine.sync(key).await
    }

    /// Waits for the next job and leases it.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] after the store is closed. Other errors mean that the job could not be read;
    /// it is held back for some seconds, and calling again goes on with the others.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing: a job that was just being read is given back, unseen.
    pub async fn next(&self) -> Result<Delivery, Error> {
        Ok(Delivery::new(self.engine.next(self.name).await?))
    }

    /// How many jobs of a key are open, those that are out included; none if another process hands them
    /// out.
    #[must_use]
    pub fn open_jobs(&self, key: &Key) -> Option<usize> {
        self.engine.open_jobs(self.name, key)
    }

    /// The keys that begin so and have a job, open or dead, whose payload fits: for who looks for what no
    /// key names. Reads the payloads of all such keys, so it takes its time; whoever hands them out.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], or a storage error.
    pub async fn keys_holding(
        &self,
        beginning: &str,
        fits: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
    ) -> Result<Vec<Key>, Error> {
        self.engine.keys_holding(self.name, beginning.to_owned(), Arc::new(fits)).await
    }

    /// Leases the first job of a key, whether or not it is due: for who has to do with that key alone.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], or a storage error.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing: a job that was just being read is given back, unseen.
    pub async fn take(&self, key: &Key) -> Result<LaneHead<Delivery>, Error> {
        Ok(match self.engine.take(self.name, key).await? {
            LaneHead::Nothing => LaneHead::Nothing,
            LaneHead::Out => LaneHead::Out,
            LaneHead::Elsewhere => LaneHead::Elsewhere,
            LaneHead::Taken(leased) => LaneHead::Taken(Delivery::new(leased)),
        })
    }

    /// Whether the end of work could be stored now.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        *self.engine.trouble().borrow() != Trouble::NotWritten
    }

    /// Waits until the end of work can be stored, so that none is done whose end could not be. A store
    /// that is as large as it may become keeps ends all the same, and they make room.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    pub async fn kept(&self) {
        if self.is_kept() {
            return;
        }
        // An engine that is gone will say so itself.
        let is_over = |trouble: &Trouble| *trouble != Trouble::NotWritten;
        let _gone = self.engine.trouble().subscribe().wait_for(is_over).await.is_err();
    }

    /// Lets what was put off in this lane go out now.
    ///
    /// A hint: where another instance holds the lane it may not be heard, and what was put off goes
    /// out at its time.
    pub fn wake(&self, key: &Key) {
        self.engine.wake(self.name, key);
    }

    /// Whether a job of this key may be open: waiting, put off or out. False is certain of everything
    /// whose append was answered here; where another instance holds the key it is always true.
    #[must_use]
    pub fn may_be_open(&self, key: &Key) -> bool {
        self.engine.may_be_open(self.name, key)
    }

    /// Counts the jobs by state.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], or a storage error.
    pub async fn stats(&self) -> Result<Stats, Error> {
        self.engine.stats(self.name).await
    }

    /// Tells of lanes with open jobs, the one whose oldest job was appended first before others. Where
    /// several processes share the queue, of those that this one delivers.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if more than [`LANES_MAX`] are asked for, [`Error::Closed`], or a storage error.
    pub async fn open_lanes(&self, asked: LanesAsked) -> Result<Vec<OpenLane>, Error> {
        if asked.most() > LANES_MAX {
            return Err(Error::Invalid { what: "at most 1000 lanes are told of at once" });
        }
        self.engine.open_lanes(self.name, asked).await
    }

    /// Finds a job by its id and the key that it was appended with; `None` if it never was, or was
    /// settled so long ago that it is forgotten.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], or a storage error.
    pub async fn find(&self, id: JobId, key: &Key) -> Result<Option<JobStatus>, Error> {
        self.engine.find(self.name, id, key).await
    }

    /// What a job holds that is open or a dead letter, by its id and the key that it was appended with; `None` if
    /// there is none any more. It is left where it is.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], or a storage error.
    pub async fn payload(&self, id: JobId, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        self.engine.payload(self.name, id, key).await
    }

    /// Lists dead letters, oldest append first.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a page of no or more than [`Page::LIMIT_MAX`] letters, or a storage
    /// error.
    pub async fn list(&self, filter: Filter, page: Page) -> Result<DeadLetters, Error> {
        if !(1..=Page::LIMIT_MAX).contains(&page.limit) {
            return Err(Error::Invalid { what: "a page has 1 to 1000 dead letters" });
        }
        self.engine.dead_letters(self.name, filter, page).await
    }

    /// Counts dead letters by cause, at most `letters_max` of them and [`CAUSE_LETTERS_MAX`] at most.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], or a storage error.
    pub async fn causes(&self, filter: Filter, letters_max: u32) -> Result<DeadCauses, Error> {
        self.engine.dead_causes(self.name, filter, letters_max.min(CAUSE_LETTERS_MAX)).await
    }

    /// Shows one dead letter with payload and history.
    ///
    /// # Errors
    ///
    /// [`Error::NoDeadLetter`], or a storage error.
    pub async fn show(&self, id: JobId) -> Result<DeadLetter, Error> {
        self.engine.dead_letter(self.name, id).await
    }

    /// Makes a dead letter an open job again: attempt 1, at its old place in the lane.
    ///
    /// # Errors
    ///
    /// [`Error::NoDeadLetter`], or a storage error.
    pub async fn redrive(&self, id: JobId) -> Result<(), Error> {
        self.engine.redrive(self.name, id).await
    }

    /// Drops a dead letter. Its id stays known for the retention time.
    ///
    /// # Errors
    ///
    /// [`Error::NoDeadLetter`], or a storage error.
    pub async fn drop(&self, id: JobId) -> Result<(), Error> {
        self.engine.discard(self.name, id).await
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Numbers by name that only rise, such as the last message seen of a conversation.
#[derive(Clone)]
pub struct Marks {
    engine: Arc<dyn Engine>,
}

impl Marks {
    /// The longest name in bytes.
    pub const NAME_BYTES_MAX: usize = 255;

    /// Reads a mark; `None` if it was never raised.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], or a storage error.
    pub async fn read(&self, name: &str) -> Result<Option<u64>, Error> {
        self.engine.read_mark(name.to_owned()).await
    }

    /// Raises a mark to `value`; a lower value changes nothing. Visible at once, on disk about a
    /// second later.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a name of no or more than 255 bytes or a value above `i64::MAX`,
    /// [`Error::Closed`], or a storage error.
    pub async fn raise(&self, name: &str, value: u64) -> Result<(), Error> {
        if name.is_empty() || name.len() > Self::NAME_BYTES_MAX {
            return Err(Error::Invalid { what: "the name of a mark has 1 to 255 bytes" });
        }
        if i64::try_from(value).is_err() {
            return Err(Error::Invalid { what: "a mark is at most 2^63 - 1" });
        }
        self.engine.raise_mark(name.to_owned(), value).await
    }
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Marks").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use static_assertions::assert_impl_all;

    use super::*;

    // Handles travel between tasks; a delivery may be settled by another task than took it.
    assert_impl_all!(Store: Clone, Debug, Send, Sync);
    assert_impl_all!(Queue: Clone, Debug, Send, Sync);
    assert_impl_all!(Marks: Clone, Debug, Send, Sync);
    assert_impl_all!(Documents: Clone, Debug, Send, Sync);
    assert_impl_all!(Delivery: Debug, Send, Sync);
    assert_impl_all!(Error: Clone, Debug, Send, Sync);
}

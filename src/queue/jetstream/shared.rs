//! What all calls and tasks of the engine have in common, and appending.
//!
//! Time and I/O enter through the fields; no call holds a lock across an `.await`. Every call under way
//! holds a token of `calls`, so that closing can wait for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::book::{BookEffect, Entering, JobName};
use super::dead::DeadIndex;
use super::dispatch::Dispatch;
use super::holding::Holding;
use super::log::{Log, RACES_MAX, Stored, Swap};
use super::marks::MarkBucket;
use super::names;
use super::record::{JobWork, Record, State};
use crate::clock::{Clock, Moment, Timestamp};
use crate::queue::lanes::Entry;
use crate::queue::{Append, Appended, Error, Key, QueueName};

/// How long an append waits until this process has read it back, if it is the one to deliver it.
const READ_BACK: Duration = Duration::from_secs(1);

/// How long who has to know what is stored waits for the reading to come so far.
pub(super) const READ_MAX: Duration = Duration::from_secs(3);

/// A note that only asks to be read.
pub(super) const NOTE: &[u8] = b"sync";

/// Says that the reading of a partition lags.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("what was stored has not been read yet")]
struct Behind;

/// The newest sequence of some partitions.
pub(super) type NewestSequence = BTreeMap<u16, u64>;

/// The engine behind its handles.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) lease_time: Duration,
    pub(super) retention: Duration,
    pub(super) dead_retention: Duration,
    pub(super) partitions: u16,
    pub(super) bytes_in_memory: usize,
    pub(super) log: Log,
    pub(super) dead: DeadIndex,
    pub(super) marks: MarkBucket,
    pub(super) dispatch: [Dispatch; QueueName::ALL.len()],
    pub(super) holdings: Mutex<BTreeMap<u16, Arc<Holding>>>,
    pub(super) closed: CancellationToken,
    pub(super) calls: TaskTracker,
    pub(super) tasks: TaskTracker,
    /// Unlike every other opening of the store.
    pub(super) me: String,
    pub(super) written: AtomicU64,
    /// When the stream of jobs was made.
    pub(super) created: i64,
}

impl Shared {
    pub(super) fn dispatch(&self, queue: QueueName) -> &Dispatch {
        let of = QueueName::ALL.iter().zip(&self.dispatch).find(|(name, _)| **name == queue);
        of.expect("every queue has a dispatch").1
    }

    /// Begins a call that closing waits for.
    pub(super) fn call(&self) -> Result<TaskTrackerToken, Error> {
        if self.closed.is_cancelled() {
            return Err(Error::Closed);
        }
        Ok(self.calls.token())
    }

    /// The signature of the next record that this process writes as a holder.
    pub(super) fn by(&self) -> Option<String> {
        Some(format!("{}.{}", self.me, self.written.fetch_add(1, Ordering::Relaxed)))
    }

    pub(super) fn partition_of(&self, key: &Key) -> u16 {
        names::partition_of(key, self.partitions)
    }

    pub(super) fn subject(&self, (queue, id): JobName, key: &Key) -> String {
        self.log.names().job(queue, self.partition_of(key), id)
    }

    pub(super) fn holdings(&self) -> MutexGuard<'_, BTreeMap<u16, Arc<Holding>>> {
        self.holdings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn holding(&self, partition: u16) -> Option<Arc<Holding>> {
        self.holdings().get(&partition).cloned()
    }

    /// Stores new jobs in this order, and waits until this process knows those that it delivers.
    pub(super) async fn append(
        &self,
        jobs: &[(QueueName, Append)],
    ) -> Result<Vec<Appended>, Error> {
        let (answers, newest) = self.store(jobs).await?;
        self.read_back_all(newest).await;
        Ok(answers)
    }

    /// Stores new jobs in this order; those that are known may be brought forward. Gives the newest
    /// sequence of each partition too.
    pub(super) async fn store(
        &self,
        jobs: &[(QueueName, Append)],
    ) -> Result<(Vec<Appended>, NewestSequence), Error> {
        let at = self.clock.wall();
        let mut sent = Vec::with_capacity(jobs.len());
        for (queue, job) in jobs {
            let subject = self.subject((*queue, job.id), &job.key);
            let message_id = format!("{queue}.{}", job.id);
            let record = Record::appended(job, at);
            sent.push(self.log.send_new(subject, &message_id, &record).await?);
        }
        let (mut answers, mut newest) = (Vec::with_capacity(jobs.len()), NewestSequence::new());
        for ((queue, job), sent) in jobs.iter().zip(sent) {
            answers.push(match self.log.stored(sent).await? {
                Stored::New(rev) => {
                    let partition = self.partition_of(&job.key);
                    self.holding(partition).inspect(|holding| holding.is_stored(rev));
                    newest.insert(partition, rev);
                    Appended::Added
                }
                Stored::Known(rev) => {
                    self.note_known((*queue, job), rev).await?;
                    self.bring_forward(*queue, job, at).await?;
                    Appended::Duplicate
                }
            });
        }
        Ok((answers, newest))
    }

    /// Notes how far the stream is to be read until a job is here that somebody else appended.
    async fn note_known(
        &self,
        (queue, job): (QueueName, &Append),
        rev: Option<u64>,
    ) -> Result<(), Error> {
        let Some(holding) = self.holding(self.partition_of(&job.key)) else { return Ok(()) };
        let rev = match rev {
            Some(rev) => Some(rev),
            None if holding.book().of((queue, job.id)).is_some() => None,
            None => {
                let subject = self.subject((queue, job.id), &job.key);
                self.log.read(&subject).await?.map(|(rev, _)| rev)
            }
        };
        rev.inspect(|&rev| holding.is_stored(rev));
        Ok(())
    }

    /// Waits until what anybody has stored in a partition is here, if it is held here: writes a note
    /// and reads until it comes back.
    pub(super) async fn sync(&self, partition: u16) -> Result<(), Error> {
        let Some(holding) = self.holding(partition).filter(|holding| holding.is_held()) else {
            return Ok(());
        };
        let rev = self.log.note(partition, NOTE.into()).await?;
        self.see(holding.wait_for(rev), READ_MAX).await
    }

    /// Waits so long at most for what is to be seen of the stream.
    pub(super) async fn see(
        &self,
        seen: impl Future<Output = ()>,
        most: Duration,
    ) -> Result<(), Error> {
        tokio::select! {
            biased;
            () = seen => Ok(()),
            () = self.closed.cancelled() => Err(Error::Closed),
            () = self.clock.sleep(most) => {
                Err(self.log.away("read", Behind))
            }
        }
    }

    /// Waits for what was stored in several partitions.
    pub(super) async fn read_back_all(&self, newest: NewestSequence) {
        for (partition, rev) in newest {
            self.read_back(partition, rev).await;
        }
    }

    /// Waits until this process knows what it wrote, if it is the one to act on it: who appends and
    /// then looks, sees.
    pub(super) async fn read_back(&self, partition: u16, rev: u64) {
        let Some(holding) = self.holding(partition) else { return };
        // It is stored: whoever has to know that it was read waits for that himself.
        let _read = self.see(holding.wait_for(rev), READ_BACK).await;
    }

    /// Lets a job that was never delivered go out earlier, if a second append asks for it.
    async fn bring_forward(
        &self,
        queue: QueueName,
        job: &Append,
        at: Timestamp,
    ) -> Result<(), Error> {
        let name = (queue, job.id);
        let Some(subject) = self.may_wait(name, &job.key) else { return Ok(()) };
        for _ in 0..RACES_MAX {
            let Some((rev, record)) = self.log.read(&subject).await? else { return Ok(()) };
            let Some(work) = record.open() else { return Ok(()) };
            let waits = work.not_before.filter(|&until| until > at && work.attempts == 0);
            let Some(until) = waits else { return Ok(()) };
            if job.not_before.is_some_and(|not_before| not_before >= until) {
                return Ok(());
            }
            let next = JobWork { not_before: job.not_before, ..work.clone() };
            let next = record.then(rev, State::Open(next), None);
            match self.log.swap(&subject, rev, &next).await? {
                Swap::Done(rev) => {
                    self.read_back(self.partition_of(&record.key), rev).await;
                    return Ok(());
                }
                Swap::Changed => {}
            }
        }
        Ok(())
    }

    /// The subject of a known job, unless it is known here that it does not wait for a time.
    fn may_wait(&self, name: JobName, key: &Key) -> Option<String> {
        let partition = self.partition_of(key);
        let holdings = self.holdings();
        for holding in holdings.values() {
            let book = holding.book();
            if let Some(known) = book.of(name) {
                let waits = known.record.open().is_some_and(|work| work.not_before.is_some());
                return waits.then(|| self.log.names().job(name.0, holding.partition, name.1));
            }
        }
        let is_settled =
            holdings.get(&partition).is_some_and(|holding| holding.book().is_caught_up());
        (!is_settled).then(|| self.log.names().job(name.0, partition, name.1))
    }

    /// Does what a record asks for that can be done at once; gives back what needs the server.
    pub(super) fn apply(&self, holding: &Holding, effect: BookEffect) -> Option<BookEffect> {
        let now = self.clock.now();
        match effect {
            BookEffect::Enter(entering) => {
                self.enter(holding, &entering);
                None
            }
            BookEffect::BringForward { queue, key, born, not_before } => {
                let due = self.due(not_before);
                self.dispatch(queue)
                    .change(holding, |lanes| lanes.bring_forward(now, &key, born, due));
                None
            }
            BookEffect::Finish { .. } | BookEffect::List { .. } => Some(effect),
        }
    }

    /// Puts a job into its lane.
    pub(super) fn enter(&self, holding: &Holding, entering: &Entering) {
        let entry = self.entry(entering);
        let now = self.clock.now();
        self.dispatch(entering.queue)
            .change(holding, |lanes| lanes.enter(now, &entering.key, entry));
    }

    pub(super) fn entry(&self, entering: &Entering) -> Entry {
        Entry {
            seq: entering.born,
            position: entering.position,
            not_before: self.due(entering.not_before),
            attempts: entering.attempts,
            suspect: entering.suspect,
        }
    }

    /// A time of the wall on this process's own clock.
    pub(super) fn due(&self, not_before: Option<Timestamp>) -> Moment {
        let now = self.clock.now();
        not_before.map_or(now, |not_before| now + not_before.since(self.clock.wall()))
    }
}

//! What one transaction does, operation by operation.
//!
//! Turns each call into rows and into the effects that the lanes hear of after the commit. Knows
//! neither threads nor channels and reads no clock. An error of SQLite ends the whole batch; a call
//! that cannot be done (no such dead letter) is answered and leaves the batch alone.

use rusqlite::Connection;

use super::documents::{self, NewDocument};
use super::rows::{self, Loaded};
use crate::clock::{Moment, Timestamp};
use crate::queue::lanes::{Begun, BegunJob, Entry, Lanes, LeaseId};
use crate::queue::{Append, Appended, Cause, Error, JobId, Key, QueueName};

/// One thing to write.
pub(super) enum Write {
    Append(Vec<NewJob>),
    Settle(Settle),
    Redrive(LetterName),
    Discard(LetterName),
    /// Answers that it was added, or that another one was faster.
    Document(NewDocument),
    /// Answers that it was added if the document of this revision was there and is forgotten.
    Forget {
        name: String,
        revision: u64,
    },
}

/// A job to append, with the caller's times.
pub(super) struct NewJob {
    pub(super) queue: QueueName,
    pub(super) job: Append,
    /// `not_before` on the engine's own clock.
    pub(super) due: Moment,
    pub(super) now: Moment,
    pub(super) at: Timestamp,
}

/// A settlement whose lease was found good.
pub(super) struct Settle {
    pub(super) queue: QueueName,
    pub(super) lease: LeaseId,
    pub(super) begun: Begun,
    pub(super) how: SettledHow,
    pub(super) now: Moment,
    pub(super) at: Timestamp,
}

/// What becomes of the settled jobs.
pub(super) enum SettledHow {
    Ack(Vec<NewJob>),
    Retry { due: Moment, not_before: Timestamp, cause: Cause },
    Dead(Cause),
}

/// Names a dead letter.
pub(super) struct LetterName {
    pub(super) queue: QueueName,
    pub(super) id: JobId,
    pub(super) now: Moment,
    pub(super) at: Timestamp,
}

/// What one call is told.
pub(super) type WriteAnswer = Result<Vec<Appended>, Error>;

/// What the lanes are told after the commit.
pub(super) enum CommitEffect {
    /// `loaded` is what its first consumer gets; `None` where only the file has it.
    Enter {
        queue: QueueName,
        key: Key,
        entry: Entry,
        loaded: Option<Loaded>,
        now: Moment,
    },
    BringForward {
        queue: QueueName,
        key: Key,
        seq: u64,
        due: Moment,
        now: Moment,
    },
    Finish {
        queue: QueueName,
        lease: LeaseId,
        now: Moment,
    },
    FinishFirst {
        queue: QueueName,
        lease: LeaseId,
        now: Moment,
    },
    Hold {
        queue: QueueName,
        lease: LeaseId,
        until: Moment,
        now: Moment,
    },
}

impl CommitEffect {
    /// Whose lanes hear of it.
    pub(super) const fn queue(&self) -> QueueName {
        match *self {
            Self::Enter { queue, .. }
            | Self::BringForward { queue, .. }
            | Self::Finish { queue, .. }
            | Self::FinishFirst { queue, .. }
            | Self::Hold { queue, .. } => queue,
        }
    }

    /// Does it.
    pub(super) fn carry_out(self, lanes: &mut Lanes) {
        match self {
            Self::Enter { key, entry, now, .. } => lanes.enter(now, &key, entry),
            Self::BringForward { key, seq, due, now, .. } => {
                lanes.bring_forward(now, &key, seq, due);
            }
            Self::Finish { lease, now, .. } => lanes.finish(now, lease),
            Self::FinishFirst { lease, now, .. } => lanes.finish_first(now, lease),
            Self::Hold { lease, until, now, .. } => lanes.hold(now, lease, until),
        }
    }
}

/// One transaction in the making.
pub(super) struct Batch<'a> {
    db: &'a Connection,
    seq_last: i64,
    effects: Vec<CommitEffect>,
}

impl<'a> Batch<'a> {
    pub(super) const fn new(db: &'a Connection, seq_last: i64) -> Self {
        Self { db, seq_last, effects: Vec::new() }
    }

    /// Gives what the lanes have to hear, and the last `seq` in use.
    pub(super) fn into_effects(self) -> (i64, Vec<CommitEffect>) {
        (self.seq_last, self.effects)
    }

    /// Does one thing within the transaction. Takes the payloads with it: nobody asks for them again
    /// whether or not it is committed.
    pub(super) fn apply(&mut self, write: &mut Write) -> rusqlite::Result<WriteAnswer> {
        match write {
            Write::Append(jobs) => self.append(jobs),
            Write::Settle(settle) => self.settle(settle),
            Write::Redrive(letter) => self.redrive(letter),
            Write::Discard(letter) => self.discard(letter),
            Write::Document(document) => self.put_document(document),
            Write::Forget { name, revision } => self.remove_document(name, *revision),
        }
    }

    /// Stores jobs, or brings forward those that wait.
    fn append(&mut self, jobs: &mut [NewJob]) -> rusqlite::Result<WriteAnswer> {
        jobs.iter_mut().map(|job| self.append_one(job)).collect::<rusqlite::Result<_>>().map(Ok)
    }

    /// Stores what became of a delivery.
    fn settle(&mut self, settle: &mut Settle) -> rusqlite::Result<WriteAnswer> {
        let Settle { queue, lease, begun, how, now, at } = settle;
        let (queue, lease, now, at) = (*queue, *lease, *now, *at);
        let all = || std::iter::once(&begun.first).chain(&begun.absorbed);
        match how {
            SettledHow::Ack(jobs) => {
                for BegunJob { seq, redelivered, .. } in all() {
                    rows::finish(self.db, row_id(*seq), at, *redelivered)?;
                }
                self.effects.push(CommitEffect::Finish { queue, lease, now });
                self.append(jobs)
            }
            SettledHow::Retry { due, not_before, cause } => {
                for BegunJob { seq, attempts, .. } in all() {
                    rows::record_attempt(self.db, row_id(*seq), at, cause)?;
                    rows::postpone(self.db, row_id(*seq), *attempts, *not_before)?;
                }
                self.effects.push(CommitEffect::Hold { queue, lease, until: *due, now });
                Ok(Ok(Vec::new()))
            }
            SettledHow::Dead(cause) => {
                let seq = row_id(begun.first.seq);
                rows::record_attempt(self.db, seq, at, cause)?;
                rows::bury(self.db, seq, queue, at)?;
                self.effects.push(CommitEffect::FinishFirst { queue, lease, now });
                Ok(Ok(Vec::new()))
            }
        }
    }

    /// Makes a dead letter an open job.
    fn redrive(&mut self, letter: &LetterName) -> rusqlite::Result<WriteAnswer> {
        let LetterName { queue, id, now, at } = *letter;
        let Some((seq, key, position)) = rows::exhume(self.db, queue, id)? else {
            return Ok(Err(Error::NoDeadLetter { queue, id }));
        };
        rows::reopen(self.db, seq, at)?;
        let entry = Entry {
            seq: seq.unsigned_abs(),
            position,
            not_before: now,
            attempts: 0,
            suspect: true,
        };
        self.effects.push(CommitEffect::Enter { queue, key, entry, now, loaded: None });
        Ok(Ok(Vec::new()))
    }

    /// Forgets a dead letter but not its id.
    fn discard(&self, letter: &LetterName) -> rusqlite::Result<WriteAnswer> {
        let LetterName { queue, id, at, .. } = *letter;
        let Some((seq, ..)) = rows::exhume(self.db, queue, id)? else {
            return Ok(Err(Error::NoDeadLetter { queue, id }));
        };
        rows::finish(self.db, seq, at, true)?;
        Ok(Ok(Vec::new()))
    }

    /// Writes a document as far as nobody else has.
    fn put_document(&self, document: &NewDocument) -> rusqlite::Result<WriteAnswer> {
        let is_written = documents::write(self.db, document)?;
        Ok(Ok(vec![if is_written { Appended::Added } else { Appended::Duplicate }]))
    }

    /// Forgets a document as far as nobody has written it.
    fn remove_document(&self, name: &str, revision: u64) -> rusqlite::Result<WriteAnswer> {
        let is_removed = documents::remove(self.db, name, revision)?;
        Ok(Ok(vec![if is_removed { Appended::Added } else { Appended::Duplicate }]))
    }

    fn append_one(&mut self, new: &mut NewJob) -> rusqlite::Result<Appended> {
        let NewJob { queue, job, due, now, at } = new;
        let (queue, due, now) = (*queue, *due, *now);
        let seq = self.seq_last + 1;
        if rows::insert(self.db, seq, (queue, job), *at)? {
            self.seq_last = seq;
            let entry = Entry {
                seq: seq.unsigned_abs(),
                position: job.position,
                not_before: due,
                attempts: 0,
                suspect: false,
            };
            let loaded = Loaded {
                id: job.id,
                position: job.position,
                appended_at: *at,
                payload: std::mem::take(&mut job.payload),
            };
            let key = job.key.clone();
            self.effects.push(CommitEffect::Enter { queue, key, entry, now, loaded: Some(loaded) });
            return Ok(Appended::Added);
        }
        if let Some(known) = rows::find(self.db, queue, job.id)?
            && let Some(waits_until) = known.not_before
            && known.is_open
            && job.not_before.is_none_or(|not_before| not_before < waits_until)
            && rows::bring_forward(self.db, known.seq, job.not_before)?
        {
            let (key, seq) = (known.key, known.seq.unsigned_abs());
            self.effects.push(CommitEffect::BringForward { queue, key, seq, due, now });
        }
        Ok(Appended::Duplicate)
    }
}

/// The row of a job that the lanes name; both count from 1.
fn row_id(seq: u64) -> i64 {
    i64::try_from(seq).expect("every seq came from a row")
}

//! What the holder of a partition knows of its open jobs.
//!
//! Pure: records go in as the stream gives them, what the lanes have to hear comes out. The stream
//! also echoes what this process wrote; the book tells that from what others did, by sequence.
//!
//! | a record newer than what is known, of a job that is | here | unknown | just settled here |
//! | --- | --- | --- | --- |
//! | `Open`, written by anybody | brought forward | enters | an echo if not newer than what settled it, else enters |
//! | any state, written by a holder | to be looked at before its next delivery | see next lines | an echo |
//! | `Moved` | " | to be finished | an echo |
//! | `Dead` | " | its letter is to be checked | an echo |
//! | `Done` | " | nothing | an echo |
//!
//! While a job is being written here ([`JobBook::begin`]) what comes in about it waits until the outcome
//! is known ([`JobBook::settled`], [`JobBook::rewritten`], [`JobBook::unknown`]).

use std::collections::HashMap;

use bytes::Bytes;

use super::record::{Record, State};
use crate::clock::Timestamp;
use crate::queue::{JobId, Key, QueueName};

/// Names a job of the store.
pub(super) type JobName = (QueueName, JobId);

/// One partition's open jobs.
#[derive(Default)]
pub(super) struct JobBook {
    jobs: HashMap<JobName, Known>,
    by_born: HashMap<u64, JobName>,
    /// Jobs settled here whose echo has not come yet, with the sequence that settled them.
    gone: HashMap<JobName, u64>,
    /// What came before the partition was gained is read: from here on jobs are new.
    caught_up: bool,
    /// The last sequence read.
    seen: u64,
    bytes: usize,
    bytes_max: usize,
}

/// What is known of one open job.
pub(super) struct Known {
    pub(super) name: JobName,
    /// The sequence of its newest record, as far as is known.
    pub(super) rev: u64,
    pub(super) born: u64,
    /// Nobody but this holder can have delivered it, and `rev` is its newest record.
    pub(super) is_ours: bool,
    pub(super) record: Record,
    /// Whether the record has its payload; past the bound it is kept without.
    pub(super) is_whole: bool,
    is_busy: bool,
    later: Option<(u64, Record)>,
}

/// What is to be done about a record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum BookEffect {
    Enter(Entering),
    BringForward {
        queue: QueueName,
        key: Key,
        born: u64,
        not_before: Option<Timestamp>,
    },
    /// A settlement that a former holder could not finish.
    Finish {
        name: JobName,
    },
    /// A dead letter that a former holder may not have listed.
    List {
        name: JobName,
    },
}

/// An open job on its way into its lane.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entering {
    pub(super) queue: QueueName,
    pub(super) key: Key,
    pub(super) born: u64,
    pub(super) position: Option<u64>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) attempts: u32,
    pub(super) suspect: bool,
}

impl JobBook {
    /// Keeps records of up to so many bytes in all.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// Takes a record that the stream holds at `rev`.
    pub(super) fn read(&mut self, name: JobName, rev: u64, record: Record) -> Option<BookEffect> {
        self.seen = self.seen.max(rev);
        if let Some(&settled) = self.gone.get(&name) {
            if rev >= settled {
                self.gone.remove(&name);
            }
            if rev <= settled {
                return None;
            }
        }
        let Some(known) = self.jobs.get_mut(&name) else { return self.take_in(name, rev, record) };
        if rev <= known.rev {
            return None;
        }
        if known.is_busy {
            known.later = Some((rev, record));
            return None;
        }
        self.update(name, rev, record)
    }

    /// Notes that the stream was read up to here, though not with a job.
    pub(super) fn read_other(&mut self, rev: u64) {
        self.seen = self.seen.max(rev);
    }

    /// Ends the reading of what was there before; gives what waits, in the order of the appends.
    pub(super) fn catch_up(&mut self) -> Vec<Entering> {
        self.caught_up = true;
        let mut entering: Vec<_> = self.jobs.values().filter_map(entering).collect();
        entering.sort_by_key(|entering| entering.born);
        entering
    }

    /// The job of a lane's entry.
    pub(super) fn of_born(&self, born: u64) -> Option<&Known> {
        self.by_born.get(&born).and_then(|name| self.jobs.get(name))
    }

    /// A job by its name.
    pub(super) fn of(&self, name: JobName) -> Option<&Known> {
        self.jobs.get(&name)
    }

    /// Whether all jobs of the partition are here.
    pub(super) const fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// When a job was appended.
    pub(super) fn appended_at(&self, born: u64) -> Option<Timestamp> {
        self.of_born(born).map(|known| known.record.appended_at)
    }

    /// From here until its outcome is noted, a record is being written.
    pub(super) fn begin(&mut self, name: JobName) {
        if let Some(known) = self.jobs.get_mut(&name) {
            known.is_busy = true;
        }
    }

    /// The job is settled by a record of sequence `rev`; what came in meanwhile may open it again.
    pub(super) fn settled(&mut self, name: JobName, rev: u64) -> Option<BookEffect> {
        let known = self.remove(name)?;
        match known.later {
            Some((later, record)) if later > rev => self.take_in(name, later, record),
            Some((later, _)) if later == rev => None,
            Some(_) | None => {
                if self.seen < rev {
                    self.gone.insert(name, rev);
                }
                None
            }
        }
    }

    /// The job is open with this newer record, which this holder wrote.
    pub(super) fn rewritten(
        &mut self,
        name: JobName,
        rev: u64,
        record: Record,
    ) -> Option<BookEffect> {
        self.know(name, rev, record, true);
        self.release(name)
    }

    /// The job turned out to have this record, which somebody else may have written; gives how it
    /// enters its lane anew.
    pub(super) fn found(&mut self, name: JobName, rev: u64, record: Record) -> Option<Entering> {
        self.know(name, rev, record, false);
        let known = self.jobs.get_mut(&name)?;
        (known.is_busy, known.later) = (false, None);
        entering(known)
    }

    /// Nobody knows whether what was written is stored.
    pub(super) fn unknown(&mut self, name: JobName) {
        if let Some(known) = self.jobs.get_mut(&name) {
            (known.is_busy, known.is_ours, known.later) = (false, false, None);
        }
    }

    /// No open or unfinished job of the partition has a record below this sequence.
    pub(super) fn floor(&self) -> u64 {
        self.jobs.values().map(|known| known.rev).min().unwrap_or(self.seen + 1).min(self.seen + 1)
    }

    fn release(&mut self, name: JobName) -> Option<BookEffect> {
        let known = self.jobs.get_mut(&name)?;
        known.is_busy = false;
        let (later, record) = known.later.take()?;
        (later > known.rev).then(|| self.update(name, later, record)).flatten()
    }

    /// A newer record of a job that waits or is out here.
    fn update(&mut self, name: JobName, rev: u64, record: Record) -> Option<BookEffect> {
        let known = self.jobs.get_mut(&name)?;
        if !self.caught_up && record.open().is_some() {
            self.know(name, rev, record, false);
            return None;
        }
        if record.by.is_some() || record.open().is_none() {
            // A write whose outcome was unknown, or another holder: the stream is asked before the
            // job goes out again.
            known.is_ours = false;
            return None;
        }
        let (born, is_ours) = (known.born, known.is_ours);
        let not_before = record.open().and_then(|work| work.not_before);
        let key = record.key.clone();
        self.know(name, rev, record, is_ours);
        Some(BookEffect::BringForward { queue: name.0, key, born, not_before })
    }

    /// A record of a job that is not known here.
    fn take_in(&mut self, name: JobName, rev: u64, record: Record) -> Option<BookEffect> {
        match &record.state {
            State::Open(_) => {
                let born = record.born.unwrap_or(rev);
                let known = Known {
                    name,
                    rev,
                    born,
                    is_ours: self.caught_up,
                    record: without_payload(&record),
                    is_whole: false,
                    is_busy: false,
                    later: None,
                };
                let enters = self.caught_up.then(|| entering(&known)).flatten();
                self.jobs.insert(name, known);
                self.by_born.insert(born, name);
                self.know(name, rev, record, self.caught_up);
                enters.map(BookEffect::Enter)
            }
            State::Moved(_) => Some(BookEffect::Finish { name }),
            State::Dead(..) => Some(BookEffect::List { name }),
            State::Done => None,
        }
    }

    fn know(&mut self, name: JobName, rev: u64, record: Record, is_ours: bool) {
        let Some(known) = self.jobs.get_mut(&name) else { return };
        self.bytes -= size(&known.record);
        known.rev = rev;
        known.is_ours = is_ours;
        known.is_whole = self.bytes + size(&record) <= self.bytes_max;
        known.record = if known.is_whole { record } else { without_payload(&record) };
        self.bytes += size(&known.record);
    }

    fn remove(&mut self, name: JobName) -> Option<Known> {
        let known = self.jobs.remove(&name)?;
        self.by_born.remove(&known.born);
        self.bytes -= size(&known.record);
        Some(known)
    }
}

/// The bytes that count towards the bound: payloads; the rest of a record is small.
fn size(record: &Record) -> usize {
    record.open().map_or(0, |work| work.payload.len())
}

/// The record of an open job without what takes room.
fn without_payload(record: &Record) -> Record {
    let mut record = record.clone();
    if let State::Open(work) = &mut record.state {
        work.payload = Bytes::new();
    }
    record
}

/// How a job enters its lane. What was open when the partition was gained may have had effects.
fn entering(known: &Known) -> Option<Entering> {
    let work = known.record.open()?;
    Some(Entering {
        queue: known.name.0,
        key: known.record.key.clone(),
        born: known.born,
        position: known.record.position,
        not_before: work.not_before,
        attempts: work.attempts,
        suspect: !known.is_ours || work.redriven,
    })
}

#[cfg(test)]
mod tests;

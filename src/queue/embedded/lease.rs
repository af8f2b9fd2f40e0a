//! The right to settle one delivery, and to take the next jobs of its lane along.
//!
//! Decides nothing: the lanes say which job goes along and whether the lease holds. What goes along is
//! read from the file, outside the lanes' lock; what could not be read, or was read for a consumer that
//! is gone, waits again as if nobody had seen it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::batch::{NewJob, Settle, SettledHow, Write};
use super::dispatch::Grown;
use super::reader::Reader;
use super::rows::{self, Loaded};
use super::shared::Shared;
use super::writer::{Op, Submit};
use crate::clock::Clock;
use crate::queue::engine::{Lease, Settlement};
use crate::queue::lanes::{Along, Lanes, LeaseId, Lost};
use crate::queue::{Absorbed, Append, Appended, Error, JobId, QueueName};

/// How long a job is held back that could not be read.
pub(super) const HOLD_AFTER_UNREADABLE: Duration = Duration::from_secs(5);

/// The right to settle one delivery of the embedded engine.
pub(super) struct EmbeddedLease {
    pub(super) shared: Arc<Shared>,
    pub(super) submit: Submit,
    pub(super) reader: Reader,
    pub(super) clock: Clock,
    pub(super) queue: QueueName,
    pub(super) lease: LeaseId,
    pub(super) lease_time: Duration,
    pub(super) id: JobId,
}

impl EmbeddedLease {
    /// Lets the job wait without a word to the disk.
    fn set_aside(
        &self,
        change: impl FnOnce(&mut Lanes) -> Result<(), Lost>,
    ) -> Result<Vec<Appended>, Error> {
        let set_aside = self.shared.dispatch(self.queue).change(change);
        set_aside.map(|()| Vec::new()).map_err(|Lost| Error::LeaseLost { id: self.id })
    }

    async fn settle_now(&self, settlement: Settlement) -> Result<Vec<Appended>, Error> {
        let (now, at) = (self.clock.now(), self.clock.wall());
        let how = match settlement {
            Settlement::Ack(jobs) => SettledHow::Ack(new_jobs(jobs, self.clock)),
            Settlement::Retry(delay, cause) => {
                SettledHow::Retry { due: now + delay, not_before: at + delay, cause }
            }
            Settlement::Dead(cause) => SettledHow::Dead(cause),
            Settlement::PutOff(delay) => {
                return self.set_aside(|lanes| lanes.put_off(now, self.lease, now + delay));
            }
            Settlement::Shelve(delay) => {
                return self.set_aside(|lanes| lanes.shelve(now, self.lease, now + delay));
            }
            Settlement::Park(delay) => {
                return self.set_aside(|lanes| lanes.park(now, self.lease, now + delay));
            }
        };
        let begun = self
            .shared
            .dispatch(self.queue)
            .lanes()
            .begin(now, self.lease)
            .map_err(|Lost| Error::LeaseLost { id: self.id })?;
        let mut undo = GiveBack { lease: self, armed: true };
        let place = self.submit.reserve().await?;
        let (answer, answered) = oneshot::channel();
        let settle = Settle { queue: self.queue, lease: self.lease, begun, how, now, at };
        place.send(Op::Write(Write::Settle(settle), answer));
        undo.armed = false;
        answered.await.map_err(|_| Error::Closed)?
    }
}

impl Lease for EmbeddedLease {
    fn absorb(&self, max: usize) -> BoxFuture<'_, Result<Vec<Absorbed>, Error>> {
        absorb(self, max).boxed()
    }

    fn leave(&self, seqs: &[u64]) {
        let now = self.clock.now();
        self.shared.dispatch(self.queue).change(|lanes| lanes.restore(now, self.lease, seqs, now));
    }

    fn settle(&self, settlement: Settlement) -> BoxFuture<'_, Result<Vec<Appended>, Error>> {
        self.settle_now(settlement).boxed()
    }

    fn extend(&self) -> BoxFuture<'_, Result<(), Error>> {
        let extended = self
            .shared
            .dispatch(self.queue)
            .change(|lanes| lanes.extend(self.clock.now(), self.lease, self.lease_time));
        std::future::ready(extended.map_err(|Lost| Error::LeaseLost { id: self.id })).boxed()
    }

    fn grown(&self) -> BoxFuture<'_, Result<(), Error>> {
        async {
            let dispatch = self.shared.dispatch(self.queue);
            dispatch.grown(self.clock, self.lease, &self.shared.closed).await.map_err(|why| {
                match why {
                    Grown::Lost => Error::LeaseLost { id: self.id },
                    Grown::Closed => Error::Closed,
                }
            })
        }
        .boxed()
    }

    fn is_held(&self) -> bool {
        self.shared.dispatch(self.queue).lanes().holds(self.clock.now(), self.lease)
    }

    fn lost(&self) -> BoxFuture<'_, ()> {
        // Nobody else works on this file.
        std::future::pending().boxed()
    }

    fn overtaken(&self) -> BoxFuture<'_, Result<bool, Error>> {
        // What is stored is in its lane before its append is answered.
        let overtaken = self.shared.dispatch(self.queue).lanes().is_overtaken(self.lease);
        std::future::ready(Ok(overtaken)).boxed()
    }

    fn give_back(&self) {
        self.shared
            .dispatch(self.queue)
            .change(|lanes| lanes.give_back(self.clock.now(), self.lease));
    }
}

/// Gives the job back if its consumer goes away before the writer has the settlement.
struct GiveBack<'a> {
    lease: &'a EmbeddedLease,
    armed: bool,
}

impl Drop for GiveBack<'_> {
    fn drop(&mut self) {
        if self.armed {
            let now = self.lease.clock.now();
            self.lease
                .shared
                .dispatch(self.lease.queue)
                .change(|lanes| lanes.hold(now, self.lease.lease, now));
        }
    }
}

/// Notes when each job was appended and, on the engine's own clock, when it is due.
pub(super) fn new_jobs(jobs: Vec<(QueueName, Append)>, clock: Clock) -> Vec<NewJob> {
    let (now, at) = (clock.now(), clock.wall());
    jobs.into_iter()
        .map(|(queue, job)| {
            let due = job.not_before.map_or(now, |not_before| now + not_before.since(at));
            NewJob { queue, job, due, now, at }
        })
        .collect()
}

/// Takes up to `max` jobs along. Cancel safe.
async fn absorb(lease: &EmbeddedLease, max: usize) -> Result<Vec<Absorbed>, Error> {
    let dispatch = lease.shared.dispatch(lease.queue);
    let along = dispatch
        .lanes()
        .absorb(lease.clock.now(), lease.lease, max)
        .map_err(|Lost| Error::LeaseLost { id: lease.id })?;
    if along.is_empty() {
        return Ok(Vec::new());
    }
    let seqs: Vec<_> = along.iter().map(|job| job.seq).collect();
    let mut unread = Unread { lease, seqs, is_damaged: false };
    let loaded = load(lease, &unread.seqs).await.inspect_err(|_| unread.is_damaged = true)?;
    unread.seqs.clear();
    Ok(along.into_iter().zip(loaded).map(|(along, loaded)| absorbed(along, loaded)).collect())
}

/// Reads jobs, in the order asked for; what is still at hand is not read.
async fn load(lease: &EmbeddedLease, seqs: &[u64]) -> Result<Vec<Loaded>, Error> {
    let EmbeddedLease { shared, reader, .. } = lease;
    let mut loaded: Vec<_> = seqs.iter().map(|&seq| shared.fresh.take(seq)).collect();
    let missing = loaded.iter().zip(seqs).filter(|(found, _)| found.is_none());
    let rows: Vec<_> = missing.map(|(_, &seq)| i64::try_from(seq).unwrap_or(0)).collect();
    if !rows.is_empty() {
        let read = move |db: &rusqlite::Connection| {
            rows.iter().map(|&row| rows::load(db, row)).collect::<rusqlite::Result<Vec<_>>>()
        };
        let mut found = reader.read(&shared.fault, read).await?.into_iter().flatten();
        for place in loaded.iter_mut().filter(|place| place.is_none()) {
            *place = found.next();
        }
    }
    let loaded: Option<Vec<_>> = loaded.into_iter().collect();
    loaded.ok_or_else(|| shared.fault.damaged("payload missing"))
}

fn absorbed(along: Along, loaded: Loaded) -> Absorbed {
    let Loaded { id, position, appended_at, payload } = loaded;
    let Along { seq, attempt, redelivered } = along;
    Absorbed { seq, id, position, appended_at, payload, attempt, redelivered }
}

/// Jobs between the lanes and their consumer. Dropped, they wait again.
struct Unread<'a> {
    lease: &'a EmbeddedLease,
    seqs: Vec<u64>,
    is_damaged: bool,
}

impl Drop for Unread<'_> {
    fn drop(&mut self) {
        if self.seqs.is_empty() {
            return;
        }
        let EmbeddedLease { shared, clock, queue, lease, .. } = self.lease;
        let now = clock.now();
        let until = if self.is_damaged { now + HOLD_AFTER_UNREADABLE } else { now };
        shared.dispatch(*queue).change(|lanes| lanes.restore(now, *lease, &self.seqs, until));
    }
}

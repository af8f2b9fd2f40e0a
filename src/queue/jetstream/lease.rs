//! The right to settle one delivery and what it absorbed.
//!
//! Three fences: the lease of this process's own lanes, the claim on the partition, and the sequence of
//! the record at the server, which alone holds against everybody. A settlement whose outcome stays
//! unknown leaves its jobs in doubt; they come again about a second later and are looked at then.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::book::JobName;
use super::dispatch::Grown;
use super::holding::Holding;
use super::record::{JobWork, Moved, Record, State};
use super::shared::{READ_MAX, Shared};
use super::stamp::{HOLD, prepare};
use crate::clock::{Moment, Timestamp};
use crate::queue::engine::{Lease, Settlement};
use crate::queue::lanes::{Along, BegunJob, LeaseId, Lost};
use crate::queue::{Absorbed, Appended, Cause, Error};

/// How long jobs are held back whose settlement could not be stored.
const HOLD_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The lease of one delivered job.
pub(super) struct JetLease {
    pub(super) shared: Arc<Shared>,
    pub(super) holding: Arc<Holding>,
    pub(super) name: JobName,
    pub(super) lease: LeaseId,
}

/// One job of a settlement, with its deliveries so far.
#[derive(Clone, Copy)]
struct Settling {
    name: JobName,
    attempts: u32,
}

/// What the lanes hear at the end of a settlement.
enum SettlementEnd {
    Finish,
    FinishFirst,
    Hold(Moment),
}

impl JetLease {
    pub(super) const fn lost(&self) -> Error {
        Error::LeaseLost { id: self.name.1 }
    }

    async fn settle_now(&self, settlement: Settlement) -> Result<Vec<Appended>, Error> {
        let Self { shared, holding, name, lease } = self;
        let _call = shared.call()?;
        let (now, at) = (shared.clock.now(), shared.clock.wall());
        if !holding.is_held() {
            return Err(self.lost());
        }
        let dispatch = shared.dispatch(name.0);
        let set_aside = match settlement {
            Settlement::PutOff(delay) => {
                Some(dispatch.change(holding, |lanes| lanes.put_off(now, *lease, now + delay)))
            }
            Settlement::Shelve(delay) => {
                Some(dispatch.change(holding, |lanes| lanes.shelve(now, *lease, now + delay)))
            }
            Settlement::Park(delay) => {
                Some(dispatch.change(holding, |lanes| lanes.park(now, *lease, now + delay)))
            }
            Settlement::Ack(_) | Settlement::Retry(..) | Settlement::Dead(_) => None,
        };
        if let Some(done) = set_aside {
            return done.unwrap_or(Err(Lost)).map(|()| Vec::new()).map_err(|Lost| self.lost());
        }
        let begun = dispatch.look(holding, |lanes| lanes.begin(now, *lease));
        let begun = begun.unwrap_or(Err(Lost)).map_err(|Lost| self.lost())?;
        let first = Settling { name: *name, attempts: begun.first.attempts };
        let along = self.along(&begun.absorbed);
        let names = std::iter::once(first).chain(along.iter().copied()).map(|job| job.name);
        let mut undo = LeaveInDoubt { lease: self, names: names.collect(), armed: true };
        let (answers, end) = match settlement {
            Settlement::Ack(appends) => {
                let along = along.iter().map(|job| job.name.1).collect();
                (self.ack(Moved { appends, along }).await?, SettlementEnd::Finish)
            }
            Settlement::Retry(delay, cause) => {
                self.retry(&[&[first], &*along].concat(), (delay, &cause), at).await?;
                (Vec::new(), SettlementEnd::Hold(now + delay))
            }
            Settlement::Dead(cause) => {
                self.bury(first, &cause, at).await?;
                (Vec::new(), SettlementEnd::FinishFirst)
            }
            Settlement::PutOff(_) | Settlement::Shelve(_) | Settlement::Park(_) => {
                (Vec::new(), SettlementEnd::Hold(now))
            }
        };
        undo.armed = false;
        let now = shared.clock.now();
        dispatch.change(holding, |lanes| match end {
            SettlementEnd::Finish => lanes.finish(now, *lease),
            SettlementEnd::FinishFirst => lanes.finish_first(now, *lease),
            SettlementEnd::Hold(until) => lanes.hold(now, *lease, until),
        });
        Ok(answers)
    }

    /// Settles for good, and carries out what that brings.
    async fn ack(&self, moved: Moved) -> Result<Vec<Appended>, Error> {
        let Self { shared, holding, name, .. } = self;
        let is_plain = moved.appends.is_empty() && moved.along.is_empty();
        let state = if is_plain { State::Done } else { State::Moved(moved) };
        holding.book().begin(*name);
        let exchanged = shared.exchange(holding, *name, |_| state.clone()).await?;
        let (rev, record) = exchanged.ok_or_else(|| self.lost())?;
        let completed = shared.complete(holding, *name, (rev, &record)).await?;
        self.settled(completed.rev);
        shared.read_back_all(completed.newest).await;
        Ok(completed.answers)
    }

    /// Notes an attempt in vain with every job. Only the first must succeed: what is not noted of the
    /// others is a count.
    async fn retry(
        &self,
        jobs: &[Settling],
        (delay, cause): (Duration, &Cause),
        at: Timestamp,
    ) -> Result<(), Error> {
        let Self { shared, holding, .. } = self;
        for (nth, &Settling { name, attempts }) in jobs.iter().enumerate() {
            holding.book().begin(name);
            let again = |work: &JobWork| {
                let work = work.failed(at, cause);
                State::Open(JobWork { attempts, not_before: Some(at + delay), ..work })
            };
            match shared.exchange(holding, name, again).await? {
                Some((rev, record)) => {
                    let later = holding.book().rewritten(name, rev, record);
                    later.and_then(|effect| shared.apply(holding, effect));
                }
                None if nth == 0 => return Err(self.lost()),
                None => holding.book().unknown(name),
            }
        }
        Ok(())
    }

    /// Makes the first job a dead letter.
    async fn bury(&self, first: Settling, cause: &Cause, at: Timestamp) -> Result<(), Error> {
        let Self { shared, holding, name, .. } = self;
        let dead = |work: &JobWork| {
            State::Dead(JobWork { attempts: first.attempts, ..work.failed(at, cause) }, at)
        };
        holding.book().begin(*name);
        let exchanged = shared.exchange(holding, *name, dead).await?;
        let (rev, record) = exchanged.ok_or_else(|| self.lost())?;
        shared.complete(holding, *name, (rev, &record)).await?;
        self.settled(rev);
        Ok(())
    }

    fn settled(&self, rev: u64) {
        let later = self.holding.book().settled(self.name, rev);
        later.and_then(|effect| self.shared.apply(&self.holding, effect));
    }

    fn along(&self, absorbed: &[BegunJob]) -> Vec<Settling> {
        let book = self.holding.book();
        let of = |job: &BegunJob| {
            let name = book.of_born(job.seq)?.name;
            Some(Settling { name, attempts: job.attempts })
        };
        absorbed.iter().filter_map(of).collect()
    }
}

impl Lease for JetLease {
    fn absorb(&self, max: usize) -> BoxFuture<'_, Result<Vec<Absorbed>, Error>> {
        absorb(self, max).boxed()
    }

    fn leave(&self, seqs: &[u64]) {
        let Self { shared, holding, name, lease } = self;
        let now = shared.clock.now();
        shared.dispatch(name.0).change(holding, |lanes| lanes.restore(now, *lease, seqs, now));
    }

    fn settle(&self, settlement: Settlement) -> BoxFuture<'_, Result<Vec<Appended>, Error>> {
        self.settle_now(settlement).boxed()
    }

    fn extend(&self) -> BoxFuture<'_, Result<(), Error>> {
        let Self { shared, holding, name, lease } = self;
        let extended = shared
            .dispatch(name.0)
            .change(holding, |lanes| lanes.extend(shared.clock.now(), *lease, shared.lease_time));
        let is_held = extended.unwrap_or(Err(Lost)).is_ok() && holding.is_held();
        std::future::ready(if is_held { Ok(()) } else { Err(self.lost()) }).boxed()
    }

    fn grown(&self) -> BoxFuture<'_, Result<(), Error>> {
        async {
            let Self { shared, holding, name, lease } = self;
            let dispatch = shared.dispatch(name.0);
            let grown = dispatch.grown(shared.clock, (holding, *lease), &shared.closed).await;
            grown.map_err(|why| match why {
                Grown::Lost => self.lost(),
                Grown::Closed => Error::Closed,
            })
        }
        .boxed()
    }

    fn is_held(&self) -> bool {
        let Self { shared, holding, name, lease } = self;
        let now = shared.clock.now();
        let holds = shared.dispatch(name.0).look(holding, |lanes| lanes.holds(now, *lease));
        holds.unwrap_or(false) && holding.is_held()
    }

    fn lost(&self) -> BoxFuture<'_, ()> {
        self.holding.ended.cancelled().boxed()
    }

    fn overtaken(&self) -> BoxFuture<'_, Result<bool, Error>> {
        async {
            let Self { shared, holding, name, lease } = self;
            shared.see(holding.wait_for_stored(), READ_MAX).await?;
            let dispatch = shared.dispatch(name.0);
            Ok(dispatch.look(holding, |lanes| lanes.is_overtaken(*lease)).unwrap_or(false))
        }
        .boxed()
    }

    fn give_back(&self) {
        let Self { shared, holding, name, lease } = self;
        let now = shared.clock.now();
        shared.dispatch(name.0).change(holding, |lanes| lanes.give_back(now, *lease));
    }
}

/// Leaves the jobs in doubt if their settlement fails or their consumer goes away in the middle.
struct LeaveInDoubt<'a> {
    lease: &'a JetLease,
    names: Vec<JobName>,
    armed: bool,
}

impl Drop for LeaveInDoubt<'_> {
    fn drop(&mut self) {
        if self.armed {
            let JetLease { shared, holding, name, lease } = self.lease;
            let now = shared.clock.now();
            self.names.iter().for_each(|&name| holding.book().unknown(name));
            shared.dispatch(name.0).change(holding, |lanes| {
                lanes.hold(now, *lease, now + HOLD_AFTER_FAILURE);
            });
        }
    }
}

/// Takes the next jobs of a delivery's lane along. Cancel safe.
async fn absorb(lease: &JetLease, max: usize) -> Result<Vec<Absorbed>, Error> {
    let JetLease { shared, holding, name, lease: id } = lease;
    let _call = shared.call()?;
    let now = shared.clock.now();
    let along = shared.dispatch(name.0).look(holding, |lanes| lanes.absorb(now, *id, max));
    let along = along.unwrap_or(Err(Lost)).map_err(|Lost| lease.lost())?;
    let seqs = along.iter().map(|job| job.seq).collect();
    let mut unread = Unread { lease, seqs, hold: HOLD };
    let mut absorbed = Vec::with_capacity(along.len());
    for Along { seq, attempt, redelivered } in along {
        let prepared = prepare(shared, holding, seq).await?;
        let Some(((_, id), Record { position, appended_at, state: State::Open(work), .. })) =
            prepared
        else {
            // It is looked at when it is the first of its lane; what is behind it waits with it.
            unread.hold = Duration::ZERO;
            unread.seqs.drain(..absorbed.len());
            return Ok(absorbed);
        };
        let payload = work.payload.to_vec();
        absorbed.push(Absorbed { seq, id, position, appended_at, payload, attempt, redelivered });
    }
    unread.seqs.clear();
    Ok(absorbed)
}

/// Jobs between the lanes and a delivery that takes them along. Dropped, they wait again.
struct Unread<'a> {
    lease: &'a JetLease,
    seqs: Vec<u64>,
    hold: Duration,
}

impl Drop for Unread<'_> {
    fn drop(&mut self) {
        if self.seqs.is_empty() {
            return;
        }
        let JetLease { shared, holding, name, lease } = self.lease;
        let now = shared.clock.now();
        shared
            .dispatch(name.0)
            .change(holding, |lanes| lanes.restore(now, *lease, &self.seqs, now + self.hold));
    }
}

//! Hands out the jobs of one queue and takes leases back.
//!
//! The lanes behind a lock that is held for a few map operations and never across an `.await`, and a
//! bell for those who wait. Decides nothing; [`Lanes`] does.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::batch::{How, NewJob, Settle, Write};
use super::writer::{Op, Submit};
use super::{Reader, Shared, absorb};
use crate::clock::Clock;
use crate::queue::engine::{Lease, Settlement};
use crate::queue::lanes::{Lanes, LeaseId, Lost, Taken};
use crate::queue::{Absorbed, Append, Appended, Error, JobId, QueueName};

/// One queue's lanes.
#[derive(Debug, Default)]
pub(super) struct Dispatch {
    lanes: Mutex<Lanes>,
    bell: Notify,
    /// Rung at every change, for those who watch a lane of theirs.
    changed: Notify,
}

impl Dispatch {
    /// Looks at the lanes without changing what is due.
    pub(super) fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the lanes and wakes a consumer, who may find something due or a nearer deadline.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Lanes) -> T) -> T {
        let result = change(&mut self.lanes());
        self.bell.notify_one();
        self.changed.notify_waiters();
        result
    }

    /// Waits until a job is due behind a leased one. Cancel safe.
    pub(super) async fn grown(
        &self,
        clock: Clock,
        lease: LeaseId,
        closed: &CancellationToken,
    ) -> Result<(), Grown> {
        loop {
            let mut changed = pin!(self.changed.notified());
            // From here on no change is missed, also not one before the first poll.
            changed.as_mut().enable();
            if closed.is_cancelled() {
                return Err(Grown::Closed);
            }
            let now = clock.now();
            let due = self.lanes().behind(now, lease).map_err(|Lost| Grown::Lost)?;
            if due.is_some_and(|due| due <= now) {
                return Ok(());
            }
            tokio::select! {
                () = changed => {}
                () = clock.sleep_until_or_never(due) => {}
                () = closed.cancelled() => {}
            }
        }
    }

    /// Waits for the next job. Cancel safe.
    pub(super) async fn take(
        &self,
        clock: Clock,
        lease_time: Duration,
        closed: &CancellationToken,
    ) -> Result<Taken, Error> {
        // Whoever leaves, also by being dropped, passes the bell on: another consumer may sleep
        // towards a later deadline than the one that this consumer had seen.
        let _pass_on = PassOn(&self.bell);
        loop {
            let rung = self.bell.notified();
            if closed.is_cancelled() {
                return Err(Error::Closed);
            }
            let deadline = {
                let mut lanes = self.lanes();
                if let Some(taken) = lanes.take(clock.now(), lease_time) {
                    return Ok(taken);
                }
                lanes.deadline()
            };
            tokio::select! {
                () = rung => {}
                () = clock.sleep_until_or_never(deadline) => {}
                () = closed.cancelled() => {}
            }
        }
    }
}

/// Why there is nothing to wait for behind a job.
pub(super) enum Grown {
    /// The lease is over.
    Lost,
    /// The store is closed.
    Closed,
}

struct PassOn<'a>(&'a Notify);

impl Drop for PassOn<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

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
            Settlement::Ack(jobs) => How::Ack(new_jobs(jobs, self.clock)),
            Settlement::Retry(delay, cause) => {
                How::Retry { due: now + delay, not_before: at + delay, cause }
            }
            Settlement::Dead(cause) => How::Dead(cause),
            Settlement::PutOff(delay) => {
                return self.set_aside(|lanes| lanes.put_off(now, self.lease, now + delay));
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
        let mut undo = Undo { lease: self, armed: true };
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
        absorb::absorb(self, max).boxed()
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
struct Undo<'a> {
    lease: &'a EmbeddedLease,
    armed: bool,
}

impl Drop for Undo<'_> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::queue::Key;
    use crate::queue::lanes::Entry;

    const LEASE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_consumer_that_leaves_passes_on_what_it_had_seen() {
        let (dispatch, clock, closed) =
            (Dispatch::default(), Clock::start(), CancellationToken::new());
        let mut first = Box::pin(dispatch.take(clock, LEASE, &closed));
        let mut second = Box::pin(dispatch.take(clock, LEASE, &closed));
        assert!(futures::poll!(&mut first).is_pending());
        assert!(futures::poll!(&mut second).is_pending());
        enter(&dispatch, 1, Moment::ORIGIN + Duration::from_secs(5));
        // The bell rings once, and the first to wait hears it: only that one knows of second 5.
        assert!(futures::poll!(&mut first).is_pending());
        drop(first);
        let taken = tokio::time::timeout(LEASE, second).await.expect("nobody woke").unwrap();
        assert_eq!(taken.seq, 1);
        assert_eq!(clock.now(), Moment::ORIGIN + Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn one_ring_reaches_every_consumer_there_is_work_for() {
        let (dispatch, clock, closed) =
            (Dispatch::default(), Clock::start(), CancellationToken::new());
        let takes: Vec<_> = (0..3).map(|_| dispatch.take(clock, LEASE, &closed)).collect();
        let mut all = Box::pin(futures::future::join_all(takes));
        assert!(futures::poll!(&mut all).is_pending());
        {
            let mut lanes = dispatch.lanes();
            for seq in 1..=3 {
                lanes.enter(Moment::ORIGIN, &Key::new(seq.to_string()).unwrap(), entry(seq));
            }
        }
        dispatch.bell.notify_one();
        let taken = tokio::time::timeout(LEASE / 2, all).await.expect("somebody slept on");
        assert!(taken.iter().all(Result::is_ok));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_runs_out_wakes_who_waits() {
        let (dispatch, clock, closed) =
            (Dispatch::default(), Clock::start(), CancellationToken::new());
        enter(&dispatch, 1, Moment::ORIGIN);
        let late = dispatch.take(clock, LEASE, &closed).await.unwrap();
        let again = dispatch.take(clock, LEASE, &closed).await.unwrap();
        assert_eq!((again.seq, again.attempt, again.redelivered), (1, 2, true));
        assert_eq!(clock.now(), Moment::ORIGIN + LEASE);
        assert_eq!(dispatch.lanes().begin(clock.now(), late.lease), Err(Lost));
    }

    #[tokio::test(start_paused = true)]
    async fn closing_wakes_who_waits() {
        let (dispatch, clock, closed) =
            (Dispatch::default(), Clock::start(), CancellationToken::new());
        let mut take = Box::pin(dispatch.take(clock, LEASE, &closed));
        assert!(futures::poll!(&mut take).is_pending());
        closed.cancel();
        assert!(matches!(take.await, Err(Error::Closed)));
    }

    fn enter(dispatch: &Dispatch, seq: u64, not_before: Moment) {
        let key = Key::new(seq.to_string()).unwrap();
        dispatch.change(|lanes| {
            lanes.enter(Moment::ORIGIN, &key, Entry { not_before, ..entry(seq) });
        });
    }

    fn entry(seq: u64) -> Entry {
        Entry { seq, position: None, not_before: Moment::ORIGIN, attempts: 0, suspect: false }
    }
}

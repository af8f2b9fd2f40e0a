//! Hands out the jobs of one queue.
//!
//! The lanes behind a lock that is held for a few map operations and never across an `.await`, and a
//! bell for those who wait. Decides nothing; [`Lanes`] does.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::batch::CommitEffect;
use crate::clock::Clock;
use crate::queue::Error;
use crate::queue::lanes::{Lanes, LeaseId, Lost, Taken};

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

    /// Does what follows from a commit under one lock, and wakes as many consumers as there may be jobs.
    pub(super) fn carry_out(&self, effects: Vec<CommitEffect>) {
        let count = effects.len();
        if count == 0 {
            return;
        }
        {
            let mut lanes = self.lanes();
            for effect in effects {
                effect.carry_out(&mut lanes);
            }
        }
        for _ in 0..count {
            self.bell.notify_one();
        }
        self.changed.notify_waiters();
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

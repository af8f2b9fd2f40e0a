//! Hands out the jobs of one queue from the partitions that are held.
//!
//! One set of lanes for each holding, behind one lock that is held for a few map operations and never
//! across an `.await`, and bells for those who wait. Among partitions the lane that became due first
//! goes first. Decides nothing else; [`Lanes`] does.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::holding::Holding;
use crate::clock::{Clock, Moment};
use crate::queue::lanes::{Counts, LaneCounts, Lanes, LeaseId, Lost, Taken};
use crate::queue::{Error, LanesAsked};

/// One queue's lanes.
#[derive(Default)]
pub(super) struct Dispatch {
    shelves: Mutex<Vec<Shelf>>,
    bell: Notify,
    /// Rung at every change, for those who watch a lane of theirs.
    changed: Notify,
}

/// The lanes of one holding.
struct Shelf {
    holding: Arc<Holding>,
    lanes: Lanes,
    /// Whether jobs still go out.
    is_open: bool,
}

impl Dispatch {
    /// Puts the lanes of a holding up.
    pub(super) fn put_up(&self, holding: &Arc<Holding>, lanes: Lanes) {
        self.shelves().push(Shelf { holding: Arc::clone(holding), lanes, is_open: true });
        self.ring();
    }

    /// Hands out nothing more of a holding and says how many jobs of it are out.
    pub(super) fn wind_down(&self, holding: &Holding) -> u64 {
        let mut shelves = self.shelves();
        let Some(shelf) = find(&mut shelves, holding) else { return 0 };
        shelf.is_open = false;
        shelf.lanes.counts(Moment::ORIGIN).leased
    }

    /// Takes the lanes of a holding down: who has a lease of it has lost it.
    pub(super) fn take_down(&self, holding: &Holding) {
        self.shelves().retain(|shelf| shelf.holding.generation != holding.generation);
        self.ring();
    }

    /// Changes the lanes of a holding and wakes a consumer; `None` if they were taken down.
    pub(super) fn change<T>(
        &self,
        holding: &Holding,
        change: impl FnOnce(&mut Lanes) -> T,
    ) -> Option<T> {
        let result = find(&mut self.shelves(), holding).map(|shelf| change(&mut shelf.lanes));
        self.ring();
        result
    }

    /// Looks at the lanes of a holding, without waking anybody.
    pub(super) fn look<T>(
        &self,
        holding: &Holding,
        look: impl FnOnce(&mut Lanes) -> T,
    ) -> Option<T> {
        find(&mut self.shelves(), holding).map(|shelf| look(&mut shelf.lanes))
    }

    /// Counts the jobs of each holding.
    pub(super) fn counts(&self, now: Moment) -> Vec<(Arc<Holding>, Counts)> {
        let count = |shelf: &Shelf| (Arc::clone(&shelf.holding), shelf.lanes.counts(now));
        self.shelves().iter().map(count).collect()
    }

    /// Counts the jobs of some lanes of each holding.
    pub(super) fn open(&self, asked: &LanesAsked) -> Vec<(Arc<Holding>, LaneCounts)> {
        let shelves = self.shelves();
        let open = shelves.iter().flat_map(|shelf| {
            shelf.lanes.open(asked).into_iter().map(move |lane| (Arc::clone(&shelf.holding), lane))
        });
        open.collect()
    }

    /// Waits until a job is due behind a leased one. Cancel safe.
    pub(super) async fn grown(
        &self,
        clock: Clock,
        (holding, lease): (&Holding, LeaseId),
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
            let behind = self.look(holding, |lanes| lanes.behind(now, lease));
            let due = behind.unwrap_or(Err(Lost)).map_err(|Lost| Grown::Lost)?;
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
    ) -> Result<(Arc<Holding>, Taken), Error> {
        // Whoever leaves, also by being dropped, passes the bell on: another consumer may sleep
        // towards a later deadline than the one that this consumer had seen.
        let _pass_on = PassOn(&self.bell);
        loop {
            let rung = self.bell.notified();
            if closed.is_cancelled() {
                return Err(Error::Closed);
            }
            let deadline = {
                let mut shelves = self.shelves();
                if let Some(taken) = take_due(&mut shelves, clock.now(), lease_time) {
                    return Ok(taken);
                }
                let open = shelves.iter().filter(|shelf| shelf.may_give());
                open.filter_map(|shelf| shelf.lanes.deadline()).min()
            };
            tokio::select! {
                () = rung => {}
                () = clock.sleep_until_or_never(deadline) => {}
                () = closed.cancelled() => {}
            }
        }
    }

    fn ring(&self) {
        self.bell.notify_one();
        self.changed.notify_waiters();
    }

    fn shelves(&self) -> MutexGuard<'_, Vec<Shelf>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is nothing to wait for behind a job.
pub(super) enum Grown {
    /// The lease is over.
    Lost,
    /// The store is closed.
    Closed,
}

impl Shelf {
    fn may_give(&self) -> bool {
        self.is_open && self.holding.is_held()
    }
}

struct PassOn<'a>(&'a Notify);

impl Drop for PassOn<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

fn find<'a>(shelves: &'a mut [Shelf], holding: &Holding) -> Option<&'a mut Shelf> {
    shelves.iter_mut().find(|shelf| shelf.holding.generation == holding.generation)
}

/// Leases the job that has been due for longest.
fn take_due(
    shelves: &mut [Shelf],
    now: Moment,
    lease_time: Duration,
) -> Option<(Arc<Holding>, Taken)> {
    let mut due: Vec<(Moment, usize)> = Vec::new();
    for (at, shelf) in shelves.iter().enumerate() {
        let deadline = shelf.lanes.deadline().filter(|&deadline| deadline <= now);
        due.extend(deadline.filter(|_| shelf.may_give()).map(|deadline| (deadline, at)));
    }
    due.sort_unstable();
    due.into_iter().find_map(|(_, at)| {
        let shelf = &mut shelves[at];
        let taken = shelf.lanes.take(now, lease_time)?;
        Some((Arc::clone(&shelf.holding), taken))
    })
}

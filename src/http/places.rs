//! The places that a listener's connections take, and who leaves when all are taken.
//!
//! The longest idle connection makes room for a new one, as its client can open another where a new
//! client would wait for nothing. One that was asked and has a request by then stays.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::watch::Watch;
use crate::clock::Clock;

/// A listener's places.
#[derive(Debug)]
pub(super) struct Places {
    permits: Arc<Semaphore>,
    open: Mutex<Open>,
    rested: Arc<Notify>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    watches: HashMap<u64, Arc<Watch>>,
}

impl Places {
    /// Has `connections_max` places.
    pub(super) fn new(connections_max: usize) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(connections_max));
        let (open, rested, clock) = (Mutex::default(), Arc::default(), Clock::start());
        Arc::new(Self { permits, open, rested, clock })
    }

    /// Takes a place, for which the longest idle connection leaves if there is no other.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes no place; who was asked to leave may do so all the same.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        loop {
            if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
                return self.enter(permit);
            }
            self.ask_longest_idle();
            tokio::select! {
                permit = Arc::clone(&self.permits).acquire_owned() => {
                    let permit = permit.expect("the semaphore is never closed");
                    return self.enter(permit);
                }
                () = self.rested.notified() => {}
            }
        }
    }

    fn enter(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Place {
        let watch = Arc::new(Watch::new(self.clock, Arc::clone(&self.rested)));
        let mut open = self.lock();
        let id = open.next;
        open.next += 1;
        let _ = open.watches.insert(id, Arc::clone(&watch));
        drop(open);
        Place { watch, id, places: Arc::clone(self), _permit: permit }
    }

    /// Asks one connection to leave, unless one that was asked is about to.
    fn ask_longest_idle(&self) {
        let open = self.lock();
        if open.watches.values().any(|watch| watch.is_asked()) {
            return;
        }
        let idle = open.watches.values().filter_map(|watch| Some((watch.idle_since()?, watch)));
        let longest = idle.min_by_key(|(since, _)| *since).map(|(_, watch)| Arc::clone(watch));
        drop(open);
        if let Some(watch) = longest {
            watch.ask();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) watch: Arc<Watch>,
    id: u64,
    places: Arc<Places>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.places.lock().watches.remove(&self.id);
    }
}

//! The places that a listener's connections take, and how those are told who leave for others.
//!
//! Decides nothing: [`Crowd`] does. One that was asked and has a request by then stays.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;

use super::crowd::{Bounds, Crowd, CrowdAdmission, Home};
use super::phase::Limits;
use super::watch::{News, Verdict, Watch};
use crate::clock::{Clock, Moment};
use crate::net::network::{Network, neighbourhood};

/// How often it is said in the log that connections made room for others.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// A listener's places.
#[derive(Debug)]
pub(super) struct ConnectionSlots {
    table: Mutex<SlotTable>,
    /// Told when a connection has ended, waits, or will not leave after all.
    changed: Notify,
    trusted: Arc<[Network]>,
    clock: Clock,
}

#[derive(Debug)]
struct SlotTable {
    crowd: Crowd,
    watches: HashMap<u64, Arc<Watch>>,
    /// How many made room or got none since it was said, and when that was.
    asked: u64,
    said_at: Option<Moment>,
}

impl ConnectionSlots {
    /// Has the places that the bounds allow.
    pub(super) fn new(bounds: Bounds, trusted: Arc<[Network]>, clock: Clock) -> Arc<Self> {
        let crowd = Crowd::new(bounds);
        let table = SlotTable { crowd, watches: HashMap::new(), asked: 0, said_at: None };
        let (table, changed) = (Mutex::new(table), Notify::new());
        Arc::new(Self { table, changed, trusted, clock })
    }

    /// Takes a place for somebody, for which another connection leaves if there is no other; `None` if
    /// he is refused.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes no place.
    pub(super) async fn take(self: &Arc<Self>, peer: IpAddr) -> Option<ConnectionSlot> {
        let is_trusted = self.trusted.iter().any(|network| network.contains(peer));
        let home = Home { network: neighbourhood(peer), is_trusted };
        loop {
            let until = match self.admit(home) {
                Ok(place) => return place,
                Err(until) => until,
            };
            tokio::select! {
                () = self.changed.notified() => {}
                () = self.clock.sleep_until_or_never(until) => {}
            }
        }
    }

    fn admit(self: &Arc<Self>, home: Home) -> Result<Option<ConnectionSlot>, Option<Moment>> {
        let now = self.clock.now();
        let mut table = self.lock();
        let (id, asked) = match table.crowd.admit(home, now) {
            CrowdAdmission::Enter { id, asked } => (id, asked),
            CrowdAdmission::Refuse => {
                table.say_asked(now);
                return Ok(None);
            }
            CrowdAdmission::Wait { until } => return Err(until),
        };
        if let Some(asked) = asked {
            if let Some(watch) = table.watches.get(&asked) {
                watch.ask();
            }
            table.say_asked(now);
        }
        let watch = Arc::new(Watch::new(self.clock));
        table.watches.insert(id, Arc::clone(&watch));
        drop(table);
        Ok(Some(ConnectionSlot { watch, id, slots: Arc::clone(self) }))
    }

    fn lock(&self) -> MutexGuard<'_, SlotTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SlotTable {
    /// Says at times that connections made room or got none, and how many.
    fn say_asked(&mut self, now: Moment) {
        self.asked += 1;
        if self.said_at.is_none_or(|said| now.since(said) >= SAID_EVERY) {
            let count = std::mem::take(&mut self.asked);
            self.said_at = Some(now);
            tracing::warn!(
                count,
                "connections were ended or refused, since others need their places"
            );
        }
    }
}

/// One connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    pub(super) watch: Arc<Watch>,
    id: u64,
    slots: Arc<ConnectionSlots>,
}

impl ConnectionSlot {
    /// Whether the connection is to leave now; otherwise when it is to be looked at again.
    ///
    /// To be asked after hyper has read what there is, by the connection's task, which is woken when
    /// its place is needed.
    pub(super) fn verdict(&self, limits: Limits, waker: &Waker) -> Verdict {
        let (verdict, news) = self.watch.verdict(limits, waker);
        if let News::WaitsFor(rest) = news {
            self.slots.lock().crowd.note(self.id, rest);
            self.slots.changed.notify_one();
        }
        verdict
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut table = self.slots.lock();
        table.crowd.leave(self.id);
        table.watches.remove(&self.id);
        drop(table);
        self.slots.changed.notify_one();
    }
}

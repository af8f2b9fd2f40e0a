//! How fast each of our addresses sends.
//!
//! The rule is [`policy::row`](super::policy::row)'s; here it meets the clock and the replies that wait.
//! One whose time is far goes back to the queue and keeps its place, so that a slow number holds up
//! nobody else's replies.

use std::num::NonZeroU32;
use std::time::Duration;

use dashmap::DashMap;
use uuid::Uuid;

use super::policy::row::Row;
use crate::channels::instances::Instances;
use crate::channels::reservations::{Departure, Reservations};
use crate::clock::{Clock, Moment};
use crate::pii::Pii;

/// The rows of all our addresses.
#[derive(Debug)]
pub struct SenderPace {
    clock: Clock,
    instances: Instances,
    /// One for each of our addresses, which configuration bounds.
    rows: DashMap<Pii, Row>,
    reservations: Reservations,
}

impl SenderPace {
    /// Starts with empty rows, shared by all instances.
    #[must_use]
    pub fn new(clock: Clock, instances: Instances) -> Self {
        Self { clock, instances, rows: DashMap::new(), reservations: Reservations::default() }
    }

    /// The place that a reply has kept in the row of its address since it was put off.
    #[must_use]
    pub fn kept(&self, reply: Uuid) -> Option<Moment> {
        self.reservations.of(reply)
    }

    /// Takes a place in the row of an address, as long as so many segments take.
    #[must_use]
    pub fn take(&self, (ours, rate): (&Pii, NonZeroU32), segments: u32) -> Moment {
        let part = NonZeroU32::new(self.instances.part_of(rate.get()));
        let now = self.clock.now();
        self.row(ours, |row| row.reserve(part.unwrap_or(NonZeroU32::MIN), segments, now))
    }

    /// Waits for a reply's place in its row; gives how long it is to be put off if that is far, and then
    /// keeps the place.
    pub async fn wait_for(&self, reply: Uuid, due: Moment) -> Option<Duration> {
        match self.reservations.depart(reply, due, self.clock.now()) {
            Departure::At(due) => {
                self.clock.sleep_until(due).await;
                None
            }
            Departure::Later(wait) => Some(wait),
        }
    }

    /// Hears that an address was too fast.
    pub fn refused(&self, ours: &Pii) {
        let now = self.clock.now();
        self.row(ours, |row| row.refused(now));
        tracing::warn!(
            address = ours.masked(),
            "an address sends too fast for twilio; it slows down"
        );
    }

    fn row<T>(&self, ours: &Pii, change: impl FnOnce(&mut Row) -> T) -> T {
        change(&mut self.rows.entry(ours.clone()).or_default())
    }
}

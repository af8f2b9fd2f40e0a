//! The places of replies in the rows that they leave by.
//!
//! A reply takes its place once. While its time is far it goes back to the queue and keeps the place, so
//! that a slow number holds up nobody else's replies.

use std::time::Duration;

use uuid::Uuid;

use crate::clock::Moment;
use crate::recent::Recent;

/// How long a reply waits with the sender; one whose time is further off goes back to the queue.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// How many places in a row are remembered at most; to forget one costs a place.
const PLACES_MAX: usize = 100_000;

/// When a reply may go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Departure {
    /// At that moment, which is near.
    At(Moment),
    /// It is to ask again after so long; its place is kept.
    Later(Duration),
}

/// The places that are taken and not used yet.
#[derive(Debug)]
pub struct Reservations(Recent<Uuid, Moment>);

impl Default for Reservations {
    fn default() -> Self {
        Self(Recent::new(PLACES_MAX))
    }
}

impl Reservations {
    /// The place that a reply has taken, if it has.
    #[must_use]
    pub fn of(&self, reply: Uuid) -> Option<Moment> {
        self.0.get(&reply)
    }

    /// Uses a reply's place if its time is near, else keeps it.
    pub fn depart(&self, reply: Uuid, due: Moment, now: Moment) -> Departure {
        let wait = due.since(now);
        if wait <= WAIT_MAX {
            self.0.remove(&reply);
            return Departure::At(due);
        }
        self.0.insert(reply, due);
        Departure::Later(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_kept_until_its_time_is_near() {
        let (places, reply) = (Reservations::default(), Uuid::from_u128(1));
        let due = Moment::ORIGIN + Duration::from_secs(3);
        let after = |seconds| Moment::ORIGIN + Duration::from_secs(seconds);
        assert_eq!(places.of(reply), None);
        let later = Departure::Later(Duration::from_secs(3));
        assert_eq!(places.depart(reply, due, after(0)), later);
        assert_eq!(places.of(reply), Some(due));
        assert_eq!(places.depart(reply, due, after(2)), Departure::At(due));
        assert_eq!(places.of(reply), None, "it is used");
    }
}

//! The pace of each of our numbers: so many message segments a second, if the operator says so.
//!
//! Carriers take one segment a second from a long code. Twilio queues what is more for four hours and
//! then lets it fail, so a burst is better kept here, where nothing fails of age. A reply takes its
//! place in the row of each number that it leaves by; while its time is far it goes back to the queue
//! and keeps the place, so that slow numbers hold up nobody else's replies. Which numbers a
//! conversation has is Twilio's to say, and is remembered for a while.
//!
//! Source: error dictionary 30001, read 2026-11-21.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::bounded_map::BoundedMap;
use crate::channels::conversations::facts::ConversationFacts;
use crate::channels::conversations::memory::CountedBy;
use crate::channels::instances::Instances;
use crate::channels::reservations::{Departure, Reservations};
use crate::channels::segments;
use crate::clock::{Clock, Moment};
use crate::jobs::pace::{Pace, Rate};
use crate::pii::Pii;
use crate::twilio::rest;
use crate::twilio::sid::ConversationSid;

/// How long it is remembered which numbers a conversation has: phones come and go.
const KNOWN_FOR: Duration = Duration::from_secs(300);
/// How many numbers have a row at most; one that has sent nothing for a while is forgotten.
const NUMBERS_MAX: usize = 100_000;

/// The rows of all numbers.
pub struct NumberLimits {
    rate: NonZeroU32,
    instances: Instances,
    facts: Arc<ConversationFacts>,
    clock: Clock,
    send_limits: BoundedMap<Pii, Pace>,
    reservations: Reservations,
}

impl NumberLimits {
    /// Starts with empty rows; `rate` is in segments a second and number, shared by all instances.
    #[must_use]
    pub fn new(
        rate: NonZeroU32,
        instances: Instances,
        facts: Arc<ConversationFacts>,
        clock: Clock,
    ) -> Self {
        Self {
            rate,
            instances,
            facts,
            clock,
            send_limits: BoundedMap::new(NUMBERS_MAX),
            reservations: Reservations::default(),
        }
    }

    /// Says when a reply may leave by all the numbers of its conversation.
    ///
    /// # Errors
    ///
    /// If Twilio does not say which these are.
    pub async fn departure(
        &self,
        reply: Uuid,
        conversation: ConversationSid,
        text: &str,
    ) -> Result<Departure, rest::Error> {
        let due = match self.reservations.of(reply) {
            Some(due) => due,
            None => {
                let numbers = self.facts.numbers(conversation, KNOWN_FOR).await?;
                let rate = Rate::within(self.instances.part_of(self.rate.get()));
                reserve(&self.send_limits, rate, (&numbers, text), self.clock.now())
            }
        };
        Ok(self.reservations.depart(reply, due, self.clock.now()))
    }
}

/// Takes a place in the row of each number; gives the latest moment of them.
fn reserve(
    send_limits: &BoundedMap<Pii, Pace>,
    rate: Rate,
    (numbers, text): (&[(Pii, CountedBy)], &str),
    now: Moment,
) -> Moment {
    let mut due = now;
    for (number, channel) in numbers {
        let weight = match channel {
            CountedBy::Segments => segments::count(text),
            CountedBy::Messages => 1,
        };
        let own = send_limits.change(
            number.clone(),
            |pace| pace.worth(now),
            |pace| {
                let due = pace.reserve(rate, now);
                for _ in 1..weight {
                    pace.reserve(rate, now);
                }
                due
            },
        );
        due = due.max(own);
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_a_row_of_its_own_and_long_texts_take_more_places() {
        let send_limits = BoundedMap::new(NUMBERS_MAX);
        let (one, two) = (Pii::new("+15555550100"), Pii::new("+15555550101"));
        let due = |numbers: &[(Pii, CountedBy)], text: &str| {
            let due = reserve(&send_limits, Rate::within(1), (numbers, text), Moment::ORIGIN);
            due.since(Moment::ORIGIN).as_secs()
        };
        let sms = |number: &Pii| [(number.clone(), CountedBy::Segments)];
        assert_eq!(due(&sms(&one), "short"), 0);
        assert_eq!(due(&sms(&one), &"long ".repeat(60)), 1);
        assert_eq!(due(&sms(&one), "short"), 3, "the long one took two");
        assert_eq!(due(&sms(&two), "short"), 0);
        let group = [sms(&two), sms(&two), sms(&one)].concat();
        assert_eq!(due(&group, "to three phones"), 4);
        assert_eq!(due(&sms(&two), "short"), 3);
        assert_eq!(due(&[], "in a chat"), 0);
        let whatsapp = [(Pii::new("whatsapp:+15555550100"), CountedBy::Messages)];
        assert_eq!(due(&whatsapp, &"long ".repeat(60)), 0);
        assert_eq!(due(&whatsapp, "short"), 1, "a message is a message");
    }
}

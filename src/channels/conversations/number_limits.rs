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

use dashmap::DashMap;
use uuid::Uuid;

use crate::channels::instances::Instances;
use crate::channels::segments;
use crate::clock::{Clock, Moment};
use crate::jobs::pace::{Pace, Rate};
use crate::pii::Pii;
use crate::recent::Recent;
use crate::twilio::rest;
use crate::twilio::sid::ConversationSid;

/// How long a reply waits with the sender; one whose time is further off goes back to the queue.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// How long it is remembered which numbers a conversation has: phones come and go.
const KNOWN_FOR: Duration = Duration::from_secs(300);
/// How many conversations, and how many places in a row, are remembered at most; to forget one
/// costs a question or a place and nothing else.
const REMEMBERED_MAX: usize = 100_000;

/// When a reply may go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Departure {
    /// At that moment, which is near.
    At(Moment),
    /// It is to ask again after so long; its place is kept.
    Later(Duration),
}

/// The rows of all numbers.
pub struct NumberLimits {
    rate: NonZeroU32,
    instances: Instances,
    rest: rest::Client,
    clock: Clock,
    send_limits: DashMap<Pii, Pace>,
    places: Recent<Uuid, Moment>,
    numbers: Recent<ConversationSid, (Moment, Numbers)>,
}

/// By which of our numbers a conversation's messages leave, each as often as there are phones.
type Numbers = Arc<[(Pii, Channel)]>;

/// How what leaves by a number is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Channel {
    /// By segments.
    Sms,
    /// By messages.
    Other,
}

impl NumberLimits {
    /// Starts with empty rows; `rate` is in segments a second and number, shared by all instances.
    #[must_use]
    pub fn new(rate: NonZeroU32, instances: Instances, rest: rest::Client, clock: Clock) -> Self {
        Self {
            rate,
            instances,
            rest,
            clock,
            send_limits: DashMap::new(),
            places: Recent::new(REMEMBERED_MAX),
            numbers: Recent::new(REMEMBERED_MAX),
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
        let due = match self.places.get(&reply) {
            Some(due) => due,
            None => {
                let numbers = self.numbers(conversation).await?;
                let rate = Rate::within(self.instances.part_of(self.rate.get()));
                reserve(&self.send_limits, rate, (&numbers, text), self.clock.now())
            }
        };
        let wait = due.since(self.clock.now());
        if wait <= WAIT_MAX {
            let _place = self.places.remove(&reply);
            return Ok(Departure::At(due));
        }
        let _before = self.places.insert(reply, due);
        Ok(Departure::Later(wait))
    }

    async fn numbers(&self, conversation: ConversationSid) -> Result<Numbers, rest::Error> {
        let known = self.numbers.get(&conversation);
        if let Some((asked, numbers)) = known
            && self.clock.now().since(asked) < KNOWN_FOR
        {
            return Ok(numbers);
        }
        let (mut pages, mut numbers) = (self.rest.list_participants(conversation), Vec::new());
        while let Some(page) = pages.next().await? {
            numbers.extend(page.into_iter().filter_map(number));
        }
        let numbers: Numbers = numbers.into();
        let _before = self.numbers.insert(conversation, (self.clock.now(), Arc::clone(&numbers)));
        Ok(numbers)
    }
}

/// Takes a place in the row of each number; gives the latest moment of them.
fn reserve(
    send_limits: &DashMap<Pii, Pace>,
    rate: Rate,
    (numbers, text): (&[(Pii, Channel)], &str),
    now: Moment,
) -> Moment {
    if send_limits.len() >= REMEMBERED_MAX {
        send_limits.retain(|_, pace| !pace.is_idle(now));
    }
    let mut due = now;
    for (number, channel) in numbers {
        let weight = match channel {
            Channel::Sms => segments::count(text),
            Channel::Other => 1,
        };
        let mut pace = send_limits.entry(number.clone()).or_default();
        due = due.max(pace.reserve(rate, now));
        for _ in 1..weight {
            pace.reserve(rate, now);
        }
    }
    due
}

fn number(participant: rest::Participant) -> Option<(Pii, Channel)> {
    let binding = participant.messaging_binding?;
    let is_sms = binding.channel.is_none_or(|channel| channel == "sms");
    Some((binding.proxy_address?, if is_sms { Channel::Sms } else { Channel::Other }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_a_row_of_its_own_and_long_texts_take_more_places() {
        let send_limits = DashMap::new();
        let (one, two) = (Pii::new("+15555550100"), Pii::new("+15555550101"));
        let due = |numbers: &[(Pii, Channel)], text: &str| {
            let due = reserve(&send_limits, Rate::within(1), (numbers, text), Moment::ORIGIN);
            due.since(Moment::ORIGIN).as_secs()
        };
        let sms = |number: &Pii| [(number.clone(), Channel::Sms)];
        assert_eq!(due(&sms(&one), "short"), 0);
        assert_eq!(due(&sms(&one), &"long ".repeat(60)), 1);
        assert_eq!(due(&sms(&one), "short"), 3, "the long one took two");
        assert_eq!(due(&sms(&two), "short"), 0);
        let group = [sms(&two), sms(&two), sms(&one)].concat();
        assert_eq!(due(&group, "to three phones"), 4);
        assert_eq!(due(&sms(&two), "short"), 3);
        assert_eq!(due(&[], "in a chat"), 0);
        let whatsapp = [(Pii::new("whatsapp:+15555550100"), Channel::Other)];
        assert_eq!(due(&whatsapp, &"long ".repeat(60)), 0);
        assert_eq!(due(&whatsapp, "short"), 1, "a message is a message");
    }
}

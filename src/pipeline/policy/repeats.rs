//! What it means that a message comes again. Pure.
//!
//! Webhook and socket both tell of most messages, and the doors that read tell of what is there, known
//! or not: all of that is as it should be. A message that comes once more by the same door was sent
//! twice. And one that was written after its sid had long been known is another message: somebody's
//! sids repeat, which Twilio's never do.

use std::collections::{HashMap, VecDeque};

use crate::clock::Timestamp;
use crate::telemetry::journal::Door;
use crate::thread::MessageId;
use crate::twilio::SKEW_MAX;

/// What a process remembers of the messages that it heard of last.
#[derive(Clone, Debug, Default)]
pub struct Repeats {
    heard: HashMap<MessageId, FirstHeard>,
    order: VecDeque<MessageId>,
}

/// When a message was first heard of, and by which doors it came since, one bit a door.
#[derive(Clone, Copy, Debug)]
struct FirstHeard {
    since: Timestamp,
    ingest: u8,
}

/// A message that is remembered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RememberedMessage {
    /// When it was first heard of.
    pub since: Timestamp,
    /// Whether it comes by this door for the first time.
    pub is_new_door: bool,
}

/// What it means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Repeat {
    /// Nothing: it was told by one door, now another tells of it.
    Expected,
    /// It was told twice.
    Known,
    /// It is another message under a sid that was used before, and gets no turn.
    Reused,
}

impl Repeats {
    /// How many messages are remembered: those of the last seconds of a busy service. About a hundred
    /// bytes each.
    pub const KEPT_MAX: usize = 4096;

    /// Takes note of a message that nobody had heard of.
    pub fn first(&mut self, message: MessageId, door: Door, now: Timestamp) {
        let heard = FirstHeard { since: now, ingest: bit(door) };
        if self.heard.insert(message, heard).is_none() {
            self.order.push_back(message);
        }
        if self.order.len() > Self::KEPT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.heard.remove(&oldest);
        }
    }

    /// Takes note of a message that somebody has heard of before; none if it is not remembered here.
    pub fn again(&mut self, message: MessageId, door: Door) -> Option<RememberedMessage> {
        let heard = self.heard.get_mut(&message)?;
        let is_new_door = heard.ingest & bit(door) == 0;
        heard.ingest |= bit(door);
        Some(RememberedMessage { since: heard.since, is_new_door })
    }
}

/// Says what it means that a message comes again by a door: known since then, written then, as far as
/// either is known.
#[must_use]
pub fn judge(
    door: Door,
    is_new_door: bool,
    since: Option<Timestamp>,
    created: Option<Timestamp>,
) -> Repeat {
    if is_new_door {
        return Repeat::Expected;
    }
    match (since, created, door) {
        (Some(since), Some(created), _) if created.since(since) > SKEW_MAX => Repeat::Reused,
        (_, _, Door::Webhook | Door::MessagingWebhook | Door::Socket) => Repeat::Known,
        (_, _, Door::Replay | Door::CatchUp | Door::Reconcile) => Repeat::Expected,
    }
}

const fn bit(door: Door) -> u8 {
    match door {
        Door::Webhook => 1,
        Door::Socket => 2,
        Door::Replay => 4,
        Door::CatchUp => 8,
        Door::Reconcile => 16,
        Door::MessagingWebhook => 32,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::twilio::sid::MessageSid;

    const DOORS: [Door; 6] = [
        Door::Webhook,
        Door::MessagingWebhook,
        Door::Socket,
        Door::Replay,
        Door::CatchUp,
        Door::Reconcile,
    ];
    const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    #[test]
    fn each_door_may_tell_of_a_message_once() {
        for first in DOORS {
            let mut repeats = Repeats::default();
            let message = MessageId::from(MessageSid::from_bytes([1; 16]));
            assert_eq!(repeats.again(message, first), None);
            repeats.first(message, first, NOW);
            for door in DOORS {
                let is_new_door = door != first;
                let again = RememberedMessage { since: NOW, is_new_door };
                assert_eq!(repeats.again(message, door), Some(again), "{first:?} {door:?}");
                let once_more = RememberedMessage { is_new_door: false, ..again };
                assert_eq!(repeats.again(message, door), Some(once_more), "{first:?} {door:?}");
            }
        }
    }

    #[test]
    fn the_oldest_is_forgotten_and_no_more_are_kept_than_said() {
        let mut repeats = Repeats::default();
        let sid = |n: usize| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            MessageId::from(MessageSid::from_bytes(bytes))
        };
        for n in 0..=Repeats::KEPT_MAX {
            repeats.first(sid(n), Door::Webhook, NOW);
            repeats.first(sid(n), Door::Webhook, NOW);
        }
        assert_eq!((repeats.heard.len(), repeats.order.len()), (4096, 4096));
        assert_eq!(repeats.again(sid(0), Door::Webhook), None);
        assert!(repeats.again(sid(1), Door::Webhook).is_some());
    }

    #[test]
    fn what_was_told_twice_is_told_from_what_doors_do_anyway_and_from_a_sid_that_repeats() {
        let (known, soon, late) =
            (Some(NOW), Some(NOW + SKEW_MAX), Some(NOW + SKEW_MAX + Duration::from_millis(1)));
        for door in DOORS {
            let does_read = !matches!(door, Door::Webhook | Door::MessagingWebhook | Door::Socket);
            let twice = if does_read { Repeat::Expected } else { Repeat::Known };
            for (is_new_door, since, created, expected) in [
                (true, known, soon, Repeat::Expected),
                (true, None, None, Repeat::Expected),
                (false, known, known, twice),
                (false, known, soon, twice),
                (false, known, None, twice),
                (false, None, late, twice),
                (false, known, late, Repeat::Reused),
            ] {
                let found = judge(door, is_new_door, since, created);
                assert_eq!(found, expected, "{door:?} {is_new_door} {since:?} {created:?}");
            }
        }
    }
}

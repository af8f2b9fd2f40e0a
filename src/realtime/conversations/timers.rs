//! When which seat is to be looked at again.
//!
//! Decides nothing but the order. Pure. A timer of a seat that needs it no more does no harm: whoever
//! takes it looks first.

use std::collections::BTreeSet;

use crate::clock::Moment;
use crate::twilio::sid::ConversationSid;

/// The seats that wait for something.
#[derive(Debug, Default)]
pub(super) struct SeatTimers {
    holds: BTreeSet<(Moment, ConversationSid)>,
    retries: BTreeSet<(Moment, ConversationSid)>,
    behind: BTreeSet<ConversationSid>,
}

impl SeatTimers {
    /// A message waits for an event that is missing until then.
    pub fn hold(&mut self, until: Moment, conversation: ConversationSid) {
        self.holds.insert((until, conversation));
    }

    /// A seat is to be opened again then.
    pub fn retry(&mut self, at: Moment, conversation: ConversationSid) {
        self.retries.insert((at, conversation));
    }

    /// A seat waits for the owner to have room.
    pub fn fall_behind(&mut self, conversation: ConversationSid) {
        self.behind.insert(conversation);
    }

    /// A seat is closed and waits for room no more.
    pub fn close(&mut self, conversation: ConversationSid) {
        self.behind.remove(&conversation);
    }

    /// Takes the next seat that has waited long enough for a missing event.
    pub fn next_hold(&mut self, now: Moment) -> Option<ConversationSid> {
        pop_due(&mut self.holds, now)
    }

    /// Takes the next seat that is to be opened again.
    pub fn next_retry(&mut self, now: Moment) -> Option<ConversationSid> {
        pop_due(&mut self.retries, now)
    }

    /// Takes the next seat that waits for room.
    pub fn next_behind(&mut self) -> Option<ConversationSid> {
        self.behind.pop_first()
    }

    /// Whether a seat waits for room.
    pub fn has_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    /// When the first seat has waited long enough.
    pub fn deadline(&self) -> Option<Moment> {
        let [hold, retry] = [&self.holds, &self.retries].map(|timers| Some(timers.first()?.0));
        [hold, retry].into_iter().flatten().min()
    }
}

fn pop_due(
    timers: &mut BTreeSet<(Moment, ConversationSid)>,
    now: Moment,
) -> Option<ConversationSid> {
    timers.first().filter(|(at, _)| *at <= now)?;
    timers.pop_first().map(|(_, conversation)| conversation)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timers_come_in_their_order_and_not_too_early() {
        let [first, second] = [1, 2].map(|number| ConversationSid::from_bytes([number; 16]));
        let at = |seconds| Moment::ORIGIN + Duration::from_secs(seconds);
        let mut timers = SeatTimers::default();
        timers.hold(at(3), first);
        timers.hold(at(2), second);
        timers.retry(at(1), first);
        assert_eq!((timers.deadline(), timers.next_hold(at(1))), (Some(at(1)), None));
        assert_eq!((timers.next_retry(at(1)), timers.next_retry(at(9))), (Some(first), None));
        assert_eq!((timers.next_hold(at(9)), timers.next_hold(at(9))), (Some(second), Some(first)));
        assert_eq!(timers.deadline(), None);
    }
}

//! Which messages get a turn, and which are only remembered.
//!
//! A message that is too old, that the carrier answers itself, or that is one too many in a minute
//! gets none. The rules are pure and in [`policy`](crate::pipeline::policy); here they meet the memory of what
//! each conversation did of late, which many turns share.

use std::time::Duration;

use crate::bounded_map::{BoundedMap, Worth};
use crate::clock::{Moment, Timestamp};
use crate::pipeline::policy::guard::{Guard, Verdict};
use crate::pipeline::policy::keywords;
use crate::thread::{SkipReason, ThreadId, TurnMessage};

/// How many conversations the loop guard remembers: the quiet ones are forgotten first.
const GUARDS_MAX: usize = 10_000;

/// Decides about each message.
#[derive(Debug)]
pub struct Admission {
    /// How old a message may be and still be answered.
    pub stale_after: Duration,
    /// Turns a minute in one conversation; one more is a loop.
    pub turns_per_minute: u32,
    /// Whether words that the carrier answers itself get a turn as well.
    pub answers_keywords: bool,
    /// What each conversation did in the last two minutes. In memory only: after a restart a loop is
    /// found anew.
    guards: BoundedMap<ThreadId, Guard>,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Admitted {
    /// The agent is asked.
    Turn,
    /// Nobody answers.
    Skip(SkipReason),
    /// The conversation has just become a loop: somebody should look at it.
    Loop,
}

impl Admission {
    /// Starts with no memory.
    #[must_use]
    pub fn new(stale_after: Duration, turns_per_minute: u32) -> Self {
        let guards = BoundedMap::new(GUARDS_MAX);
        Self { stale_after, turns_per_minute, answers_keywords: false, guards }
    }

    /// Says whether words that the carrier answers itself get a turn as well.
    #[must_use]
    pub fn answering_keywords(self, answers_keywords: bool) -> Self {
        Self { answers_keywords, ..self }
    }

    /// Says why a message gets no answer, if it gets none.
    #[must_use]
    pub fn skips(
        &self,
        message: &TurnMessage,
        held_until: Option<Timestamp>,
        wall: Timestamp,
    ) -> Option<SkipReason> {
        if self.is_stale(message, held_until, wall) {
            return Some(SkipReason::Stale);
        }
        if self.answers_keywords {
            return None;
        }
        let body = message.body.as_ref().map_or("", |body| body.reveal());
        keywords::is_for_the_carrier(message.author.reveal(), body).then_some(SkipReason::Keyword)
    }

    /// A message ages from its creation, or from when its conversation was last held.
    fn is_stale(
        &self,
        message: &TurnMessage,
        held_until: Option<Timestamp>,
        wall: Timestamp,
    ) -> bool {
        message.created.is_some_and(|created| {
            wall.since(held_until.map_or(created, |held| held.max(created))) > self.stale_after
        })
    }

    /// Forgets what a conversation did, so that a loop that was cut may go on.
    pub fn lift(&self, thread: ThreadId) {
        self.guards.remove(&thread);
    }

    /// Decides about a turn that is taken for the first time, and counts it.
    pub fn guard(&self, thread: ThreadId, now: Moment) -> Admitted {
        let worth = |guard: &Guard| match guard {
            guard if guard.is_idle(now) => Worth::Nothing,
            Guard::Open { .. } => Worth::Little,
            Guard::Cut { .. } => Worth::InUse,
        };
        match self.guards.change(thread, worth, |guard| guard.admit(self.turns_per_minute, now)) {
            Verdict::Pass => Admitted::Turn,
            Verdict::Cut => Admitted::Loop,
            Verdict::Stop => Admitted::Skip(SkipReason::Loop),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::twilio::sid::{ConversationSid, MessageSid};

    const WALL: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    #[test]
    fn old_messages_and_carrier_words_are_skipped() {
        let admission = Admission::new(Duration::from_secs(3600), 20);
        let old = message("hello", WALL.before(Duration::from_secs(3601)));
        let fresh = message("hello", WALL.before(Duration::from_secs(3599)));
        let stop = message("STOP", WALL);
        assert_eq!(admission.skips(&old, None, WALL), Some(SkipReason::Stale));
        assert_eq!(admission.skips(&fresh, None, WALL), None);
        assert_eq!(admission.skips(&stop, None, WALL), Some(SkipReason::Keyword));
    }

    #[test]
    fn a_message_that_was_held_ages_from_the_end_of_that() {
        let admission = Admission::new(Duration::from_secs(3600), 20);
        let old = message("hello", WALL.before(Duration::from_secs(90_000)));
        let lately = Some(WALL.before(Duration::from_secs(3599)));
        let long_ago = Some(WALL.before(Duration::from_secs(3601)));
        assert_eq!(admission.skips(&old, lately, WALL), None);
        assert_eq!(admission.skips(&old, long_ago, WALL), Some(SkipReason::Stale));
        let fresh = message("hello", WALL);
        assert_eq!(admission.skips(&fresh, long_ago, WALL), None);
    }

    #[test]
    fn what_the_carrier_answers_gets_no_turn_unless_it_is_wished() {
        let admission = Admission::new(Duration::from_secs(3600), 20);
        assert_eq!(admission.skips(&message("STOP", WALL), None, WALL), Some(SkipReason::Keyword));
        let admission = admission.answering_keywords(true);
        assert_eq!(admission.skips(&message("STOP", WALL), None, WALL), None);
    }

    #[test]
    fn a_lifted_guard_starts_anew() {
        let admission = Admission::new(Duration::from_secs(3600), 1);
        let thread = ThreadId::from(ConversationSid::from_bytes([1; 16]));
        assert_eq!(admission.guard(thread, Moment::ORIGIN), Admitted::Turn);
        assert_eq!(admission.guard(thread, Moment::ORIGIN), Admitted::Loop);
        admission.lift(thread);
        assert_eq!(admission.guard(thread, Moment::ORIGIN), Admitted::Turn);
    }

    #[test]
    fn a_loop_is_reported_once_and_then_skipped() {
        let admission = Admission::new(Duration::from_secs(3600), 2);
        let thread = ThreadId::from(ConversationSid::from_bytes([1; 16]));
        let admitted: Vec<_> = (0..4).map(|_| admission.guard(thread, Moment::ORIGIN)).collect();
        let skip = Admitted::Skip(SkipReason::Loop);
        assert_eq!(admitted, [Admitted::Turn, Admitted::Turn, Admitted::Loop, skip]);
        let other = ThreadId::from(ConversationSid::from_bytes([2; 16]));
        let elsewhere = admission.guard(other, Moment::ORIGIN);
        assert_eq!(elsewhere, Admitted::Turn, "other conversations are not held up");
    }

    #[test]
    fn a_loop_that_goes_on_is_one_dead_letter_and_no_turn_more() {
        let admission = Admission::new(Duration::from_secs(3600), 20);
        let thread = ThreadId::from(ConversationSid::from_bytes([1; 16]));
        let (mut turns, mut loops) = (0, 0);
        for second in 0..3600 {
            match admission.guard(thread, Moment::ORIGIN + Duration::from_secs(second)) {
                Admitted::Turn => turns += 1,
                Admitted::Loop => loops += 1,
                Admitted::Skip(reason) => assert_eq!(reason, SkipReason::Loop),
            }
        }
        assert_eq!((turns, loops), (20, 1), "an hour at one a second");
        let later = Moment::ORIGIN + Duration::from_secs(3600 + 120);
        assert_eq!(admission.guard(thread, later), Admitted::Turn, "silence lifts the cut");
    }

    #[test]
    fn quiet_conversations_are_forgotten_when_there_are_many() {
        let admission = Admission::new(Duration::from_secs(3600), 2);
        for n in 0..u32::try_from(GUARDS_MAX).unwrap() {
            let mut sid = [0; 16];
            sid[..4].copy_from_slice(&n.to_be_bytes());
            let thread = ThreadId::from(ConversationSid::from_bytes(sid));
            admission.guard(thread, Moment::ORIGIN);
        }
        let later = Moment::ORIGIN + Duration::from_secs(300);
        let other = ThreadId::from(ConversationSid::from_bytes([9; 16]));
        admission.guard(other, later);
        assert_eq!(admission.guards.len(), 1);
    }

    fn message(body: &str, created: Timestamp) -> TurnMessage {
        TurnMessage {
            sid: MessageSid::from_bytes([7; 16]).into(),
            index: Some(0),
            author: "+15555550123".into(),
            body: Some(body.into()),
            attributes: Map::new(),
            media: Vec::new(),
            participant: None,
            created: Some(created),
            extras: None,
        }
    }
}

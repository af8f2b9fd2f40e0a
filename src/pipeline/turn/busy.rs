//! When the agent was busy with each conversation: what came in that time gets no turn under the
//! strategy `drop`.
//!
//! A memory of this process, bounded, never on disk: a message whose time was forgotten gets a turn. What
//! ended long ago is forgotten first, and a turn that goes on last.
//! A turn that fails and is tried again goes on until it ends.
//! Times come from the caller.

use std::time::Duration;

use crate::bounded_map::{BoundedMap, Worth};
use crate::clock::Timestamp;
use crate::thread::{MessageId, ThreadId};

/// How many conversations are remembered at most.
const THREADS_MAX: usize = 10_000;

/// How long an end is remembered at least: what came before it was delivered long ago.
const KEPT: Duration = Duration::from_secs(60);

/// The memory.
#[derive(Debug)]
pub struct BusyTimes(BoundedMap<ThreadId, Option<BusySpan>>);

#[derive(Clone, Copy, Debug)]
struct BusySpan {
    turn: MessageId,
    since: Timestamp,
    until: Option<Timestamp>,
}

impl Default for BusyTimes {
    fn default() -> Self {
        Self(BoundedMap::new(THREADS_MAX))
    }
}

impl BusyTimes {
    /// Notes that a turn is with the agent; one that is tried again began with its first try.
    pub fn begin(&self, thread: ThreadId, turn: MessageId, now: Timestamp) {
        self.0.change(
            thread,
            |span| worth(span.as_ref(), now),
            |span| {
                let begun = span.filter(|span| span.turn == turn && span.until.is_none());
                let since = begun.map_or(now, |span| span.since);
                *span = Some(BusySpan { turn, since, until: None });
            },
        );
    }

    /// Notes that a turn is over; one that was over before, or another one, is left as it is.
    pub fn end(&self, thread: ThreadId, turn: MessageId, now: Timestamp) {
        self.0.change_known(&thread, |span| {
            if let Some(span) = span.as_mut().filter(|span| span.turn == turn) {
                span.until.get_or_insert(now);
            }
        });
    }

    /// Whether the agent was busy with another message when this one, which is delivered now, was
    /// stored.
    ///
    /// One message of a thread is delivered at a time, so the turn of another one is over by now. If
    /// nobody here saw its end (another instance had it), its time is not known, and is forgotten.
    #[must_use]
    pub fn covers(&self, thread: ThreadId, message: MessageId, stored: Timestamp) -> bool {
        let span = self.0.change_known(&thread, |span| {
            let is_lost = span.is_some_and(|span| span.turn != message && span.until.is_none());
            if is_lost { span.take() } else { *span }
        });
        span.flatten().is_some_and(|span| {
            let was_busy = span.until.is_some_and(|until| span.since <= stored && stored <= until);
            span.turn != message && was_busy
        })
    }
}

/// A turn that goes on is in use; what ended is of use to what came meanwhile, for a while.
fn worth(span: Option<&BusySpan>, now: Timestamp) -> Worth {
    match span.map(|span| span.until) {
        None => Worth::Nothing,
        Some(None) => Worth::InUse,
        Some(Some(until)) if now.since(until) < KEPT => Worth::Little,
        Some(Some(_)) => Worth::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::sid::{ConversationSid, MessageSid};

    #[test]
    fn only_what_came_between_begin_and_end_is_covered() {
        let busy = BusyTimes::default();
        assert!(!busy.covers(thread(1), sid(2), at(5)));
        busy.begin(thread(1), sid(1), at(10));
        busy.begin(thread(1), sid(1), at(20));
        assert!(!busy.covers(thread(1), sid(1), at(10)), "its own message");
        busy.end(thread(1), sid(1), at(30));
        for (seconds, is_covered) in [(9, false), (10, true), (15, true), (30, true), (31, false)] {
            assert_eq!(busy.covers(thread(1), sid(2), at(seconds)), is_covered, "{seconds}");
        }
        assert!(!busy.covers(thread(1), sid(1), at(10)), "its own message");
        assert!(!busy.covers(thread(2), sid(2), at(10)), "another conversation");
        busy.begin(thread(1), sid(3), at(40));
        busy.end(thread(1), sid(3), at(50));
        assert!(!busy.covers(thread(1), sid(2), at(35)));
    }

    #[test]
    fn a_turn_whose_end_nobody_saw_mutes_no_message() {
        let busy = BusyTimes::default();
        busy.begin(thread(1), sid(1), at(10));
        assert!(!busy.covers(thread(1), sid(1), at(5)), "its next try forgets nothing");
        assert_eq!(busy.0.len(), 1);
        for seconds in [11, 9_999] {
            assert!(!busy.covers(thread(1), sid(2), at(seconds)), "{seconds}");
        }
    }

    #[test]
    fn only_its_own_first_end_ends_a_turn() {
        let busy = BusyTimes::default();
        busy.begin(thread(1), sid(1), at(10));
        busy.end(thread(1), sid(2), at(15));
        busy.end(thread(1), sid(1), at(20));
        busy.end(thread(1), sid(1), at(90));
        assert!(busy.covers(thread(1), sid(2), at(20)), "the end of another is not its own");
        assert!(!busy.covers(thread(1), sid(2), at(21)), "a second end is none");
    }

    #[test]
    fn what_ended_is_forgotten_when_there_is_much() {
        let busy = full();
        for n in 0..THREADS_MAX {
            busy.end(numbered(n), sid(1), at(2));
        }
        busy.begin(thread(200), sid(1), at(120));
        assert_eq!(busy.0.len(), 1);
    }

    #[test]
    fn turns_that_never_end_are_bounded_too_and_the_newest_are_remembered() {
        let busy = full();
        assert_eq!(busy.0.len(), THREADS_MAX);
        busy.begin(thread(200), sid(1), at(3));
        assert!(busy.0.len() <= THREADS_MAX, "{}", busy.0.len());
        for n in THREADS_MAX / 2..THREADS_MAX {
            busy.end(numbered(n), sid(1), at(9));
            assert!(busy.covers(numbered(n), sid(2), at(5)), "{n}");
        }
    }

    fn full() -> BusyTimes {
        let busy = BusyTimes::default();
        for n in 0..THREADS_MAX {
            busy.begin(numbered(n), sid(1), at(1));
        }
        busy
    }

    fn numbered(n: usize) -> ThreadId {
        let mut sid_bytes = [0; 16];
        sid_bytes[..8].copy_from_slice(&u64::try_from(n).unwrap().to_be_bytes());
        ConversationSid::from_bytes(sid_bytes).into()
    }

    fn thread(n: u8) -> ThreadId {
        ConversationSid::from_bytes([n; 16]).into()
    }

    fn sid(n: u8) -> MessageId {
        MessageSid::from_bytes([n; 16]).into()
    }

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000 + seconds * 1000)
    }
}

//! When the agent was busy with each conversation: what came in that time gets no turn under the
//! strategy `drop`.
//!
//! A memory of this process, bounded, never on disk: a message whose time was forgotten gets a turn.
//! Times come from the caller.

use std::time::Duration;

use dashmap::DashMap;

use crate::agent::Thread;
use crate::clock::Timestamp;
use crate::twilio::sid::MessageSid;

/// How many conversations are remembered before those that ended are forgotten.
const THREADS_MAX: usize = 10_000;

/// How long an end is remembered at least: what came before it was delivered long ago.
const KEPT: Duration = Duration::from_secs(60);

/// The memory.
#[derive(Debug, Default)]
pub struct Thinking(DashMap<Thread, Span>);

#[derive(Clone, Copy, Debug)]
struct Span {
    turn: MessageSid,
    since: Timestamp,
    until: Option<Timestamp>,
}

impl Thinking {
    /// Notes that a turn is with the agent; one that is tried again began with its first try.
    pub fn begin(&self, thread: Thread, turn: MessageSid, now: Timestamp) {
        if self.0.len() >= THREADS_MAX {
            self.0.retain(|_, span| span.until.is_none_or(|until| now.since(until) < KEPT));
        }
        let before = self.0.get(&thread).map(|span| *span);
        let begun = before.filter(|span| span.turn == turn && span.until.is_none());
        let since = begun.map_or(now, |span| span.since);
        self.0.insert(thread, Span { turn, since, until: None });
    }

    /// Notes that a turn is over.
    pub fn end(&self, thread: Thread, now: Timestamp) {
        if let Some(mut span) = self.0.get_mut(&thread) {
            span.until = Some(now);
        }
    }

    /// Whether the agent was busy with another message when this one was stored.
    #[must_use]
    pub fn covers(&self, thread: Thread, message: MessageSid, stored: Timestamp) -> bool {
        self.0.get(&thread).is_some_and(|span| {
            span.turn != message
                && stored >= span.since
                && span.until.is_none_or(|until| stored <= until)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::sid::ConversationSid;

    #[test]
    fn only_what_came_between_begin_and_end_is_covered() {
        let thinking = Thinking::default();
        assert!(!thinking.covers(thread(1), sid(2), at(5)));
        thinking.begin(thread(1), sid(1), at(10));
        assert!(!thinking.covers(thread(1), sid(2), at(9)), "it waited before");
        assert!(thinking.covers(thread(1), sid(2), at(10)));
        assert!(!thinking.covers(thread(1), sid(1), at(10)), "its own message");
        assert!(!thinking.covers(thread(2), sid(2), at(10)));
        thinking.begin(thread(1), sid(1), at(20));
        assert!(thinking.covers(thread(1), sid(2), at(15)), "between two tries");
        thinking.end(thread(1), at(30));
        assert!(thinking.covers(thread(1), sid(2), at(30)));
        assert!(!thinking.covers(thread(1), sid(2), at(31)));
        thinking.begin(thread(1), sid(3), at(40));
        assert!(!thinking.covers(thread(1), sid(2), at(35)));
    }

    #[test]
    fn what_ended_is_forgotten_when_there_is_much() {
        let thinking = Thinking::default();
        for n in 0..u32::try_from(THREADS_MAX).unwrap() {
            let mut sid_bytes = [0; 16];
            sid_bytes[..4].copy_from_slice(&n.to_be_bytes());
            let thread = Thread::Conversation(ConversationSid::from_bytes(sid_bytes));
            thinking.begin(thread, sid(1), at(1));
            thinking.end(thread, at(2));
        }
        thinking.begin(thread(200), sid(1), at(120));
        assert_eq!(thinking.0.len(), 1);
    }

    fn thread(n: u8) -> Thread {
        Thread::Conversation(ConversationSid::from_bytes([n; 16]))
    }

    fn sid(n: u8) -> MessageSid {
        MessageSid::from_bytes([n; 16])
    }

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000 + seconds * 1000)
    }
}

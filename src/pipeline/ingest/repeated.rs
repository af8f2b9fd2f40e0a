//! A message that comes again gets no turn; here it is said, where somebody may wonder.
//!
//! What it means is decided by [`policy::repeats`](crate::pipeline::policy::repeats); this file keeps what the
//! process remembers behind a lock, and asks the store where that does not reach.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::jobs::lane;
use crate::pipeline::policy::repeats::{RememberedMessage, Repeat, Repeats, judge};
use crate::pipeline::record;
use crate::queue::Queue;
use crate::telemetry::journal::Door;
use crate::telemetry::trace::{self, TraceContext};
use crate::thread::{MessageId, Thread, ThreadId, TurnMessage};

/// What this process remembers of the messages that came in.
#[derive(Debug, Default)]
pub struct Repeated {
    memory: Mutex<Repeats>,
    /// Whether other processes hear messages too, so that one that is not remembered here was told to
    /// one of them.
    is_shared: bool,
}

impl Repeated {
    /// Remembers nothing; `is_shared` if there are other instances.
    #[must_use]
    pub fn new(is_shared: bool) -> Self {
        Self { memory: Mutex::default(), is_shared }
    }

    /// Takes note of a message that was new.
    pub(in crate::pipeline) fn first(&self, message: MessageId, door: Door, now: Timestamp) {
        self.memory().first(message, door, now);
    }

    fn memory(&self) -> MutexGuard<'_, Repeats> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names and times of a message, without what it says.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct Came {
    pub(in crate::pipeline) thread: ThreadId,
    pub(in crate::pipeline) message: MessageId,
    pub(in crate::pipeline) index: Option<u64>,
    pub(in crate::pipeline) created: Option<Timestamp>,
    pub(in crate::pipeline) door: Door,
}

impl Came {
    pub(in crate::pipeline) fn of(thread: &Thread, message: &TurnMessage, door: Door) -> Self {
        let TurnMessage { sid, index, created, .. } = message;
        Self { thread: thread.id(), message: *sid, index: *index, created: *created, door }
    }
}

impl Repeated {
    /// Says in the log that a message was known, and since when; asks the inbox where that is not remembered.
    /// Answers whether this door is one by which it had not come, as far as is remembered: where others hear
    /// messages too, what comes as it happens may be.
    pub(in crate::pipeline) async fn came_again(&self, came: Came, inbox: &Queue) -> bool {
        let Came { thread, message, index, created, door } = came;
        let remembered = self.memory().again(message, door);
        let is_told_live = self.is_shared && (door.is_webhook() || door == Door::Socket);
        let is_of_note = remembered.map_or(is_told_live, |known| known.is_new_door);
        let (since, is_new_door) = match remembered {
            Some(RememberedMessage { since, is_new_door }) => (Some(since), is_new_door),
            None if self.is_shared => (None, true),
            None => {
                let found = inbox.find(record::turn_id(message), &lane(thread)).await;
                // Without it the line says less.
                (found.ok().flatten().map(|status| status.appended_at), false)
            }
        };
        let source = trace::of_door(door);
        let repeat = judge(door, is_new_door, since, created);
        // A webhook's event is within its own stage already; what nobody reads needs none.
        let is_bare = !door.is_webhook()
            && (repeat != Repeat::Expected || tracing::enabled!(tracing::Level::DEBUG));
        let way = TraceContext::of_message(thread, message, index);
        let _within = is_bare.then(|| way.span(source).entered());
        let since_text = since.map(tracing::field::display);
        match repeat {
            Repeat::Expected => tracing::debug!(message_sid = %message, conversation_sid = %thread,
                source, since = since_text, "message was told before"),
            Repeat::Known => tracing::info!(message_sid = %message, conversation_sid = %thread,
                source, since = since_text,
                "message is a duplicate; it was known before and gets no second turn"),
            Repeat::Reused => tracing::warn!(message_sid = %message, conversation_sid = %thread,
                source, since = since_text,
                "message has the sid of one that was known before it was written, so it gets no \
                 turn; an emulator that repeats its sids needs a store of its own for each run"),
        }
        is_of_note
    }
}

//! A turn as a message of a queue: its body within the queue's limit, its group, its deduplication. Pure.
//!
//! The body is the one document that all agents get, cut as [`fitted`] does it.

use std::fmt;

use crate::agent::Turn;
use crate::agent::fitted::{self, TooLarge};
use crate::clock::Timestamp;
use crate::thread::{MessageId, ThreadId};

/// What is left of a queue's limit for the attributes of a message, which count too.
pub(super) const ATTRIBUTES_BYTES: usize = 256;

/// A message to send.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct QueuedTurn {
    /// The turn.
    pub(super) turn: MessageId,
    /// Its thread; what must keep order.
    pub(super) thread: ThreadId,
    /// What the queue knows a second sending by, for the five minutes that it remembers one.
    pub(super) once: String,
    /// The document.
    pub(super) body: String,
}

impl fmt::Debug for QueuedTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { turn, thread, once, body } = self;
        let mut shown = f.debug_struct("QueuedTurn");
        shown.field("turn", turn).field("thread", thread).field("once", once);
        shown.field("bytes", &body.len()).finish()
    }
}

/// Makes the message of a turn, with when its answer is due if somebody watches; `asked` counts how often it was
/// asked anew.
///
/// # Errors
///
/// If it has no room, even without what was said before.
pub(super) fn of(
    turn: &Turn,
    asked: u32,
    due: Option<Timestamp>,
    bytes_max: usize,
) -> Result<QueuedTurn, TooLarge> {
    let room = bytes_max.saturating_sub(ATTRIBUTES_BYTES);
    let body = fitted::document(turn, due, room)?;
    let once = if asked == 0 { turn.id.to_string() } else { format!("{}-{asked}", turn.id) };
    Ok(QueuedTurn { turn: turn.id, thread: turn.thread.id(), once, body })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::agent::document::Document;
    use crate::agent::fitted::tests::{H, turn};

    #[test]
    fn a_turn_is_its_document_under_its_own_id() {
        let turn = turn("hello", &["before"]);
        let queued = of(&turn, 0, None, 1 << 18).unwrap();
        assert_eq!((queued.turn, queued.thread), (turn.id, turn.thread.id()));
        assert_eq!(queued.once, format!("IM{H}"));
        let document: Value = serde_json::from_str(&queued.body).unwrap();
        assert_eq!(document, serde_json::to_value(Document::of(&turn)).unwrap());
        assert_eq!(document["history"][0]["body"], "before");
        assert!(document.get("history_left_out").is_none());
    }

    #[test]
    fn who_is_asked_anew_is_asked_under_another_key() {
        let turn = turn("hello", &[]);
        let once = |asked| of(&turn, asked, None, 1 << 18).unwrap().once;
        assert_eq!([once(0), once(1), once(2)].map(|once| once.len()), [34, 36, 36]);
        assert_ne!(once(1), once(2));
    }

    #[test]
    fn attributes_have_room_beside_the_body() {
        let long = "x".repeat(500);
        let turn = turn("hello", &[long.as_str(); 20]);
        for limit in [1024, 4096, 8192] {
            let queued = of(&turn, 0, None, limit).unwrap();
            assert!(queued.body.len() + ATTRIBUTES_BYTES <= limit, "{limit}");
            assert!(queued.body.contains("history_left_out"), "{limit}");
        }
        assert_eq!(of(&turn, 0, None, ATTRIBUTES_BYTES), Err(TooLarge));
    }
}

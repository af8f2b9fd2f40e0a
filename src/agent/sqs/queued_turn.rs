//! A turn as a message of a queue: its body within the queue's limit, its group, its deduplication. Pure.
//!
//! The body is the one document that all agents get. Where it is over the limit the oldest of what was
//! said before is left out, and the document says how much; what people say now is never cut.

use std::fmt;

use serde::Serialize;

use crate::agent::Turn;
use crate::agent::document::{Document, PastMessage};
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

/// The turn has no room in a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct TooLarge;

/// Makes the message of a turn; `asked` counts how often it was asked anew.
///
/// # Errors
///
/// If it has no room, even without what was said before.
pub(super) fn of(turn: &Turn, asked: u32, bytes_max: usize) -> Result<QueuedTurn, TooLarge> {
    let room = bytes_max.saturating_sub(ATTRIBUTES_BYTES);
    let mut body = body(turn, turn.history.len());
    if body.len() > room {
        let without = self::body(turn, 0);
        let free = room.checked_sub(without.len()).ok_or(TooLarge)?;
        body = match newest(turn, free.saturating_sub(FRAME_BYTES)) {
            0 => without,
            newest => self::body(turn, newest),
        };
    }
    let once = if asked == 0 { turn.id.to_string() } else { format!("{}-{asked}", turn.id) };
    Ok(QueuedTurn { turn: turn.id, thread: turn.thread.id(), once, body })
}

/// What stands around a history in a document.
const FRAME_BYTES: usize = "\"history\":[],".len();

/// How many of the newest messages of what was said before have room.
fn newest(turn: &Turn, mut free: usize) -> usize {
    let sizes = turn.history.iter().rev().map(|past| written(&PastMessage::of(past)).len() + 1);
    let have_room = sizes.take_while(|size| match free.checked_sub(*size) {
        Some(left) => {
            free = left;
            true
        }
        None => false,
    });
    have_room.count()
}

/// The document with the newest so many messages of what was said before.
fn body(turn: &Turn, newest: usize) -> String {
    written(&Document::with_newest(turn, newest))
}

/// Writes JSON in characters that a queue takes.
fn written(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("a turn is always JSON");
    // Source: SendMessage, MessageBody: all of XML 1.0, which leaves out these two and what JSON escapes by
    // itself, read 2026-11-30.
    if text.contains(['\u{fffe}', '\u{ffff}']) {
        return text.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::media::Offers;
    use crate::thread::{Past, Speaker, Thread, TurnMessage};

    const H: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_turn_is_its_document_under_its_own_id() {
        let turn = turn("hello", &["before"]);
        let queued = of(&turn, 0, 1 << 18).unwrap();
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
        let once = |asked| of(&turn, asked, 1 << 18).unwrap().once;
        assert_eq!([once(0), once(1), once(2)].map(|once| once.len()), [34, 36, 36]);
        assert_ne!(once(1), once(2));
    }

    #[test]
    fn the_oldest_is_left_out_until_there_is_room_and_that_is_said() {
        let long = "x".repeat(1000);
        let history: Vec<_> = (0..20).map(|at| format!("{at} {long}")).collect();
        let history: Vec<_> = history.iter().map(String::as_str).collect();
        let turn = turn("hello", &history);
        for limit in [1024, 2048, 5000, 10_000, 20_000, 40_000] {
            let queued = of(&turn, 0, limit).unwrap();
            assert!(queued.body.len() + ATTRIBUTES_BYTES <= limit, "{limit}");
            let document: Value = serde_json::from_str(&queued.body).unwrap();
            let told = document["history"].as_array().map_or(0, Vec::len);
            let left_out = document["history_left_out"].as_u64().unwrap_or(0);
            assert_eq!(u64::try_from(told).unwrap() + left_out, 20, "{limit}");
            if told > 0 {
                assert!(document["history"][told - 1]["body"].as_str().unwrap().starts_with("19 "));
                let entry = document["history"][0].to_string().len() + 1;
                let is_full = queued.body.len() + ATTRIBUTES_BYTES + entry + FRAME_BYTES > limit;
                assert!(left_out == 0 || is_full, "{limit}: {told}");
            }
            assert_eq!(document["messages"][0]["body"], "hello");
        }
    }

    #[test]
    fn what_people_say_now_is_never_cut() {
        assert_eq!(of(&turn(&"x".repeat(2000), &["before"]), 0, 1024), Err(TooLarge));
    }

    #[test]
    fn characters_that_queues_refuse_are_written_in_another_way() {
        let said = "a\u{0}b\u{fffe}c\u{ffff}d";
        let queued = of(&turn(said, &[]), 0, 1 << 18).unwrap();
        assert!(!queued.body.contains(['\u{0}', '\u{fffe}', '\u{ffff}']));
        let document: Value = serde_json::from_str(&queued.body).unwrap();
        assert_eq!(document["messages"][0]["body"], said);
    }

    fn turn(said: &str, before: &[&str]) -> Turn {
        let id = format!("IM{H}").parse().unwrap();
        let message = TurnMessage {
            sid: id,
            index: Some(7),
            author: "+15555550123".into(),
            body: Some(said.into()),
            attributes: serde_json::Map::new(),
            media: Vec::new(),
            participant: None,
            created: None,
            extras: None,
        };
        let past = |body: &&str| Past {
            sid: id,
            is_own: false,
            author: "+15555550123".into(),
            body: Some((*body).into()),
            files: Vec::new(),
            created: None,
        };
        Turn {
            id,
            thread: Thread::Conversation(format!("CH{H}").parse().unwrap()),
            speaker: Speaker::Identity("bot".to_owned()),
            messages: vec![message],
            history: before.iter().map(past).collect(),
            attempt: 1,
            files: Offers::default(),
        }
    }
}

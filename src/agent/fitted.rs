//! A turn's document within the size that a road takes. Pure.
//!
//! Where it is over the limit the oldest of what was said before is left out, and the document says how
//! much; what people say now is never cut.

use serde::Serialize;

use super::Turn;
use super::document::{Document, PastMessage};
use crate::clock::Timestamp;

/// The turn has no room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct TooLarge;

/// Writes a turn's document, with when its answer is due if somebody watches, in so many bytes at most.
///
/// # Errors
///
/// If it has no room, even without what was said before.
pub(super) fn document(
    turn: &Turn,
    due: Option<Timestamp>,
    room: usize,
) -> Result<String, TooLarge> {
    let body = |newest| written(&Document::with_newest(turn, newest).due(due));
    let whole = body(turn.history.len());
    if whole.len() <= room {
        return Ok(whole);
    }
    let without = body(0);
    let free = room.checked_sub(without.len()).ok_or(TooLarge)?;
    Ok(match newest(turn, free.saturating_sub(FRAME_BYTES)) {
        0 => without,
        newest => body(newest),
    })
}

/// What stands around a history in a document.
const FRAME_BYTES: usize = "\"history\":[],".len();

/// How many of the newest messages of what was said before have room.
fn newest(turn: &Turn, free: usize) -> usize {
    let newest_first = turn.history.iter().rev();
    that_fit(newest_first.map(|past| written(&PastMessage::of(past))), free).count()
}

/// As many of these as have room in a list, each with a comma.
pub(super) fn that_fit(
    ones: impl Iterator<Item = String>,
    mut free: usize,
) -> impl Iterator<Item = String> {
    ones.map_while(move |one| {
        free = free.checked_sub(one.len() + 1)?;
        Some(one)
    })
}

/// Writes JSON in characters that every road takes.
fn written(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("a turn is always JSON");
    // Source: Amazon SQS, SendMessage, MessageBody: all of XML 1.0, which leaves out these two and what JSON
    // escapes by itself, read 2026-11-30.
    if text.contains(['\u{fffe}', '\u{ffff}']) {
        return text.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff");
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::Value;

    use super::*;
    use crate::media::Offers;
    use crate::thread::{Past, Speaker, Thread, TurnMessage};

    pub(crate) const H: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn the_oldest_is_left_out_until_there_is_room_and_that_is_said() {
        let long = "x".repeat(1000);
        let history: Vec<_> = (0..20).map(|at| format!("{at} {long}")).collect();
        let history: Vec<_> = history.iter().map(String::as_str).collect();
        let turn = turn("hello", &history);
        for room in [768, 1792, 4744, 9744, 19_744, 39_744] {
            let body = super::document(&turn, None, room).unwrap();
            assert!(body.len() <= room, "{room}");
            let document: Value = serde_json::from_str(&body).unwrap();
            let told = document["history"].as_array().map_or(0, Vec::len);
            let left_out = document["history_left_out"].as_u64().unwrap_or(0);
            assert_eq!(u64::try_from(told).unwrap() + left_out, 20, "{room}");
            if told > 0 {
                assert!(document["history"][told - 1]["body"].as_str().unwrap().starts_with("19 "));
                let entry = document["history"][0].to_string().len() + 1;
                let is_full = body.len() + entry + FRAME_BYTES > room;
                assert!(left_out == 0 || is_full, "{room}: {told}");
            }
            assert_eq!(document["messages"][0]["body"], "hello");
        }
    }

    #[test]
    fn what_people_say_now_is_never_cut() {
        assert_eq!(
            super::document(&turn(&"x".repeat(2000), &["before"]), None, 768),
            Err(TooLarge)
        );
    }

    #[test]
    fn characters_that_some_roads_refuse_are_written_in_another_way() {
        let said = "a\u{0}b\u{fffe}c\u{ffff}d";
        let body = super::document(&turn(said, &[]), None, 1 << 18).unwrap();
        assert!(!body.contains(['\u{0}', '\u{fffe}', '\u{ffff}']));
        let document: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(document["messages"][0]["body"], said);
    }

    pub(crate) fn turn(said: &str, before: &[&str]) -> Turn {
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

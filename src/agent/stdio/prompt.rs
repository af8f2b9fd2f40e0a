//! A turn as an agent of the Agent Client Protocol is told it: blocks of content. Pure.
//!
//! Every agent takes text and links to resources, so that is all that is written. Source:
//! agentclientprotocol.com, protocol/v1 "Initialization", "Prompt Capabilities", read 2026-11-30.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::agent::Turn;
use crate::media::Offer;
use crate::pii::Pii;

/// Writes what was said, and links to files, as blocks with commas between them.
pub(super) fn document(turn: &Turn) -> Vec<u8> {
    let people = people(turn);
    let said = turn.messages.iter().filter_map(|message| {
        let body = message.body.as_ref()?.reveal();
        let name = name(&people, message.author.reveal());
        Some(if people.len() > 1 { format!("{name}: {body}") } else { body.to_owned() })
    });
    let said: Vec<_> = said.collect();
    let mut blocks = Vec::new();
    if !said.is_empty() {
        blocks.push(text(&said.join("\n")));
    }
    for (at, message) in turn.messages.iter().enumerate() {
        let files = message.media.iter().enumerate();
        blocks.extend(files.map(|(nth, media)| {
            let name = media.filename.as_ref().map_or("file", Pii::reveal);
            file(turn.files.of(at, nth), (name, media.content_type.as_deref()))
        }));
    }
    if blocks.is_empty() {
        blocks.push(text("[a message without text]"));
    }
    let blocks: Vec<_> = blocks.iter().map(Value::to_string).collect();
    blocks.join(",").into_bytes()
}

/// Writes what was said before as one block; nothing if nothing was.
pub(super) fn context(turn: &Turn) -> Vec<u8> {
    if turn.history.is_empty() {
        return Vec::new();
    }
    let people = people(turn);
    let mut told = "What was said in this conversation before:\n".to_owned();
    for past in &turn.history {
        let own = past.is_own.then(|| "you".to_owned());
        let name = own.unwrap_or_else(|| name(&people, past.author.reveal()));
        let body = past.body.as_ref().map_or("[a file]", Pii::reveal);
        // Writing to a String does not fail.
        let _ = writeln!(told, "{name}: {body}");
    }
    told.push_str("What is said now:");
    text(&told).to_string().into_bytes()
}

/// Who speaks beside the bot, in the order in which they first do.
fn people(turn: &Turn) -> Vec<&str> {
    let before = turn.history.iter().filter(|past| !past.is_own).map(|past| past.author.reveal());
    let now = turn.messages.iter().map(|message| message.author.reveal());
    let mut people = Vec::new();
    for author in before.chain(now) {
        if !people.contains(&author) {
            people.push(author);
        }
    }
    people
}

/// What somebody is called: who runs the model need not know anybody's number.
fn name(people: &[&str], author: &str) -> String {
    let at = people.iter().position(|one| *one == author).unwrap_or_default();
    if people.len() > 1 { format!("person {}", at + 1) } else { "person".to_owned() }
}

fn file(offer: Option<&Offer>, (name, kind): (&str, Option<&str>)) -> Value {
    match offer.and_then(|offer| offer.link.as_ref()) {
        Some(link) => {
            let uri = link.url.reveal();
            json!({"type": "resource_link", "uri": uri, "name": name, "mimeType": kind})
        }
        None => text(&format!("[a file: {}]", kind.unwrap_or("of a kind that is not known"))),
    }
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Offers;
    use crate::thread::{Media, Past, Speaker, Thread, TurnMessage};

    const ANN: &str = "+15555550123";
    const BOB: &str = "+15555550124";

    #[test]
    fn a_turn_is_blocks_of_text_and_of_links() {
        let blocks = |turn: &Turn| -> Value {
            serde_json::from_slice(&[b"[", &document(turn)[..], b"]"].concat()).unwrap()
        };
        let mut turn = turn(&[(ANN, Some("hello \"there\""))], &[]);
        assert_eq!(blocks(&turn), json!([{"type": "text", "text": "hello \"there\""}]));
        let media = Media {
            sid: None,
            url: None,
            content_type: Some("image/png".into()),
            filename: None,
            size: None,
        };
        turn.messages[0].media = vec![media];
        assert_eq!(blocks(&turn)[1], json!({"type": "text", "text": "[a file: image/png]"}));
        turn.messages[0].body = None;
        assert_eq!(blocks(&turn).as_array().unwrap().len(), 1);
        turn.messages[0].media.clear();
        assert_eq!(blocks(&turn)[0]["text"], "[a message without text]");
    }

    #[test]
    fn who_speaks_is_told_without_a_number() {
        let said = [(ANN, Some("hello")), (BOB, Some("hi"))];
        let turn = turn(&said, &[(ANN, false, "who?"), ("bot", true, "me")]);
        let told = [document(&turn), context(&turn)].concat();
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains(r"person 1: hello\nperson 2: hi"), "{told}");
        assert!(told.contains(r"person 1: who?\nyou: me\n"), "{told}");
        assert!(!told.contains("555"), "{told}");
        let alone = super::tests::turn(&[(ANN, Some("hello"))], &[(ANN, false, "who?")]);
        let told = String::from_utf8(context(&alone)).unwrap();
        assert!(told.contains(r"before:\nperson: who?\nWhat is said now:"), "{told}");
    }

    fn turn(said: &[(&str, Option<&str>)], before: &[(&str, bool, &str)]) -> Turn {
        let id = format!("IM{:032x}", 7).parse().unwrap();
        let message = |(author, body): &(&str, Option<&str>)| TurnMessage {
            sid: id,
            index: None,
            author: (*author).into(),
            body: body.map(Pii::from),
            attributes: serde_json::Map::new(),
            media: Vec::new(),
            participant: None,
            created: None,
            extras: None,
        };
        let past = |(author, is_own, body): &(&str, bool, &str)| Past {
            sid: id,
            is_own: *is_own,
            author: (*author).into(),
            body: Some((*body).into()),
            files: Vec::new(),
            created: None,
        };
        Turn {
            id,
            thread: Thread::Conversation(format!("CH{:032x}", 7).parse().unwrap()),
            speaker: Speaker::Identity("bot".to_owned()),
            messages: said.iter().map(message).collect(),
            history: before.iter().map(past).collect(),
            attempt: 1,
            files: Offers::default(),
        }
    }
}

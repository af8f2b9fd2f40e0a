//! What a workflow tells an activity of ours, and what it is told back. Pure.
//!
//! Two activities are those of an older system, with its arguments and its answer: `{"success":true,
//! "message_sid":…,"status":…}`, or `{"success":false,"error":…}`. What is stored has no sid of Twilio's yet, so that
//! is null, and its status is `queued`. The third takes a thread and whatever is an answer.

use serde_json::{Map, Value};
use temporalio_common::protos::temporal::api::common::v1::Payload;

use super::payload::{self, Carried};
use crate::agent::answer::{self, Asked};
use crate::agent::{Error, Parting};
use crate::json;
use crate::pii::Pii;
use crate::thread::{MessageId, Reply, ThreadId};

/// A text to an address: `(to, message)`, and what the older system calls the request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Text {
    /// To whom.
    pub(super) to: Pii,
    /// What is said.
    pub(super) message: Pii,
    /// What it is called, to be told back.
    pub(super) request: Option<Value>,
}

/// Replies in a thread: `(thread, reply)`, and the turn that they answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ThreadReplies {
    /// Where.
    pub(super) thread: ThreadId,
    /// The turn, where it is told.
    pub(super) turn: Option<MessageId>,
    /// The replies, in order.
    pub(super) replies: Vec<Reply>,
    /// What becomes of the thread after them.
    pub(super) parting: Parting,
}

/// Reads the arguments of a text.
///
/// # Errors
///
/// What is wrong, without a word of them.
pub(super) fn text(arguments: &[Payload]) -> Result<Text, String> {
    let to: String = argument(arguments, 0, "the address that the message goes to, a text")?;
    let message: String = argument(arguments, 1, "the message, a text")?;
    if message.trim().is_empty() {
        return Err("the message is empty".to_owned());
    }
    let request = arguments.get(2).and_then(|given| match payload::carried(given) {
        Carried::Json(text) => json::from_slice(text).ok(),
        Carried::Nothing | Carried::Strange(_) => None,
    });
    Ok(Text { to: Pii::new(to), message: Pii::new(message), request })
}

/// Reads the arguments of replies.
///
/// # Errors
///
/// What is wrong, without a word of them but the names of their fields.
pub(super) fn said(arguments: &[Payload]) -> Result<ThreadReplies, String> {
    let thread: ThreadId = argument(arguments, 0, "the id of a thread, CH… or TH…")?;
    let turn = match arguments.get(2).map(payload::carried) {
        None | Some(Carried::Nothing | Carried::Json(b"null")) => None,
        Some(_) => Some(argument(arguments, 2, "the id of the turn that it answers")?),
    };
    let answer = match arguments.get(1).map(payload::carried) {
        Some(Carried::Json(text)) => text,
        Some(Carried::Nothing) => b"null",
        None | Some(Carried::Strange(_)) => return Err(wanted(1, "the reply")),
    };
    let asked = Asked { id: "of the activity", thread, must_name: false };
    let (replies, parting) = match answer::parse(&whole(answer), asked) {
        Ok(answer) => answer.parted().unwrap_or_default(),
        Err(Error::Malformed { reason, .. }) => return Err(reason),
        Err(error) => return Err(error.to_string()),
    };
    Ok(ThreadReplies { thread, turn, replies, parting })
}

/// What the older system says once a text is stored.
pub(super) fn stored(request: Option<Value>) -> String {
    let mut told = Map::new();
    told.insert("success".to_owned(), serde_json::json!(true));
    told.insert("message_sid".to_owned(), Value::Null);
    told.insert("status".to_owned(), serde_json::json!("queued"));
    told.extend(request.map(|request| ("request_id".to_owned(), request)));
    Value::Object(told).to_string()
}

/// What it says once one is refused.
pub(super) fn refused(why: &str, request: Option<Value>) -> String {
    let mut told = Map::new();
    told.insert("success".to_owned(), serde_json::json!(false));
    told.insert("error".to_owned(), serde_json::json!(why));
    told.extend(request.map(|request| ("request_id".to_owned(), request)));
    Value::Object(told).to_string()
}

/// A whole answer: of a text, of one reply, of a list of them, or as it is.
fn whole(answer: &[u8]) -> Vec<u8> {
    let is_whole = json::from_slice::<Map<String, Value>>(answer).is_ok_and(|given| {
        ["replies", "handoff", "end"].iter().any(|name| given.contains_key(*name))
    });
    let within = |open: &[u8], close: &[u8]| [open, answer, close].concat();
    match answer.trim_ascii_start().first() {
        _ if is_whole => answer.to_vec(),
        Some(b'[' | b'n') => within(b"{\"replies\":", b"}"),
        _ => within(b"{\"replies\":[", b"]}"),
    }
}

fn argument<T: serde::de::DeserializeOwned>(
    arguments: &[Payload],
    at: usize,
    what: &str,
) -> Result<T, String> {
    match arguments.get(at).map(payload::carried) {
        Some(Carried::Json(text)) => json::from_slice(text).map_err(|_| wanted(at, what)),
        Some(Carried::Strange(name)) => {
            Err(format!("argument {} has the encoding `{name}`, not json/plain", at + 1))
        }
        Some(Carried::Nothing) | None => Err(wanted(at, what)),
    }
}

fn wanted(at: usize, what: &str) -> String {
    format!("argument {} is not {what}", at + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const H: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_text_is_what_either_activity_of_the_older_system_takes() {
        let two = given(&[json!("+15555550123"), json!("hi")]);
        let read = text(&two).unwrap();
        assert_eq!((read.to.reveal(), read.message.reveal()), ("+15555550123", "hi"));
        assert_eq!(
            stored(read.request),
            r#"{"message_sid":null,"status":"queued","success":true}"#
        );
        let three = given(&[json!("+15555550123"), json!("hi"), json!("r1")]);
        let request = text(&three).unwrap().request;
        let told: Value = serde_json::from_str(&refused("why", request)).unwrap();
        assert_eq!(told, json!({"success": false, "error": "why", "request_id": "r1"}));
        for (arguments, told) in [
            (vec![], "argument 1 is not the address"),
            (vec![json!(7), json!("hi")], "argument 1 is not the address"),
            (vec![json!("+15555550123")], "argument 2 is not the message"),
            (vec![json!("+15555550123"), json!(" ")], "the message is empty"),
        ] {
            let refused = text(&given(&arguments)).unwrap_err();
            assert!(refused.contains(told) && !refused.contains("555"), "{refused}");
        }
    }

    #[test]
    fn a_reply_is_a_text_a_reply_a_list_or_a_whole_answer() {
        let one = Reply::text("hi");
        for (answer, replies, parting) in [
            (json!("hi"), vec![one.clone()], Parting::Stays),
            (json!({"body": "hi"}), vec![one.clone()], Parting::Stays),
            (json!(["hi", {"body": "hi"}]), vec![one.clone(), one.clone()], Parting::Stays),
            (json!({"replies": ["hi"], "handoff": true}), vec![one], Parting::Handoff),
            (json!({"handoff": true}), vec![], Parting::Handoff),
            (json!({"end": true}), vec![], Parting::End),
            (Value::Null, vec![], Parting::Stays),
        ] {
            let read = said(&given(&[json!(format!("CH{H}")), answer.clone()])).unwrap();
            assert_eq!((read.replies, read.parting), (replies, parting), "{answer}");
            assert_eq!(read.turn, None);
        }
        let turn = format!("IM{H}");
        let read = said(&given(&[json!(format!("CH{H}")), json!("hi"), json!(turn)])).unwrap();
        assert_eq!(read.turn.unwrap().to_string(), turn);
    }

    #[test]
    fn what_is_no_reply_is_refused_by_name() {
        let thread = json!(format!("CH{H}"));
        for (arguments, told) in [
            (vec![], "argument 1 is not the id of a thread"),
            (vec![json!("nowhere"), json!("hi")], "argument 1 is not the id of a thread"),
            (vec![thread.clone()], "argument 2 is not the reply"),
            (vec![thread.clone(), json!({"bodi": "hi"})], "did you mean `body`"),
            (vec![thread.clone(), json!("hi"), json!("7")], "argument 3 is not the id of the turn"),
        ] {
            let refused = said(&given(&arguments)).unwrap_err();
            assert!(refused.contains(told), "{refused}");
        }
    }

    fn given(arguments: &[Value]) -> Vec<Payload> {
        arguments.iter().map(|one| payload::json(one.to_string())).collect()
    }
}

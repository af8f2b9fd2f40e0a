//! What a bot says in the two calls that it answers with. Pure.
//!
//! Read kindly, as Chatwoot reads it: as JSON or as a form, and names that are not known are passed over,
//! since a bot is not written for us. What cannot be done is refused all the same.
//! Source: Chatwoot, "Create New Message" and "Toggle Status", `message_builder.rb`, read 2026-11-30.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::bytes16;
use crate::json;
use crate::pii::Pii;
use crate::thread::{Button, MessageId, Reply};
use crate::twilio::form::Form;

/// A message of a bot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct BotMessage {
    /// What people are to get; nothing of a private note.
    pub(super) reply: Option<Reply>,
    /// The number of the message that it says it answers.
    pub(super) in_reply_to: Option<u64>,
    /// What the bot calls it itself.
    pub(super) echo_id: Option<Pii>,
    digest: [u8; 16],
}

/// What a conversation is to be from now on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TalkStatus {
    /// A person's.
    Open,
    /// The bot's.
    Pending,
    /// Over, until somebody writes.
    Resolved,
}

impl TalkStatus {
    /// Chatwoot's word for it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Pending => "pending",
            Self::Resolved => "resolved",
        }
    }
}

/// How a body is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Writing {
    /// As JSON.
    Json,
    /// As a form.
    Form,
}

impl Writing {
    /// Decides by the header; what says nothing is taken for JSON. None of a kind that is not read.
    pub(super) fn of(content_type: Option<&str>) -> Option<Self> {
        let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
        match kind.trim().to_ascii_lowercase().as_str() {
            "" | "application/json" | "text/plain" => Some(Self::Json),
            "application/x-www-form-urlencoded" => Some(Self::Form),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct WrittenMessage {
    #[serde(default)]
    content: Option<Pii>,
    #[serde(default)]
    message_type: Option<String>,
    #[serde(default)]
    private: Option<Value>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    content_attributes: Option<Value>,
    #[serde(default)]
    echo_id: Option<Value>,
}

impl WrittenMessage {
    fn read(body: &[u8], writing: Writing) -> Result<Self, String> {
        if writing == Writing::Form {
            let form = Form::parse(body);
            let text = |name: &str| form.first(name).map(str::to_owned);
            let reply_to = text("content_attributes[in_reply_to]");
            return Ok(Self {
                content: text("content").map(Pii::from),
                message_type: text("message_type"),
                private: text("private").map(Value::from),
                content_type: text("content_type"),
                content_attributes: reply_to.map(|number| json!({ "in_reply_to": number })),
                echo_id: text("echo_id").map(Value::from),
            });
        }
        json::from_slice(body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!("wanted {{\"content\":\"…\"}}, reading failed at line {line} column {column}")
        })
    }
}

/// Reads a message.
///
/// # Errors
///
/// What is wrong, without a word of it.
pub(super) fn message(body: &[u8], writing: Writing) -> Result<BotMessage, String> {
    let written = WrittenMessage::read(body, writing)?;
    if !matches!(written.message_type.as_deref(), None | Some("outgoing")) {
        return Err("`message_type` is not outgoing, and a bot says nothing else here".to_owned());
    }
    let content = written.content.filter(|content| !content.reveal().trim().is_empty());
    let Some(content) = content else {
        return Err("there is no `content`, so nobody would get anything".to_owned());
    };
    let attributes = written.content_attributes.unwrap_or_default();
    let is_private = is_true(written.private.as_ref());
    let items = match written.content_type.as_deref() {
        Some("input_select") => items(&attributes),
        Some(_) | None => Vec::new(),
    };
    let private = [u8::from(is_private)];
    let digest = bytes16::digest([content.reveal().as_bytes(), &private]);
    let reply = (!is_private).then(|| reply(content, items));
    let in_reply_to = attributes.get("in_reply_to").and_then(number);
    let echo_id = written.echo_id.as_ref().and_then(text).filter(|id| !id.is_empty());
    Ok(BotMessage { reply, in_reply_to, echo_id: echo_id.map(Pii::from), digest })
}

impl BotMessage {
    /// What it says, as a digest; the same of a call that is repeated. By what the bot calls it, else by its
    /// words.
    pub(super) fn digest(&self) -> u128 {
        u128::from_be_bytes(match &self.echo_id {
            Some(id) => bytes16::digest([b"echo".as_slice(), id.reveal().as_bytes()]),
            None => self.digest,
        })
    }

    /// The key that makes it count once: by what the bot calls it, else by what it says to its turn, so
    /// that a call that is repeated, or a turn that is asked anew, says nothing twice.
    pub(super) fn key(&self, turn: Option<MessageId>) -> String {
        let turn = turn.map_or_else(|| "-".to_owned(), |turn| turn.to_string());
        let scope = if self.echo_id.is_some() { "-" } else { turn.as_str() };
        format!("chatwoot/{scope}/{:032x}", self.digest())
    }
}

/// Makes a list of what may be chosen; under the text where it does not fit buttons.
fn reply(content: Pii, items: Vec<Button>) -> Reply {
    let fits = |button: &Button| {
        let chars = |text: &Pii| text.reveal().chars().count();
        chars(&button.title) <= Button::TITLE_CHARS_MAX
            && button.id.as_ref().is_none_or(|id| chars(id) <= Button::ID_CHARS_MAX)
            && !button.title.reveal().contains(char::is_control)
    };
    let mut titles: Vec<String> =
        items.iter().map(|item| item.title.reveal().trim().to_lowercase()).collect();
    titles.sort_unstable();
    titles.dedup();
    let are_buttons = items.len() <= Button::COUNT_MAX && titles.len() == items.len();
    if are_buttons && items.iter().all(fits) {
        return Reply { buttons: items, ..Reply::text(content) };
    }
    let lines = items.iter().map(|item| item.title.reveal());
    let lines: Vec<&str> = std::iter::once(content.reveal()).chain(lines).collect();
    Reply::text(lines.join("\n- "))
}

/// The most items that are looked at.
const ITEMS_MAX: usize = 50;

fn items(attributes: &Value) -> Vec<Button> {
    let items = attributes.get("items").and_then(Value::as_array);
    let items = items.into_iter().flatten().take(ITEMS_MAX).filter_map(|item| {
        let title = item.get("title").and_then(text).filter(|title| !title.trim().is_empty())?;
        let id = item.get("value").and_then(text).map(Pii::from);
        Some(Button { id, ..Button::new(title) })
    });
    items.collect()
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn number(value: &Value) -> Option<u64> {
    text(value)?.parse().ok()
}

/// A note is private in whatever way that is said: it is better not sent than told to a stranger.
fn is_true(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(is_true)) => *is_true,
        Some(Value::String(text)) => !["", "0", "f", "false", "no", "off"]
            .contains(&text.trim().to_ascii_lowercase().as_str()),
        Some(Value::Number(number)) => number.as_u64() != Some(0),
        Some(Value::Array(_) | Value::Object(_)) => true,
    }
}

/// Reads a status.
///
/// # Errors
///
/// What is wrong, without a word of it.
pub(super) fn status(body: &[u8], writing: Writing) -> Result<TalkStatus, String> {
    let word = match writing {
        Writing::Form => Form::parse(body).first("status").map(str::to_owned),
        Writing::Json => {
            let read: Option<Value> = json::from_slice(body).ok();
            read.as_ref().and_then(|read| read.get("status")).and_then(text)
        }
    };
    match word.as_deref() {
        Some("open") => Ok(TalkStatus::Open),
        Some("pending") => Ok(TalkStatus::Pending),
        Some("resolved") => Ok(TalkStatus::Resolved),
        Some(_) => Err("`status` is none of open, pending and resolved".to_owned()),
        None => Err("there is no `status`: open, pending or resolved".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::sid::MessageSid;

    #[test]
    fn a_message_is_read_from_json_and_from_a_form() {
        let json = br#"{"content":"Hi you","message_type":"outgoing","private":false,"x":1}"#;
        let form = b"content=Hi+you&message_type=outgoing&private=false";
        for message in [message(json, Writing::Json), message(form, Writing::Form)] {
            assert_eq!(message.unwrap().reply, Some(Reply::text("Hi you")));
        }
    }

    #[test]
    fn a_private_note_is_for_nobody_however_it_is_said() {
        for private in ["true", "\"true\"", "1", "\"yes\"", "[false]", "{}"] {
            let body = format!(r#"{{"content":"planted","private":{private}}}"#);
            assert_eq!(message(body.as_bytes(), Writing::Json).unwrap().reply, None, "{private}");
        }
        for private in ["false", "null", "0", "\"\"", "\"False\""] {
            let body = format!(r#"{{"content":"hi","private":{private}}}"#);
            assert!(message(body.as_bytes(), Writing::Json).unwrap().reply.is_some(), "{private}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_refused_without_a_word_of_it() {
        for (body, words) in [
            ("planted", "line 1"),
            ("{}", "no `content`"),
            (r#"{"content":" "}"#, "no `content`"),
            (r#"{"content":"planted","message_type":"incoming"}"#, "`message_type`"),
        ] {
            let error = message(body.as_bytes(), Writing::Json).unwrap_err();
            assert!(error.contains(words) && !error.contains("planted"), "{body}: {error}");
        }
    }

    #[test]
    fn a_list_is_buttons_where_they_fit_and_text_where_not() {
        let list = |items: Value| {
            let body = json!({"content": "Which?", "content_type": "input_select",
                "content_attributes": {"items": items}});
            message(body.to_string().as_bytes(), Writing::Json).unwrap().reply.unwrap()
        };
        let short = list(json!([{"title": "Yes", "value": "y"}, {"title": "No", "value": 0}]));
        assert_eq!(short.buttons.len(), 2);
        assert_eq!(short.buttons[1].id, Some("0".into()));
        let long = list(json!([{"title": "x".repeat(25), "value": "y"}]));
        assert!(long.buttons.is_empty());
        assert!(long.body.unwrap().reveal().starts_with("Which?\n- xxx"));
        let twice = list(json!([{"title": "Yes"}, {"title": "yes "}]));
        assert_eq!(twice.body.unwrap().reveal(), "Which?\n- Yes\n- yes ");
    }

    #[test]
    fn what_is_said_twice_to_one_turn_counts_once() {
        let read = |body: &str| message(body.as_bytes(), Writing::Json).unwrap();
        let [one, two] = [1, 2].map(|n| Some(MessageId::from(MessageSid::from_bytes([n; 16]))));
        let hi = read(r#"{"content":"hi"}"#);
        assert_eq!(hi.key(one), read(r#"{"content":"hi"}"#).key(one));
        assert_ne!(hi.key(one), hi.key(two));
        assert_ne!(hi.key(one), read(r#"{"content":"ho"}"#).key(one));
        let named = read(r#"{"content":"hi","echo_id":"7"}"#);
        assert_eq!(named.key(one), read(r#"{"content":"ho","echo_id":7}"#).key(two));
    }

    #[test]
    fn a_status_is_one_of_three() {
        let read = |body: &str| status(body.as_bytes(), Writing::Json);
        assert_eq!(read(r#"{"status":"open"}"#), Ok(TalkStatus::Open));
        assert_eq!(status(b"status=pending", Writing::Form), Ok(TalkStatus::Pending));
        assert_eq!(read(r#"{"status":"resolved"}"#), Ok(TalkStatus::Resolved));
        assert!(read(r#"{"status":"planted"}"#).is_err_and(|error| !error.contains("planted")));
        assert!(read("").is_err());
    }
}

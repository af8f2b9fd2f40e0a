//! What a person sees who runs the emulator on a terminal: where all is, what to do next, and a line for each
//! request that it gets or makes. Pure, but for the waiting.
//!
//! Nothing that people wrote is in a line, and no address.

use serde_json::Value;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::line;
use crate::emulator::record::{Happening, Record};

/// The places, by the names that the line of JSON has them under, each with a word for people.
const PLACES: &[(&str, &str)] = &[
    ("phones", "phone_url"),
    ("conversations", "conversations_url"),
    ("messages", "messaging_url"),
    ("socket", "twilsock_url"),
    ("control", "control_url"),
];

/// Where everything is, and how a service is led here by settings.
pub(super) fn banner(info: &Value, settings: &[(&'static str, String)]) -> String {
    let mut text =
        "A local Twilio is running. Nothing that is sent here leaves this machine.\n\n".to_owned();
    for (word, key) in PLACES {
        let url = info.get(key).and_then(Value::as_str).unwrap_or_default();
        text.push_str(&format!("  {word:<14}{url}\n"));
    }
    text.push_str("\nType an SMS on the page with the phones. To lead a service here, in another terminal:\n\n");
    for (name, value) in settings {
        text.push_str(&format!("  export {name}={value}\n"));
    }
    text.push_str(
        "  chimein serve\n\nIts webhooks go where --webhook-url says. `chimein emulator fault --help` says what can go \
         wrong.\nCtrl-C ends it. Each request from here on is one line:\n",
    );
    text
}

/// Prints a line for each request, for ever.
pub(super) async fn show(mut happenings: Receiver<Record>) {
    loop {
        match happenings.recv().await {
            Ok(record) => {
                if let Some(told) = told(&record) {
                    line(format_args!("{told}"));
                }
            }
            Err(RecvError::Lagged(count)) => line(format_args!("          {count} more")),
            Err(RecvError::Closed) => return,
        }
    }
}

/// The line of a request; nothing for what is none.
fn told(record: &Record) -> Option<String> {
    let at = record.at.to_string();
    let time = at.get(11..19).unwrap_or_default();
    let (who, what) = match &record.what {
        Happening::Rest { method, path, status, code, elapsed_ms, .. } => {
            let (path, answer) = (without_people(path.reveal()), answer(*status, *code));
            ("rest", format!("{method} {path} {answer} ({elapsed_ms} ms)"))
        }
        Happening::WebhookAnswered { event_type, status, error, elapsed_ms, .. } => {
            let answer = error.map_or_else(|| answer(*status, None), str::to_owned);
            ("webhook", format!("{event_type} {answer} ({elapsed_ms} ms)"))
        }
        Happening::WebhookLost { event_type, reason } => {
            ("webhook", format!("{event_type} not sent: {reason}"))
        }
        Happening::SocketOpened { conn_id } => ("socket", format!("{conn_id} opened")),
        Happening::SocketRefused { conn_id, status, code } => {
            ("socket", format!("{conn_id} refused {}", answer(Some(*status), Some(*code))))
        }
        Happening::SocketRequest { conn_id, method, path, status, .. } => {
            let (path, answer) = (without_people(path.reveal()), answer(*status, None));
            ("socket", format!("{conn_id} {method} {path} {answer}"))
        }
        Happening::SocketClosed { conn_id, reason } => {
            ("socket", format!("{conn_id} closed: {reason}"))
        }
        Happening::InboundDropped { reason } => ("phone", format!("went nowhere: {reason}")),
        Happening::Complaint { code, .. } => ("debugger", format!("error {code}")),
        Happening::FaultApplied { fault_id, action } => {
            ("fault", format!("{fault_id} has done its work: {action}"))
        }
        Happening::ConversationAdded { .. }
        | Happening::ConversationUpdated { .. }
        | Happening::ConversationRemoved { .. }
        | Happening::ParticipantAdded { .. }
        | Happening::ParticipantUpdated { .. }
        | Happening::ParticipantRemoved { .. }
        | Happening::MessageAdded { .. }
        | Happening::MessageUpdated { .. }
        | Happening::MessageRemoved { .. }
        | Happening::DeliveryUpdated { .. }
        | Happening::Typing { .. }
        | Happening::WebhookSent { .. }
        | Happening::TextSent { .. }
        | Happening::TextReceived { .. }
        | Happening::TextUpdated { .. }
        | Happening::TextTyping { .. }
        | Happening::SocketInitialised { .. }
        | Happening::SocketSubscribed { .. } => return None,
    };
    Some(format!("{time}  {who:<9} {what}"))
}

/// What was answered, in a word.
fn answer(status: Option<u16>, code: Option<u32>) -> String {
    match (status, code) {
        (None, _) => "without an answer".to_owned(),
        (Some(status), None) => status.to_string(),
        (Some(status), Some(code)) => format!("{status}, error {code}"),
    }
}

/// A path without its query, and without the parts that are neither words of the API nor sids: these may be
/// numbers or names of people.
fn without_people(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let is_plain = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic())
            && part
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-'))
            || part.starts_with("2010-")
    };
    let parts =
        path.split('/').map(|part| if part.is_empty() || is_plain(part) { part } else { "…" });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn a_request_is_a_line_and_tells_of_nobody() {
        let path = "/v1/Services/IS1/Users/+15555550123?Identity=ann";
        let rest = Happening::Rest {
            method: "POST".to_owned(),
            path: path.into(),
            fields: Vec::new(),
            status: Some(409),
            code: Some(50433),
            elapsed_ms: 3,
        };
        for (what, expected) in [
            (rest, Some("rest      POST /v1/Services/IS1/Users/… 409, error 50433 (3 ms)")),
            (
                Happening::WebhookAnswered {
                    delivery_id: String::new(),
                    event_type: "onMessageAdded",
                    status: None,
                    error: Some("timeout"),
                    content_type: None,
                    body: None,
                    elapsed_ms: 5000,
                },
                Some("webhook   onMessageAdded timeout (5000 ms)"),
            ),
            (Happening::SocketOpened { conn_id: 1 }, Some("socket    1 opened")),
            (Happening::Typing { conversation_sid: sid(), identity: "bot".into() }, None),
        ] {
            let record = Record { seq: 1, at: Timestamp::from_millis(1_000), what };
            let expected = expected.map(|line| format!("00:00:01  {line}"));
            assert_eq!(told(&record), expected);
        }
    }

    #[test]
    fn the_banner_says_where_all_is_and_what_to_do_next() {
        let info =
            json!({ "phone_url": "http://127.0.0.1:1/", "auth_token": "not shown by itself" });
        let told = banner(&info, &[("TWILIO_ACCOUNT_SID", "AC1".to_owned())]);
        for words in [
            "phones        http://127.0.0.1:1/\n",
            "export TWILIO_ACCOUNT_SID=AC1\n",
            "chimein serve",
        ] {
            assert!(told.contains(words), "{told}");
        }
        assert!(!told.contains("not shown"));
    }

    fn sid() -> crate::twilio::sid::ConversationSid {
        crate::twilio::sid::ConversationSid::from_bytes([1; 16])
    }
}

//! A report as JSON: what agents outside of this process get that want to know. Pure.
//!
//! Its form is [`SCHEMA`]. New members may come at any time; nothing that is there is renamed or changes
//! what it means without another `version`.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Fate, Report};
use crate::bytes16;
use crate::thread::{MessageId, ThreadId};
use crate::twilio::catalogue;
use crate::twilio::sid::ParticipantSid;

/// The form of a report, as JSON Schema.
pub const SCHEMA: &str = include_str!("../report.schema.json");

/// The version of the document.
const VERSION: u32 = 1;

/// A report as an agent gets it.
#[derive(Serialize)]
pub(in crate::agent) struct Document<'a> {
    r#type: &'static str,
    version: u32,
    id: &'a str,
    reply: Uuid,
    turn: Option<MessageId>,
    key: Option<&'a Value>,
    index: Option<&'a Value>,
    part: usize,
    parts: usize,
    thread: ThreadId,
    channel: &'static str,
    state: &'static str,
    code: Option<u32>,
    meaning: Option<&'a str>,
    message: Option<MessageId>,
    recipient: Option<ParticipantSid>,
    at: String,
}

impl<'a> Document<'a> {
    /// Writes a report under its id.
    pub(in crate::agent) fn of(report: &'a Report, id: &'a str) -> Self {
        let Report { reply, thread, turn, origin, fate, at } = report;
        let (code, message, recipient) = match fate {
            Fate::Sent { message } => (None, Some(*message), None),
            Fate::Fares { code, message, recipient, .. } => (*code, *message, *recipient),
            Fate::Dead { code, .. } => (*code, None, None),
            Fate::Silenced => (None, None, None),
        };
        Self {
            r#type: "report",
            version: VERSION,
            id,
            reply: *reply,
            turn: *turn,
            key: origin.note.get("key"),
            index: origin.note.get("index"),
            part: origin.part,
            parts: origin.parts,
            thread: thread.id(),
            channel: thread.channel(),
            state: fate.state(),
            code,
            meaning: meaning(fate, code),
            message,
            recipient,
            at: at.to_string(),
        }
    }
}

/// What is told in words: Twilio's code, else why it is a dead letter.
fn meaning(fate: &Fate, code: Option<u32>) -> Option<&str> {
    let known = code.and_then(catalogue::lookup).map(|entry| entry.meaning.as_str());
    let detail = match fate {
        Fate::Dead { detail, .. } => Some(detail.as_str()),
        Fate::Sent { .. } | Fate::Fares { .. } | Fate::Silenced => None,
    };
    known.or(detail)
}

/// The id of a report: the same however often it is told.
#[must_use]
pub(in crate::agent) fn id(report: &Report) -> String {
    let at = report.at.as_millis().to_be_bytes();
    let (recipient, time) = match &report.fate {
        Fate::Fares { recipient, .. } => (recipient.map(|one| *one.as_bytes()), &[][..]),
        // One that was redriven may die again.
        Fate::Dead { .. } => (None, &at[..]),
        Fate::Sent { .. } | Fate::Silenced => (None, &[][..]),
    };
    let recipient = recipient.unwrap_or_default();
    let parts = [report.reply.as_bytes(), report.fate.state().as_bytes(), &recipient[..], time];
    format!("report_{}", Uuid::from_bytes(bytes16::digest(parts)).simple())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agent::Origin;
    use crate::clock::Timestamp;
    use crate::thread::Thread;
    use crate::twilio::messaging::MessageStatus;

    const H: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_report_says_which_reply_it_is_of_and_how_it_fares() {
        let code = Some(30003);
        let failed = Fate::Fares {
            status: MessageStatus::Undelivered,
            code,
            message: None,
            recipient: format!("MB{H}").parse().ok(),
        };
        let report = report(failed);
        let document = serde_json::to_value(Document::of(&report, &id(&report))).unwrap();
        assert_eq!(
            document,
            json!({
                "type": "report", "version": 1, "id": id(&report),
                "reply": "00000000-0000-0000-0000-000000000007", "turn": format!("IM{H}"),
                "key": null, "index": 2, "part": 1, "parts": 3,
                "thread": format!("CH{H}"), "channel": "conversation", "state": "undelivered",
                "code": 30003, "meaning": document["meaning"], "message": null,
                "recipient": format!("MB{H}"), "at": "2026-11-18T13:46:40.000Z",
            })
        );
        assert!(document["meaning"].as_str().is_some_and(|meaning| !meaning.is_empty()));
    }

    #[test]
    fn the_schema_describes_every_member_and_state() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let described = schema["properties"].as_object().unwrap();
        let report = report(Fate::Silenced);
        let document = serde_json::to_value(Document::of(&report, "x")).unwrap();
        let required = schema["required"].as_array().unwrap();
        for name in document.as_object().unwrap().keys() {
            assert!(described.contains_key(name) && required.contains(&json!(name)), "{name}");
        }
        assert_eq!(described.len(), document.as_object().unwrap().len());
        let states = described["state"]["enum"].as_array().unwrap();
        let told = MessageStatus::ALL
            .into_iter()
            .filter(|status| !matches!(status, MessageStatus::Receiving | MessageStatus::Received));
        let ours = ["dead", "silenced"].into_iter();
        for state in told.map(MessageStatus::as_str).chain(ours) {
            assert!(states.contains(&json!(state)), "{state}");
        }
    }

    #[test]
    fn the_id_is_the_reports_own_however_often_it_is_told() {
        let fares = |status| {
            let (code, message, recipient) = (None, None, None);
            Fate::Fares { status, code, message, recipient }
        };
        let sent = report(fares(MessageStatus::Sent));
        let later = Report { at: Timestamp::from_millis(7), ..sent.clone() };
        assert_eq!(id(&sent), id(&later));
        assert_ne!(id(&sent), id(&report(fares(MessageStatus::Delivered))));
        let dead = report(Fate::Dead { class: "x".into(), code: None, detail: "gone".into() });
        let again = Report { at: Timestamp::from_millis(7), ..dead.clone() };
        assert_ne!(id(&dead), id(&again));
    }

    fn report(fate: Fate) -> Report {
        let conversation = format!("CH{H}").parse().unwrap();
        Report {
            reply: Uuid::from_u128(7),
            thread: Thread::Conversation(conversation),
            turn: format!("IM{H}").parse().ok(),
            origin: Origin { parts: 3, ..Origin::new(json!({"index": 2})) },
            fate,
            at: Timestamp::from_millis(1_795_009_600_000),
        }
    }
}

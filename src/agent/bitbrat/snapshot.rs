//! The record of a delivery's end that `BitBrat`'s persistence keeps. Pure.
//!
//! Decides whether one is written and every field of it. A record too long for the policy loses its
//! least needed parts, and is not written if even the rest is too long. Its key is that of one
//! settlement: the same however often it is told, another one after a redrive, so that a reply that is
//! sent at last is recorded as sent.
//! Source: `BitBrat` 0.33.3, `src/common/events/persistence-snapshots.ts`, read 2026-11-21.

use serde_json::{Map, Value, json};

use super::event::Event;
use super::names::SNAPSHOT;
use crate::clock::Timestamp;
use crate::thread::MessageId;

/// Which records are written, and how long they may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Policy {
    /// Whether final records are written at all.
    pub is_on: bool,
    /// Whether an event's `payload` is part of its record.
    pub includes_raw: bool,
    /// The longest event in a record.
    pub bytes_max: Option<usize>,
}

/// How a delivery ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DeliveryEnding<'a> {
    /// Twilio took the reply.
    Sent(MessageId),
    /// It could not be sent, or was not to be.
    Failed(&'a Failure),
}

/// Why a reply was not sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// A word: `send_error`, `paused`, `no_target`, `invalid_target`.
    pub code: String,
    /// A sentence without text or address.
    pub message: String,
}

/// What a record is about.
#[derive(Clone, Copy, Debug)]
pub struct Delivered<'a> {
    /// The service that delivered, or failed to.
    pub service: &'a str,
    /// The topic that the event came by, without prefix.
    pub topic: &'a str,
    /// The event.
    pub event: &'a Event,
    /// When it ended.
    pub at: Timestamp,
    /// What names this ending: the same if it is told again, another one after a redrive.
    pub settlement: &'a str,
}

/// Makes the record; none if the policy wants none or the event is too long for it.
#[must_use]
pub fn of(delivered: Delivered<'_>, ending: &DeliveryEnding<'_>, policy: Policy) -> Option<Value> {
    if !policy.is_on {
        return None;
    }
    let Delivered { service, topic, event, at, settlement } = delivered;
    let mut kept = event.clone();
    if !policy.includes_raw {
        kept.fields_mut().remove("payload");
    }
    let (kept, was_cut) = kept.trimmed(policy.bytes_max.unwrap_or(usize::MAX))?;
    let (status, summary) = match ending {
        DeliveryEnding::Sent(_) => ("SENT", "egress delivery success"),
        DeliveryEnding::Failed(_) => ("FAILED", "egress delivery failure"),
    };
    let summary = if was_cut { format!("{summary} (truncated)") } else { summary.to_owned() };
    let correlation_id = event.correlation_id();
    let mut record = Map::new();
    let mut put = |name: &str, value: Value| record.insert(name.to_owned(), value);
    put("v", json!("1"));
    put("correlationId", json!(correlation_id));
    put("kind", json!("final"));
    put("capturedAt", json!(at.to_string()));
    put("sourceService", json!(service));
    put("sourceTopic", json!(topic));
    let key = format!("{correlation_id}:final:{service}:{topic}:{status}:{settlement}");
    put("idempotencyKey", json!(key));
    put("stage", json!(stage(event)));
    if let Some(step) = event.open_step() {
        put("stepId", step.clone());
    }
    put("changeSummary", json!(summary));
    put("delivery", delivery(topic, status, at, ending));
    put("event", json!(kept));
    Some(Value::Object(record))
}

/// The event's stage, if it is one that the platform knows; else the one in which answers are.
/// Source: `BitBrat` 0.33.3, `src/types/events.ts`, `RoutingStage`, read 2026-11-29.
fn stage(event: &Event) -> &str {
    let named = event.text(&["routing", "stage"]);
    named.filter(|stage| STAGES.contains(stage)).unwrap_or("response")
}

const STAGES: [&str; 7] =
    ["initial", "contextualization", "analysis", "reaction", "response", "error", "meta"];

/// The attributes that go with a record; see [`super::envelope::attributes`].
#[must_use]
pub fn attributes(record: &Value) -> Vec<(&'static str, String)> {
    let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
    vec![
        ("type", SNAPSHOT.to_owned()),
        ("correlationId", text("correlationId")),
        ("idempotencyKey", text("idempotencyKey")),
    ]
}

fn delivery(topic: &str, status: &str, at: Timestamp, ending: &DeliveryEnding<'_>) -> Value {
    let mut delivery =
        json!({"destination": topic, "status": status, "deliveredAt": at.to_string()});
    match ending {
        DeliveryEnding::Sent(message) => delivery["providerMessageId"] = json!(message),
        DeliveryEnding::Failed(Failure { code, message }) => {
            delivery["error"] = json!({"code": code, "message": message});
        }
    }
    delivery
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::sid::MessageSid;

    const AT: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    fn event() -> Event {
        serde_json::from_value(json!({
            "correlationId": "c-1",
            "payload": {"raw": "x".repeat(300)},
            "routing": {"stage": "response", "slip": [{"id": "a", "status": "PENDING"}]},
        }))
        .unwrap()
    }

    fn record(policy: Policy) -> Option<Value> {
        let event = event();
        let delivered = delivered(&event);
        of(delivered, &DeliveryEnding::Sent(sent()), policy)
    }

    const fn delivered(event: &Event) -> Delivered<'_> {
        Delivered { service: "s", topic: "t", event, at: AT, settlement: "r:7" }
    }

    const ALL: Policy = Policy { is_on: true, includes_raw: true, bytes_max: None };

    #[test]
    fn the_policy_decides_what_is_written() {
        assert_eq!(record(Policy { is_on: false, ..ALL }), None);
        assert!(record(ALL).unwrap()["event"]["payload"].is_object());
        let without = record(Policy { includes_raw: false, ..ALL }).unwrap();
        assert!(without["event"].get("payload").is_none());
        assert_eq!(without["changeSummary"], "egress delivery success");
        let cut = record(Policy { bytes_max: Some(200), ..ALL }).unwrap();
        assert_eq!(cut["changeSummary"], "egress delivery success (truncated)");
        assert_eq!(record(Policy { bytes_max: Some(10), ..ALL }), None);
    }

    #[test]
    fn the_key_tells_a_success_from_a_failure() {
        let event = event();
        let delivered = delivered(&event);
        let failure = Failure { code: "send_error".into(), message: "twilio refused".into() };
        let failed = of(delivered, &DeliveryEnding::Failed(&failure), ALL).unwrap();
        assert_eq!(failed["idempotencyKey"], "c-1:final:s:t:FAILED:r:7");
        assert_eq!(failed["stepId"], "a");
        assert_eq!(record(ALL).unwrap()["idempotencyKey"], "c-1:final:s:t:SENT:r:7");
    }

    #[test]
    fn a_stage_is_one_that_the_platform_knows() {
        for (given, expected) in [
            (json!({"stage": "error"}), "error"),
            (json!({"stage": "egress"}), "response"),
            (json!({"stage": null}), "response"),
            (json!({}), "response"),
        ] {
            let event: Event = serde_json::from_value(json!({"routing": given})).unwrap();
            let record = of(delivered(&event), &DeliveryEnding::Sent(sent()), ALL).unwrap();
            assert_eq!(record["stage"], expected, "{given}");
        }
    }

    fn sent() -> MessageId {
        MessageSid::from_bytes([7; 16]).into()
    }
}

//! The event that says that a reply could not be delivered: `router.deadletter.v1`. Pure.
//!
//! It keeps what identifies the original and a short look at its payload. Its key is that of one
//! settlement, as the snapshot's beside it: without one persistence would take both for the same.
//! Source: `BitBrat` 0.33.3, `src/services/routing/dlq.ts`, `buildDlqEvent`, read 2026-11-21.

use serde_json::{Map, Value, json};

use super::envelope::SOURCE;
use super::event::Event;
use super::snapshot::{Delivered, Failure};

/// The type of a dead letter.
pub const TYPE: &str = "router.deadletter.v1";
/// Why a reply is one.
pub const REASON: &str = "egress_delivery_failed";

/// Makes the dead letter of an event.
#[must_use]
pub fn of(delivered: Delivered<'_>, failure: &Failure) -> Event {
    let Delivered { service, topic, event, at, settlement } = delivered;
    let kept = |name: &str, otherwise: Value| event.find(&[name]).cloned().unwrap_or(otherwise);
    let mut letter = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            letter.insert(name.to_owned(), value);
        }
    };
    put("v", json!("2"));
    put("type", json!(TYPE));
    let correlation_id = event.correlation_id();
    put("correlationId", json!(correlation_id));
    put(
        "idempotencyKey",
        json!(format!("{correlation_id}:deadletter:{service}:{topic}:{settlement}")),
    );
    put("traceId", kept("traceId", Value::Null));
    put("ingress", kept("ingress", json!({"ingressAt": at.to_string(), "source": SOURCE})));
    let nobody = json!({"external": {"id": "unknown", "platform": "system"}});
    put("identity", kept("identity", nobody));
    put("egress", kept("egress", json!({"destination": "deadletter"})));
    put("routing", kept("routing", Value::Null));
    put("payload", payload(event, failure));
    Event::new(letter)
}

/// The attributes that go with a dead letter; see [`super::envelope::attributes`].
#[must_use]
pub fn attributes(letter: &Event, service: &str) -> Vec<(&'static str, String)> {
    vec![
        ("type", TYPE.to_owned()),
        ("correlationId", letter.correlation_id().to_owned()),
        ("idempotencyKey", key(letter).to_owned()),
        ("source", service.to_owned()),
    ]
}

/// What a dead letter is known by.
#[must_use]
pub fn key(letter: &Event) -> &str {
    letter.text(&["idempotencyKey"]).unwrap_or_default()
}

fn payload(event: &Event, failure: &Failure) -> Value {
    let Failure { code, message } = failure;
    let original =
        event.find(&["payload"]).or_else(|| event.find(&["message", "rawPlatformPayload"]));
    let mut payload = json!({
        "reason": REASON,
        "error": {"code": code, "message": message},
        "slipSummary": slip_summary(event.list(&["routing", "slip"])),
    });
    for (name, value) in [
        ("lastStepId", event.last_step().cloned()),
        ("originalType", event.find(&["type"]).cloned()),
        ("originalPayloadPreview", original.map(preview)),
        ("egressSource", event.find(&["ingress", "source"]).cloned()),
        ("metadata", event.find(&["metadata"]).cloned()),
    ] {
        if let Some(value) = value {
            payload[name] = value;
        }
    }
    payload
}

/// A payload as it is if it is short, else its length.
fn preview(payload: &Value) -> Value {
    // JavaScript counts UTF-16 units.
    let length = payload.to_string().encode_utf16().count();
    if length <= PREVIEW_UNITS_MAX {
        return payload.clone();
    }
    json!({"truncated": true, "length": length})
}

const PREVIEW_UNITS_MAX: usize = 1000;

/// The slip in a line: `[auth:OK,llm-bot:ERROR#2]`.
/// Source: `BitBrat` 0.33.3, `src/services/routing/slip.ts`, `summarizeSlip`, read 2026-11-21.
fn slip_summary(slip: &[Value]) -> String {
    let word = |step: &Value, name: &str| match step.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "undefined".to_owned(),
    };
    let steps: Vec<String> = slip
        .iter()
        .map(|step| {
            let attempt = step.get("attempt").filter(|attempt| !attempt.is_null());
            let attempt = attempt.map(|attempt| format!("#{attempt}")).unwrap_or_default();
            format!("{}:{}{attempt}", word(step, "id"), word(step, "status"))
        })
        .collect();
    format!("[{}]", steps.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    const AT: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    fn letter(event: Value) -> Value {
        let failure = Failure { code: "send_error".into(), message: "twilio refused".into() };
        let event: Event = serde_json::from_value(event).unwrap();
        let (service, topic, settlement) = ("s", "t", "r:7");
        json!(of(Delivered { service, topic, event: &event, at: AT, settlement }, &failure))
    }

    #[test]
    fn a_bare_event_still_makes_a_whole_letter() {
        let letter = letter(json!({"correlationId": "c-1"}));
        assert_eq!(letter["identity"]["external"]["platform"], "system");
        assert_eq!(letter["egress"]["destination"], "deadletter");
        assert_eq!(letter["payload"]["slipSummary"], "[]");
        assert_eq!(letter["idempotencyKey"], "c-1:deadletter:s:t:r:7");
        assert!(letter.get("routing").is_none() && letter.get("traceId").is_none());
    }

    #[test]
    fn the_slip_is_summed_up_and_the_open_step_named() {
        let letter = letter(json!({"routing": {"slip": [
            {"id": "auth", "status": "OK"}, {"id": "llm-bot", "status": "ERROR", "attempt": 2},
        ]}}));
        assert_eq!(letter["payload"]["slipSummary"], "[auth:OK,llm-bot:ERROR#2]");
        assert_eq!(letter["payload"]["lastStepId"], "llm-bot");
    }

    #[test]
    fn a_long_payload_is_told_by_its_length() {
        let short = letter(json!({"message": {"rawPlatformPayload": {"text": "hi"}}}));
        assert_eq!(short["payload"]["originalPayloadPreview"], json!({"text": "hi"}));
        let long = letter(json!({"payload": "x".repeat(1000)}));
        let preview = &long["payload"]["originalPayloadPreview"];
        assert_eq!(*preview, json!({"truncated": true, "length": 1002}));
    }
}

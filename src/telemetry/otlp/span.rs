//! What a span is, which are sent, and how they are written. Pure.

use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::telemetry::trace::TraceId;

/// Who sends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resource {
    /// The service's name.
    pub service: String,
    /// This instance's name among several, where it has one.
    pub instance: Option<String>,
}

/// A stage that has ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ended {
    /// The trace that it belongs to.
    pub trace: TraceId,
    /// Its own id, random and not zero.
    pub id: u64,
    /// The stage's word.
    pub stage: String,
    /// When it began.
    pub began: Timestamp,
    /// How long it took.
    pub took_nanos: u64,
    /// The conversation's sid, where one is known.
    pub conversation: Option<String>,
    /// The message's sid, where one is known.
    pub message: Option<String>,
    /// The first warning or error that was logged within.
    pub trouble: Option<String>,
}

/// Whether a trace is among the share that is sent: the same answer in every process.
///
/// Source: OpenTelemetry SDK specification, `TraceIdRatioBased`: by the id's last 8 bytes.
#[must_use]
pub fn is_sampled(trace: TraceId, ratio: f64) -> bool {
    let [.., a, b, c, d] = *trace.as_bytes();
    // Thirty-two bits are as fine as a ratio that a person writes, and exact as a float.
    f64::from(u32::from_be_bytes([a, b, c, d])) < ratio * (f64::from(u32::MAX) + 1.0)
}

/// Writes spans as the body of one request.
#[must_use]
pub fn batch(resource: &Resource, spans: &[Ended]) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    let mut attributes =
        vec![attribute("service.name", &resource.service), attribute("service.version", version)];
    if let Some(instance) = &resource.instance {
        attributes.push(attribute("service.instance.id", instance));
    }
    json!({ "resourceSpans": [{
        "resource": { "attributes": attributes },
        "scopeSpans": [{
            "scope": { "name": env!("CARGO_PKG_NAME"), "version": version },
            "spans": spans.iter().map(span).collect::<Vec<_>>(),
        }],
    }] })
}

/// `SPAN_KIND_SERVER` for what Twilio calls, `SPAN_KIND_CONSUMER` for what a queue or socket brings.
const KINDS: [u8; 2] = [2, 5];

/// `STATUS_CODE_ERROR`.
const STATUS_ERROR: u8 = 2;

fn span(ended: &Ended) -> Value {
    let began = nanos(ended.began);
    let mut attributes = Vec::new();
    for (key, value) in
        [("chimein.conversation_sid", &ended.conversation), ("chimein.message_sid", &ended.message)]
    {
        attributes.extend(value.as_ref().map(|value| attribute(key, value)));
    }
    let [server, consumer] = KINDS;
    let mut span = json!({
        "traceId": ended.trace.to_string(),
        "spanId": format!("{:016x}", ended.id),
        "name": ended.stage,
        "kind": if ended.stage == "webhook" { server } else { consumer },
        // Numbers of 64 bits are texts in JSON.
        "startTimeUnixNano": began.to_string(),
        "endTimeUnixNano": began.saturating_add(ended.took_nanos).to_string(),
        "attributes": attributes,
    });
    if let Some(trouble) = &ended.trouble {
        span["status"] = json!({ "code": STATUS_ERROR, "message": trouble });
    }
    span
}

fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(0).saturating_mul(1_000_000)
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_batch_is_written_as_the_protocol_wants_it() {
        let resource = Resource { service: "chimein".into(), instance: Some("one".into()) };
        let ended = Ended {
            trace: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            id: 7,
            stage: "inbox".into(),
            began: Timestamp::from_millis(1_795_000_000_000),
            took_nanos: 1_500_000,
            conversation: Some("CH1".into()),
            message: None,
            trouble: Some("agent gave no answer; trying again".into()),
        };
        let version = env!("CARGO_PKG_VERSION");
        let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
        assert_eq!(
            batch(&resource, &[ended]),
            json!({"resourceSpans": [{
                "resource": {"attributes": [
                    text("service.name", "chimein"),
                    text("service.version", version),
                    text("service.instance.id", "one"),
                ]},
                "scopeSpans": [{
                    "scope": {"name": "chimein", "version": version},
                    "spans": [{
                        "traceId": "0123456789abcdef0123456789abcdef",
                        "spanId": "0000000000000007",
                        "name": "inbox",
                        "kind": 5,
                        "startTimeUnixNano": "1795000000000000000",
                        "endTimeUnixNano": "1795000000001500000",
                        "attributes": [text("chimein.conversation_sid", "CH1")],
                        "status": {"code": 2, "message": "agent gave no answer; trying again"},
                    }],
                }],
            }]})
        );
    }

    #[test]
    fn all_or_none_are_sent_at_the_ends() {
        for id in ["00000000000000000000000000000000", "ffffffffffffffffffffffffffffffff"] {
            assert!(is_sampled(id.parse().unwrap(), 1.0));
            assert!(!is_sampled(id.parse().unwrap(), 0.0));
        }
    }

    proptest! {
        #[test]
        fn what_is_sent_at_a_ratio_is_sent_at_a_higher_one(id: u128, low in 0.0..1.0, more in 0.0..1.0) {
            let id: TraceId = format!("{id:032x}").parse().unwrap();
            let high = low + (1.0 - low) * more;
            prop_assert!(!is_sampled(id, low) || is_sampled(id, high));
        }

        #[test]
        fn the_share_that_is_sent_is_the_ratio(ratio in 0.05..0.95, seed: u64) {
            let id = |n: u64| -> TraceId {
                let low = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed);
                format!("{:032x}", u128::from(low)).parse().unwrap()
            };
            let sent = (0..2_000).filter(|n| is_sampled(id(*n), ratio)).count();
            let share = f64::from(u32::try_from(sent).unwrap()) / 2_000.0;
            prop_assert!((share - ratio).abs() < 0.05, "{share} for {ratio}");
        }
    }
}

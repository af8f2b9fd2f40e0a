//! What the platform's persistence keeps of what passes, by its own rules.
//!
//! Its consumers know an event that comes again by a key and drop the second one; one map a process, for
//! all topics, ten minutes long. Everything in these tests is younger. What is kept is applied to one
//! record a request, where a key that is there already changes nothing.
//! Source: `BitBrat` 0.33.3, `src/services/message-bus/dedupe.ts`, `src/apps/persistence-service.ts`,
//! `src/services/persistence/repository.ts` and `model.ts`, read 2026-11-29.

use std::collections::HashSet;

use serde_json::Value;

use crate::platform::{DEAD_LETTER, INGRESS, Passed, SNAPSHOT};

/// What it consumes.
const TOPICS: [&str; 3] = [INGRESS, SNAPSHOT, DEAD_LETTER];

/// What is known of the delivery of one request.
#[derive(Debug, Default)]
pub struct Record {
    /// The status that was recorded last.
    pub status: Option<String>,
    /// How many dead letters were stored.
    pub dead_letters: usize,
    /// How many records of a delivery.
    pub snapshots: usize,
}

/// What its consumers let through, in order.
pub fn kept(passed: &[Passed]) -> Vec<&Passed> {
    let mut seen = HashSet::new();
    let consumed = passed.iter().filter(|one| TOPICS.contains(&&*one.topic));
    consumed.filter(|one| seen.insert(dedupe_key(one))).collect()
}

/// What it knows of a request.
pub fn record(passed: &[Passed], correlation_id: &str) -> Record {
    let (mut record, mut keys) = (Record::default(), HashSet::new());
    for one in kept(passed).into_iter().filter(|one| one.body["correlationId"] == correlation_id) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = text(&one.body["idempotencyKey"]);
        if one.topic == INGRESS || !key.is_empty() && !keys.insert(key) {
            continue;
        }
        if one.topic == DEAD_LETTER {
            record.dead_letters += 1;
        } else {
            record.snapshots += 1;
            record.status = Some(text(&one.body["delivery"]["status"]));
        }
    }
    record
}

/// What an event is known by: its idempotency key, else correlation id, step and attempt, else its place
/// in the stream. Names are looked for as they are written here.
pub fn dedupe_key(passed: &Passed) -> String {
    let pick = |names: &[&str]| {
        let mut headers = names.iter().flat_map(|name| {
            passed.headers.iter().filter(move |(given, value)| given == name && !value.is_empty())
        });
        headers.next().map(|(_, value)| value.clone())
    };
    let names = ["idempotencyKey", "IdempotencyKey", "idempotency-key", "Idempotency-Key"];
    if let Some(key) = pick(&names) {
        return key;
    }
    let names = ["correlationId", "CorrelationId", "correlation-id", "Correlation-Id"];
    if let Some(correlation_id) = pick(&names) {
        let step = pick(&["step", "Step"]).unwrap_or_default();
        let attempt = pick(&["attempt", "Attempt"]).unwrap_or_default();
        return format!("{correlation_id}::{step}::{attempt}");
    }
    format!("id:{}", passed.sequence)
}

/// Whether the rule that is seeded with the platform takes an event for somebody's message, so that its
/// auth makes a user of whoever the event names.
/// Source: `BitBrat` 0.33.3, `tools/brat/src/cli/setup.ts`, `initial-contextualization`, read 2026-11-29.
pub fn makes_a_user(event: &Value) -> bool {
    event["routing"]["stage"] == "initial"
}

#[test]
fn the_rule_is_the_platforms() {
    let passed = |headers: &[(&str, &str)]| Passed {
        topic: SNAPSHOT.to_owned(),
        sequence: 7,
        headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        body: Value::Null,
    };
    for (headers, key) in [
        (&[("correlationId", "c"), ("idempotencyKey", "k")][..], "k"),
        (&[("correlationId", "c")], "c::::"),
        (&[("correlationId", "c"), ("step", "s"), ("attempt", "2")], "c::s::2"),
        (&[("correlationid", "c"), ("idempotencykey", "k")], "id:7"),
        (&[], "id:7"),
    ] {
        assert_eq!(dedupe_key(&passed(headers)), key, "{headers:?}");
    }
}

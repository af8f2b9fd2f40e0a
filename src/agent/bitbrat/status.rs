//! The event that tells how the connection to Twilio is: `system.source.status`. Pure.
//!
//! Decides its fields, and that it is told on change only.
//! Source: `BitBrat` 0.33.3, `deprecated/sprint-12-backup/ingress-egress-service.ts`,
//! `publishStatus`, and `src/services/persistence/model.ts`, `normalizeSourceStatus`, read 2026-11-21.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::envelope::{CONNECTOR, SOURCE};
use super::event::Event;
use crate::agent::Connection;
use crate::clock::Timestamp;

/// The type of a status event.
pub const TYPE: &str = "system.source.status";

/// How the connection to Twilio is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// The bot's identity.
    pub identity: String,
    /// `CONNECTED`, `CONNECTING`, `DISCONNECTED` or `ERROR`.
    pub state: &'static str,
    /// What Twilio refuses, for an operator.
    pub last_error: Option<String>,
    /// Messages of people that were seen.
    pub received: u64,
    /// Turns that were given to the bus.
    pub published: u64,
    /// Jobs that failed for good.
    pub failed: u64,
}

impl From<Connection> for Source {
    fn from(connection: Connection) -> Self {
        let Connection { identity, state, last_error, received, published, failed } = connection;
        let state = state.as_str();
        Self { identity, state, last_error, received, published, failed }
    }
}

/// Remembers what was told last.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    told: Option<&'static str>,
}

impl Changes {
    /// Whether a state is to be told: it is the first one, or another than the last one told.
    #[must_use]
    pub fn is_new(&self, source: &Source) -> bool {
        self.told != Some(source.state)
    }

    /// Takes note that a state was told.
    pub const fn told(&mut self, source: &Source) {
        self.told = Some(source.state);
    }
}

/// Makes the event.
#[must_use]
pub fn of(source: &Source, id: Uuid, at: Timestamp) -> Event {
    let Source { identity, state, last_error, received, published, failed } = source;
    let at = at.to_string();
    let metrics = json!({"received": received, "published": published, "failed": failed});
    let refused = last_error.as_ref().map(|text| json!({"message": text, "at": at}));
    let auth = if last_error.is_some() { "INVALID" } else { "VALID" };
    let fields = [
        ("v", json!("2")),
        ("type", json!(TYPE)),
        ("correlationId", json!(format!("status-{id}"))),
        ("ingress", json!({"ingressAt": at, "source": SOURCE, "connector": "system"})),
        ("identity", json!({"external": {"id": identity, "platform": CONNECTOR}})),
        ("egress", json!({"destination": "", "connector": "system"})),
        // In its initial stage the router would take it for somebody's first message.
        ("routing", json!({"stage": "meta", "slip": [], "history": []})),
        (
            "payload",
            json!({
                "platform": CONNECTOR,
                "id": identity,
                "status": state,
                "displayName": identity,
                "metrics": metrics,
                "lastError": refused,
                "authStatus": auth,
                "metadata": {"state": state, "identity": identity, "counters": metrics},
            }),
        ),
    ];
    let fields: Map<String, Value> =
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Event::new(fields)
}

/// The attributes that go with a status event.
#[must_use]
pub fn attributes(event: &Event, service: &str) -> Vec<(&'static str, String)> {
    vec![
        ("type", TYPE.to_owned()),
        ("source", service.to_owned()),
        ("correlationId", event.correlation_id().to_owned()),
        ("idempotencyKey", event.correlation_id().to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_told_once_until_it_changes() {
        let source = |state| Source {
            identity: "bot".into(),
            state,
            last_error: None,
            received: 0,
            published: 0,
            failed: 0,
        };
        let mut changes = Changes::default();
        let mut told = Vec::new();
        for state in ["CONNECTING", "CONNECTED", "CONNECTED", "ERROR", "CONNECTED", "CONNECTED"] {
            let source = source(state);
            if changes.is_new(&source) {
                changes.told(&source);
                told.push(state);
            }
        }
        assert_eq!(told, ["CONNECTING", "CONNECTED", "ERROR", "CONNECTED"]);
    }
}

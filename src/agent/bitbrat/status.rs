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
use crate::jobs::status::ConnectorState;

/// The type of a status event.
pub const TYPE: &str = "system.source.status";

/// Remembers what was told last.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    told: Option<ConnectorState>,
}

impl Changes {
    /// Whether a state is to be told: it is the first one, or another than the last one told.
    #[must_use]
    pub fn is_new(&self, connection: &Connection) -> bool {
        self.told != Some(connection.state)
    }

    /// Takes note that a state was told.
    pub const fn told(&mut self, connection: &Connection) {
        self.told = Some(connection.state);
    }
}

/// Makes the event.
#[must_use]
pub fn of(connection: &Connection, id: Uuid, at: Timestamp) -> Event {
    let Connection { identity, state, last_error, received, published, failed } = connection;
    let (state, at) = (state.as_str(), at.to_string());
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
        use ConnectorState::{Connected, Connecting, Error};
        let connection = |state| Connection {
            identity: "bot".into(),
            state,
            last_error: None,
            received: 0,
            published: 0,
            failed: 0,
        };
        let mut changes = Changes::default();
        let mut told = Vec::new();
        for state in [Connecting, Connected, Connected, Error, Connected, Connected] {
            let connection = connection(state);
            if changes.is_new(&connection) {
                changes.told(&connection);
                told.push(state.as_str());
            }
        }
        assert_eq!(told, ["CONNECTING", "CONNECTED", "ERROR", "CONNECTED"]);
    }
}

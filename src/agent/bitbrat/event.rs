//! An event from the bus: read where we know it, carried on whole where we do not. Pure.
//!
//! Decides nothing. Unknown fields stay in place, since snapshot and dead letter hold the whole event.
//! It holds what people wrote, so its `Debug` prints nothing of it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An `InternalEventV2` as it came.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Event(Map<String, Value>);

impl Event {
    /// Takes the fields of an event.
    #[must_use]
    pub const fn new(fields: Map<String, Value>) -> Self {
        Self(fields)
    }

    /// Finds a value by the names on the way to it.
    #[must_use]
    pub fn find(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        let found = rest.iter().try_fold(self.0.get(*first)?, |value, name| value.get(name));
        found.filter(|value| !value.is_null())
    }

    /// Finds a text that is not blank.
    #[must_use]
    pub fn text(&self, path: &[&str]) -> Option<&str> {
        self.find(path)?.as_str().filter(|text| !text.trim().is_empty())
    }

    /// Finds a list; no list is an empty one.
    #[must_use]
    pub fn list(&self, path: &[&str]) -> &[Value] {
        self.find(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// What joins all events of one request.
    #[must_use]
    pub fn correlation_id(&self) -> &str {
        self.text(&["correlationId"]).unwrap_or_default()
    }

    /// The fields.
    #[must_use]
    pub const fn fields(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The fields, to be changed.
    pub const fn fields_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.0
    }

    /// How long the event is as JSON.
    #[must_use]
    pub fn bytes(&self) -> usize {
        serde_json::to_vec(&self.0).map_or(usize::MAX, |text| text.len())
    }

    /// The step of the routing slip that was not done yet; the last one if all were.
    /// Source: `BitBrat` 0.33.3, `src/services/routing/dlq.ts`, `inferLastStepId`, read 2026-11-21.
    #[must_use]
    pub fn last_step(&self) -> Option<&Value> {
        self.open_step().or_else(|| self.list(&["routing", "slip"]).last()?.get("id"))
    }

    /// The first step of the routing slip that was not done yet.
    /// Source: `BitBrat` 0.33.3, `src/common/events/persistence-snapshots.ts`, `stepId`, read
    /// 2026-11-21.
    #[must_use]
    pub fn open_step(&self) -> Option<&Value> {
        let is_done = |step: &&Value| {
            matches!(step.get("status").and_then(Value::as_str), Some("OK" | "SKIP"))
        };
        self.list(&["routing", "slip"])
            .iter()
            .find(|step| !is_done(step))?
            .get("id")
            .filter(|id| !id.is_null())
    }

    /// Leaves out what is least needed until the event has at most so many bytes; says whether
    /// something was left out, and nothing if even the rest is longer.
    /// Source: `BitBrat` 0.33.3, `persistence-snapshots.ts`, `trimEventToMaxBytes`, read 2026-11-21.
    #[must_use]
    pub fn trimmed(mut self, bytes_max: usize) -> Option<(Self, bool)> {
        if self.bytes() <= bytes_max {
            return Some((self, false));
        }
        for name in LEAST_NEEDED_FIRST {
            self.0.remove(name);
            if self.bytes() <= bytes_max {
                return Some((self, true));
            }
        }
        let slip = self.0.get_mut("routing").and_then(|routing| routing.get_mut("slip"));
        if let Some(slip) = slip.and_then(Value::as_array_mut) {
            slip.drain(..slip.len().saturating_sub(1));
        }
        (self.bytes() <= bytes_max).then_some((self, true))
    }
}

/// The order in which a long event loses its parts.
const LEAST_NEEDED_FIRST: [&str; 7] =
    ["payload", "metadata", "errors", "externalEvent", "message", "annotations", "candidates"];

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("correlation_id", &self.correlation_id())
            .field("fields", &self.0.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(value: Value) -> Event {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_unknown_travels_on() {
        let given = json!({"v": "2", "later": {"than": ["we", "know"]}});
        assert_eq!(serde_json::to_value(event(given.clone())).unwrap(), given);
        assert!(serde_json::from_str::<Event>("[]").is_err());
    }

    #[test]
    fn blank_and_null_are_nothing() {
        let event = event(json!({"egress": {"channel": "  ", "connector": null}, "message": 1}));
        assert_eq!(event.text(&["egress", "channel"]), None);
        assert_eq!(event.find(&["egress", "connector"]), None);
        assert_eq!(event.text(&["message", "text"]), None);
        assert_eq!(event.correlation_id(), "");
    }

    #[test]
    fn the_open_step_is_the_first_that_is_not_done() {
        let with = |slip: Value| event(json!({"routing": {"slip": slip}}));
        let mixed = with(json!([{"id": "a", "status": "OK"}, {"id": "b", "status": "PENDING"}]));
        let done = with(json!([{"id": "a", "status": "OK"}, {"id": "b", "status": "SKIP"}]));
        assert_eq!(mixed.open_step(), Some(&json!("b")));
        assert_eq!((done.open_step(), done.last_step()), (None, Some(&json!("b"))));
        assert_eq!(with(json!([])).last_step(), None);
    }

    #[test]
    fn a_long_event_loses_its_least_needed_parts_first() {
        let long = "x".repeat(500);
        let full = event(json!({
            "correlationId": "c", "payload": long, "candidates": [long], "routing": {"slip": []},
        }));
        let (same, was_cut) = full.clone().trimmed(5000).unwrap();
        assert!(same == full && !was_cut);
        let (cut, was_cut) = full.clone().trimmed(700).unwrap();
        assert!(was_cut && cut.find(&["payload"]).is_none() && cut.find(&["candidates"]).is_some());
        assert!(full.clone().trimmed(100).unwrap().0.find(&["candidates"]).is_none());
        assert_eq!(full.trimmed(10), None);
    }

    #[test]
    fn debug_shows_nothing_of_what_was_said() {
        let event = event(json!({"correlationId": "c-1", "message": {"text": "call me"}}));
        let shown = format!("{event:?}");
        assert!(shown.contains("c-1") && !shown.contains("call"), "{shown}");
    }
}

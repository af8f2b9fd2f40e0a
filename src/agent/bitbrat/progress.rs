//! Words of progress: what the platform says by itself while an answer is being thought about. Pure.
//!
//! Its feedback middleware says such words for everything that takes longer than two seconds, and says
//! them when the thinking is over. On a phone each is one more text, so they are sent only where that is
//! asked for. What an agent itself says on the way, by the tool `agent.sendProgressUpdate`, is the agent's
//! own word and none of these.
//! Source: `BitBrat` 0.33.3, `src/common/middleware/feedback-middleware.ts`,
//! `src/common/events/derived-event.ts`, read 2026-11-29.

use serde_json::Value;

use super::event::Event;
use crate::json;

/// To whom words of progress are sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProgressWish {
    /// To nobody.
    Never,
    /// Where no phone reads.
    Chats,
    /// To everybody.
    Always,
}

impl ProgressWish {
    /// Whether one is sent.
    #[must_use]
    pub const fn sends(self, is_phone: bool) -> bool {
        match self {
            Self::Never => false,
            Self::Chats => !is_phone,
            Self::Always => true,
        }
    }
}

/// A word of progress.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Progress {
    /// The correlation id of the request that it belongs to, where it says so.
    pub request: Option<String>,
}

/// Finds out whether an event is one: from a template, or written by a model for it.
#[must_use]
pub fn of(event: &Event) -> Option<Progress> {
    let template = annotation(event, "progress_feedback");
    let written = annotation(event, "progress_context");
    template.or(written)?;
    let request = template
        .and_then(|value| id_in(value, "originalCorrelationId"))
        .or_else(|| id_in(annotation(event, "derived_from")?, "correlationId"));
    Some(Progress { request })
}

/// The value of an annotation of a kind; null where it has none.
fn annotation<'a>(event: &'a Event, kind: &str) -> Option<&'a Value> {
    let is_one = |one: &&Value| one.get("kind").and_then(Value::as_str) == Some(kind);
    let found = event.list(&["annotations"]).iter().find(is_one)?;
    Some(found.get("value").unwrap_or(&Value::Null))
}

/// A name in an annotation's value, which is an object or the text of one.
fn id_in(value: &Value, name: &str) -> Option<String> {
    let text = match value {
        Value::String(text) => json::from_str::<Value>(text).ok()?.get(name)?.as_str()?.to_owned(),
        other => other.get(name)?.as_str()?.to_owned(),
    };
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_of_the_platform_are_known_by_their_annotations() {
        let template = json!({"originalCorrelationId": "c-1", "stage": "initial"}).to_string();
        let derived = json!({"correlationId": "c-2", "type": "chat.message.v1"});
        for (annotations, request) in [
            (json!([{"kind": "progress_feedback", "value": template}]), Some(Some("c-1"))),
            (json!([{"kind": "progress_feedback", "value": {}}]), Some(None)),
            (json!([{"kind": "progress_feedback", "value": "{"}]), Some(None)),
            (json!([{"kind": "progress_feedback"}]), Some(None)),
            (
                json!([{"kind": "derived_from", "value": derived}, {"kind": "progress_context"}]),
                Some(Some("c-2")),
            ),
            (json!([{"kind": "derived_from", "value": derived}]), None),
            (json!([{"kind": "progress_update", "value": {"urgency": "normal"}}]), None),
            (json!([]), None),
            (Value::Null, None),
        ] {
            let event = json!({"annotations": annotations});
            let event: Event = serde_json::from_value(event).unwrap();
            let found = of(&event);
            let found = found.as_ref().map(|progress| progress.request.as_deref());
            assert_eq!(found, request, "{annotations}");
        }
    }

    #[test]
    fn they_are_sent_to_whom_it_is_wished() {
        for (wish, phone, chat) in [
            (ProgressWish::Never, false, false),
            (ProgressWish::Chats, false, true),
            (ProgressWish::Always, true, true),
        ] {
            assert_eq!((wish.sends(true), wish.sends(false)), (phone, chat), "{wish:?}");
        }
    }
}

//! Which text of an egress event is the reply. Pure.
//!
//! The order is `BitBrat`'s, with three differences: a candidate that its producer marked `selected`
//! wins, one marked `rejected` or `superseded` never does, and a tie is broken by age and place
//! instead of by chance, so that a redelivered event gives the same reply. Progress messages of the
//! feedback middleware, which carry no candidates, have a text too; whether they are sent is
//! [`super::progress`]'s to say.

use std::cmp::Ordering;

use serde_json::Value;

use super::event::Event;

/// The text to send.
#[derive(Clone, Eq, PartialEq)]
pub struct ChosenText {
    /// The candidate that it is of, if it has a name.
    pub candidate: Option<String>,
    /// The text, without the quotes that models put around it.
    pub text: String,
}

/// Chooses the text of an egress event; none means that there is nothing to send.
/// Source: `BitBrat` 0.33.3, `src/common/events/selection.ts`, `extractEgressTextFromEvent`, read
/// 2026-11-21.
#[must_use]
pub fn choose(event: &Event) -> Option<ChosenText> {
    if let Some(best) = best(event.list(&["candidates"])) {
        let text = best.get("text").and_then(Value::as_str).and_then(unquoted);
        let candidate = best.get("id").and_then(Value::as_str).map(str::to_owned);
        if let Some(text) = text {
            return Some(ChosenText { candidate, text });
        }
    }
    let text = progress(event).or_else(|| legacy(event)).and_then(unquoted)?;
    Some(ChosenText { candidate: None, text })
}

/// The best candidate that was not turned down.
fn best(candidates: &[Value]) -> Option<&Value> {
    let candidates = candidates.iter().filter(|one| one.is_object());
    let open = candidates.filter(|one| !matches!(status(one), "rejected" | "superseded"));
    // Of equals `min_by` keeps the first.
    open.min_by(|left, right| rank(left).compare(&rank(right)))
}

fn status(candidate: &Value) -> &str {
    candidate.get("status").and_then(Value::as_str).unwrap_or_default()
}

/// What candidates are compared by.
struct CandidateRank<'a> {
    is_selected: bool,
    priority: f64,
    confidence: f64,
    created_at: Option<&'a str>,
}

fn rank(candidate: &Value) -> CandidateRank<'_> {
    let number = |name: &str| candidate.get(name).and_then(Value::as_f64);
    CandidateRank {
        is_selected: status(candidate) == "selected",
        priority: number("priority").unwrap_or(f64::INFINITY),
        confidence: number("confidence").unwrap_or(-1.0),
        created_at: candidate.get("createdAt").and_then(Value::as_str),
    }
}

impl CandidateRank<'_> {
    /// The better one is the lesser: selected, then lowest priority, then highest confidence, then
    /// the older (times are of one format, so their text is their order), an undated one last.
    fn compare(&self, other: &Self) -> Ordering {
        let by_age = match (self.created_at, other.created_at) {
            (Some(own), Some(others)) => own.cmp(others),
            (own, others) => others.is_some().cmp(&own.is_some()),
        };
        (other.is_selected.cmp(&self.is_selected))
            .then(self.priority.total_cmp(&other.priority))
            .then(other.confidence.total_cmp(&self.confidence))
            .then(by_age)
    }
}

/// The text of a progress message.
/// Source: `BitBrat` 0.33.3, `src/common/middleware/feedback-middleware.ts`, `sendTemplateMessage`,
/// read 2026-11-21.
fn progress(event: &Event) -> Option<&str> {
    let is_progress = |annotation: &Value| {
        annotation.get("kind").and_then(Value::as_str) == Some("progress_feedback")
    };
    let by_assistant = event.text(&["message", "role"]) == Some("assistant");
    let is_one = by_assistant && event.list(&["annotations"]).iter().any(is_progress);
    event.text(&["message", "text"]).filter(|_| is_one)
}

/// The text of an event older than candidates. An event of today never falls back to what the user
/// wrote: that would be an echo.
fn legacy(event: &Event) -> Option<&str> {
    let has_candidates = event.find(&["candidates"]).is_some_and(Value::is_array);
    let is_of_today = event.find(&["egress"]).is_some() && event.find(&["message"]).is_some();
    if has_candidates || is_of_today {
        return None;
    }
    [
        &["message", "rawPlatformPayload", "chat", "text"][..],
        &["message", "rawPlatformPayload", "text"],
        &["payload", "chat", "text"],
        &["payload", "text"],
    ]
    .into_iter()
    .find_map(|path| event.text(path))
}

/// Takes white space and up to two layers of quotes off a text; nothing if nothing is left.
/// Source: `BitBrat` 0.33.3, `selection.ts`, `unwrapQuoted`, read 2026-11-21.
fn unquoted(text: &str) -> Option<String> {
    let mut text = text.trim();
    for _ in 0..LAYERS_MAX {
        let inner =
            QUOTES.iter().find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close));
        let Some(inner) = inner else { break };
        text = inner.trim();
    }
    (!text.is_empty()).then(|| text.to_owned())
}

const LAYERS_MAX: usize = 2;

const QUOTES: [(char, char); 5] =
    [('"', '"'), ('\'', '\''), ('\u{201c}', '\u{201d}'), ('\u{2018}', '\u{2019}'), ('`', '`')];

impl std::fmt::Debug for ChosenText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chosen({} bytes)", self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn event(value: Value) -> Event {
        serde_json::from_value(value).unwrap()
    }

    fn text_of(value: Value) -> Option<String> {
        choose(&event(value)).map(|chosen| chosen.text)
    }

    #[test]
    fn the_best_candidate_wins_by_mark_priority_confidence_age_and_place() {
        for (why, candidates, expected) in [
            ("lowest priority", json!([c("a", 20, 0.9), c("b", 10, 0.1)]), "b"),
            ("highest confidence", json!([c("a", 10, 0.1), c("b", 10, 0.9)]), "b"),
            ("no priority is the lowest rank", json!([{"text": "a"}, c("b", 99, 0.0)]), "b"),
            ("first of equals", json!([c("a", 1, 0.5), c("b", 1, 0.5)]), "a"),
            (
                "the older of equals",
                json!([
                    {"text": "a", "priority": 1, "createdAt": "2026-11-21T10:00:01.000Z"},
                    {"text": "b", "priority": 1, "createdAt": "2026-11-21T10:00:00.000Z"},
                ]),
                "b",
            ),
            (
                "selected",
                json!([c("a", 1, 0.9), {"text": "b", "priority": 9, "status": "selected"}]),
                "b",
            ),
            (
                "not rejected",
                json!([{"text": "a", "priority": 1, "status": "rejected"}, c("b", 9, 0.0)]),
                "b",
            ),
            (
                "not superseded",
                json!([{"text": "a", "priority": 1, "status": "superseded"}, c("b", 9, 0.0)]),
                "b",
            ),
        ] {
            assert_eq!(
                text_of(json!({"candidates": candidates})).as_deref(),
                Some(expected),
                "{why}"
            );
        }
    }

    #[test]
    fn null_is_what_is_absent() {
        for given in [
            json!({"candidates": [null, {"text": "hi", "id": null, "status": null,
                "priority": null, "confidence": null, "createdAt": null}]}),
            json!({"candidates": null, "egress": null, "payload": {"chat": null, "text": "hi"}}),
            json!({"candidates": null, "annotations": null, "egress": null, "message":
                {"role": null, "rawPlatformPayload": {"chat": {"text": null}, "text": "hi"}}}),
        ] {
            assert_eq!(text_of(given.clone()).as_deref(), Some("hi"), "{given}");
        }
    }

    #[test]
    fn quotes_of_models_are_taken_off_twice_at_most() {
        for (text, expected) in [
            ("\"hi\"", Some("hi")),
            ("  'hi' ", Some("hi")),
            ("\u{201c}hi\u{201d}", Some("hi")),
            ("\u{2018}hi\u{2019}", Some("hi")),
            ("`\"hi\"`", Some("hi")),
            ("'`\"hi\"`'", Some("\"hi\"")),
            ("\"hi'", Some("\"hi'")),
            ("\"", Some("\"")),
            ("\"\"", None),
            ("   ", None),
        ] {
            let given = json!({"candidates": [{"text": text}]});
            assert_eq!(text_of(given).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_the_user_wrote_is_never_echoed() {
        let message = json!({"role": "user", "text": "q", "rawPlatformPayload": {"text": "q"}});
        for given in [
            json!({"egress": {}, "message": message}),
            json!({"candidates": [], "message": message}),
            json!({"candidates": [{"text": ""}], "message": message}),
        ] {
            assert_eq!(text_of(given.clone()), None, "{given}");
        }
    }

    #[test]
    fn events_older_than_candidates_are_read() {
        for given in [
            json!({"message": {"rawPlatformPayload": {"chat": {"text": "old"}, "text": "x"}}}),
            json!({"message": {"rawPlatformPayload": {"text": "old"}}}),
            json!({"egress": {}, "payload": {"chat": {"text": "old"}, "text": "x"}}),
            json!({"payload": {"text": "'old'"}}),
        ] {
            assert_eq!(text_of(given.clone()).as_deref(), Some("old"), "{given}");
        }
    }

    #[test]
    fn a_progress_message_of_the_assistant_is_sent() {
        let given = |role: &str, kind: &str| {
            json!({
                "egress": {"connector": "twilio"},
                "message": {"role": role, "text": "Still working on it"},
                "annotations": [{"kind": kind}],
            })
        };
        let text = text_of(given("assistant", "progress_feedback"));
        assert_eq!(text.as_deref(), Some("Still working on it"));
        assert_eq!(text_of(given("user", "progress_feedback")), None);
        assert_eq!(text_of(given("assistant", "intent")), None);
    }

    proptest! {
        #[test]
        fn the_order_of_candidates_of_different_rank_does_not_matter(
            priorities in proptest::collection::hash_set(0..100_u8, 1..8),
        ) {
            let lowest = priorities.iter().min().unwrap().to_string();
            let candidates: Vec<_> =
                priorities.iter().map(|p| c(&p.to_string(), *p, 0.5)).collect();
            prop_assert_eq!(text_of(json!({"candidates": candidates})), Some(lowest));
        }
    }

    fn c(text: &str, priority: u8, confidence: f64) -> Value {
        json!({"id": format!("cand-{text}"), "text": text, "priority": priority,
            "confidence": confidence})
    }
}

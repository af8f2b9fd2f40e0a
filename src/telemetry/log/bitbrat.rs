//! What the format `bitbrat` changes about a line, so that the platform's queries find it.
//!
//! Pure. The platform's `msg` is a dotted name that a query can ask for, ours is a sentence; the name
//! is made of the room and the sentence, which never changes at run time, and the sentence stays
//! beside it as `message`. What has a name there is called by it; the correlation id follows from the
//! message. Sids stay as they are, though the platform masks long words: without them nobody finds
//! anything. Source: BitBrat 0.33.3, `logging.ts`, and its catalogue of names; read 2026-11-21.

use serde_json::{Map, Value};
use uuid::Uuid;

/// How our fields are called on the platform.
const RENAMED: &[(&str, &str)] = &[("trace_id", "traceId"), ("request_id", "requestId")];

/// How long the sentence's part of a name may be; sentences of other crates hold all sorts of things.
const SLUG_BYTES_MAX: usize = 80;

/// Reshapes a line of the format `json`.
pub(super) fn reshape(line: &mut Map<String, Value>) {
    for (ours, theirs) in RENAMED {
        if let Some(value) = line.remove(*ours) {
            line.insert((*theirs).to_owned(), value);
        }
    }
    if let Some(sid) = line.get("message_sid").and_then(Value::as_str) {
        let id = correlation_id(sid).to_string();
        line.insert("correlationId".to_owned(), id.into());
    }
    let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
    let name = dotted(text("target"), text("msg"));
    if let Some(sentence) = line.insert("msg".to_owned(), name.into()) {
        line.insert("message".to_owned(), sentence);
    }
}

/// The platform's id of what became of a message: the same wherever the message was seen.
#[must_use]
pub fn correlation_id(message_sid: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, message_sid.as_bytes())
}

/// `chimein::pipeline::turn` and `message gets no turn` make `pipeline.turn.message_gets_no_turn`.
fn dotted(target: &str, sentence: &str) -> String {
    let room = target.strip_prefix("chimein::").unwrap_or(target).replace("::", ".");
    let mut slug = String::new();
    for word in sentence.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
    {
        if slug.len() + word.len() > SLUG_BYTES_MAX {
            break;
        }
        if !slug.is_empty() {
            slug.push('_');
        }
        slug.push_str(&word.to_ascii_lowercase());
    }
    format!("{room}.{slug}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_called_as_the_platform_calls_it() {
        let line = json!({
            "msg": "message gets no turn",
            "target": "chimein::pipeline::turn",
            "trace_id": "07",
            "request_id": "RQ1",
            "message_sid": "IM07070707070707070707070707070707",
            "reason": "stale",
        });
        let Value::Object(mut line) = line else { unreachable!() };
        reshape(&mut line);
        assert_eq!(
            Value::Object(line),
            json!({
                "msg": "pipeline.turn.message_gets_no_turn",
                "message": "message gets no turn",
                "target": "chimein::pipeline::turn",
                "traceId": "07",
                "requestId": "RQ1",
                "message_sid": "IM07070707070707070707070707070707",
                "correlationId": "80c919fb-fd0a-5a66-b08c-eab8386e8717",
                "reason": "stale",
            })
        );
    }

    #[test]
    fn names_are_dotted_words_of_bounded_length() {
        for (target, sentence, name) in [
            ("chimein::app", "service is up", "app.service_is_up"),
            ("hyper::proto", "Bad! thing: 7", "hyper.proto.bad_thing_7"),
            ("wire::twilsock", "", "wire.twilsock."),
        ] {
            assert_eq!(dotted(target, sentence), name);
        }
        let long = "word ".repeat(100);
        assert!(dotted("a", &long).len() <= "a.".len() + SLUG_BYTES_MAX + 1);
        assert!(dotted("a", &long).ends_with("_word"));
    }

    #[test]
    fn a_message_has_one_correlation_id_for_ever() {
        let id = correlation_id("IM07070707070707070707070707070707");
        assert_eq!(id, correlation_id("IM07070707070707070707070707070707"));
        assert_eq!(id.get_version_num(), 5);
    }
}

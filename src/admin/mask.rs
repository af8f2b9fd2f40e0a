//! What an operator sees of a stored payload who did not ask to see it all.
//!
//! Pure. Works by shape, not by record type: sids, UUIDs, numbers and switches are shown; an address
//! keeps its last two digits; every other text is its length. Attributes are somebody else's object,
//! whose very keys may be personal, so of them only the number of keys remains.

use serde_json::{Map, Value};

use crate::pii::mask_address;

/// Fields of ours whose text is never personal.
const PLAIN_FIELDS: &[&str] = &["v", "content_type"];

/// Fields that hold an object of somebody else's.
const FOREIGN_FIELDS: &[&str] = &["attributes", "content_variables"];

/// The longest name that one of our fields has; a longer one is not ours.
const FIELD_BYTES_MAX: usize = 32;

/// Masks a payload; one that is not JSON is its length.
pub(super) fn payload(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .map_or_else(|_| length(bytes.len()), |value: Value| masked("", value))
}

/// Masks the key of a lane: a conversation's sid is shown, an address is not.
pub(super) fn lane(key: &str) -> String {
    text(key)
}

fn masked(field: &str, value: Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
        Value::String(plain) if PLAIN_FIELDS.contains(&field) => Value::String(plain),
        Value::String(secret) => Value::String(text(&secret)),
        Value::Array(items) => items.into_iter().map(|item| masked(field, item)).collect(),
        Value::Object(fields) if FOREIGN_FIELDS.contains(&field) || !are_ours(&fields) => {
            Value::String(format!("<{} keys>", fields.len()))
        }
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| {
                let value = masked(&name, value);
                (name, value)
            });
            Value::Object(fields.collect())
        }
    }
}

/// Whether every name looks like a field of our records.
fn are_ours(fields: &Map<String, Value>) -> bool {
    fields.keys().all(|name| {
        name.len() <= FIELD_BYTES_MAX
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    })
}

fn text(text: &str) -> String {
    if is_sid(text) || uuid::Uuid::try_parse(text).is_ok() {
        text.to_owned()
    } else {
        mask_address(text)
    }
}

/// Whether it is two capital letters and 32 hexadecimal digits.
fn is_sid(text: &str) -> bool {
    text.len() == 34
        && text.bytes().take(2).all(|byte| byte.is_ascii_uppercase())
        && text.bytes().skip(2).all(|byte| byte.is_ascii_hexdigit())
}

fn length(bytes: usize) -> Value {
    Value::String(format!("<{bytes} bytes>"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sids_and_numbers_remain_and_people_do_not() {
        let stored = json!({
            "v": "1",
            "thread": "CHcccccccccccccccccccccccccccccccc",
            "message": {
                "sid": "IM07070707070707070707070707070707",
                "index": 4,
                "author": "whatsapp:+15555550123",
                "body": "call me at +15555550123",
                "attributes": {"+15555550123": "alice", "v": "planted"},
                "media": [{"content_type": "image/png", "filename": "alice.png", "size": 12}],
                "participant": null,
                "attempts": [1, "two"],
            },
            "id": "153f9eef-1ad8-8f27-a7ab-15548b687228",
        });
        assert_eq!(
            payload(stored.to_string().as_bytes()),
            json!({
                "v": "1",
                "thread": "CHcccccccccccccccccccccccccccccccc",
                "message": {
                    "sid": "IM07070707070707070707070707070707",
                    "index": 4,
                    "author": "whatsapp:+…23",
                    "body": "<23 bytes>",
                    "attributes": "<2 keys>",
                    "media": [{"content_type": "image/png", "filename": "<9 bytes>", "size": 12}],
                    "participant": null,
                    "attempts": [1, "<3 bytes>"],
                },
                "id": "153f9eef-1ad8-8f27-a7ab-15548b687228",
            })
        );
    }

    #[test]
    fn what_is_not_ours_is_masked_whole() {
        for (stored, shown) in [
            (&b"hello +15555550123"[..], "<18 bytes>"),
            (b"\xff\xfe", "<2 bytes>"),
            (br#"{"+15555550123":1}"#, "<1 keys>"),
            (br#""alice""#, "<5 bytes>"),
        ] {
            assert_eq!(payload(stored), json!(shown));
        }
    }

    #[test]
    fn lanes_show_sids_and_hide_addresses() {
        let sid = "CHcccccccccccccccccccccccccccccccc";
        assert_eq!(lane(sid), sid);
        assert_eq!(lane("sms:+15555550123"), "sms:+…23");
        assert_eq!(lane("CHzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"), "<34 bytes>");
    }
}

//! JSON as other programs write it, read as they mean it.
//!
//! Half of an emoji, which JavaScript writes as `\ud83d`, is U+FFFD and spoils nothing; `null` is what
//! is absent; the members of an object are read one by one, so that an odd one costs nothing but
//! itself; and what is nested deeper than our own records can carry is left out. Whoever writes a part
//! of somebody else's object keeps the rest to the byte, see [`ObjectText`].
//!
//! Whatever comes from outside is read here. Plain reading goes first: only a text that fails it pays
//! for a second look. Pure; nothing here names what it reads in an error.

mod members;
mod object;
mod read;
mod repair;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

pub use members::{Members, Unreadable};
pub use object::ObjectText;
pub use read::{from_slice, from_str, lend, null_as_default};
pub use repair::repaired;

/// How deep the values may be nested that are taken into our own records. `serde_json` reads 128
/// levels, and the records wrap a handful around what they keep.
pub const DEPTH_MAX: usize = 100;

/// Reads an object whose members are anything, such as attributes. Values in it that cannot be read,
/// or are nested deeper than our own records can carry, are left out wherever they stand.
///
/// # Errors
///
/// Where it is no object; as [`from_slice`].
pub fn object(bytes: &[u8]) -> serde_json::Result<Map<String, Value>> {
    if !may_be_deep(bytes)
        && let Ok(object) = from_slice(bytes)
    {
        return Ok(object);
    }
    let mut room = Vec::new();
    lend(bytes, &mut room).map(|members| readable_members(&members, DEPTH_MAX - 1))
}

/// Reads a value that our own records can carry; `None` if it is nested too deep or is a number beyond
/// all bounds.
#[must_use]
pub fn shallow(raw: &RawValue) -> Option<Value> {
    within(raw, DEPTH_MAX - 1)
}

fn within(raw: &RawValue, levels: usize) -> Option<Value> {
    (depth(raw.get()) <= levels).then(|| from_str(raw.get()).ok()).flatten()
}

/// Reads what can be read of a value that stands so many levels above the deepest allowed.
fn readable(raw: &RawValue, levels: usize) -> Option<Value> {
    let whole = within(raw, levels);
    let inner = levels.checked_sub(1);
    whole.or_else(|| match raw.get().as_bytes().first() {
        Some(b'{') => {
            let mut room = Vec::new();
            let members = lend(raw.get().as_bytes(), &mut room).ok()?;
            Some(readable_members(&members, inner?).into())
        }
        Some(b'[') => {
            let entries: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
            let inner = inner?;
            Some(entries.into_iter().filter_map(|entry| readable(entry, inner)).collect())
        }
        Some(_) | None => None,
    })
}

fn readable_members(members: &Members<'_>, levels: usize) -> Map<String, Value> {
    let members = members.iter();
    members.filter_map(|(name, raw)| Some((name.to_owned(), readable(raw, levels)?))).collect()
}

/// Whether JSON has so many brackets that it could be nested too deep.
fn may_be_deep(bytes: &[u8]) -> bool {
    bytes.iter().filter(|byte| matches!(byte, b'{' | b'[')).count() > DEPTH_MAX
}

/// How deep a valid JSON text is nested.
fn depth(text: &str) -> usize {
    let (mut deepest, mut depth) = (0_usize, 0_usize);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => object::skip_string(&mut bytes),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[test]
    fn half_an_emoji_is_a_replacement_character_and_costs_nothing_else() {
        let read: Value =
            from_str(r#"{"a":"x\ud83d","b":[1,"\ude00y"],"c":"\ud83d\ude00"}"#).unwrap();
        assert_eq!(read, json!({"a": "x\u{fffd}", "b": [1, "\u{fffd}y"], "c": "\u{1f600}"}));
        let read: Value = from_slice(b"{\"\\udc00\":\"\xed\xa0\xbd\"}").unwrap();
        assert_eq!(read, json!({"\u{fffd}": "\u{fffd}"}));
        let error = from_str::<Value>(r#"{"a":"\ud83d",}"#).unwrap_err();
        assert_eq!((error.line(), error.column()), (1, 15), "places are those of the original");
        assert!(from_slice::<Value>(b"{\"a\":\"\xff\"}").is_err(), "other encodings stay refused");
    }

    #[test]
    fn what_cannot_be_read_is_left_out_where_it_stands() {
        let read = object(br#"{"a":[{"b":1e400,"c":"\ud83d"},-1e999,2],"d":{"e":{"f":1e400}}}"#);
        let wanted = json!({"a": [{"c": "\u{fffd}"}, 2], "d": {"e": {}}});
        assert_eq!(Value::Object(read.unwrap()), wanted);
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
        let read = Value::Object(object(deep.as_bytes()).unwrap()).to_string();
        assert_eq!(depth(&read), DEPTH_MAX);
        for text in ["", "[]", "7", "null", "{", "\"x\""] {
            assert!(object(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn members_that_cannot_be_read_are_left_out() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for (text, names) in [
            (r#"{"a":1,"b":{"c":[null]}}"#.to_owned(), vec!["a", "b"]),
            (r#"{"a":"\ud83d","b":2}"#.to_owned(), vec!["a", "b"]),
            (r#"{"a":1e400,"b":-1e999,"c":3}"#.to_owned(), vec!["c"]),
            (format!(r#"{{"a":{},"b":{}}}"#, deep(200), deep(DEPTH_MAX - 1)), vec!["a", "b"]),
            (format!(r#"{{"a":"{}","b":[]}}"#, "[".repeat(300)), vec!["a", "b"]),
            ("{}".to_owned(), vec![]),
        ] {
            let read = object(text.as_bytes()).unwrap();
            assert_eq!(read.keys().collect::<Vec<_>>(), names, "{text}");
        }
    }

    #[test]
    fn null_is_what_is_absent() {
        #[derive(Debug, Deserialize, PartialEq)]
        struct Form {
            #[serde(default, deserialize_with = "null_as_default")]
            list: Vec<u8>,
        }
        for (text, list) in
            [("{}", vec![]), (r#"{"list":null}"#, vec![]), (r#"{"list":[1]}"#, vec![1])]
        {
            assert_eq!(from_str::<Form>(text).unwrap(), Form { list }, "{text}");
        }
        assert!(from_str::<Form>(r#"{"list":7}"#).is_err());
    }

    #[test]
    fn what_borrows_from_a_repaired_text_borrows_from_the_room() {
        let mut room = Vec::new();
        let read: Vec<&str> = lend(br#"["plain"]"#, &mut room).unwrap();
        assert_eq!(read, ["plain"]);
        let mut room = Vec::new();
        let read: Vec<std::borrow::Cow<'_, str>> = lend(br#"["\ud83d"]"#, &mut room).unwrap();
        assert_eq!(read, ["\u{fffd}"]);
    }
}

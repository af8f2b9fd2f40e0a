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
mod repair;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

pub use members::{Members, Unreadable};
pub use object::ObjectText;
pub use repair::repaired;

/// How deep the values may be nested that are taken into our own records. `serde_json` reads 128
/// levels, and the records wrap a handful around what they keep.
pub const DEPTH_MAX: usize = 100;

/// Reads JSON.
///
/// # Errors
///
/// Where it is not of the form wanted; only the place is fit for a log, for the text can quote.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(bytes).or_else(|error| {
        let repaired = repaired(bytes).ok_or(error)?;
        serde_json::from_slice(&repaired)
    })
}

/// Reads JSON text.
///
/// # Errors
///
/// As [`from_slice`].
pub fn from_str<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    serde_json::from_str(text).or_else(|error| {
        let repaired = repaired(text.as_bytes()).ok_or(error)?;
        serde_json::from_slice(&repaired)
    })
}

/// Reads JSON into something that borrows from it, or from `room` where it had to be repaired.
///
/// # Errors
///
/// As [`from_slice`].
pub fn lend<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    room: &'a mut Vec<u8>,
) -> serde_json::Result<T> {
    match serde_json::from_slice(bytes) {
        Ok(read) => Ok(read),
        Err(error) => {
            *room = repaired(bytes).ok_or(error)?;
            serde_json::from_slice(room)
        }
    }
}

/// Reads `null` as what a missing field is read as; for `#[serde(deserialize_with)]`.
///
/// # Errors
///
/// Where there is a value of another form.
pub fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads an object whose members are anything, such as attributes. Anything else is an empty one, and
/// members that cannot be read or are nested too deep are left out.
#[must_use]
pub fn object(text: &str) -> Map<String, Value> {
    if !may_be_deep(text)
        && let Ok(object) = from_str::<Option<Map<String, Value>>>(text)
    {
        return object.unwrap_or_default();
    }
    let mut room = Vec::new();
    let Ok(members) = lend::<Members<'_>>(text.as_bytes(), &mut room) else { return Map::new() };
    members.iter().filter_map(|(name, value)| Some((name.to_owned(), shallow(value)?))).collect()
}

/// Reads a value that our own records can carry; `None` if it is nested too deep or is a number beyond
/// all bounds.
#[must_use]
pub fn shallow(raw: &RawValue) -> Option<Value> {
    (depth(raw.get()) < DEPTH_MAX).then(|| from_str(raw.get()).ok()).flatten()
}

/// Whether a text has so many brackets that it could be nested too deep.
fn may_be_deep(text: &str) -> bool {
    text.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count() > DEPTH_MAX
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
    fn attributes_are_read_as_far_as_they_can_be() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for (text, names) in [
            (r#"{"a":1,"b":{"c":[null]}}"#.to_owned(), vec!["a", "b"]),
            (r#"{"a":"\ud83d","b":2}"#.to_owned(), vec!["a", "b"]),
            (r#"{"a":1e400,"b":-1e999,"c":3}"#.to_owned(), vec!["c"]),
            (format!(r#"{{"a":{},"b":{}}}"#, deep(200), deep(DEPTH_MAX - 1)), vec!["b"]),
            (format!(r#"{{"a":{},"b":1}}"#, deep(DEPTH_MAX)), vec!["b"]),
            (format!(r#"{{"a":"{}","b":[]}}"#, "[".repeat(300)), vec!["a", "b"]),
            ("null".to_owned(), vec![]),
            ("[1]".to_owned(), vec![]),
            ("{".to_owned(), vec![]),
            (String::new(), vec![]),
        ] {
            let read = object(&text);
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

//! JSON as Temporal carries it. Pure.
//!
//! Source: docs.temporal.io, "Default Data Converter": `json/plain`, `binary/null`, read 2026-11-30.

use temporalio_common::protos::temporal::api::common::v1::{Payload, Payloads};

const ENCODING: &str = "encoding";
const JSON: &[u8] = b"json/plain";
const NULL: &[u8] = b"binary/null";
/// The longest name of an encoding that is shown.
const NAME_BYTES_MAX: usize = 64;

/// What a payload is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Carried<'a> {
    /// Nothing: Python's `None`, Go's `nil`.
    Nothing,
    /// JSON, whether it is well-formed or not.
    Json(&'a [u8]),
    /// Something that chimein cannot read, by the name of its encoding.
    Strange(String),
}

/// Packs JSON.
pub(super) fn json(text: String) -> Payload {
    let metadata = [(ENCODING.to_owned(), JSON.to_vec())].into_iter().collect();
    Payload { metadata, data: text.into_bytes(), ..Default::default() }
}

/// Packs several.
pub(super) fn all(texts: Vec<String>) -> Payloads {
    Payloads { payloads: texts.into_iter().map(json).collect() }
}

/// Unpacks one.
pub(super) fn carried(payload: &Payload) -> Carried<'_> {
    match payload.metadata.get(ENCODING).map(Vec::as_slice) {
        Some(JSON) => Carried::Json(&payload.data),
        Some(NULL) => Carried::Nothing,
        None if payload.data.is_empty() => Carried::Nothing,
        other => {
            let name = String::from_utf8_lossy(other.unwrap_or_default());
            let is_name = name.len() <= NAME_BYTES_MAX
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte));
            Carried::Strange(if is_name { name.into_owned() } else { "?".to_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_unpacked_and_what_is_strange_is_named() {
        let packed = json("{}".to_owned());
        assert_eq!(carried(&packed), Carried::Json(b"{}"));
        let of = |encoding: Option<&[u8]>, data: &[u8]| {
            let metadata = encoding.map(|name| (ENCODING.to_owned(), name.to_vec()));
            let metadata = metadata.into_iter().collect();
            Payload { metadata, data: data.to_vec(), ..Default::default() }
        };
        assert_eq!(carried(&of(Some(NULL), b"")), Carried::Nothing);
        assert_eq!(carried(&of(None, b"")), Carried::Nothing);
        for (encoding, named) in [
            (Some(&b"binary/encrypted"[..]), "binary/encrypted"),
            (Some(b"+15555550123 wrote"), "?"),
            (None, ""),
        ] {
            let strange = of(encoding, b"x");
            assert_eq!(carried(&strange), Carried::Strange(named.to_owned()));
        }
    }
}

//! Deliberate mistakes of the emulator, one at a time: a suite that passes with one proves nothing.
//!
//! Pure. Each is a mistake that an emulator could well make, and is looked for by name in
//! `tests/official_sdk.rs`. Nobody else has a use for them; faults, which the real Twilio has too, are
//! in [`super::faults`].

use serde_json::{Map, Value, json};

use super::state::sync::Kind;
use super::state::words::words;

words! {
    /// A mistake.
    Defect {
        /// A message's event comes with the index of the next one.
        WrongIndex = "wrong-index",
        /// A message's attributes are, in its event, an object instead of its text.
        ObjectAttributes = "object-attributes",
        /// Every page says that it is the last.
        LastPage = "last-page",
        /// Whoever is added twice is told that all is well.
        NoConflict = "no-conflict",
        /// Refusals have no code.
        NoErrorCode = "no-error-code",
        /// A frame's header is one byte longer than it says.
        HeaderLength = "header-length",
        /// A frame counts its payload in characters instead of bytes.
        PayloadCharacters = "payload-characters",
        /// A subscription replays nothing.
        NoReplay = "no-replay",
        /// A subscription replays everything there ever was.
        ReplayAll = "replay-all",
        /// Tokens never run out.
        EternalTokens = "eternal-tokens",
        /// Nobody is warned that a token runs out.
        NoTokenWarning = "no-token-warning",
        /// Webhooks are signed with another key.
        WrongSignature = "wrong-signature",
        /// REST writes fire webhooks unasked.
        LoudRest = "loud-rest",
        /// A pre-action webhook cannot refuse.
        DeafToRefusals = "deaf-to-refusals",
        /// Typists see themselves type.
        TypingEcho = "typing-echo",
        /// No message ever arrives at a phone.
        NoReceipts = "no-receipts",
        /// Nobody ever goes offline.
        AlwaysOnline = "always-online",
    }
}

/// Spoils a Sync event.
pub(super) fn spoil_event(defect: Option<Defect>, kind: Kind, event: &mut Value) {
    if kind != Kind::List {
        return;
    }
    match defect {
        Some(Defect::WrongIndex) => {
            let index = event["item_index"].as_u64().unwrap_or(0);
            event["item_index"] = json!(index.saturating_add(1));
        }
        Some(Defect::ObjectAttributes) => {
            let attributes = &mut event["item_data"]["attributes"];
            let object = attributes.as_str().and_then(|text| serde_json::from_str(text).ok());
            *attributes = object.unwrap_or(Value::Null);
        }
        Some(_) | None => {}
    }
}

/// Spoils an answer, of REST or of a proxied request.
pub(super) fn spoil_answer(defect: Option<Defect>, status: &mut u16, body: &mut Value) {
    match defect {
        Some(Defect::LastPage) => {
            for name in ["next_page_url", "next_token"] {
                if let Some(next) = body.pointer_mut(&format!("/meta/{name}")) {
                    *next = Value::Null;
                }
            }
        }
        Some(Defect::NoConflict) if *status == 409 => {
            *status = 201;
            *body = Value::Object(Map::new());
        }
        Some(Defect::NoErrorCode) if *status >= 400 => {
            body.as_object_mut().map(|body| body.remove("code"));
        }
        Some(_) | None => {}
    }
}

/// Spoils a frame: its bytes, and the payload in them.
pub(super) fn spoil_frame(defect: Option<Defect>, bytes: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
    let (from, to) = match defect {
        Some(Defect::HeaderLength) => {
            let line = bytes.split(|byte| *byte == b'\r').next()?;
            let line = std::str::from_utf8(line).ok()?;
            let (start, length) = line.rsplit_once(' ')?;
            let wrong = length.parse::<usize>().ok()?.checked_sub(1)?;
            (line.to_owned(), format!("{start} {wrong}"))
        }
        Some(Defect::PayloadCharacters) => {
            let characters = String::from_utf8_lossy(payload).chars().count();
            // As many digits, or the header's length would be wrong too.
            let size = payload.len().to_string();
            let wrong = format!("{characters:>width$}", width = size.len());
            (format!("\"payload_size\":{size}"), format!("\"payload_size\":{wrong}"))
        }
        Some(_) | None => return None,
    };
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes())?;
    let mut spoiled = bytes[..at].to_vec();
    spoiled.extend_from_slice(to.as_bytes());
    spoiled.extend_from_slice(&bytes[at + from.len()..]);
    Some(spoiled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_defect_nothing_is_spoilt() {
        let (mut status, mut body) = (409, json!({"code": 1, "meta": {"next_token": "x"}}));
        let before = body.clone();
        spoil_answer(None, &mut status, &mut body);
        assert_eq!((status, body), (409, before));
        assert_eq!(spoil_frame(None, b"TWILSOCK V3.0 2\r\n{}\r\n", b""), None);
    }

    #[test]
    fn answers_lose_their_next_page_their_conflict_and_their_code() {
        let spoilt = |defect, mut status, mut body| {
            spoil_answer(Some(defect), &mut status, &mut body);
            (status, body)
        };
        let page = json!({"meta": {"next_token": "x", "next_page_url": "y"}});
        let last = json!({"meta": {"next_token": null, "next_page_url": null}});
        assert_eq!(spoilt(Defect::LastPage, 200, page), (200, last));
        assert_eq!(spoilt(Defect::NoConflict, 409, json!({"code": 1})), (201, json!({})));
        assert_eq!(spoilt(Defect::NoErrorCode, 404, json!({"code": 1})), (404, json!({})));
    }

    #[test]
    fn frames_say_a_wrong_length() {
        let frame = |defect, bytes: &str, payload: &str| {
            let spoilt = spoil_frame(Some(defect), bytes.as_bytes(), payload.as_bytes());
            spoilt.map(|bytes| String::from_utf8(bytes).unwrap())
        };
        let header = frame(Defect::HeaderLength, "TWILSOCK V3.0 10\r\n{}\r\n", "");
        assert_eq!(header.unwrap(), "TWILSOCK V3.0 9\r\n{}\r\n");
        let payload = frame(Defect::PayloadCharacters, "…\"payload_size\":2}\r\nü", "ü");
        assert_eq!(payload.unwrap(), "…\"payload_size\":1}\r\nü");
    }
}

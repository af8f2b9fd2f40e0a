//! The frames a client sends on its own behalf, and the little it reads from their answers.
//!
//! Decides how `init`, `update` and `close` look; never when they go. Pure. The token passes
//! through here on its way to the socket and is kept nowhere.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::frame::{FrameSecret, Registration, encode};
use crate::json;

/// The product that everything here is registered and paid for under.
pub const PRODUCT: &str = "ip_messaging";

/// Types of notification that the client asks for.
/// Source: notification protocol notes, "What the Conversations client registers", observed.
pub const MESSAGE_TYPES: [&str; 5] = [
    "twilio.ipmsg.typing_indicator",
    "twilio.sync.event",
    "com.twilio.rtd.cds.document",
    "com.twilio.rtd.cds.list",
    "com.twilio.rtd.cds.map",
];

/// Writes the first frame. `continuation` is the token of the previous connection, if any.
#[must_use]
pub fn init(id: &str, token: &FrameSecret, continuation: Option<&FrameSecret>) -> Bytes {
    #[derive(Serialize)]
    struct Init<'a> {
        id: &'a str,
        method: &'static str,
        token: &'a str,
        continuation_token: Option<&'a str>,
        metadata: Metadata,
        registrations: [Registration; 1],
        tweaks: Option<()>,
        capabilities: [&'static str; 1],
    }
    /// Free text for Twilio's statistics; the keys are those the official client may send.
    #[derive(Serialize)]
    struct Metadata {
        ver: &'static str,
        env: &'static str,
        os: &'static str,
        r#type: &'static str,
        sdk: &'static str,
        sdkv: &'static str,
    }
    encode(
        &Init {
            id,
            method: "init",
            token: token.expose(),
            continuation_token: continuation.map(FrameSecret::expose),
            metadata: Metadata {
                ver: env!("CARGO_PKG_VERSION"),
                env: "Rust",
                os: std::env::consts::OS,
                r#type: "conversations",
                sdk: "chimein",
                sdkv: env!("CARGO_PKG_VERSION"),
            },
            registrations: [Registration {
                product: PRODUCT.to_owned(),
                kind: "ers".to_owned(),
                notification_protocol_version: 0,
                message_types: MESSAGE_TYPES.map(str::to_owned).to_vec(),
            }],
            tweaks: None,
            capabilities: ["client_update"],
        },
        b"",
    )
}

/// Writes the frame that brings a new token.
#[must_use]
pub fn update(id: &str, token: &FrameSecret) -> Bytes {
    #[derive(Serialize)]
    struct Update<'a> {
        id: &'a str,
        method: &'static str,
        token: &'a str,
    }
    encode(&Update { id, method: "update", token: token.expose() }, b"")
}

/// Writes the last frame before the client closes the socket.
#[must_use]
pub fn close(id: &str) -> Bytes {
    #[derive(Serialize)]
    struct Close<'a> {
        id: &'a str,
        method: &'static str,
    }
    encode(&Close { id, method: "close" }, b"")
}

/// Reads the least delay before the next connection from the payload of a `close` 308 or of a
/// refused `init`. Source: Twilsock protocol notes 2.8 and 3; `reconnect_max_ms` is not read.
#[must_use]
pub fn backoff_hint(payload: &[u8]) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Payload {
        backoff_policy: ReconnectPolicy,
    }
    #[derive(Deserialize)]
    struct ReconnectPolicy {
        reconnect_min_ms: u64,
    }
    let payload: Payload = json::from_slice(payload).ok()?;
    Some(Duration::from_millis(payload.backoff_policy.reconnect_min_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::twilsock::frame::{Limits, Method, decode};

    #[test]
    fn init_carries_token_registrations_and_explicit_nulls() {
        let bytes = init("TM1", &"jwt".into(), None);
        let text = std::str::from_utf8(&bytes).unwrap();
        assert!(text.contains(r#""continuation_token":null"#), "{text}");
        assert!(text.contains(r#""tweaks":null"#), "{text}");
        let header = decode(&bytes, &Limits::default()).unwrap().header;
        assert_eq!(header.method, Method::Init);
        assert_eq!(header.token.unwrap().expose(), "jwt");
        assert_eq!(header.registrations.unwrap()[0].message_types, MESSAGE_TYPES);
        let again = decode(&init("TM2", &"jwt".into(), Some(&"ct".into())), &Limits::default());
        assert_eq!(again.unwrap().header.continuation_token.unwrap().expose(), "ct");
    }

    #[test]
    fn hints_are_read_liberally() {
        let hint = br#"{"backoff_policy":{"reconnect_min_ms":1500,"reconnect_max_ms":3000}}"#;
        assert_eq!(backoff_hint(hint), Some(Duration::from_millis(1500)));
        for junk in [&b""[..], b"{}", b"[]", br#"{"backoff_policy":{"reconnect_min_ms":-1}}"#] {
            assert_eq!(backoff_hint(junk), None);
        }
    }
}

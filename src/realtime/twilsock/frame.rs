//! The frame codec of Twilsock V3, both directions.
//!
//! ```text
//! TWILSOCK V3.0 <N>\r\n
//! <header: JSON, exactly N bytes>\r\n
//! <payload: payload_size bytes>          (a server may put one more, uncounted CRLF here)
//! ```
//!
//! Decides what is a frame and what is junk; never answers, never interprets a header. Pure and
//! bounded: a header or payload over its [`Limits`] is refused before memory is taken for it. Errors
//! and `Debug` never show a token, a header's text or a payload.
//! Source: Twilsock protocol notes 1, observed, read 2026-11-21.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::json;

/// Bytes that start every frame, before the header's length.
const MAGIC: &[u8] = b"TWILSOCK V3.0 ";
/// Digits that the header's length may have: 64 KiB needs five, more is junk.
const LENGTH_DIGITS_MAX: usize = 9;

/// How large a frame may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of the JSON header.
    pub header_bytes_max: usize,
    /// Bytes of the payload.
    pub payload_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { header_bytes_max: 64 * 1024, payload_bytes_max: 8 * 1024 * 1024 }
    }
}

impl Limits {
    /// The largest whole frame, for the limit of a WebSocket message.
    #[must_use]
    pub const fn frame_bytes_max(&self) -> usize {
        self.header_bytes_max + self.payload_bytes_max + MAGIC.len() + LENGTH_DIGITS_MAX + 6
    }
}

/// Says why bytes are no frame. The frame is to be dropped; the connection goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The first line is not that of Twilsock V3.
    #[error("not a twilsock V3.0 frame")]
    Magic,
    /// The header is longer than allowed.
    #[error("frame header of {bytes} bytes is over the limit")]
    HeaderTooLarge {
        /// Bytes announced.
        bytes: usize,
    },
    /// The header is not the JSON object that it should be.
    #[error("frame header is malformed at column {column}")]
    Header {
        /// Where the JSON parser stopped; zero if the JSON is followed by no CRLF.
        column: usize,
    },
    /// The payload is longer than allowed.
    #[error("frame payload of {bytes} bytes is over the limit")]
    PayloadTooLarge {
        /// Bytes announced.
        bytes: u64,
    },
    /// The message ended inside the frame.
    #[error("frame ends too early")]
    Truncated,
}

/// What a frame asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Method {
    /// First frame of a client; answered by `Reply`.
    Init,
    /// New token on an open connection; answered by `Reply`.
    Update,
    /// A proxied HTTP request; answered by `Reply` with the HTTP response.
    Message,
    /// The answer to any other method.
    Reply,
    /// A pushed event.
    Notification,
    /// The server's note to the client, for one that the token runs out.
    ClientUpdate,
    /// Keep-alive of the server.
    Ping,
    /// The end of the connection, from either side.
    Close,
    /// Registers for notifications the old way.
    PutNotificationCtx,
    /// Takes such a registration back.
    DeleteNotificationCtx,
    /// Statistics; not answered.
    Telemetry,
    /// A method this code does not know.
    Other(String),
}

impl Method {
    /// The method's name on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Init => "init",
            Self::Update => "update",
            Self::Message => "message",
            Self::Reply => "reply",
            Self::Notification => "notification",
            Self::ClientUpdate => "client_update",
            Self::Ping => "ping",
            Self::Close => "close",
            Self::PutNotificationCtx => "put_notification_ctx",
            Self::DeleteNotificationCtx => "delete_notification_ctx",
            Self::Telemetry => "telemetry.v1",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for Method {
    fn from(name: &str) -> Self {
        match name {
            "init" => Self::Init,
            "update" => Self::Update,
            "message" => Self::Message,
            "reply" => Self::Reply,
            "notification" => Self::Notification,
            "client_update" => Self::ClientUpdate,
            "ping" => Self::Ping,
            "close" => Self::Close,
            "put_notification_ctx" => Self::PutNotificationCtx,
            "delete_notification_ctx" => Self::DeleteNotificationCtx,
            "telemetry.v1" => Self::Telemetry,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl Serialize for Method {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MethodName;
        impl serde::de::Visitor<'_> for MethodName {
            type Value = Method;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a method name")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Method, E> {
                Ok(Method::from(name))
            }
        }
        deserializer.deserialize_str(MethodName)
    }
}

/// A result: Twilsock's own (`status`) or the proxied HTTP server's (`http_status`).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// The code, in HTTP's manner.
    pub code: u16,
    /// The code's name, such as `OK` or `TOKEN_EXPIRED`.
    #[serde(default, deserialize_with = "json::null_as_default")]
    pub status: String,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Twilio's error code, such as 51207.
    #[serde(default, rename = "errorCode", skip_serializing_if = "Option::is_none")]
    pub error_code: Option<u32>,
}

impl Status {
    /// A status without a description.
    #[must_use]
    pub fn new(code: u16, status: impl Into<String>) -> Self {
        Self { code, status: status.into(), description: None, error_code: None }
    }

    /// The status of everything that went well.
    #[must_use]
    pub fn ok() -> Self {
        Self::new(200, "OK")
    }

    /// Whether the code is 2xx.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.code, 200..=299)
    }
}

/// A value of a query: a name that occurs more than once has several.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Param {
    /// The name occurs once.
    One(String),
    /// The name occurs more than once.
    Many(Vec<String>),
}

/// The proxied HTTP request of a `Message` frame; its body is the payload.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct HttpRequest {
    /// Host, with the port if the URL has one.
    pub host: String,
    /// Path without query, percent-encoded.
    pub path: String,
    /// HTTP method.
    pub method: String,
    /// The query; names and values are not percent-decoded.
    #[serde(default, deserialize_with = "json::null_as_default")]
    pub params: BTreeMap<String, Param>,
    /// Request headers.
    #[serde(default, deserialize_with = "json::null_as_default")]
    pub headers: BTreeMap<String, String>,
}

/// What a client wants pushed, in `Init`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Registration {
    /// The product, `ip_messaging` here.
    pub product: String,
    /// The kind of registration, `ers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// 0 from the JavaScript client, 4 from the Kotlin one.
    #[serde(default, deserialize_with = "json::null_as_default")]
    pub notification_protocol_version: u32,
    /// The message types wanted.
    #[serde(default, deserialize_with = "json::null_as_default")]
    pub message_types: Vec<String>,
}

/// A frame's header: the union of what any method carries.
///
/// `payload_size` is no field of it: [`encode`] writes it from the payload and the decoder has cut
/// the payload by it.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
pub struct Header {
    /// What the frame asks for.
    pub method: Method,
    /// Chosen by the sender of a request, repeated by its reply; opaque.
    #[serde(default, deserialize_with = "json::null_as_default")]
    pub id: String,
    /// Media type of the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_type: Option<String>,
    /// `Reply` and `Close`: Twilsock's own result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// `Reply` to `Message`: the upstream's result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<Status>,
    /// `Reply` to `Message`: the upstream's headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_headers: Option<BTreeMap<String, serde_json::Value>>,
    /// `Message`: the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_request: Option<HttpRequest>,
    /// `Message`: the product that pays for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_grant: Option<String>,
    /// `Notification`: the kind of event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    /// `Notification`: unused by clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification_ctx_id: Option<String>,
    /// `ClientUpdate`: `token_about_to_expire`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_update_type: Option<String>,
    /// `ClientUpdate`: a sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_update_message: Option<String>,
    /// `Init` and `Update`: the access token.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_secret",
        deserialize_with = "deserialize_secret"
    )]
    pub token: Option<FrameSecret>,
    /// `Init` and its reply: what ties connections of one endpoint together.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_secret",
        deserialize_with = "deserialize_secret"
    )]
    pub continuation_token: Option<FrameSecret>,
    /// `Init`: statistics about the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<serde_json::Value>,
    /// `Init`: what the server may push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registrations: Option<Vec<Registration>>,
    /// `Init` and its reply: what is asked for, what is granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
    /// Reply to `Init`: whether the continuation token is a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuation_token_status: Option<serde_json::Value>,
    /// Reply to `Init`: storage ids by product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline_storage: Option<serde_json::Value>,
    /// Reply to `Init`: the registrations, echoed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_registrations: Option<serde_json::Value>,
}

impl Header {
    /// A header with nothing but method and id.
    #[must_use]
    pub fn new(method: Method, id: impl Into<String>) -> Self {
        Self {
            method,
            id: id.into(),
            payload_type: None,
            status: None,
            http_status: None,
            http_headers: None,
            http_request: None,
            active_grant: None,
            message_type: None,
            notification_ctx_id: None,
            client_update_type: None,
            client_update_message: None,
            token: None,
            continuation_token: None,
            metadata: None,
            registrations: None,
            capabilities: None,
            continuation_token_status: None,
            offline_storage: None,
            init_registrations: None,
        }
    }

    /// The acknowledgement that every frame but a reply gets.
    /// Source: Twilsock protocol notes 2, read 2026-11-21.
    #[must_use]
    pub fn acknowledgement(id: impl Into<String>) -> Self {
        Self {
            payload_type: Some("application/json".to_owned()),
            status: Some(Status::ok()),
            ..Self::new(Method::Reply, id)
        }
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("method", &self.method)
            .field("id", &self.id)
            .field("status", &self.status)
            .field("http_status", &self.http_status)
            .field("message_type", &self.message_type)
            .finish_non_exhaustive()
    }
}

/// A token inside a header: printed by nobody, read by [`FrameSecret::expose`] only.
#[derive(Clone, Debug)]
pub struct FrameSecret(SecretString);

impl FrameSecret {
    /// Gives the text to the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl<T: Into<String>> From<T> for FrameSecret {
    fn from(text: T) -> Self {
        Self(SecretString::from(text.into()))
    }
}

impl PartialEq for FrameSecret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

fn serialize_secret<S: Serializer>(token: &Option<FrameSecret>, to: S) -> Result<S::Ok, S::Error> {
    token.as_ref().map(FrameSecret::expose).serialize(to)
}

fn deserialize_secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<FrameSecret>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(FrameSecret::from))
}

/// One frame: its header and its raw payload.
#[derive(Clone, PartialEq)]
pub struct Frame {
    /// The header.
    pub header: Header,
    /// The payload, empty if there is none.
    pub payload: Bytes,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} + <{} bytes>", self.header, self.payload.len())
    }
}

/// Writes a frame. `header` is a [`Header`] or any other type that serialises to a JSON object
/// without `payload_size`, which is added as the last key.
///
/// # Panics
///
/// `header` does not serialise to JSON; plain structs of texts and numbers always do.
#[must_use]
pub fn encode<H: Serialize>(header: &H, payload: &[u8]) -> Bytes {
    let mut json = serde_json::to_vec(header).expect("a header is plain data");
    json.pop();
    if json.len() > 1 {
        json.push(b',');
    }
    json.extend_from_slice(format!("\"payload_size\":{}}}", payload.len()).as_bytes());
    let length = json.len().to_string();
    let mut frame = Vec::with_capacity(MAGIC.len() + length.len() + json.len() + payload.len() + 4);
    frame.extend_from_slice(MAGIC);
    frame.extend_from_slice(length.as_bytes());
    frame.extend_from_slice(b"\r\n");
    frame.extend_from_slice(&json);
    frame.extend_from_slice(b"\r\n");
    frame.extend_from_slice(payload);
    Bytes::from(frame)
}

/// Reads the one frame of a whole WebSocket message, without copying the payload.
///
/// Bytes after the payload are ignored, as the official client does.
///
/// # Errors
///
/// The message holds no frame, see [`Error`].
pub fn decode(message: &Bytes, limits: &Limits) -> Result<Frame, Error> {
    let Some((header_at, header_len)) = prelude(message, limits)? else {
        return Err(Error::Truncated);
    };
    let payload_at = header_at + header_len + 2;
    let Some(text) = message.get(header_at..payload_at) else {
        return Err(Error::Truncated);
    };
    let (header, payload_len) = read_header(text, limits)?;
    match payload_at.checked_add(payload_len) {
        Some(end) if end <= message.len() => {
            Ok(Frame { header, payload: message.slice(payload_at..end) })
        }
        _ => Err(Error::Truncated),
    }
}

/// Where the header starts and how long it is; `None` if the first line is not complete yet.
fn prelude(bytes: &[u8], limits: &Limits) -> Result<Option<(usize, usize)>, Error> {
    let known = bytes.len().min(MAGIC.len());
    if bytes[..known] != MAGIC[..known] {
        return Err(Error::Magic);
    }
    let rest = &bytes[known..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits > LENGTH_DIGITS_MAX {
        return Err(Error::Magic);
    }
    match &rest[digits..] {
        [] | [b'\r'] => Ok(None),
        [b'\r', b'\n', ..] if digits > 0 => {
            let length = rest[..digits].iter().fold(0, |n, d| n * 10 + usize::from(d - b'0'));
            if length > limits.header_bytes_max {
                return Err(Error::HeaderTooLarge { bytes: length });
            }
            Ok(Some((known + digits + 2, length)))
        }
        _ => Err(Error::Magic),
    }
}

/// Reads the header and its CRLF; gives the payload's size too.
fn read_header(text: &[u8], limits: &Limits) -> Result<(Header, usize), Error> {
    #[derive(Deserialize)]
    struct HeaderSize {
        #[serde(default)]
        payload_size: Option<u64>,
    }
    let Some(text) = text.strip_suffix(b"\r\n") else {
        return Err(Error::Header { column: 0 });
    };
    let at = |error: serde_json::Error| Error::Header { column: error.column() };
    let header = json::from_slice(text).map_err(at)?;
    let size: HeaderSize = json::from_slice(text).map_err(at)?;
    let bytes = size.payload_size.unwrap_or(0);
    match usize::try_from(bytes) {
        Ok(size) if size <= limits.payload_bytes_max => Ok((header, size)),
        Ok(_) | Err(_) => Err(Error::PayloadTooLarge { bytes }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_documented_ping_is_written_byte_for_byte() {
        let header = Header::new(Method::Ping, "TM00112233445566778899aabbccddeeff");
        let expected = "TWILSOCK V3.0 76\r\n{\"method\":\"ping\",\"id\":\"TM00112233445566778899aabbccddeeff\",\"payload_size\":0}\r\n";
        assert_eq!(encode(&header, b""), expected);
    }

    #[test]
    fn payloads_are_cut_by_bytes_and_the_uncounted_crlf_is_tolerated() {
        let mut bytes = encode(&Header::new(Method::Message, "TM1"), "né\r\n".as_bytes()).to_vec();
        bytes.extend_from_slice(b"\r\n");
        let frame = decode(&Bytes::from(bytes), &Limits::default()).unwrap();
        assert_eq!(frame.payload, "né\r\n".as_bytes());
    }

    #[test]
    fn a_missing_payload_size_means_no_payload() {
        let frame = decode(&raw("{\"method\":\"reply\",\"id\":\"a\"}", "left"), &Limits::default());
        assert_eq!(frame.unwrap().payload, Bytes::new());
    }

    #[test]
    fn unknown_methods_and_fields_are_kept_and_ignored() {
        let frame =
            decode(&raw("{\"method\":\"bye\",\"id\":\"a\",\"x\":{}}", ""), &Limits::default());
        assert_eq!(frame.unwrap().header.method, Method::Other("bye".to_owned()));
    }

    #[test]
    fn junk_is_an_error_and_never_a_panic() {
        let limits = Limits { header_bytes_max: 100, payload_bytes_max: 10 };
        for (bytes, error) in [
            (Bytes::from_static(b""), Error::Truncated),
            (Bytes::from_static(b"HTTP/1.1 200 OK\r\n"), Error::Magic),
            (Bytes::from_static(b"TWILSOCK V3.1 2\r\n{}\r\n"), Error::Magic),
            (Bytes::from_static(b"TWILSOCK V3.0 \r\n{}\r\n"), Error::Magic),
            (Bytes::from_static(b"TWILSOCK V3.0 1234567890\r\n"), Error::Magic),
            (Bytes::from_static(b"TWILSOCK V3.0 101\r\n"), Error::HeaderTooLarge { bytes: 101 }),
            (Bytes::from_static(b"TWILSOCK V3.0 2\r\n{}\r\n"), Error::Header { column: 2 }),
            (Bytes::from_static(b"TWILSOCK V3.0 2\r\n{}xx"), Error::Header { column: 0 }),
            (raw("{\"method\":\"a\",\"payload_size\":4}", "abc"), Error::Truncated),
            (raw("{\"method\":\"a\",\"payload_size\":-4}", ""), Error::Header { column: 31 }),
            (
                raw("{\"method\":\"a\",\"payload_size\":11}", ""),
                Error::PayloadTooLarge { bytes: 11 },
            ),
        ] {
            assert_eq!(decode(&bytes, &limits), Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn debug_shows_no_token_and_no_payload() {
        let mut header = Header::new(Method::Init, "TM1");
        header.token = Some("planted-token".into());
        header.continuation_token = Some("planted-continuation".into());
        let frame = decode(&encode(&header, b"planted-body"), &Limits::default()).unwrap();
        assert_eq!(frame.header.token.as_ref().unwrap().expose(), "planted-token");
        let shown = format!("{frame:?} {:?}", frame.header.token);
        assert!(!shown.contains("planted"), "{shown}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(id in any::<String>(), payload in any::<Vec<u8>>()) {
            let header = Header::new(Method::Message, id);
            let read = decode(&encode(&header, &payload), &Limits::default());
            prop_assert_eq!(read, Ok(Frame { header, payload: Bytes::from(payload) }));
        }
    }

    fn raw(header: &str, payload: &str) -> Bytes {
        Bytes::from(format!("TWILSOCK V3.0 {}\r\n{header}\r\n{payload}", header.len()))
    }
}

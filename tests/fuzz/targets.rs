//! What must hold of any bytes from outside, one function a door.
//!
//! Each takes bytes and panics where they break a promise. The seeded tests feed them within the
//! suite (`tests/attacks/fuzz.rs`), and a fuzzer by the crate in this folder.

#[path = "frames.rs"]
mod frames;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use chimein::admin::access::Access;
use chimein::admin::dead_letters::DeadLetters;
use chimein::admin::operate;
use chimein::agent::later::{self, Batch, Outbox, OutboxError, RepliesRoute};
use chimein::clock::{Clock, Moment};
use chimein::json::{self, ObjectText};
use chimein::media::Links;
use chimein::media::link::InvalidLink;
use chimein::net::authority::Authority;
use chimein::queue::{Store, embedded};
use chimein::realtime::conversations::core::{Core, Input, Options, Output};
use chimein::realtime::sync::event;
use chimein::realtime::twilsock::frame::{Frame, Header, Method};
use chimein::realtime::twilsock::session::{self, ConnId, Token};
use chimein::standard_webhooks::{self, Secret};
use chimein::twilio::events::{self, EventType, Fields};
use chimein::twilio::form::{self, Form};
use chimein::twilio::messaging::{Inbound, OTHER_BYTES_MAX, OTHER_MAX, StatusUpdate};
use chimein::twilio::signature::{self, Keys};
use futures::future::BoxFuture;
use tower::ServiceExt as _;

/// The function of one door.
pub type Target = fn(&[u8]);

/// Every target with bytes to start from.
pub const TARGETS: &[(&str, Target, &[&[u8]])] = &[
    (
        "frame",
        frame,
        &[FRAME, b"TWILSOCK V3.0 2\r\n{}\r\n", b"TWILSOCK V3.0 99999999999999999999\r\n"],
    ),
    ("sync_payload", sync_payload, &[SYNC_EVENT, SYNC_MAP, TYPING]),
    ("webhook_form", webhook_form, &[FORM, b"a=%", b"&&==&%zz=+"]),
    ("webhook_json", webhook_json, &[EVENT_JSON, b"[]", b"\xef\xbb\xbf{}"]),
    ("webhook_text", webhook_text, &[TEXT, STATE, b"MessageSid=&NumMedia=99999999999999999999"]),
    ("signed_request", signed_request, &[SIGNED, b"https://h/w\0AAAA\0\0a=b"]),
    ("late_replies", late_replies, &[REPLIES, b"{\"replies\":[\"a\\ud83d\"]}", b"null"]),
    ("late_request", late_request, &[b"CH0123456789abcdef0123456789abcdef\0id\x001\0v1,AAAA\0{}"]),
    ("operator_query", operator_query, &[OPERATOR, b"/v1/dead-letters/inbox/00?reveal=true"]),
    ("attributes", attributes, &[b"{\"chimein\":{\"paused\":true}}", b"{\"a\":1.0,\"a\":2}"]),
    ("host", host, &[b"bot.example.com:8443", b"[::1]:1", b"h%00"]),
    ("media_token", media_token, &[b"", b"AVRI", b"AVRIAAAAAAAAAAAAAAAAAAAABw"]),
];

/// Bytes as a message of the socket.
pub fn frame(bytes: &[u8]) {
    frames::hold(bytes);
}

/// Bytes as the payload of a notification, of each kind, to a client that waits for nothing.
pub fn sync_payload(bytes: &[u8]) {
    drop(event::parse(bytes));
    let mut core = opened();
    for message_type in
        ["twilio.sync.event", "com.twilio.rtd.cds.map", "twilio.ipmsg.typing_indicator"]
    {
        let mut header = Header::new(Method::Notification, "TM1");
        header.message_type = Some(message_type.to_owned());
        let frame = Frame { header, payload: Bytes::copy_from_slice(bytes) };
        core.handle(Moment::ORIGIN, Input::Frame(ConnId(1), Box::new(frame)));
        while core.poll().is_some() {}
        while core.next_event().is_some() {}
    }
}

/// A client whose socket is open.
fn opened() -> Core {
    let url = |host: &str| format!("https://{host}.example").parse().expect("a URL");
    let options = Options {
        session: session::Options::default(),
        api: url("aim"),
        sync: url("cds"),
        roster: true,
        join_invited: true,
        events_max: 64,
        reads_in_flight_max: 16,
        horizon_interval: Duration::from_secs(2),
    };
    let mut core = Core::new(options, None, 1, 1);
    core.handle(Moment::ORIGIN, Input::Start);
    while let Some(output) = core.poll() {
        match output {
            Output::Connect(conn) => core.handle(Moment::ORIGIN, Input::Opened(conn)),
            Output::WantToken => {
                let token = Token { jwt: "jwt".into(), valid_for: Duration::from_secs(86_400) };
                core.handle(Moment::ORIGIN, Input::Token(token));
            }
            _ => {}
        }
    }
    core
}

/// Bytes as the body of a webhook: what is read is written and read again as the same.
pub fn webhook_form(bytes: &[u8]) {
    let read = Form::parse(bytes);
    let pairs: Vec<(&str, &str)> = read.pairs().collect();
    let written = form::encode(pairs.iter().copied());
    let again = Form::parse(written.as_bytes());
    assert_eq!(again.pairs().collect::<Vec<_>>(), pairs);
    event(&Fields::from_form(bytes));
}

/// Bytes as the JSON body of a webhook.
pub fn webhook_json(bytes: &[u8]) {
    if let Ok(fields) = Fields::from_json(bytes) {
        event(&fields);
    }
}

/// Reads an event; what it says for the log holds nothing of the texts.
fn event(fields: &Fields<'_>) {
    let read = EventType::of(fields).and_then(|_| events::decode(fields));
    let said = match &read {
        Ok(envelope) => format!("{envelope:?}"),
        Err(error) => error.to_string(),
    };
    if let Some(text) = fields.text("Body").filter(|text| text.len() > 40) {
        assert!(!said.contains(text), "a text is shown");
    }
}

/// Bytes as a message of no conversation and as the state of one: what is kept of either is bounded.
pub fn webhook_text(bytes: &[u8]) {
    let fields = Fields::from_form(bytes);
    if let Ok(inbound) = Inbound::decode(&fields) {
        let others = inbound.other.iter().map(|(name, text)| name.len() + text.reveal().len());
        assert!(inbound.other.len() <= OTHER_MAX && others.sum::<usize>() <= OTHER_BYTES_MAX);
        assert!(inbound.media.len() <= 10, "more files than a message has");
        let (from, said) = (inbound.from.reveal(), format!("{:?}", inbound.from));
        assert!(from.len() < 20 || !said.contains(from), "an address is shown");
    }
    if let Ok(update) = StatusUpdate::decode(&fields) {
        assert_ne!(update.error_code, Some(0));
    }
}

/// URL, signature, settings and body, each after a zero byte: nothing forged is taken for signed.
pub fn signed_request(bytes: &[u8]) {
    let mut parts = bytes.splitn(4, |byte| *byte == 0);
    let mut next = || parts.next().unwrap_or_default();
    let (url, given, settings, body) = (next(), next(), next(), next());
    let url = String::from_utf8_lossy(url);
    let keys = Keys { auth_tokens: vec!["a token that nobody knows".into()], shared: Vec::new() };
    let (given, settings) = ([given], [settings]);
    for kind in [signature::Body::None, signature::Body::Form(body), signature::Body::Other(body)] {
        let settings = if settings[0].is_empty() { &[][..] } else { &settings[..] };
        let request = signature::Request { url: &url, body: kind, signatures: &given, settings };
        assert!(signature::verify(&keys, &request).is_err(), "a forgery is taken");
    }
    let _ = signature::is_callable(&url);
    let signed = signature::signed_url(&url);
    assert_eq!(signature::signed_url(&signed), signed);
    let _ = signature::without_values(&url);
}

/// Bytes as the body of an agent's replies, signed as they should be: taken or told what is wrong.
pub fn late_replies(bytes: &[u8]) {
    with_rig(|rig| {
        let now = rig.clock.wall();
        let signature = standard_webhooks::sign(&rig.secret, "evt_1", now, bytes);
        let request = Request::post("/v1/conversations/CH0123456789abcdef0123456789abcdef/replies")
            .header(standard_webhooks::ID, "evt_1")
            .header(standard_webhooks::TIMESTAMP, now.as_secs())
            .header(standard_webhooks::SIGNATURE, signature)
            .body(Body::from(bytes.to_vec()));
        let status = rig.ask(&rig.late, request.expect("well formed"));
        assert!(matches!(status.as_u16(), 202 | 400 | 413), "{status}");
    });
}

/// Conversation, three headers and a body, each after a zero byte, from somebody without the secret.
pub fn late_request(bytes: &[u8]) {
    let mut parts = bytes.splitn(5, |byte| *byte == 0);
    let mut next = || parts.next().unwrap_or_default();
    let (conversation, id, timestamp, given, body) = (next(), next(), next(), next(), next());
    let conversation = form::encode([("", &*String::from_utf8_lossy(conversation))]);
    let uri = format!("/v1/conversations/{}/replies", &conversation[1..]);
    let request = Request::post(uri)
        .header(standard_webhooks::ID, id)
        .header(standard_webhooks::TIMESTAMP, timestamp)
        .header(standard_webhooks::SIGNATURE, given)
        .body(Body::from(body.to_vec()));
    let Ok(request) = request else { return };
    with_rig(|rig| {
        let status = rig.ask(&rig.late, request);
        assert!(status.is_client_error(), "{status}");
    });
}

/// Bytes as the path and query of an operator's request: answered, and never by a failure of ours.
pub fn operator_query(bytes: &[u8]) {
    let Ok(uri) = std::str::from_utf8(bytes) else { return };
    let request = Request::get(uri).header("host", "127.0.0.1").body(Body::empty());
    let Ok(request) = request else { return };
    with_rig(|rig| {
        let status = rig.ask(&rig.operator, request);
        assert!(!status.is_server_error(), "{status} of {uri}");
    });
}

/// Bytes as a conversation's attributes: what is not touched stays to the byte.
pub fn attributes(bytes: &[u8]) {
    drop(json::object(bytes));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(mut object) = ObjectText::parse(text) else { return };
    if object.value("fuzz").is_some() {
        return;
    }
    let before = object.as_str().to_owned();
    object.set("fuzz", "1");
    assert_eq!(object.value("fuzz"), Some("1"));
    assert!(ObjectText::parse(object.as_str()).is_some(), "it is an object still");
    object.remove("fuzz");
    let read = |text: &str| json::object(text.as_bytes()).ok();
    assert_eq!(read(object.as_str()), read(&before));
}

/// Bytes as the token of a link to a file, and as what a token signs: nobody makes one that opens anything.
pub fn media_token(bytes: &[u8]) {
    use base64::Engine as _;
    let links = Links::new(&"secret".into(), None, Duration::from_secs(60));
    let now = Clock::start().wall();
    let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    for token in [&*String::from_utf8_lossy(bytes), &encoded] {
        assert_eq!(links.read(token, now), Err(InvalidLink::Forged));
    }
}

/// Bytes as the host that a request names: nothing in it can end a host.
pub fn host(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(read) = Authority::parse(text) {
        assert_eq!(read.as_str(), text);
        assert!(!text.contains(['/', '?', '#', '@', '\\', ' ', '%', '&', '=']), "{text}");
        let url = format!("http://{text}/");
        if let Ok(url) = url.parse::<axum::http::Uri>() {
            assert_eq!(url.path(), "/");
        }
    }
}

/// The routers, made once a thread.
struct Rig {
    runtime: tokio::runtime::Runtime,
    clock: Clock,
    secret: Secret,
    late: Router,
    operator: Router,
    _folder: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be built");
        let (clock, secret) = (Clock::start(), Secret::random());
        let folder = tempfile::tempdir().expect("a folder can be made");
        let (late, operator) = runtime.block_on(async {
            let path = folder.path().join("queue.db");
            let store = Store::open(embedded::Options::new(path)).expect("a store opens");
            let outbox: Arc<dyn Outbox> = Arc::new(Nowhere);
            let late = later::router(RepliesRoute { outbox, secret: secret.clone(), clock });
            let desk = DeadLetters::new(store, clock);
            (late, operate::router(desk, Router::new(), Access::Loopback))
        });
        Self { runtime, clock, secret, late, operator, _folder: folder }
    }

    fn ask(&self, router: &Router, request: Request<Body>) -> StatusCode {
        let answer = self.runtime.block_on(router.clone().oneshot(request));
        answer.map(|answer| answer.status()).expect("a router always answers")
    }
}

fn with_rig(act: impl FnOnce(&Rig)) {
    std::thread_local! {
        static RIG: Rig = Rig::new();
    }
    RIG.with(act);
}

/// Takes replies and keeps none.
struct Nowhere;

impl Outbox for Nowhere {
    fn put(&self, batch: Batch) -> BoxFuture<'_, Result<usize, OutboxError>> {
        Box::pin(async move { Ok(batch.replies.len()) })
    }
}

const FRAME: &[u8] = b"TWILSOCK V3.0 53\r\n{\"method\":\"notification\",\"id\":\"TM1\",\"payload_size\":2}\r\n{}\r\n";
const SYNC_EVENT: &[u8] = br#"{"event_type":"list_item_updated","correlation_id":1,"events":[{"id":7,"list_sid":"ES0","item_index":"3","item_data":{"sid":"IM00000000000000000000000000000001","text":"x"}}]}"#;
const SYNC_MAP: &[u8] = br#"{"event_type":"map_item_added","event":{"id":1,"map_sid":"MP1","item_key":"CH00000000000000000000000000000000","item_data":{"status":"joined","lastConsumedMessageIndex":4}}}"#;
const TYPING: &[u8] =
    br#"{"channel_sid":"CH00000000000000000000000000000000","identity":"x","typing_timeout":6}"#;
const TEXT: &[u8] = b"MessageSid=SM0123456789abcdef0123456789abcdef&AccountSid=AC0123456789abcdef0123456789abcdef\
    &From=whatsapp%3A%2B15555550123&To=whatsapp%3A%2B15555550100&Body=hi&NumMedia=1&MediaUrl0=https%3A%2F%2Fh%2F0\
    &Latitude=1&Longitude=2&ButtonText=Yes&OptOutType=STOP&FromCity=";
const STATE: &[u8] =
    b"MessageSid=MM0123456789abcdef0123456789abcdef&MessageStatus=failed&ErrorCode=30003\
    &AccountSid=AC0123456789abcdef0123456789abcdef";
const FORM: &[u8] = b"EventType=onMessageAdded&AccountSid=AC0123456789abcdef0123456789abcdef&ConversationSid=CH0123456789abcdef0123456789abcdef&MessageSid=IM0123456789abcdef0123456789abcdef&Index=0&Author=%2B15555550123&Body=hello&Attributes=%7B%7D&DateCreated=2026-11-21T03%3A48%3A05.120Z&Source=SMS";
const EVENT_JSON: &[u8] = br#"{"EventType":"onConversationAdded","AccountSid":"AC0123456789abcdef0123456789abcdef","ConversationSid":"CH0123456789abcdef0123456789abcdef","MessageBody":"hello","State":"active"}"#;
const SIGNED: &[u8] = b"https://bot.example.com:8443/webhooks/twilio?bodySHA256=00&a='%27\0AAAAAAAAAAAAAAAAAAAAAAAAAAA=\0alg=HMAC-SHA256;kid=webhooks_sharedkey_1\0a=bc&ab=c";
const REPLIES: &[u8] = br#"{"replies":["text",{"body":"b","attributes":{},"media_sids":["ME0123456789abcdef0123456789abcdef"],"content_sid":"HX0123456789abcdef0123456789abcdef"}]}"#;
const OPERATOR: &[u8] = b"/v1/dead-letters?queue=inbox&class=refused&conversation=CH0123456789abcdef0123456789abcdef&before=2026-11-21T03:48:05Z&limit=10&cursor=1";

//! The router, asked directly: every answer, and what the intake was given.

use std::sync::Mutex;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use futures::future::BoxFuture;
use futures::stream;
use secrecy::SecretString;
use serde_json::{Value, json};
use tower::ServiceExt;

mod texts;

use super::*;
use crate::net::authority::Hosts;
use crate::twilio::events::{Envelope, Event, EventType, Phase};
use crate::twilio::signature::{self, Algorithm, Keys, url_with_body_hash};

#[tokio::test]
async fn a_signed_event_is_taken_before_it_is_acknowledged() {
    let rig = Rig::new();
    let request = rig.post(&form("onMessageAdded"));
    assert_eq!(rig.ask(request).await, (StatusCode::OK, json!({"ok": true})));
    let taken = rig.taken();
    let [(envelope, meta)] = taken.as_slice() else { panic!("{taken:?}") };
    assert!(matches!(envelope.event, Event::MessageAdded(_)));
    assert_eq!(meta.idempotency_token.as_deref(), Some("a-token"));
    assert!(rig.counted("accepted", "onMessageAdded"));
}

#[tokio::test]
async fn json_and_get_say_the_same_as_a_form() {
    let rig = Rig::new();
    let body = format!(
        r#"{{"EventType":"onConversationAdded","AccountSid":"AC{H}","ConversationSid":"CH{H}"}}"#
    );
    let url = url_with_body_hash(URL, body.as_bytes());
    let signature = sign(&url, signature::Body::Other(body.as_bytes()));
    let path = url.strip_prefix("https://bot.example.com").unwrap();
    let request = Request::post(path)
        .header("content-type", "application/json")
        .header(signature::HEADER, signature)
        .body(Body::from(body))
        .unwrap();
    assert_eq!(rig.ask(request).await, (StatusCode::OK, json!({"ok": true})));

    let path = format!("{ROUTE}?{}", form("onConversationAdded"));
    let signature = sign(&format!("https://bot.example.com{path}"), signature::Body::None);
    let request =
        Request::get(path).header(signature::HEADER, signature).body(Body::empty()).unwrap();
    assert_eq!(rig.ask(request).await, (StatusCode::OK, json!({"ok": true})));
    let taken = rig.taken();
    assert_eq!(taken.len(), 2);
    let sids: Vec<_> = taken
        .iter()
        .map(|(envelope, _)| match &envelope.event {
            Event::ConversationAdded(conversation) => conversation.conversation_sid.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sids, [format!("CH{H}"), format!("CH{H}")]);
}

#[tokio::test]
async fn missing_forged_repeated_and_misplaced_signatures_are_refused_alike() {
    let rig = Rig::new();
    let body = form("onMessageAdded");
    let good = sign(URL, signature::Body::Form(body.as_bytes()));
    let with = |signatures: &[&str], body: &str| {
        let mut request = Request::post(ROUTE).header("content-type", FORM);
        for signature in signatures {
            request = request.header(signature::HEADER, *signature);
        }
        request.body(Body::from(body.to_owned())).unwrap()
    };
    let other_url = sign("https://other.example/", signature::Body::Form(body.as_bytes()));
    let joined = format!("{good},{good}");
    for (signatures, body) in [
        (vec![], body.clone()),
        (vec!["junk"], body.clone()),
        (vec![good.as_str(), good.as_str()], body.clone()),
        (vec![joined.as_str()], body.clone()),
        (vec![other_url.as_str()], body.clone()),
        (vec![good.as_str()], format!("{body}&Body=more")),
    ] {
        let answer = rig.ask(with(&signatures, &body)).await;
        assert_eq!(answer, (StatusCode::FORBIDDEN, json!({"error": "invalid_signature"})));
    }
    assert!(rig.taken().is_empty());
    assert!(rig.counted("bad_signature", "unknown"));
    assert_eq!(rig.ask(with(&[&good], &body)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_forged_pre_event_is_refused_too() {
    let rig = Rig::new();
    let request = Request::post(ROUTE)
        .header("content-type", FORM)
        .body(Body::from(form("onMessageAdd")))
        .unwrap();
    assert_eq!(rig.ask(request).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_pre_event_is_let_through_whatever_is_wrong_on_our_side() {
    let rig = Rig { intake: Recorder::failing(), ..Rig::new() };
    for event_type in EventType::ALL.iter().filter(|one| one.phase() == Phase::Pre) {
        for body in [
            form(event_type.as_str()),
            // Nothing of it can be decoded, and it is another account's.
            format!("EventType={event_type}&AccountSid=AC{OTHER}&ConversationSid=x"),
            format!("EventType={event_type}"),
        ] {
            let answer = rig.ask(rig.post(&body)).await;
            assert_eq!(answer, (StatusCode::OK, json!({})), "{body}");
        }
        assert!(rig.counted("passed", event_type.as_str()));
    }
    assert!(rig.taken().is_empty());
}

#[tokio::test]
async fn a_post_event_that_is_not_stored_is_never_acknowledged() {
    let unavailable = (StatusCode::SERVICE_UNAVAILABLE, json!({"error": "unavailable"}));
    let rig = Rig { intake: Recorder::failing(), ..Rig::new() };
    for event_type in EventType::ALL.iter().filter(|one| one.phase() == Phase::Post) {
        assert_eq!(rig.ask(rig.post(&form(event_type.as_str()))).await, unavailable);
    }
    assert!(rig.counted("unavailable", "onMessageAdded"));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_given_up_before_twilio_gives_up() {
    let rig = Rig { intake: Recorder::hanging(), ..Rig::new() };
    let clock = Clock::start();
    let answer = rig.ask(rig.post(&form("onMessageAdded"))).await;
    assert_eq!(answer.0, StatusCode::SERVICE_UNAVAILABLE);
    assert!(clock.now().since(crate::clock::Moment::ORIGIN) < Duration::from_secs(5));
}

#[tokio::test]
async fn another_accounts_event_is_refused_and_another_services_is_ignored() {
    let rig = Rig::new();
    let body = form("onMessageAdded").replace(&format!("AC{H}"), &format!("AC{OTHER}"));
    let answer = rig.ask(rig.post(&body)).await;
    assert_eq!(answer, (StatusCode::FORBIDDEN, json!({"error": "wrong_account"})));
    assert!(rig.counted("wrong_account", "onMessageAdded"));

    let body = format!("{}&ChatServiceSid=IS{OTHER}", form("onConversationAdded"));
    assert_eq!(rig.ask(rig.post(&body)).await, (StatusCode::OK, json!({"ok": true})));
    assert!(rig.counted("ignored", "onConversationAdded"));
    assert!(rig.taken().is_empty());

    let body = format!("{}&ChatServiceSid=IS{H}", form("onConversationAdded"));
    assert_eq!(rig.ask(rig.post(&body)).await.0, StatusCode::OK);
    assert_eq!(rig.taken().len(), 1);
}

#[tokio::test]
async fn an_unknown_event_type_is_acknowledged_and_not_taken() {
    let rig = Rig::new();
    let answer = rig.ask(rig.post(&form("onSomethingNew"))).await;
    assert_eq!(answer, (StatusCode::OK, json!({"ok": true})));
    assert!(rig.counted("ignored", "unknown"));
    assert!(rig.taken().is_empty());
}

#[tokio::test]
async fn a_signed_request_that_cannot_be_read_is_told_which_field() {
    let rig = Rig::new();
    for (body, field) in [
        (form("onMessageAdded").replace("MessageSid=", "MessageSid=x"), "MessageSid"),
        (form("onMessageAdded").replace("ConversationSid=", "Nothing="), "ConversationSid"),
        (format!("AccountSid=AC{H}"), "EventType"),
    ] {
        let answer = rig.ask(rig.post(&body)).await;
        let wanted = json!({"error": "malformed", "field": field});
        assert_eq!(answer, (StatusCode::BAD_REQUEST, wanted), "{body}");
    }
    let url = url_with_body_hash(URL, b"[not json");
    let request = Request::post(url.strip_prefix("https://bot.example.com").unwrap())
        .header("content-type", "application/json")
        .header(signature::HEADER, sign(&url, signature::Body::Other(b"[not json")))
        .body(Body::from("[not json"))
        .unwrap();
    assert_eq!(rig.ask(request).await, (StatusCode::BAD_REQUEST, json!({"error": "malformed"})));
}

#[tokio::test]
async fn other_methods_are_refused_with_those_that_are_allowed() {
    let rig = Rig::new();
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"] {
        let request = Request::builder().method(method).uri(ROUTE).body(Body::empty()).unwrap();
        let (status, headers, body) = rig.ask_raw(request).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(headers["allow"], "GET, POST");
        assert_eq!(headers["content-type"], "application/json");
        assert!(method == "HEAD" || body == json!({"error": "method_not_allowed"}));
    }
}

#[tokio::test]
async fn the_limit_holds_to_the_byte_with_and_without_a_length() {
    let rig = Rig::new();
    let start = format!("{}&Body=", form("onMessageAdded"));
    for (length, status) in
        [(64 * 1024, StatusCode::OK), (64 * 1024 + 1, StatusCode::PAYLOAD_TOO_LARGE)]
    {
        let body = format!("{start}{}", "x".repeat(length - start.len()));
        assert_eq!(rig.ask(rig.post(&body)).await.0, status, "{length}");

        let chunks: Vec<_> = body
            .as_bytes()
            .chunks(1000)
            .map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()))
            .collect();
        let mut request = rig.post(&body);
        *request.body_mut() = Body::from_stream(stream::iter(chunks));
        assert_eq!(rig.ask(request).await.0, status, "{length} in chunks");

        let mut request = rig.post(&body);
        let _ = request.headers_mut().insert("content-length", length.into());
        assert_eq!(rig.ask(request).await.0, status, "{length} announced");
    }
    assert!(rig.counted("too_large", "unknown"));
}

#[tokio::test]
async fn a_form_of_very_many_fields_is_refused_before_it_is_signed_for() {
    let rig = Rig::new();
    let start = form("onMessageAdded");
    let given = start.split('&').count();
    for (fields, status) in [(1_000, StatusCode::OK), (1_001, StatusCode::PAYLOAD_TOO_LARGE)] {
        let body = format!("{start}{}", "&a".repeat(fields - given));
        assert_eq!(rig.ask(rig.post(&body)).await.0, status, "{fields}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up() {
    let rig = Rig::new();
    let mut request = rig.post(&form("onMessageAdded"));
    *request.body_mut() = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let answer = rig.ask(request).await;
    assert_eq!(answer, (StatusCode::REQUEST_TIMEOUT, json!({"error": "too_slow"})));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_taken() {
    let rig = Rig::new();
    let mut request = rig.post(&form("onMessageAdded"));
    let broken = [Ok(Bytes::from(form("onMessageAdded"))), Err(std::io::Error::other("gone"))];
    *request.body_mut() = Body::from_stream(stream::iter(broken));
    assert_eq!(rig.ask(request).await.0, StatusCode::BAD_REQUEST);
    assert!(rig.taken().is_empty());
}

#[tokio::test]
async fn forwarded_headers_count_only_where_they_are_trusted() {
    for (trusted, status) in [(true, StatusCode::OK), (false, StatusCode::FORBIDDEN)] {
        let mut rig = Rig::new();
        rig.options.public_base = None;
        rig.options.nameable = Nameable::Any;
        rig.options.trust_forwarded = trusted;
        let mut request = rig.post(&form("onMessageAdded"));
        for (name, value) in [
            ("host", "internal:3000"),
            ("x-forwarded-proto", "https, http"),
            ("x-forwarded-host", "bot.example.com, proxy"),
        ] {
            let _ = request.headers_mut().insert(name, value.parse().unwrap());
        }
        assert_eq!(rig.ask(request).await.0, status, "trusted: {trusted}");
    }
}

#[tokio::test]
async fn a_host_that_nobody_allowed_is_refused_though_the_signature_fits_it() {
    let listed = |host| Nameable::Listed(Hosts::new([host]).unwrap());
    for (nameable, host, status) in [
        (listed("bot.example.com"), "bot.example.com", StatusCode::OK),
        (listed("other.example"), "bot.example.com", StatusCode::FORBIDDEN),
        (Nameable::Listed(Hosts::default()), "bot.example.com", StatusCode::FORBIDDEN),
        (Nameable::Any, "bot.example.com", StatusCode::OK),
        // The signature is of the same bytes, but for where the host ends.
        (Nameable::Any, "u@bot.example.com", StatusCode::FORBIDDEN),
    ] {
        let mut rig = Rig::new();
        rig.options.public_base = None;
        rig.options.nameable = nameable.clone();
        rig.options.listener_scheme = Scheme::Https;
        let body = form("onMessageAdded");
        let url = format!("https://{host}{ROUTE}");
        let request = Request::post(ROUTE)
            .header("content-type", FORM)
            .header("host", host)
            .header(signature::HEADER, sign(&url, signature::Body::Form(body.as_bytes())))
            .body(Body::from(body))
            .unwrap();
        assert_eq!(rig.ask(request).await.0, status, "{nameable:?} {host}");
    }
}

#[tokio::test]
async fn refusals_are_logged_with_reason_and_urls_and_nothing_personal() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let rig = Rig { intake: Recorder::failing(), ..Rig::new() };
    let body = format!("{}&Body=planted&Author=%2B15555550123", form("onMessageAdded"));
    let mut forged = rig.post(&body);
    *forged.uri_mut() = format!("{ROUTE}?secret=planted").parse().unwrap();
    let _ = rig.ask(forged).await;
    let _ = rig.ask(rig.post(&body)).await;
    let _ = rig.ask(rig.post(&body.replace("MessageSid=", "MessageSid=planted"))).await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for part in [
        r#"WARN"#,
        r#"reason="mismatch""#,
        r#"urls="https://bot.example.com/webhooks/twilio "#,
        r#"ERROR"#,
        "the event was not stored: disk full",
        "the field MessageSid cannot be read",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    for part in ["planted", "5555", "token"] {
        assert!(!log.replace("the auth token", "").contains(part), "{part}: {log}");
    }
}

#[tokio::test]
async fn the_next_token_is_taken_during_a_rotation() {
    let mut rig = Rig::new();
    rig.options.keys.auth_tokens.insert(0, SecretString::from("next".to_owned()));
    assert_eq!(rig.ask(rig.post(&form("onMessageAdded"))).await.0, StatusCode::OK);
}

const H: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "ffffffffffffffffffffffffffffffff";
const URL: &str = "https://bot.example.com/webhooks/twilio";
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// A form with every sid that any event needs.
fn form(event_type: &str) -> String {
    format!(
        "EventType={event_type}&AccountSid=AC{H}&ConversationSid=CH{H}&MessageSid=IM{H}\
         &ParticipantSid=MB{H}&UserSid=US{H}"
    )
}

fn sign(url: &str, body: signature::Body<'_>) -> String {
    signature::sign(&token(), Algorithm::HmacSha1, url, body)
}

fn token() -> SecretString {
    SecretString::from("token".to_owned())
}

/// The room with an intake that remembers.
struct Rig {
    options: Options,
    intake: Arc<Recorder>,
    metrics: Metrics,
}

impl Rig {
    fn new() -> Self {
        let keys = Keys { auth_tokens: vec![token()], shared: vec![] };
        let mut options = Options::new(format!("AC{H}").parse().unwrap(), keys);
        options.chat_service_sid = Some(format!("IS{H}").parse().unwrap());
        options.public_base = Some(PublicBase::new("https://bot.example.com"));
        Self { options, intake: Recorder::storing(), metrics: Metrics::new() }
    }

    fn post(&self, body: &str) -> Request<Body> {
        Request::post(ROUTE)
            .header("content-type", FORM)
            .header(signature::HEADER, sign(URL, signature::Body::Form(body.as_bytes())))
            .header("i-twilio-idempotency-token", "a-token")
            .body(Body::from(body.to_owned()))
            .unwrap()
    }

    async fn ask(&self, request: Request<Body>) -> (StatusCode, Value) {
        let (status, _, body) = self.ask_raw(request).await;
        (status, body)
    }

    async fn ask_raw(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
        let intakes =
            Intakes { conversations: Some(Arc::<Recorder>::clone(&self.intake)), texts: None };
        let router = router(self.options.clone(), intakes, self.metrics.clone(), Clock::start());
        let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
        let bytes = axum::body::to_bytes(body, 4096).await.unwrap();
        (parts.status, parts.headers, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    fn taken(&self) -> Vec<(Envelope, Meta)> {
        self.intake.taken.lock().unwrap().clone()
    }

    fn counted(&self, outcome: &str, event_type: &str) -> bool {
        counted(&self.metrics, outcome, event_type)
    }
}

fn counted(metrics: &Metrics, outcome: &str, event_type: &str) -> bool {
    metrics.page().lines().any(|line| {
        line.starts_with("chimein_webhook_requests_total{")
            && line.contains(&format!("outcome=\"{outcome}\""))
            && line.contains(&format!("event_type=\"{event_type}\""))
    })
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

enum Mood {
    Storing,
    Failing,
    Hanging,
}

impl Mood {
    async fn show(&self) -> Result<(), Unavailable> {
        match self {
            Self::Storing => Ok(()),
            Self::Failing => Err(Unavailable::new(std::io::Error::other("disk full"))),
            Self::Hanging => std::future::pending().await,
        }
    }
}

struct Recorder {
    mood: Mood,
    taken: Mutex<Vec<(Envelope, Meta)>>,
}

impl Recorder {
    fn storing() -> Arc<Self> {
        Arc::new(Self { mood: Mood::Storing, taken: Mutex::default() })
    }

    fn failing() -> Arc<Self> {
        Arc::new(Self { mood: Mood::Failing, taken: Mutex::default() })
    }

    fn hanging() -> Arc<Self> {
        Arc::new(Self { mood: Mood::Hanging, taken: Mutex::default() })
    }
}

impl Intake for Recorder {
    fn take(&self, event: Envelope, meta: Meta) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async {
            self.mood.show().await?;
            self.taken.lock().unwrap().push((event, meta));
            Ok(())
        })
    }
}

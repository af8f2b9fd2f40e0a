//! Tests of every page through its router.

use axum::body::{Body, to_bytes};
use axum::http::Request;
use futures::FutureExt;
use futures::future::BoxFuture;
use secrecy::SecretString;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::agent::kinds;
use crate::clock::{Clock, Timestamp};
use crate::config::Environment;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels::{JobState, Queue};
use crate::twilio::sid::ConversationSid;

#[tokio::test(start_paused = true)]
async fn health_has_bitbrats_shape() {
    let options = options(Readiness::Ready, None);
    tokio::time::advance(Duration::from_secs(12)).await;
    for path in ["/healthz", "/livez"] {
        let (status, body) = ask(&public(Arc::clone(&options)), path).await;
        assert_eq!((status, &body["status"]), (200, &"ok".into()), "{path}");
        assert_eq!(body["service"], "chimein");
        assert_eq!(body["uptimeSec"], 12);
        let at = body["timestamp"].as_str().unwrap();
        assert!(Timestamp::parse_rfc3339(at).is_some(), "{at}");
        assert_eq!(body.as_object().unwrap().len(), 4, "{body}");
    }
    let (status, body) = ask(&public(options), "/").await;
    assert_eq!((status, &body["message"]), (200, &"chimein up".into()));
}

#[tokio::test]
async fn readiness_is_told_with_its_reasons() {
    for (readiness, status, ready, degraded, reasons) in [
        (Readiness::Ready, 200, true, false, json!([])),
        (Readiness::Degraded(vec!["socket_down"]), 200, true, true, json!(["socket_down"])),
        (Readiness::NotReady(vec!["socket_down"]), 503, false, false, json!(["socket_down"])),
    ] {
        let (answered, body) = ask(&public(options(readiness, None)), "/readyz").await;
        assert_eq!(answered, status);
        assert_eq!((&body["ready"], &body["degraded"]), (&ready.into(), &degraded.into()));
        assert_eq!(body["reasons"], reasons);
        assert_eq!(body["service"], "chimein");
    }
}

#[tokio::test]
async fn twilio_has_bitbrats_shape() {
    let (status, body) = ask(&near(options(Readiness::Ready, None)), "/_debug/twilio").await;
    assert_eq!(status, 200);
    insta::assert_json_snapshot!(body, @r#"
    {
      "conversations": [
        {
          "friendlyName": null,
          "sid": "CHaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          "status": "joined"
        }
      ],
      "conversationsTotal": 1,
      "counters": {
        "failed": 0,
        "published": 12,
        "received": 12
      },
      "displayName": "bitbrat-bot",
      "id": "bitbrat-bot",
      "identity": "bitbrat-bot",
      "lastError": {
        "message": "socket closed"
      },
      "lastMessageAt": "2026-08-20T12:00:03.120Z",
      "state": "CONNECTED"
    }
    "#);
}

#[tokio::test]
async fn a_platform_that_is_off_or_unknown_is_404() {
    let off = Arc::new(Options { insight: Arc::new(Off), ..bare() });
    for platform in ["twilio", "slack"] {
        let (status, body) = ask(&near(Arc::clone(&off)), &format!("/_debug/{platform}")).await;
        assert_eq!(status, 404);
        assert_eq!(body, json!({ "error": "unknown_platform", "platform": platform }));
    }
    let (_, body) = ask(&near(Arc::clone(&off)), "/_debug/connectors").await;
    assert_eq!(body, json!({ "connectors": {} }));
    let (_, body) = ask(&near(off), "/_debug/instance").await;
    assert_eq!(body["connectors"], json!([{ "name": "twilio", "enabled": false }]));
}

#[tokio::test]
async fn instance_and_connectors_have_bitbrats_shape() {
    let router = near(options(Readiness::Ready, None));
    let (_, body) = ask(&router, "/_debug/instance").await;
    assert_eq!(body["serviceName"], "chimein");
    assert_eq!(body["instanceId"], "chimein-1");
    assert_eq!(body["connectorCount"], 1);
    assert_eq!(body["connectors"], json!([{ "name": "twilio", "enabled": true }]));
    let (_, body) = ask(&router, "/_debug/connectors").await;
    assert_eq!(body["connectors"]["twilio"]["state"], "CONNECTED");
    assert_eq!(body["connectors"]["twilio"]["started"], true);
}

#[tokio::test]
async fn every_page_has_what_the_platforms_tools_read() {
    // Source: BitBrat 0.33.3, `base-server.ts` and `integration-bit.ts`, read 2026-11-21.
    let health = ["status=string", "service=string", "timestamp=string", "uptimeSec=number"];
    let snapshot = [
        "state=string",
        "identity=string",
        "id=string",
        "displayName=string",
        "lastMessageAt=string",
        "lastError/message=string",
        "counters/received=number",
        "counters/published=number",
        "counters/failed=number",
        "conversations/0/sid=string",
        "conversations/0/status=string",
        "conversations/0/friendlyName=null",
    ];
    let within = snapshot.map(|field| format!("connectors/twilio/{field}"));
    let router = near(options(Readiness::Ready, None));
    let pages: [(&str, Vec<&str>); 8] = [
        ("/", [&health[..], &["message=string"]].concat()),
        ("/healthz", health.to_vec()),
        ("/livez", health.to_vec()),
        ("/readyz", [&health[..], &["ready=boolean"]].concat()),
        ("/_debug/twilio", snapshot.to_vec()),
        (
            "/_debug/config",
            vec!["service=string", "config=object", "requiredEnv=array", "requiredEnv/0=string"],
        ),
        (
            "/_debug/instance",
            vec![
                "serviceName=string",
                "instanceId=string",
                "egressTopic=string",
                "connectorCount=number",
                "connectors/0/name=string",
                "connectors/0/enabled=boolean",
            ],
        ),
        (
            "/_debug/connectors",
            [&["connectors/twilio/started=boolean"][..], &within.each_ref().map(String::as_str)]
                .concat(),
        ),
    ];
    for path in PUBLIC_PATHS.iter().chain(DEBUG_PATHS) {
        let (_, fields) = pages.iter().find(|(page, _)| page == path).expect("a known page");
        let (status, body) = ask(&router, path).await;
        assert_eq!(status, 200, "{path}");
        for field in fields {
            let (pointer, kind) = field.split_once('=').unwrap();
            let found = body.pointer(&format!("/{pointer}")).map(kind_of);
            assert_eq!(found, Some(kind), "{path} {pointer} in {body}");
        }
    }
}

#[tokio::test]
async fn settings_are_shown_with_secrets_masked() {
    let (status, body) = ask(&near(options(Readiness::Ready, None)), "/_debug/config").await;
    assert_eq!(status, 200);
    assert_eq!(body["service"], "chimein");
    assert_eq!(body["config"]["twilio.auth_token"], "***REDACTED***");
    assert_eq!(body["config"]["agent.kind"], "echo");
    assert_eq!(body["origins"]["twilio.auth_token"], "environment TWILIO_AUTH_TOKEN");
    assert!(body["requiredEnv"].as_array().unwrap().contains(&"TWILIO_ACCOUNT_SID".into()));
    assert!(!body.to_string().contains("planted"), "{body}");
}

#[tokio::test]
async fn debug_pages_ask_for_their_token_and_health_does_not() {
    let with_token = || options(Readiness::Ready, Some("planted-token"));
    let platform = Arc::new(Options { is_on_platform: true, ..fixed(Some("planted-token")) });
    for router in [near(with_token()), public(platform)] {
        for path in PUBLIC_PATHS.iter().chain(DEBUG_PATHS) {
            let is_guarded = path.starts_with("/_debug");
            for (authorization, is_right) in [
                (None, false),
                (Some("Bearer wrong"), false),
                (Some("Basic planted-token"), false),
                (Some("planted-token"), false),
                (Some("Bearer planted-token"), true),
                (Some("bearer planted-token"), true),
            ] {
                let mut request = Request::get(*path).header("host", "127.0.0.1:9464");
                if let Some(authorization) = authorization {
                    request = request.header("authorization", authorization);
                }
                let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await;
                let expected = if is_guarded && !is_right { 401 } else { 200 };
                assert_eq!(answer.unwrap().status(), expected, "{path} {authorization:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_public_listener_has_debug_pages_for_a_platform_with_a_token_only() {
    let with_token = options(Readiness::Ready, Some("planted-token"));
    let platform = Arc::new(Options { is_on_platform: true, ..fixed(None) });
    for (options, status, error) in [
        (options(Readiness::Ready, None), 404, "not_found"),
        (with_token, 404, "not_found"),
        (platform, 403, "no_token_configured"),
    ] {
        for path in DEBUG_PATHS {
            let (found, body) = ask(&public(Arc::clone(&options)), path).await;
            assert_eq!((found, &body["error"]), (status, &error.into()), "{path}");
        }
    }
}

#[tokio::test]
async fn on_a_platform_a_webhook_that_is_off_is_answered_as_the_platform_does() {
    let platform = Arc::new(Options { is_on_platform: true, ..fixed(None) });
    let unknown = json!({ "error": "unknown_platform", "platform": "twilio" });
    let alone = options(Readiness::Ready, None);
    for (options, expected) in [(platform, unknown), (alone, json!({ "error": "not_found" }))] {
        let request = Request::post("/webhooks/twilio").body(Body::empty()).unwrap();
        let (status, body) = read(public(options).oneshot(request).await.unwrap()).await;
        assert_eq!((status, body), (404, expected.to_string()));
    }
}

#[tokio::test]
async fn only_health_is_for_everybody() {
    let far = "0.0.0.0:9464".parse().unwrap();
    for (router, host, token, status) in [
        (near(options(Readiness::Ready, None)), "127.0.0.1:9464", None, 200),
        (near(options(Readiness::Ready, None)), "rebound.example:9464", None, 403),
        (near(options(Readiness::Ready, Some("planted"))), "rebound.example:9464", None, 403),
        (private(options(Readiness::Ready, None), far), "127.0.0.1:9464", None, 403),
        (private(options(Readiness::Ready, Some("planted")), far), "127.0.0.1:9464", None, 401),
        (
            private(options(Readiness::Ready, Some("planted")), far),
            "m.example",
            Some("planted"),
            200,
        ),
    ] {
        for (path, expected) in [("/metrics", status), ("/readyz", 200), ("/healthz", 200)] {
            let mut request = Request::get(path).header("host", host);
            if let Some(token) = token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.unwrap().status(), expected, "{path} {host} {token:?}");
        }
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_answered_in_json() {
    let router = public(options(Readiness::Ready, None));
    let (status, body) = ask(&router, "/metrics").await;
    assert_eq!((status, body), (404, json!({ "error": "not_found" })));
    let request = Request::post("/healthz").body(Body::empty()).unwrap();
    let (status, body) = read(router.oneshot(request).await.unwrap()).await;
    assert_eq!(status, 405);
    assert_eq!(body, json!({ "error": "method_not_allowed" }).to_string());
}

#[tokio::test]
async fn metrics_are_fresh_and_on_the_admin_listener_only() {
    let router = near(options(Readiness::Ready, None));
    for (accept, format) in [
        ("*/*", Format::Plain),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", Format::OpenMetrics),
    ] {
        let request = Request::get("/metrics").header("accept", accept).header("host", "localhost");
        let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.headers()["content-type"], format.content_type());
        assert_eq!(answer.headers()["vary"], "Accept");
        let (status, page) = read(answer).await;
        assert_eq!(status, 200);
        let jobs = "chimein_queue_jobs{queue=\"inbox\",state=\"ready\"} 3\n";
        assert!(page.contains(jobs), "{page}");
        assert_eq!(page.contains("# EOF"), format == Format::OpenMetrics, "{page}");
    }
    assert_eq!(ask(&router, "/healthz").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn metrics_are_shown_even_if_the_service_hangs() {
    let options = Arc::new(Options { insight: Arc::new(Hung), ..bare() });
    let request = Request::get("/metrics").header("host", "[::1]:9464");
    let request = request.body(Body::empty()).unwrap();
    let (status, page) = read(near(options).oneshot(request).await.unwrap()).await;
    assert_eq!(status, 200);
    assert!(page.contains("chimein_build_info"), "{page}");
}

#[tokio::test]
async fn a_page_lists_a_bounded_number_of_conversations() {
    let seat = Seat { sid: ConversationSid::from_bytes([1; 16]).into(), status: "joined" };
    let total = debug::CONVERSATIONS_SHOWN_MAX + 5;
    let insight = Fixed { seats: vec![seat; total], ..Fixed::new(Readiness::Ready) };
    let options = Arc::new(Options { insight: Arc::new(insight), ..bare() });
    let (_, body) = ask(&near(options), "/_debug/twilio").await;
    assert_eq!(body["conversationsTotal"], total);
    assert_eq!(body["conversations"].as_array().unwrap().len(), debug::CONVERSATIONS_SHOWN_MAX);
}

/// A service whose state does not change.
struct Fixed {
    readiness: Readiness,
    seats: Vec<Seat>,
    metrics: Metrics,
}

impl Fixed {
    fn new(readiness: Readiness) -> Self {
        let seat = Seat { sid: ConversationSid::from_bytes([0xaa; 16]).into(), status: "joined" };
        Self { readiness, seats: vec![seat], metrics: Metrics::new() }
    }
}

impl Insight for Fixed {
    fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    fn twilio(&self) -> Option<Connector> {
        Some(Connector {
            state: ConnectorState::Connected,
            identity: "bitbrat-bot".to_owned(),
            last_message_at: Timestamp::parse_rfc3339("2026-08-20T12:00:03.120Z"),
            last_error: Some("socket closed".to_owned()),
            counters: Counters { received: 12, published: 12, failed: 0 },
            conversations: self.seats.clone(),
        })
    }

    fn refresh(&self) -> BoxFuture<'_, ()> {
        self.metrics.queue_jobs(Queue::Inbox, JobState::Ready, 3);
        std::future::ready(()).boxed()
    }
}

/// A service with Twilio switched off.
struct Off;

impl Insight for Off {
    fn readiness(&self) -> Readiness {
        Readiness::Degraded(vec!["twilio_off"])
    }

    fn twilio(&self) -> Option<Connector> {
        None
    }

    fn refresh(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }
}

/// A service that answers no more.
struct Hung;

impl Insight for Hung {
    fn readiness(&self) -> Readiness {
        Readiness::NotReady(vec!["hung"])
    }

    fn twilio(&self) -> Option<Connector> {
        None
    }

    fn refresh(&self) -> BoxFuture<'_, ()> {
        std::future::pending().boxed()
    }
}

fn bare() -> Options {
    let environment = Environment::from_pairs([("TWILIO_AUTH_TOKEN", "planted-secret")]);
    Options {
        service: "chimein".to_owned(),
        instance_id: "chimein-1".to_owned(),
        egress_topic: Some("internal.egress.v1.twilio-ingress".to_owned()),
        required_variables: kinds::schema().required_variables(),
        effective: kinds::load(None, &environment).effective,
        debug_token: None,
        is_on_platform: false,
        metrics: Metrics::new(),
        insight: Arc::new(Off),
        clock: Clock::start(),
    }
}

/// The admin listener's pages, on this machine.
fn near(options: Arc<Options>) -> Router {
    private(options, "127.0.0.1:9464".parse().unwrap())
}

fn fixed(debug_token: Option<&str>) -> Options {
    Arc::into_inner(options(Readiness::Ready, debug_token)).unwrap()
}

fn options(readiness: Readiness, debug_token: Option<&str>) -> Arc<Options> {
    let insight = Fixed::new(readiness);
    let metrics = insight.metrics.clone();
    let debug_token = debug_token.map(SecretString::from);
    Arc::new(Options { debug_token, metrics, insight: Arc::new(insight), ..bare() })
}

/// JSON's word for what a value is.
const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

async fn ask(router: &Router, path: &str) -> (u16, Value) {
    let request = Request::get(path).header("host", "127.0.0.1:9464");
    let request = request.body(Body::empty()).unwrap();
    let (status, text) = read(router.clone().oneshot(request).await.unwrap()).await;
    (status, serde_json::from_str(&text).unwrap())
}

async fn read(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

//! The layer and the exporter against a collector in this process.

use std::sync::Mutex;

use axum::Router;
use axum::http::{HeaderMap as Headers, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::DropGuard;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::telemetry::trace::{Way, stage_span};
use crate::twilio::sid::{ConversationSid, MessageSid};

const CONVERSATION: ConversationSid = ConversationSid::from_bytes([0xcc; 16]);
const MESSAGE: MessageSid = MessageSid::from_bytes([0x07; 16]);

#[tokio::test]
async fn stages_of_one_message_reach_the_collector_in_one_trace() {
    let collector = Collector::start().await;
    let (spans, exporter) = open(collector.options(1.0), Clock::start()).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(spans), || {
        let way = Way::of_message(Some(CONVERSATION), MESSAGE, Some(3));
        drop(way.span("webhook"));
        let turn = stage_span("inbox");
        let _entered = turn.enter();
        way.record();
        tracing::warn!(attempt = 1, "agent gave no answer; trying again");
        tracing::error!("and this is the second trouble");
        // Neither a stage nor sampled: without a trace it belongs nowhere.
        drop(stage_span("outbox"));
        drop(tracing::error_span!("other", trace_id = "07"));
    });
    finish(exporter).await;
    let [(headers, body)] = &collector.taken()[..] else { panic!("one request") };
    assert_eq!(headers["authorization"], "Basic a+b==");
    assert_eq!(headers["content-type"], "application/json");
    let spans = spans_of(body);
    let names: Vec<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["webhook", "inbox"]);
    for span in &spans {
        assert_eq!(span["traceId"], "07".repeat(16).as_str());
        assert_eq!(span["attributes"][1]["value"]["stringValue"], MESSAGE.to_string().as_str());
        assert!(span["endTimeUnixNano"].as_str() >= span["startTimeUnixNano"].as_str());
    }
    assert_ne!(spans[0]["spanId"], spans[1]["spanId"]);
    assert_eq!(spans[0]["status"], Value::Null);
    assert_eq!(spans[1]["status"]["message"], "agent gave no answer; trying again");
}

#[tokio::test]
async fn a_trace_that_is_not_sampled_is_not_sent() {
    let collector = Collector::start().await;
    let (spans, exporter) = open(collector.options(0.0), Clock::start()).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(spans), || {
        drop(Way::of_conversation(CONVERSATION).span("joins"));
    });
    finish(exporter).await;
    assert!(collector.taken().is_empty());
}

#[tokio::test]
async fn spans_beyond_the_bound_are_dropped_and_nothing_waits() {
    let collector = Collector::start().await;
    let (spans, exporter) = open(collector.options(1.0), Clock::start()).unwrap();
    let dropped = Arc::clone(&exporter.dropped);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(spans), || {
        for _ in 0..SPANS_WAITING_MAX + 7 {
            drop(Way::of_conversation(CONVERSATION).span("joins"));
        }
    });
    assert_eq!(dropped.load(Ordering::Relaxed), 7);
    finish(exporter).await;
    assert_eq!(collector.taken().len(), 1, "a stop sends one batch and no more");
}

#[tokio::test]
async fn a_collector_that_is_away_holds_up_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let options = Options { endpoint, ..Collector::start().await.options(1.0) };
    let (spans, exporter) = open(options, Clock::start()).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(spans), || {
        drop(Way::of_conversation(CONVERSATION).span("joins"));
    });
    finish(exporter).await;
}

#[test]
fn headers_are_pairs_and_may_be_encoded() {
    let read = |text: &str| headers(&SecretString::from(text));
    let found = read("x-team=a, authorization=Basic%20a+b==").unwrap();
    assert_eq!(
        (&found["x-team"], &found["authorization"]),
        (&"a".parse().unwrap(), &"Basic a+b==".parse().unwrap())
    );
    assert!(format!("{found:?}").contains("Sensitive"), "{found:?}");
    for text in ["x-team", "=a", "x team=a", "a=b\u{7}"] {
        assert!(matches!(read(text), Err(Error::Headers)), "{text}");
    }
}

#[test]
fn the_path_of_traces_is_added_to_the_base() {
    for (base, url) in [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("https://otlp.example.com/otlp/", "https://otlp.example.com/otlp/v1/traces"),
    ] {
        assert_eq!(traces_url(base.parse().unwrap()).as_str(), url);
    }
}

/// Lets the exporter send what waits, and end.
async fn finish(exporter: Exporter) {
    let stop = CancellationToken::new();
    stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(20), exporter.run(stop)).await;
    assert!(ended.is_ok(), "the exporter did not end");
}

fn spans_of(body: &Value) -> Vec<Value> {
    body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
}

type Taken = Arc<Mutex<Vec<(Headers, Value)>>>;

/// A collector that keeps what it is sent.
struct Collector {
    endpoint: Url,
    taken: Taken,
    _serving: DropGuard,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let taken = Taken::default();
        let kept = Arc::clone(&taken);
        let take = async move |headers: Headers, body: String| {
            kept.lock().unwrap().push((headers, serde_json::from_str(&body).unwrap()));
            StatusCode::OK
        };
        let router = Router::new().route("/v1/traces", post(take));
        let stop = CancellationToken::new();
        let serving =
            axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        drop(tokio::spawn(async move { serving.await }));
        Self { endpoint, taken, _serving: stop.drop_guard() }
    }

    fn options(&self, ratio: f64) -> Options {
        Options {
            endpoint: self.endpoint.clone(),
            headers: Some("authorization=Basic%20a+b==".into()),
            ratio,
            proxies: Proxies::default(),
            resource: Resource { service: "chimein".into(), instance: None },
        }
    }

    fn taken(&self) -> Vec<(Headers, Value)> {
        self.taken.lock().unwrap().clone()
    }
}

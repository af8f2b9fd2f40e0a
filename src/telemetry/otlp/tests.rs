//! The layer and the exporter against a collector in this process.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap as Headers, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use opentelemetry::trace::{SpanKind, TraceId};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_sdk::trace::{SamplingDecision, ShouldSample};
use proptest::prelude::*;
use prost::Message;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::DropGuard;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::telemetry::trace::{TraceContext, stage_span};
use crate::twilio::sid::{ConversationSid, MessageSid};

const CONVERSATION: ConversationSid = ConversationSid::from_bytes([0xcc; 16]);
const MESSAGE: MessageSid = MessageSid::from_bytes([0x07; 16]);

#[tokio::test]
async fn stages_of_one_message_reach_the_collector_in_one_trace() {
    let collector = Collector::start(&[]).await;
    let (spans, exporter) = start(collector.options(1.0));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(spans), || {
        let way = TraceContext::of_message(CONVERSATION.into(), MESSAGE.into(), Some(3));
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
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let scope = &body["resourceSpans"][0]["scopeSpans"][0]["scope"];
    assert_eq!((&scope["name"], &scope["version"]), (&"chimein".into(), &VERSION.into()));
    let spans = spans_of(body);
    let names: Vec<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["webhook", "inbox"]);
    for (span, kind) in spans.iter().zip([2, 5]) {
        assert_eq!(span["traceId"], "07".repeat(16).as_str());
        assert_eq!((&span["kind"], &span["parentSpanId"]), (&kind.into(), &"".into()));
        let sids = [("chimein.conversation_sid", CONVERSATION.to_string())];
        let sids = sids.into_iter().chain([("chimein.message_sid", MESSAGE.to_string())]);
        let sids: Vec<Value> = sids.map(|(key, sid)| text(key, &sid)).collect();
        assert_eq!(span["attributes"], Value::Array(sids));
        assert!(span["endTimeUnixNano"].as_str() >= span["startTimeUnixNano"].as_str());
    }
    assert_ne!(spans[0]["spanId"], spans[1]["spanId"]);
    assert_eq!(spans[0]["status"]["code"], 0);
    assert_eq!(spans[1]["status"]["code"], 2);
    assert_eq!(spans[1]["status"]["message"], "agent gave no answer; trying again");
}

#[tokio::test]
async fn a_stage_within_another_of_its_trace_is_its_child() {
    let collector = Collector::start(&[]).await;
    let (spans, exporter) = start(collector.options(1.0));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(spans), || {
        let conversation = TraceContext::of_thread(CONVERSATION);
        // The stage around learns what it works on when the ones within have begun.
        let joins = stage_span("joins");
        let _entered = joins.enter();
        let first =
            TraceContext::of_message(CONVERSATION.into(), MESSAGE.into(), Some(0)).span("catch_up");
        conversation.record();
        drop(tracing::error_span!("other").in_scope(|| first));
        drop(TraceContext::of_message(CONVERSATION.into(), MESSAGE.into(), Some(1)).span("replay"));
    });
    finish(exporter).await;
    let [(_, body)] = &collector.taken()[..] else { panic!("one request") };
    let spans = spans_of(body);
    let [first, second, joins] = &spans[..] else { panic!("{spans:?}") };
    let names = [first, second, joins].map(|span| span["name"].as_str().unwrap());
    assert_eq!(names, ["catch_up", "replay", "joins"]);
    assert_eq!(first["parentSpanId"], joins["spanId"]);
    assert_eq!(first["traceId"], joins["traceId"]);
    assert_eq!(second["parentSpanId"], "", "another message's trace");
    assert_eq!(joins["parentSpanId"], "");
}

#[tokio::test]
async fn who_sends_is_told_with_each_batch() {
    let collector = Collector::start(&[]).await;
    let (spans, exporter) = start(collector.options(1.0));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(spans), || {
        drop(TraceContext::of_thread(CONVERSATION).span("joins"));
    });
    finish(exporter).await;
    let [(_, body)] = &collector.taken()[..] else { panic!("one request") };
    let told = body["resourceSpans"][0]["resource"]["attributes"].as_array().unwrap();
    for (key, value) in [
        ("service.name", "chimein"),
        ("service.version", VERSION),
        ("service.instance.id", "one"),
        ("telemetry.sdk.language", "rust"),
    ] {
        assert!(told.contains(&text(key, value)), "{key}: {told:?}");
    }
}

#[tokio::test]
async fn a_trace_that_is_not_sampled_is_not_sent() {
    let collector = Collector::start(&[]).await;
    let (spans, exporter) = start(collector.options(0.0));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(spans), || {
        drop(TraceContext::of_thread(CONVERSATION).span("joins"));
    });
    finish(exporter).await;
    assert!(collector.taken().is_empty());
}

#[test]
fn all_or_none_are_sent_at_the_ends() {
    for id in [0, u128::MAX] {
        assert!(is_sampled(id, 1.0));
        assert!(!is_sampled(id, 0.0));
    }
}

proptest! {
    #[test]
    fn what_is_sent_at_a_ratio_is_sent_at_a_higher_one(id: u128, low in 0.0..1.0, more in 0.0..1.0) {
        let high = low + (1.0 - low) * more;
        prop_assert!(!is_sampled(id, low) || is_sampled(id, high));
    }

    #[test]
    fn the_share_that_is_sent_is_the_ratio(ratio in 0.05..0.95, seed: u64) {
        let id = |n: u64| u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed));
        let sent = (0..2_000).filter(|n| is_sampled(id(*n), ratio)).count();
        let share = f64::from(u32::try_from(sent).unwrap()) / 2_000.0;
        prop_assert!((share - ratio).abs() < 0.05, "{share} for {ratio}");
    }
}

#[tokio::test]
async fn spans_beyond_the_bound_are_dropped_and_nothing_waits() {
    const BEYOND: usize = 7;
    let collector = Collector::silent().await;
    let (spans, exporter) = start(collector.options(1.0));
    let dropping = Dropping::default();
    let subscriber = tracing_subscriber::registry().with(spans).with(dropping.clone());
    tracing::subscriber::with_default(subscriber, || {
        // The processor's thread may have taken a batch out of the queue by then.
        for _ in 0..SPANS_WAITING_MAX + SPANS_SENT_MAX + BEYOND {
            drop(TraceContext::of_thread(CONVERSATION).span("joins"));
        }
    });
    assert!(*dropping.0.lock().unwrap(), "the log does not say so");
    assert!(exporter.stop_within(Duration::from_millis(100)).await, "the thread has not ended");
}

#[tokio::test]
async fn a_stop_sends_all_that_waits() {
    let collector = Collector::start(&[]).await;
    let (spans, exporter) = start(collector.options(1.0));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(spans), || {
        for _ in 0..SPANS_WAITING_MAX {
            drop(TraceContext::of_thread(CONVERSATION).span("joins"));
        }
    });
    finish(exporter).await;
    let taken = collector.taken();
    let counts: Vec<usize> = taken.iter().map(|(_, body)| spans_of(body).len()).collect();
    assert!(counts.iter().all(|count| *count <= SPANS_SENT_MAX), "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), SPANS_WAITING_MAX, "{counts:?}");
}

#[tokio::test]
async fn a_batch_is_sent_again_until_a_busy_collector_takes_it() {
    let busy = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
    let collector = Collector::start(&busy).await;
    let (spans, exporter) = start(collector.options(1.0));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(spans), || {
        drop(TraceContext::of_thread(CONVERSATION).span("joins"));
    });
    finish(exporter).await;
    let taken = collector.taken();
    assert_eq!(taken.len(), busy.len() + 1);
    assert!(taken.iter().all(|(_, body)| *body == taken[0].1));
}

#[tokio::test]
async fn a_collector_that_is_away_holds_up_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let options = Options { endpoint, ..Collector::start(&[]).await.options(1.0) };
    let (spans, exporter) = start(options);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(spans), || {
        drop(TraceContext::of_thread(CONVERSATION).span("joins"));
    });
    finish(exporter).await;
}

#[tokio::test]
async fn a_collector_that_does_not_answer_holds_up_a_stop_no_longer_than_its_bound() {
    let collector = Collector::silent().await;
    let options = Options { timeout: Duration::from_secs(60), ..collector.options(1.0) };
    let (spans, exporter) = start(options);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(spans), || {
        for _ in 0..3 * SPANS_SENT_MAX {
            drop(TraceContext::of_thread(CONVERSATION).span("joins"));
        }
    });
    let clock = Clock::start();
    let began = clock.now();
    assert!(exporter.stop_within(Duration::from_millis(100)).await, "the thread has not ended");
    let took = clock.now().since(began);
    assert!((100..5_000).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test]
async fn nothing_shows_the_headers() {
    let options = Collector::start(&[]).await.options(1.0);
    let told = format!("{options:?}");
    let (spans, exporter) = start(options);
    let shown = format!("{told} {spans:?} {exporter:?}");
    assert!(!shown.contains("Basic") && !shown.contains("a+b"), "{shown}");
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

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Spans that wait to be sent, by OpenTelemetry's default.
const SPANS_WAITING_MAX: usize = 2_048;

/// Spans in one request, by OpenTelemetry's default.
const SPANS_SENT_MAX: usize = 512;

fn start(options: Options) -> (Spans, Exporter) {
    open(options, Clock::start(), Handle::current()).unwrap()
}

/// Lets the exporter send what waits, and end.
async fn finish(exporter: Exporter) {
    let stopping = exporter.stop_within(FLUSHED_WITHIN);
    let ended = tokio::time::timeout(Duration::from_secs(20), stopping).await;
    assert!(ended == Ok(true), "the exporter did not end");
}

fn is_sampled(id: u128, ratio: f64) -> bool {
    let sampler = Sampler::TraceIdRatioBased(ratio);
    let id = TraceId::from(id);
    let sampled = sampler.should_sample(None, id, "joins", &SpanKind::Consumer, &[], &[]);
    sampled.decision == SamplingDecision::RecordAndSample
}

fn spans_of(body: &Value) -> Vec<Value> {
    body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
}

fn text(key: &str, value: &str) -> Value {
    serde_json::json!({ "key": key, "value": { "stringValue": value } })
}

/// Hears whether the SDK says that it drops spans.
#[derive(Clone, Default)]
struct Dropping(Arc<Mutex<bool>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Dropping {
    fn on_event(
        &self,
        event: &tracing::Event<'_>,
        _context: tracing_subscriber::layer::Context<'_, S>,
    ) {
        if event.metadata().name() == "BatchSpanProcessor.SpanDroppingStarted" {
            *self.0.lock().unwrap() = true;
        }
    }
}

type Taken = Arc<Mutex<Vec<(Headers, Value)>>>;

/// A collector that keeps what it is sent.
struct Collector {
    endpoint: Url,
    taken: Taken,
    _serving: DropGuard,
}

impl Collector {
    /// Starts one that answers with these first, then with 200.
    async fn start(answers: &[StatusCode]) -> Self {
        let taken = Taken::default();
        let kept = Arc::clone(&taken);
        let answers = answers.to_vec();
        let take = async move |headers: Headers, body: Bytes| {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            let mut kept = kept.lock().unwrap();
            kept.push((headers, serde_json::to_value(request).unwrap()));
            answers.get(kept.len() - 1).copied().unwrap_or(StatusCode::OK)
        };
        Self::serve(Router::new().route("/v1/traces", post(take)), taken).await
    }

    /// Starts one that takes requests and never answers.
    async fn silent() -> Self {
        let take = async || std::future::pending::<StatusCode>().await;
        Self::serve(Router::new().route("/v1/traces", post(take)), Taken::default()).await
    }

    async fn serve(router: Router, taken: Taken) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
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
            timeout: Duration::from_secs(10),
            ratio,
            proxies: Proxies::default(),
            resource: Resource { service: "chimein".into(), instance: Some("one".into()) },
        }
    }

    fn taken(&self) -> Vec<(Headers, Value)> {
        self.taken.lock().unwrap().clone()
    }
}

//! The spans of one message's way, as a collector gets them from the real process.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use chimein::http;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::child;
use crate::rig::{Rig, texts};

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_every_stage_of_a_message_in_one_trace() {
    let collector = Collector::start().await;
    let rig = Rig::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint),
        ("CHIMEIN_SERVER_NAME", "twilio-ingress"),
        ("LOG_LEVEL", "debug"),
    ])
    .await;
    let conversation = rig.sms("one").await;
    rig.answered(conversation, 1).await;
    let trace = conversation.to_string()[2..].to_owned();
    rig.told(&trace, "step", &["webhook_acknowledged", "socket_joined", "reply_sent"]).await;
    // What has not been sent yet is sent at the stop.
    rig.end().await;
    let taken = collector.end().await;

    let resources: Vec<&Value> = taken.iter().map(|body| &body["resourceSpans"][0]).collect();
    for resource in &resources {
        assert!(attributes(resource).contains(&text("service.name", "twilio-ingress")));
    }
    let spans = resources.iter().flat_map(|one| one["scopeSpans"][0]["spans"].as_array().unwrap());
    let way: Vec<&Value> = spans.filter(|span| span["traceId"] == trace.as_str()).collect();
    let stages = texts(&way, "name");
    for stage in ["webhook", "joins", "socket", "inbox", "outbox"] {
        assert!(stages.contains(stage), "{stage} is not in {stages:?}");
    }
    let shown = format!("{taken:?}");
    assert!(!shown.contains(crate::rig::PHONE) && !shown.contains("one"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standard_variables_say_who_sends_and_when_and_how_much() {
    let collector = Collector::start().await;
    let rig = Rig::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=a%20b"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "5000"),
        ("OTEL_SERVICE_NAME", "front-desk"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=other"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2"),
        ("CHIMEIN_SERVER_NAME", "twilio-ingress"),
    ])
    .await;
    let conversation = rig.sms("one").await;
    rig.answered(conversation, 1).await;
    // The usual delay is longer than a test waits.
    let are_sent = || collector.taken().len() >= 2;
    assert!(child::eventually(are_sent).await, "{}", rig.service.log_tail());
    rig.end().await;
    let teams = collector.teams.lock().unwrap().clone();
    assert!(!teams.is_empty() && teams.iter().all(|team| team == "a b"), "{teams:?}");
    for body in collector.end().await {
        let resource = &body["resourceSpans"][0];
        let attributes = attributes(resource);
        assert!(attributes.contains(&text("service.name", "front-desk")), "{attributes:?}");
        assert!(attributes.contains(&text("deployment.environment.name", "test")));
        let spans = resource["scopeSpans"][0]["spans"].as_array().unwrap();
        assert!(spans.len() <= 2, "{spans:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_is_told_of_once_with_the_cause() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let rig = Rig::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{gone}")),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1"),
        ("LOG_LEVEL", "debug"),
    ])
    .await;
    let conversation = rig.sms("one").await;
    rig.answered(conversation, 1).await;
    let told = |words: &str| -> Vec<Value> {
        let lines = rig.lines().into_iter();
        lines.filter(|line| line["msg"].as_str().unwrap().contains(words)).collect()
    };
    let again = || !told("spans were not taken").is_empty();
    assert!(child::eventually(again).await, "{}", rig.service.log_tail());
    let [line] = &told("the collector does not take spans")[..] else {
        panic!("{}", rig.service.log_tail())
    };
    assert_eq!(line["level"], "warn");
    assert!(line["error"].as_str().unwrap().contains("Connection refused"), "{line}");
    rig.end().await;
}

fn attributes(resource: &Value) -> &[Value] {
    resource["resource"]["attributes"].as_array().unwrap()
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// A collector that keeps what it is sent.
struct Collector {
    endpoint: String,
    taken: Arc<Mutex<Vec<Value>>>,
    teams: Arc<Mutex<Vec<String>>>,
    cancel: CancellationToken,
    serving: JoinHandle<()>,
}

impl Collector {
    async fn start() -> Self {
        let taken = Arc::<Mutex<Vec<Value>>>::default();
        let teams = Arc::<Mutex<Vec<String>>>::default();
        let (bodies, headers) = (Arc::clone(&taken), Arc::clone(&teams));
        let take = move |told: HeaderMap, body: Bytes| {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            bodies.lock().unwrap().push(serde_json::to_value(request).unwrap());
            let team = told.get("x-team").map(|team| team.to_str().unwrap().to_owned());
            headers.lock().unwrap().extend(team);
            async {}
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let cancel = CancellationToken::new();
        let router = Router::new().route("/v1/traces", post(take));
        let serving = http::serve(listener, router, http::Options::default(), cancel.clone());
        Self { endpoint, taken, teams, cancel, serving: tokio::spawn(serving) }
    }

    fn taken(&self) -> Vec<Value> {
        self.taken.lock().unwrap().clone()
    }

    /// Stops it, and gives the bodies of what it was sent.
    async fn end(self) -> Vec<Value> {
        let taken = self.taken();
        self.cancel.cancel();
        self.serving.await.unwrap();
        taken
    }
}

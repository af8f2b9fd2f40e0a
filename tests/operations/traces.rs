//! The spans of one message's way, as a collector gets them from the real process.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use chimein::http;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::rig::{Rig, texts};

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_every_stage_of_a_message_in_one_trace() {
    let taken = Arc::<Mutex<Vec<Value>>>::default();
    let kept = Arc::clone(&taken);
    let take = move |body: String| {
        kept.lock().unwrap().push(serde_json::from_str(&body).unwrap());
        async {}
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let cancel = CancellationToken::new();
    let router = Router::new().route("/v1/traces", post(take));
    let serving =
        tokio::spawn(http::serve(listener, router, http::Options::default(), cancel.clone()));

    let rig = Rig::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
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
    cancel.cancel();
    serving.await.unwrap();

    let taken = taken.lock().unwrap();
    let resources: Vec<&Value> = taken.iter().map(|body| &body["resourceSpans"][0]).collect();
    for resource in &resources {
        let name = &resource["resource"]["attributes"][0];
        assert_eq!(name["value"]["stringValue"], "twilio-ingress", "{name}");
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

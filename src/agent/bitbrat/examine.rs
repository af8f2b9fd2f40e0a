//! Whether the platform's message bus can be reached, and whether its streams take our topics.
//!
//! Connects, asks for the stream of each topic, and makes nothing.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::context::GetStreamByNameErrorKind;

use super::names::{DEAD_LETTER, EGRESS, INGRESS, Names, SNAPSHOT};
use crate::finding::Finding;
use crate::nats;
use crate::telemetry::chain::Chain;

const CHECK: &str = "bus";

/// How long the bus may take to answer one question.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects and looks for the streams.
pub(super) async fn bus(options: nats::Options, names: &Names) -> Vec<Finding> {
    let client = match nats::connect(options).await {
        Ok(client) => client,
        Err(error) => {
            let remedy = "start the platform's NATS, and check NATS_URL and what signs in";
            return vec![Finding::fail(CHECK, Chain(&error).to_string(), remedy)];
        }
    };
    let context = jetstream::new(client);
    let (mut taken, mut findings) = (Vec::new(), Vec::new());
    for topic in [INGRESS, EGRESS, &names.own_egress(), SNAPSHOT, DEAD_LETTER] {
        let subject = names.subject(topic);
        match tokio::time::timeout(PATIENCE, context.stream_by_subject(&subject)).await {
            Ok(Ok(stream)) => taken.push(stream),
            Ok(Err(error)) if matches!(error.kind(), GetStreamByNameErrorKind::NotFound) => {
                findings.push(missing(&subject, names));
            }
            // It would say the same of every other topic.
            Ok(Err(_)) | Err(_) => {
                let found = "the server answers, but not for JetStream".to_owned();
                let remedy = "start NATS with JetStream (-js) and a store";
                findings.push(Finding::fail(CHECK, found, remedy));
                return findings;
            }
        }
    }
    if findings.is_empty() {
        taken.sort();
        taken.dedup();
        findings.push(Finding::ok(CHECK, format!("all topics are taken by {}", taken.join(", "))));
    }
    findings
}

/// Judges that no stream takes a subject.
fn missing(subject: &str, names: &Names) -> Finding {
    if names.stream_subject().is_some() {
        let found = format!("no stream takes {subject} yet; the service makes one");
        return Finding::warn(CHECK, found, "see that BUS_PREFIX is the platform's");
    }
    Finding::fail(
        CHECK,
        format!("no stream takes {subject}"),
        "make the platform's streams, or set BUS_PREFIX as its other services have it",
    )
}

//! What `doctor` finds about the server.

use chimein::agent::kinds;
use chimein::clock::Clock;
use chimein::config::Environment;
use chimein::finding::{Finding, Verdict};

use crate::temporal_server::{PATIENCE, PAUSE, TemporalServer, settings, worker};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_namespace_worker_or_answer_is_told_of_with_a_remedy() {
    let mut server = TemporalServer::start().await;
    let found = examine(&server, &[]).await;
    assert_eq!(verdicts(&found), [Verdict::Ok, Verdict::Warn], "{found:?}");
    assert!(found[0].found.contains("the namespace default at 127.0.0.1:"), "{found:?}");
    assert!(found[1].found.contains("nobody takes workflows off task queue chat"), "{found:?}");

    let found = examine(&server, &[("TEMPORAL_NAMESPACE", "elsewhere")]).await;
    assert_eq!(verdicts(&found), [Verdict::Fail], "{found:?}");
    assert!(found[0].remedy.contains("TEMPORAL_NAMESPACE"), "{found:?}");

    let found = examine(
        &server,
        &[
            ("TEMPORAL_TLS_CLIENT_CERT_PATH", "/nowhere.pem"),
            ("TEMPORAL_TLS_CLIENT_KEY_PATH", "/nowhere.key"),
        ],
    )
    .await;
    assert_eq!(verdicts(&found), [Verdict::Fail], "{found:?}");
    assert!(found[0].found.contains("TEMPORAL_TLS_CLIENT_CERT_PATH cannot be read"), "{found:?}");

    // A worker with activities of its own, where chimein serves its own.
    let address = [("TEMPORAL_ADDRESS", server.address())];
    let worker = worker("examples/temporal/workflow.py", &[], &address);
    let shared = [("CHIMEIN_TEMPORAL_REPLY", "activity")];
    let expected = [Verdict::Ok, Verdict::Ok, Verdict::Warn];
    let mut found = Vec::new();
    let polls = tokio::time::timeout(PATIENCE, async {
        while verdicts(&found) != expected {
            tokio::time::sleep(PAUSE).await;
            found = examine(&server, &shared).await;
        }
    });
    assert!(polls.await.is_ok(), "{found:?}");
    assert!(found[2].found.contains("1 other workers take activities"), "{found:?}");
    assert!(found[2].remedy.contains("CHIMEIN_TEMPORAL_ACTIVITY_TASK_QUEUE"), "{found:?}");
    drop(worker);

    server.kill();
    let found = examine(&server, &[]).await;
    assert_eq!(verdicts(&found), [Verdict::Fail], "{found:?}");
    assert!(found[0].remedy.contains("check TEMPORAL_ADDRESS"), "{found:?}");
}

/// What `doctor` finds, with more settings.
pub async fn examine(server: &TemporalServer, more: &[(&'static str, &str)]) -> Vec<Finding> {
    let mut pairs = settings(server, "Chat");
    pairs.push(("TWILIO_ENABLED", "false".to_owned()));
    pairs.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let settings = kinds::load(None, &Environment::from_pairs(pairs)).into_settings().unwrap();
    kinds::of(&settings).examine(&settings, Clock::start()).await.unwrap()
}

/// How grave that is.
pub fn verdicts(findings: &[Finding]) -> Vec<Verdict> {
    findings.iter().map(|finding| finding.verdict).collect()
}

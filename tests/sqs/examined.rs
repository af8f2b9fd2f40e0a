//! What `doctor` finds about the queues.

use chimein::agent::kinds;
use chimein::clock::Clock;
use chimein::config::Environment;
use chimein::finding::{Finding, Verdict};
use serde_json::json;

use crate::sqs_server::{SqsServer, settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_without_a_way_out_or_a_place_are_told_of_with_a_remedy() {
    let mut server = SqsServer::start().await;
    let good = server.queue_with_dead_letters("good.fifo", 3).await;
    let hasty = server.queue_with_dead_letters("hasty", 1).await;
    let plain = server.queue("plain", &json!({})).await;
    let missing = plain.replace("plain", "missing");

    let found = examine(&server, &good, &plain).await;
    assert_eq!(verdicts(&found), [Verdict::Ok, Verdict::Warn]);
    assert!(found[0].found.contains("after 3 failures one goes to dead-good.fifo"), "{found:?}");
    assert!(found[1].found.contains("the queue of replies plain has no dead-letter queue"));
    assert!(found[1].remedy.contains("maxReceiveCount"), "{found:?}");

    let found = examine(&server, &hasty, &missing).await;
    assert_eq!(verdicts(&found), [Verdict::Warn, Verdict::Fail]);
    assert!(found[0].found.contains("one failure is the end"), "{found:?}");
    assert!(found[1].remedy.contains("make the queue"), "{found:?}");

    let dead = server.url_of("dead-hasty").await;
    server.send(&dead, "", "what nobody could deal with").await;
    let found = examine(&server, &good, &hasty).await;
    assert!(found.iter().any(|one| one.found.contains("holds 1 messages")), "{found:?}");

    server.stop().await;
    let found = examine(&server, &good, &plain).await;
    assert_eq!(verdicts(&found), [Verdict::Fail, Verdict::Fail]);
    assert!(found[0].remedy.contains("check the region"), "{found:?}");
}

async fn examine(server: &SqsServer, turns: &str, replies: &str) -> Vec<Finding> {
    let mut pairs = settings(server, turns, replies);
    pairs.push(("TWILIO_ENABLED", "false".to_owned()));
    let settings = kinds::load(None, &Environment::from_pairs(pairs)).into_settings().unwrap();
    kinds::of(&settings).examine(&settings, Clock::start()).await.unwrap()
}

fn verdicts(findings: &[Finding]) -> Vec<Verdict> {
    findings.iter().map(|finding| finding.verdict).collect()
}

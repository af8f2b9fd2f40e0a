//! Twilio's own clients against the emulator: the suites of `tests/official-sdk`, run on the built
//! binary, one visible line for each feature.
//!
//! Needs Node 20 and `npm ci --prefix tests/official-sdk`, and for the Python helper a virtual
//! environment. What is missing is said in one line; the test is then skipped, and fails where `CI`
//! is set.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod coverage;
mod suites;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use chimein::emulator::Defect;
use tokio::process::Command;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use crate::coverage::Coverage;
use crate::suites::{Outcome, is_skipped, missing_for_node, missing_for_python, say};

/// What the suites are about.
const CLIENTS: &str = "Twilio's own clients against the emulator";
/// The suites are heavy on a small machine, and their clients impatient: one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
/// How long a suite with a defect waits for what never comes; no feature takes longer without one.
const IN_VAIN: &str = "--patience=15000";
/// Suites with a defect that run at once; they mostly wait in vain.
const DEFECTS_AT_ONCE: usize = 4;

#[tokio::test]
async fn every_feature_of_the_conversations_sdk_holds() {
    all_features_hold("conversations").await;
}

#[tokio::test]
async fn every_feature_of_the_rest_helper_holds() {
    all_features_hold("rest").await;
}

#[tokio::test]
async fn every_webhook_passes_the_official_validator() {
    all_features_hold("webhooks").await;
}

#[tokio::test]
async fn every_feature_of_the_python_helper_holds() {
    if is_skipped("Twilio's Python helper against the emulator", missing_for_python()) {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().await;
    suites::all_hold("python", &run(suites::python(), &[]).await);
}

/// A suite that passes with a broken Twilio proves nothing.
#[tokio::test]
async fn every_deliberate_defect_is_caught() {
    if is_skipped(CLIENTS, missing_for_node()) {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().await;
    let room = Arc::new(Semaphore::new(DEFECTS_AT_ONCE));
    let mut runs = JoinSet::new();
    for (defect, suite, feature) in DEFECTS {
        let room = Arc::clone(&room);
        runs.spawn(async move {
            let _place = room.acquire_owned().await.unwrap();
            let mut suite = suites::node(suite);
            suite.args([&format!("--only={feature}"), IN_VAIN]);
            let outcome = run(suite, &["--defect", defect]).await;
            (defect, feature, outcome)
        });
    }
    let mut escaped = Vec::new();
    while let Some(run) = runs.join_next().await {
        let (defect, feature, outcome) = run.unwrap();
        if outcome.failed.contains(feature) && !outcome.is_success {
            say(&format!("defects: ok   {defect} is noticed by: {feature}"));
        } else {
            escaped.push(format!("{defect} by {feature:?}: {}", outcome.output));
        }
    }
    assert!(escaped.is_empty(), "defects that nobody noticed:\n{}", escaped.join("\n"));
}

#[test]
fn every_defect_of_the_emulator_is_looked_for() {
    let known: BTreeSet<&str> = Defect::ALL.iter().map(|defect| defect.as_str()).collect();
    let looked_for: BTreeSet<&str> = DEFECTS.iter().map(|(defect, _, _)| *defect).collect();
    assert_eq!(known, looked_for);
    let listed = |suite: &str, feature: &str| Coverage::load().features(suite).contains(feature);
    assert!(DEFECTS.iter().all(|(_, suite, feature)| listed(suite, feature)));
}

#[test]
fn coverage_page_is_made_from_the_list() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/emulator/coverage.md");
    let wanted = Coverage::load().page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap();
    assert_eq!(page, wanted, "make it again as its head says");
}

/// A defect, and the suite and feature that must notice it.
const DEFECTS: [(&str, &str, &str); 17] = [
    ("wrong-index", "conversations", "a text is sent and everybody gets it"),
    ("object-attributes", "conversations", "attributes go with a message"),
    ("last-page", "rest", "messages are listed both ways and in pages"),
    ("no-conflict", "rest", "adding an identity twice is 409 with code 50433"),
    ("no-error-code", "rest", "a taken unique name is 409 with code 50353"),
    ("header-length", "conversations", "a client initialises and is connected"),
    ("payload-characters", "conversations", "a long text of many-byte characters arrives whole"),
    (
        "no-replay",
        "conversations",
        "after a lost socket everything missed arrives once and in order",
    ),
    ("replay-all", "conversations", "the message that made the conversation is found by reading"),
    ("eternal-tokens", "conversations", "a token runs out and a new one brings the client back"),
    ("no-token-warning", "conversations", "a token about to run out is told"),
    ("wrong-signature", "webhooks", "a webhook is signed and has Twilio's headers"),
    ("loud-rest", "webhooks", "REST writes are silent unless they ask for webhooks"),
    ("deaf-to-refusals", "webhooks", "an answer of 4xx or 5xx refuses the change"),
    ("typing-echo", "conversations", "typing is seen by others, and ends with the message"),
    ("no-receipts", "conversations", "a message to a phone gets its receipts"),
    ("always-online", "conversations", "coming and going of a user is seen"),
];

async fn all_features_hold(suite: &'static str) {
    if is_skipped(CLIENTS, missing_for_node()) {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().await;
    suites::all_hold(suite, &run(suites::node(suite), &[]).await);
}

/// Runs a suite against an emulator of its own.
async fn run(mut suite: Command, arguments: &[&str]) -> Outcome {
    let (mut emulator, mut lines) = suites::start(&[&["emulator"], arguments].concat());
    let ready = suites::first_line(&mut lines, |line| Some(line.to_owned())).await;
    suite.env("CHIMEIN_EMULATOR", ready);
    let outcome = suites::run(suite).await;
    emulator.kill().await.unwrap();
    outcome
}

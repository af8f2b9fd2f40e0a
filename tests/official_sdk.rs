//! Twilio's own clients against the emulator: the Node suites of `tests/official-sdk`, run on the built
//! binary, one visible line for each feature.
//!
//! Needs Node 20 and `npm ci --prefix tests/official-sdk`. What is missing is said in one line; the
//! test is then skipped, and fails where `CI` is set.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod coverage;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use chimein::emulator::Defect;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::coverage::Coverage;

/// The suites are heavy on a small machine, and their clients impatient: one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
/// How long a whole suite may take; it takes about a quarter of that.
const SUITE_MAX: Duration = Duration::from_secs(300);
/// Suites with a defect that run at once; they mostly wait in vain.
const DEFECTS_AT_ONCE: usize = 4;
/// How long the emulator may take to say that it is ready.
const READY_MAX: Duration = Duration::from_secs(20);

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

/// A suite that passes with a broken Twilio proves nothing.
#[tokio::test]
async fn every_deliberate_defect_is_caught() {
    if is_skipped() {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().await;
    let room = Arc::new(Semaphore::new(DEFECTS_AT_ONCE));
    let mut runs = JoinSet::new();
    for (defect, suite, feature) in DEFECTS {
        let room = Arc::clone(&room);
        runs.spawn(async move {
            let _place = room.acquire_owned().await.unwrap();
            let outcome = run(suite, &["--defect", defect], Some(feature)).await;
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
    if std::env::var_os("CHIMEIN_BLESS").is_some() {
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
    if is_skipped() {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().await;
    let outcome = run(suite, &[], None).await;
    for line in outcome.output.lines() {
        say(&format!("{suite}: {line}"));
    }
    assert!(outcome.is_success, "the suite {suite} failed:\n{}", outcome.output);
    let listed = Coverage::load().features(suite);
    let lost: Vec<_> = listed.difference(&outcome.held).collect();
    assert!(lost.is_empty(), "in the coverage list, but not in the suite: {lost:?}");
    let unlisted: Vec<_> = outcome.held.difference(&listed).collect();
    assert!(unlisted.is_empty(), "in the suite, but not in the coverage list: {unlisted:?}");
}

/// What came of a suite.
struct Outcome {
    is_success: bool,
    held: BTreeSet<String>,
    failed: BTreeSet<String>,
    output: String,
}

/// Runs a suite, or one feature of it, against an emulator of its own.
async fn run(suite: &str, arguments: &[&str], only: Option<&str>) -> Outcome {
    let (mut emulator, ready) = emulator(arguments).await;
    let mut command = Command::new("node");
    command
        .arg(suites().join(format!("{suite}.mjs")))
        .env("CHIMEIN_EMULATOR", ready)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // The SDK writes to the console about clients that are shut down while they start.
        .stderr(Stdio::null())
        .kill_on_drop(true);
    if let Some(feature) = only {
        command.arg(format!("--only={feature}"));
    }
    let mut node = command.spawn().unwrap();
    let mut output = String::new();
    let mut stdout = node.stdout.take().unwrap();
    let finished = timeout(SUITE_MAX, async {
        stdout.read_to_string(&mut output).await.unwrap();
        node.wait().await.unwrap()
    })
    .await;
    emulator.kill().await.unwrap();
    let named = |mark: &str| {
        let lines = output.lines().filter_map(|line| line.strip_prefix(mark));
        lines.map(|line| feature_of(mark, line).to_owned()).collect()
    };
    let (held, failed) = (named("ok   "), named("FAIL "));
    Outcome { is_success: finished.is_ok_and(|status| status.success()), held, failed, output }
}

/// `ok   <feature> (12 ms)` and `FAIL <feature>: <why>`; no feature has a colon in its name.
fn feature_of<'l>(mark: &str, line: &'l str) -> &'l str {
    if mark.starts_with("ok") {
        line.rsplit_once(" (").map_or(line, |(feature, _)| feature)
    } else {
        line.split_once(": ").map_or(line, |(feature, _)| feature)
    }
}

/// Starts the emulator as a user does; gives it with its line of JSON.
async fn emulator(arguments: &[&str]) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_chimein"))
        .arg("emulator")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = timeout(READY_MAX, lines.next_line()).await.expect("the emulator is ready in time");
    (child, ready.unwrap().expect("the emulator says where it is"))
}

/// Whether something is missing; says what. Where `CI` is set, that is a failure.
fn is_skipped() -> bool {
    let node = std::process::Command::new("node").arg("--version").output();
    let missing = match node {
        Err(_) => Some("Node 20 is not installed"),
        Ok(version) if major(&version.stdout) < 20 => Some("Node is older than 20"),
        Ok(_) if !suites().join("node_modules").is_dir() => {
            Some("run `npm ci --prefix tests/official-sdk` first")
        }
        Ok(_) => None,
    };
    let Some(missing) = missing else { return false };
    assert!(std::env::var_os("CI").is_none(), "the official SDKs cannot run: {missing}");
    say(&format!("SKIPPED Twilio's own clients against the emulator: {missing}"));
    true
}

fn major(version: &[u8]) -> u32 {
    let text = String::from_utf8_lossy(version);
    let number = text.trim().trim_start_matches('v').split('.').next().map(str::parse);
    number.and_then(Result::ok).unwrap_or(0)
}

fn suites() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/official-sdk")
}

/// Writes a line past the test harness, which would swallow it.
fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    // If nobody can read it, nobody misses it.
    let _ = writeln!(stdout, "{line}");
}

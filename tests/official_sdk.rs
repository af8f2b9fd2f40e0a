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
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::coverage::Coverage;

/// The suites are heavy on a small machine, and their clients impatient: one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
/// How long a whole suite may take; it takes about a quarter of that.
const SUITE_MAX: Duration = Duration::from_secs(300);
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

async fn all_features_hold(suite: &'static str) {
    if is_skipped() {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().await;
    let outcome = run(suite).await;
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
    output: String,
}

/// Runs a suite against an emulator of its own.
async fn run(suite: &str) -> Outcome {
    let (mut emulator, ready) = emulator().await;
    let mut command = Command::new("node");
    command
        .arg(suites().join(format!("{suite}.mjs")))
        .env("CHIMEIN_EMULATOR", ready)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // The SDK writes to the console about clients that are shut down while they start.
        .stderr(Stdio::null())
        .kill_on_drop(true);
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
    let held = named("ok   ");
    Outcome { is_success: finished.is_ok_and(|status| status.success()), held, output }
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
async fn emulator() -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_chimein"))
        .arg("emulator")
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

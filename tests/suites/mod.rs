//! Runs the suites of `tests/official-sdk` against the built binary, and says what is missing for it.

#![allow(dead_code, reason = "each test that includes this uses a part of it")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::coverage::Coverage;

/// How long a whole suite may take; on a machine with nothing else to do it takes a minute.
const SUITE_MAX: Duration = Duration::from_secs(600);
/// How long the program may take to say what it has to say at its start.
const READY_MAX: Duration = Duration::from_secs(60);

/// What came of a suite.
pub struct Outcome {
    pub is_success: bool,
    pub held: BTreeSet<String>,
    pub failed: BTreeSet<String>,
    pub output: String,
}

/// The command that runs a Node suite.
pub fn node(suite: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(folder().join(format!("{suite}.mjs")));
    command
}

/// The command that runs the suite on the Python helper.
pub fn python() -> Command {
    let mut command = Command::new(python_program());
    command.arg(folder().join("python/rest.py"));
    command
}

/// Runs a suite to its end.
pub async fn run(mut command: Command) -> Outcome {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // The SDK writes to the console about clients that are shut down while they start.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut output = String::new();
    let mut stdout = child.stdout.take().unwrap();
    let finished = timeout(SUITE_MAX, async {
        stdout.read_to_string(&mut output).await.unwrap();
        child.wait().await.unwrap()
    })
    .await;
    let named = |mark: &str| {
        let lines = output.lines().filter_map(|line| line.strip_prefix(mark));
        lines.map(|line| feature_of(mark, line).to_owned()).collect()
    };
    let (held, failed) = (named("ok   "), named("FAIL "));
    Outcome { is_success: finished.is_ok_and(|status| status.success()), held, failed, output }
}

/// Shows every feature; all must hold, and be those of the coverage list.
pub fn all_hold(suite: &str, outcome: &Outcome) {
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

/// Starts the program as a user does; gives it with what it prints.
pub fn start(arguments: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    start_with(arguments, &[])
}

/// The same with settings.
pub fn start_with(
    arguments: &[&str],
    settings: &[(&str, &str)],
) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_chimein"))
        .args(arguments)
        // Settings of whoever runs the tests are none of theirs.
        .env_clear()
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

/// The first line that a function finds something in.
pub async fn first_line(
    lines: &mut Lines<BufReader<ChildStdout>>,
    find: impl Fn(&str) -> Option<String>,
) -> String {
    timeout(READY_MAX, async {
        loop {
            let line = lines.next_line().await.unwrap().expect("the program says more");
            if let Some(found) = find(&line) {
                return found;
            }
        }
    })
    .await
    .expect("the program is ready in time")
}

/// What is missing for the Node suites.
pub fn missing_for_node() -> Option<&'static str> {
    match std::process::Command::new("node").arg("--version").output() {
        Err(_) => Some("Node 20 is not installed"),
        Ok(version) if major(&version.stdout) < 20 => Some("Node is older than 20"),
        Ok(_) if !folder().join("node_modules").is_dir() => {
            Some("run `npm ci --prefix tests/official-sdk` first")
        }
        Ok(_) => None,
    }
}

/// What is missing for the Python suite.
pub fn missing_for_python() -> Option<&'static str> {
    (!python_program().exists()).then_some(
        "make a virtual environment tests/official-sdk/python/.venv with its requirements.txt first",
    )
}

/// Whether a test is skipped for want of something; says so in a line. Where `CI` is set, it fails.
pub fn is_skipped(what: &str, missing: Option<&str>) -> bool {
    let Some(missing) = missing else { return false };
    assert!(std::env::var_os("CI").is_none(), "{what} cannot run: {missing}");
    say(&format!("SKIPPED {what}: {missing}"));
    true
}

/// Writes a line past the test harness, which would swallow it.
pub fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    // If nobody can read it, nobody misses it.
    let _ = writeln!(stdout, "{line}");
}

/// `ok   <feature> (12 ms)` and `FAIL <feature>: <why>`; no feature has a colon in its name.
fn feature_of<'l>(mark: &str, line: &'l str) -> &'l str {
    if mark.starts_with("ok") {
        line.rsplit_once(" (").map_or(line, |(feature, _)| feature)
    } else {
        line.split_once(": ").map_or(line, |(feature, _)| feature)
    }
}

fn major(version: &[u8]) -> u32 {
    let text = String::from_utf8_lossy(version);
    let number = text.trim().trim_start_matches('v').split('.').next().map(str::parse);
    number.and_then(Result::ok).unwrap_or(0)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/official-sdk")
}

fn python_program() -> PathBuf {
    folder().join("python/.venv/bin/python")
}

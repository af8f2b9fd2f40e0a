//! The program as its users start it: exit codes, what is printed where, and no secret in it; and every
//! command that the pages show, run as it stands there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod newcomer;
mod pages;
mod place;
#[path = "../ports/mod.rs"]
mod ports;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use chimein::http;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[test]
fn the_version_is_told() {
    let output = chimein(&["--version"], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), format!("chimein {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn misuse_ends_with_two() {
    for arguments in [&[][..], &["sing"], &["health", "--port", "many"]] {
        assert_eq!(chimein(arguments, &[]).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn settings_are_shown_with_problems_on_standard_error_and_no_secret_anywhere() {
    let output = chimein(&["config"], &[("TWILIO_AUTH_TOKEN", "planted"), ("PORT", "planted")]);
    assert_eq!(output.status.code(), Some(2));
    let (shown, told) = (text(&output.stdout), text(&output.stderr));
    assert!(shown.contains("agent.timeout"), "{shown}");
    assert!(told.contains("server.port (environment PORT): is not a whole number"), "{told}");
    assert!(told.contains("TWILIO_IDENTITY"), "{told}");
    assert!(!shown.contains("planted") && !told.contains("planted"));

    let output = chimein(&["config", "--json"], &[("TWILIO_ENABLED", "false")]);
    assert_eq!(output.status.code(), Some(0));
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["problems"], serde_json::json!([]));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn tables_fit_the_terminal_that_they_are_shown_on() {
    for columns in [40, 60, 100] {
        for command in ["config", "doctor"] {
            let shown = on_a_terminal(columns, command);
            let width = |line: &str| without_colours(line).chars().count();
            let longest = shown.lines().map(width).max().unwrap();
            assert!((columns / 2..=columns).contains(&longest), "{columns}, {command}: {shown}");
        }
    }
    let piped = chimein(&["config"], &[("TWILIO_ENABLED", "false")]);
    assert!(text(&piped.stdout).lines().any(|line| line.len() > 100), "a pipe has no width");
}

/// A line as it is seen.
fn without_colours(line: &str) -> String {
    let mut pieces = line.split("\u{1b}[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |seen, piece| seen + piece.split_once('m').unwrap().1)
}

/// What a command prints on a terminal of so many columns.
fn on_a_terminal(columns: usize, command: &str) -> String {
    let line = format!("stty cols {columns}; {} {command}", env!("CARGO_BIN_EXE_chimein"));
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env_clear()
        .envs([("PATH", std::env::var("PATH").unwrap()), ("TWILIO_ENABLED", "false".to_owned())])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    text(&output.stdout).replace('\r', "")
}

#[tokio::test(flavor = "multi_thread")]
async fn health_asks_the_operators_listener_of_this_machine() {
    let router = Router::new()
        .route("/healthz", get(|| async { "well" }))
        .route("/readyz", get(|| async { StatusCode::SERVICE_UNAVAILABLE }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Arc<str> = listener.local_addr().unwrap().to_string().into();
    let cancel = CancellationToken::new();
    let serving =
        tokio::spawn(http::serve(listener, router, http::Options::default(), cancel.clone()));
    let ask = |arguments: &'static [&'static str]| {
        let address = Arc::clone(&address);
        tokio::task::spawn_blocking(move || {
            chimein(arguments, &[("CHIMEIN_ADMIN_LISTEN", &address)])
        })
    };
    let well = ask(&["health"]).await.unwrap();
    assert_eq!((well.status.code(), text(&well.stdout)), (Some(0), "ok\n".to_owned()));
    let unready = ask(&["health", "--ready"]).await.unwrap();
    assert_eq!(unready.status.code(), Some(1));
    assert!(text(&unready.stderr).contains("/readyz answered 503"), "{}", text(&unready.stderr));

    cancel.cancel();
    serving.await.unwrap();
    let gone = ask(&["health"]).await.unwrap();
    assert_eq!(gone.status.code(), Some(1));
    assert!(text(&gone.stderr).contains("no answer from 127.0.0.1"), "{}", text(&gone.stderr));
}

#[test]
fn the_doctor_says_what_becomes_of_an_earlier_file_and_leaves_it_as_it_is() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("queue.db");
    let left = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/queue-before-threads.db");
    std::fs::copy(left, &path).unwrap();
    let environment = [("TWILIO_ENABLED", "false"), ("CHIMEIN_QUEUE_PATH", path.to_str().unwrap())];
    let told = text(&chimein(&["doctor", "--offline"], &environment).stdout);
    assert!(told.contains("has format 1; the service's start keeps a copy"), "{told}");
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(left).unwrap());
}

/// How many settings the emulator exports.
const EXPORTED: usize = 10;

#[test]
fn the_demo_shows_what_the_bot_said() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().to_str().unwrap();
    let output = chimein(&["demo", "--once", "good morning"], &[("TMPDIR", path)]);
    let (shown, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{shown}{told}");
    assert!(shown.lines().any(|line| line == "bot: good morning"), "{shown}");
}

#[test]
fn without_any_of_the_systems_certificates_the_demo_and_the_emulator_work() {
    let empty = tempfile::tempdir().unwrap();
    let file = empty.path().join("none.pem");
    let roots = [
        ("SSL_CERT_FILE", file.to_str().unwrap()),
        ("SSL_CERT_DIR", empty.path().to_str().unwrap()),
    ];
    let demo = chimein(&["demo", "--once", "hello"], &roots);
    let told = format!("{}{}", text(&demo.stdout), text(&demo.stderr));
    assert_eq!(demo.status.code(), Some(0), "{told}");

    let mut emulator = Command::new(env!("CARGO_BIN_EXE_chimein"))
        .arg("emulator")
        .env_clear()
        .envs(roots)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let _ = BufReader::new(emulator.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let info: serde_json::Value = serde_json::from_str(&line).unwrap();
    let control = info["control_url"].as_str().unwrap_or_else(|| panic!("{info}"));
    let fault = chimein(&["emulator", "fault", "--at", control, "list"], &roots);
    assert_eq!(fault.status.code(), Some(0), "{}", text(&fault.stderr));
    // As a container's health check asks it, which knows the port from the command line.
    let port = reqwest::Url::parse(control).unwrap().port().unwrap().to_string();
    let health = chimein(&["health", "--port", &port], &[]);
    assert_eq!(health.status.code(), Some(0), "{}", text(&health.stderr));
    emulator.kill().unwrap();
    let _ = emulator.wait().unwrap();
}

#[cfg(unix)]
#[test]
fn whoever_stops_reading_early_gets_no_failure() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let place = ("TMPDIR", folder.path().to_str().unwrap());
    for arguments in [&["manual"][..], &["config"], &["demo", "--once", "hello"]] {
        // Nobody reads from it.
        let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
        drop(reader);
        let mut program = Command::new(env!("CARGO_BIN_EXE_chimein"));
        let output = program
            .args(arguments)
            .env_clear()
            .envs([place, ("TWILIO_ENABLED", "false")])
            .stdout(std::os::fd::OwnedFd::from(writer))
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_shell_and_man_can_read_what_is_printed_for_them() {
    let page = chimein(&["man", "dead-letters"], &[]);
    assert!(text(&page.stdout).contains(".SH NAME"), "{}", text(&page.stderr));
    let typo = chimein(&["man", "dead-leters"], &[]);
    assert_eq!(typo.status.code(), Some(1));
    assert!(text(&typo.stderr).contains("no command dead-leters"), "{}", text(&typo.stderr));

    let script = chimein(&["completions", "bash"], &[]);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = folder.path().join("completions.bash");
    std::fs::write(&file, &script.stdout).unwrap();
    let asked = "source \"$0\"; COMP_WORDS=(chimein dead); COMP_CWORD=1; \
                 _chimein chimein dead chimein; echo \"${COMPREPLY[*]}\"";
    let bash = Command::new("bash").arg("-c").arg(asked).arg(&file).output().unwrap();
    assert_eq!(text(&bash.stdout).trim(), "dead-letters", "{}", text(&bash.stderr));
}

#[test]
fn the_printed_defaults_are_a_file_to_start_from() {
    let defaults = chimein(&["config", "--defaults"], &[]);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = folder.path().join("chimein.toml");
    std::fs::write(&file, &defaults.stdout).unwrap();
    let off = [("TWILIO_ENABLED", "false")];
    let read = chimein(&["config", "--config", file.to_str().unwrap()], &off);
    assert_eq!(read.status.code(), Some(0), "{}", text(&read.stderr));
}

#[test]
fn a_made_secret_is_one_and_never_the_same() {
    let secret = || text(&chimein(&["secret", "new"], &[]).stdout).trim().to_owned();
    let (one, other) = (secret(), secret());
    assert_ne!(one, other);
    let settings = [
        ("TWILIO_ENABLED", "false"),
        ("CHIMEIN_AGENT_KIND", "http"),
        ("CHIMEIN_AGENT_URL", "https://agent.example.com/turns"),
        ("CHIMEIN_AGENT_SECRET", &*one),
    ];
    let taken = chimein(&["config"], &settings);
    assert_eq!(taken.status.code(), Some(0), "{}", text(&taken.stderr));
    assert!(!text(&taken.stdout).contains(&one));
}

#[test]
fn what_the_emulator_exports_leads_a_service_to_it() {
    let mut emulator = Command::new(env!("CARGO_BIN_EXE_chimein"))
        .args(["emulator", "--env"])
        .env_clear()
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(emulator.stdout.take().unwrap()).lines();
    let own = [("TWILIO_IDENTITY", "bot"), ("CHIMEIN_WEBHOOK_PUBLIC_URL", "https://example.com")];
    let mut settings: Vec<_> = own.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    for line in lines.take(EXPORTED) {
        let line = line.unwrap();
        let (name, value) = line.strip_prefix("export ").unwrap().split_once('=').unwrap();
        settings.push((name.to_owned(), value.to_owned()));
    }
    let settings: Vec<_> = settings.iter().map(|(name, value)| (&**name, &**value)).collect();
    let taken = chimein(&["config"], &settings);
    emulator.kill().unwrap();
    let _ = emulator.wait().unwrap();
    assert_eq!(taken.status.code(), Some(0), "{}", text(&taken.stderr));
    assert!(text(&taken.stdout).contains("TWILIO_TWILSOCK_URL"), "{}", text(&taken.stdout));
}

/// Runs the program with these variables and none of this process's own.
fn chimein(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chimein"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .expect("the program was built for this test")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

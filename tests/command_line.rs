//! The program as its users start it: exit codes, what is printed where, and no secret in it.

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

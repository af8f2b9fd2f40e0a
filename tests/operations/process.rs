//! How the process starts and ends.

use std::process::Command;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use chimein::clock::{Clock, Moment};
use chimein::http;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::rig::Rig;

/// What the platform gives a container before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);

#[test]
fn without_its_required_variables_it_ends_with_one_and_names_them() {
    let service = Command::new(env!("CARGO_BIN_EXE_chimein"))
        .arg("serve")
        .env_clear()
        .env("TWILIO_IDENTITY", "bot")
        .output()
        .unwrap();
    assert_eq!(service.status.code(), Some(1));
    let told = String::from_utf8(service.stderr).unwrap();
    for name in [
        "TWILIO_ACCOUNT_SID",
        "TWILIO_AUTH_TOKEN",
        "TWILIO_API_KEY",
        "TWILIO_API_SECRET",
        "TWILIO_CHAT_SERVICE_SID",
    ] {
        assert!(told.contains(name), "{name} is not in {told}");
    }
    assert!(!told.contains("TWILIO_IDENTITY"), "{told}");
}

#[test]
fn switches_are_read_in_every_spelling_of_the_platform() {
    for (word, code) in [
        ("false", 0),
        ("0", 0),
        ("no", 0),
        ("OFF", 0),
        // On, so the credentials are missing.
        ("true", 2),
        ("1", 2),
        ("YES", 2),
        ("on", 2),
        ("perhaps", 2),
    ] {
        let config = Command::new(env!("CARGO_BIN_EXE_chimein"))
            .arg("config")
            .env_clear()
            .env("TWILIO_ENABLED", word)
            .output()
            .unwrap();
        let told = String::from_utf8(config.stderr).unwrap();
        assert_eq!(config.status.code(), Some(code), "{word}: {told}");
        assert_eq!(told.contains("twilio.enabled"), word == "perhaps", "{word}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_process_in_time_though_the_agent_is_thinking() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/turns", listener.local_addr().unwrap());
    let (asked, mut was_asked) = mpsc::channel(1);
    let think = move || {
        let asked = asked.clone();
        async move {
            asked.send(()).await.unwrap();
            std::future::pending::<()>().await;
        }
    };
    let cancel = CancellationToken::new();
    let router = Router::new().route("/turns", post(think));
    let options = http::Options { grace: Duration::ZERO, ..http::Options::default() };
    let serving = tokio::spawn(http::serve(listener, router, options, cancel.clone()));
    let mut rig = Rig::start(&[("CHIMEIN_AGENT_KIND", "http"), ("CHIMEIN_AGENT_URL", &url)]).await;
    let _ = rig.sms("one").await;
    was_asked.recv().await.unwrap();

    let clock = Clock::start();
    rig.service.tell_to_stop().await;
    let status = rig.service.ended(STOP_LIMIT).await;
    assert_eq!(status.and_then(|status| status.code()), Some(0), "{}", rig.service.log_tail());
    println!(
        "the process ended {} ms after SIGTERM",
        clock.now().since(Moment::ORIGIN).as_millis()
    );
    let (open, dead) = rig.service.leftovers().await;
    assert_eq!((open, dead), (1, 0), "the turn stays on disk");
    cancel.cancel();
    serving.await.unwrap();
    rig.emulator.shutdown().await;
}

//! `chimein trace` and `chimein forget` against the running service.

use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::child;
use crate::rig::{PHONE, Rig};

/// How long something may take before the test has failed.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_traced_by_the_address_and_followed_as_it_goes_on() {
    let port = child::free_port();
    let listen = format!("127.0.0.1:{port}");
    let rig = Rig::start(&[("CHIMEIN_ADMIN_LISTEN", &listen)]).await;
    let conversation = rig.sms("hello").await;
    rig.answered(conversation, 1).await;
    let is_told = async {
        while !text(&chimein(port, &["trace", PHONE]).await.stdout).contains("reply sent") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let is_told = tokio::time::timeout(PATIENCE, is_told).await;
    assert!(is_told.is_ok(), "{}", rig.service.log_tail());

    let nobody = chimein(port, &["trace", "+15555550999"]).await;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("no thread is known of this address"));

    let sid = conversation.to_string();
    let mut feed = command(port, &["trace", &sid, "--follow", "--json"]);
    let mut feed = feed.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(feed.stdout.take().unwrap()).lines();
    let mut sent = 0;
    let mut second = false;
    while sent < 2 {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        let line = line.expect("the feed goes on").unwrap().expect("until it is ended");
        let step: serde_json::Value = serde_json::from_str(&line).expect(&line);
        assert_eq!(step["conversation"], sid.as_str(), "{line}");
        sent += usize::from(step["stage"] == "reply_sent");
        if sent == 1 && !second {
            second = true;
            rig.sms("again").await;
        }
    }
    feed.kill().await.unwrap();

    let shown = chimein(port, &["forget", &sid]).await;
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    assert!(text(&shown.stdout).contains("Nothing was changed"), "{}", text(&shown.stdout));
    let done = chimein(port, &["forget", &sid, "--yes"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stdout));
    assert!(text(&done.stdout).contains("Forgotten"), "{}", text(&done.stdout));
    let gone = chimein(port, &["trace", &sid]).await;
    assert_eq!(gone.status.code(), Some(1), "{}", text(&gone.stdout));
    rig.end().await;
}

fn command(port: u16, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chimein"));
    command.env_clear().args(arguments).args(["--url", &format!("http://127.0.0.1:{port}")]);
    command
}

async fn chimein(port: u16, arguments: &[&str]) -> Output {
    command(port, arguments).output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

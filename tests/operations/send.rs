//! `chimein send` against the running service.

use std::process::Output;

use chimein::emulator::faults::{Action, Fault, Place};
use tokio::process::Command;

use crate::child;
use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_by_hand_is_sent_or_told_to_have_failed() {
    let port = child::free_port();
    let listen = format!("127.0.0.1:{port}");
    let rig = Rig::start(&[("CHIMEIN_ADMIN_LISTEN", &listen)]).await;
    let conversation = rig.sms("hello").await;
    rig.answered(conversation, 1).await;
    let conversation = conversation.to_string();

    let nowhere = "CHffffffffffffffffffffffffffffffff";
    let refused = send(port, &["--conversation", nowhere, "--body", "lost", "--wait"]).await;
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("nothing was queued") && told.contains(nowhere), "{told}");
    assert!(told.contains("no such conversation"), "{told}");

    let said = ["--conversation", &conversation, "--body", "by hand", "--key", "k1", "--wait"];
    for word in ["queued", "was queued before"] {
        let sent = send(port, &said).await;
        let told = String::from_utf8(sent.stdout).unwrap();
        assert_eq!(sent.status.code(), Some(0), "{told}");
        assert_eq!(told, format!("{word} for {conversation}, key k1\nsent, delivered\n"));
    }
    let texts = || -> Vec<_> {
        let all = rig.emulator.control().messages(conversation.parse().unwrap());
        all.into_iter().filter_map(|message| message.body).collect()
    };
    assert_eq!(texts(), ["hello", "hello", "by hand"]);

    let (method, path) = (Some("POST".to_owned()), Some("/Messages".to_owned()));
    for place in [
        Place::SocketRequest { method: method.clone(), path: path.clone() },
        Place::Rest { method, path },
    ] {
        let action = Action::Answer { status: 400, code: Some(50_504), retry_after: None };
        let fault = Fault { id: 0, place, action, times: None, skip: 0, percent: None };
        rig.emulator.control().add_fault(fault).unwrap();
    }
    let refused =
        send(port, &["--conversation", &conversation, "--body", "refused", "--wait"]).await;
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("failed for good") && told.contains("50504"), "{told}");
    assert_eq!(texts().len(), 3);
    rig.end().await;
}

async fn send(port: u16, arguments: &[&str]) -> Output {
    let url = format!("http://127.0.0.1:{port}");
    Command::new(env!("CARGO_BIN_EXE_chimein"))
        .args(["send", "--url", &url])
        .args(arguments)
        .env_clear()
        .output()
        .await
        .unwrap()
}

//! `chimein setup`, from a fresh account to a bot that answers, by its own hand or by the commands that it prints.

use std::process::{Output, Stdio};
use std::time::Duration;

use chimein::emulator::control::{Incoming, Webhook};
use chimein::emulator::faults::{Action, Fault, Place};
use chimein::emulator::state::messaging::Number;
use chimein::emulator::{self, Emulator, Received};
use secrecy::ExposeSecret as _;
use tokio::process::Command;

use crate::child::{self, BOTS, NUMBER, Service};
use crate::rig::PHONE;

/// A number that is answered without conversations.
const PLAIN: &str = "+15555550101";

/// How long a command may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_account_is_set_up_by_one_command_and_everybody_is_answered() {
    let (emulator, mut service) = fresh().await;
    let control = emulator.control();
    let received = control.receive_sms(PHONE, NUMBER, "nobody hears this").await.unwrap();
    assert!(matches!(received, Received::Dropped), "{received:?}");

    let (code, told) = ran(&service, &["setup", "--address", NUMBER]).await;
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("4 calls") && told.contains("add --yes"), "{told}");
    let (code, told) = ran(&service, &["setup", "--address", NUMBER, "--yes"]).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("4 of 4 calls made"), "{told}");

    service.start(&[]);
    assert!(service.is_listening().await, "{}", service.log_tail());
    assert!(child::eventually(|| !control.connected().is_empty()).await, "{}", service.log_tail());
    let conversation = match control.receive_sms(PHONE, NUMBER, "hello").await.unwrap() {
        Received::Stored { conversation, .. } => conversation,
        Received::Dropped => panic!("the number makes no conversation"),
    };
    let is_answered =
        || control.messages(conversation).iter().any(|message| message.author == BOTS[0]);
    assert!(child::eventually(is_answered).await, "{}", service.log_tail());
    control.text(Incoming::new(PHONE, PLAIN, "hello")).await.unwrap();
    let is_answered = || control.texts_to(PHONE).iter().any(|text| text.body.reveal() == "hello");
    assert!(child::eventually(is_answered).await, "{}", service.log_tail());
    service.stop().await;
    emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_commands_set_up_what_setup_would() {
    if Command::new("curl").arg("--version").output().await.is_err() {
        assert!(std::env::var_os("CI").is_none(), "curl is missing");
        println!("SKIPPED for want of curl");
        return;
    }
    let (emulator, service) = fresh().await;
    let (code, commands) = ran(&service, &["setup", "--address", NUMBER, "--print", "curl"]).await;
    assert_eq!(code, Some(0), "{commands}");
    assert!(!commands.contains("5555550"), "{commands}");
    let credentials = emulator.credentials();
    let mut shell = Command::new("sh");
    shell.args(["-ec", &commands]).env("ADDRESS_1", NUMBER).env("no_proxy", "127.0.0.1");
    shell.env("TWILIO_ACCOUNT_SID", credentials.account_sid.to_string());
    shell.env("TWILIO_AUTH_TOKEN", credentials.auth_token.expose_secret());
    let made = shell.output().await.unwrap();
    assert!(made.status.success(), "{}\n{commands}", String::from_utf8_lossy(&made.stderr));
    let (code, told) = ran(&service, &["setup", "--address", NUMBER]).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("nothing is to be changed"), "{told}");
    emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_stopped_half_way_goes_on_where_it_was() {
    let (emulator, service) = fresh().await;
    let control = emulator.control();
    let place = Place::Rest { method: Some("POST".to_owned()), path: None };
    let silence = Action::Silence;
    let fault = Fault { id: 0, place, action: silence, times: Some(1), skip: 2, percent: None };
    control.add_fault(fault).unwrap();
    let mut setup = service.command(&["setup", "--address", NUMBER, "--yes"]);
    setup.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let setup = setup.spawn().unwrap();
    let pid = setup.id().unwrap();
    assert!(child::eventually(|| control.faults().is_empty()).await, "the third call was not made");
    child::tell(pid, "INT").await;
    let ended = tokio::time::timeout(PATIENCE, setup.wait_with_output()).await;
    let Output { status, stderr, .. } = ended.expect("it ends by Ctrl-C").unwrap();
    let told = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(told.contains("stopped by SIGINT") && told.contains("--undo"), "{told}");

    let (code, told) = ran(&service, &["setup", "--address", NUMBER, "--yes"]).await;
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = ran(&service, &["setup", "--address", NUMBER]).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("nothing is to be changed"), "{told}");
    // Back in one step, over the break.
    let (code, told) = ran(&service, &["setup", "--undo", "--yes"]).await;
    assert_eq!(code, Some(0), "{told}");
    let (_, told) = ran(&service, &["setup", "--address", NUMBER]).await;
    assert!(told.contains("4 calls"), "{told}");
    emulator.shutdown().await;
}

/// An account with two numbers in which nobody has set anything, and a service that does not run yet.
async fn fresh() -> (Emulator, Service) {
    let numbers =
        [NUMBER, PLAIN].map(|address| Number { address: address.into(), ..Number::default() });
    let options = emulator::Options {
        seed: Some(7),
        numbers: numbers.to_vec(),
        autocreate_all: false,
        ..emulator::Options::default()
    };
    let emulator = Emulator::start(options).await.unwrap();
    let alone = [("CHIMEIN_IDENTITY_POOL", ""), ("TWILIO_PHONE_NUMBER", PLAIN)];
    let mut service = Service::of(&emulator, &alone);
    service.set("CHIMEIN_MESSAGING_SOURCES", &format!("{PLAIN}=direct"));
    let public = format!("http://127.0.0.1:{}", service.port());
    service.set("CHIMEIN_WEBHOOK_HOSTS", "");
    service.set("CHIMEIN_WEBHOOK_PUBLIC_URL", &public);
    let nothing = Webhook { filters: Some(Vec::new()), ..Webhook::default() };
    emulator.control().set_webhook(nothing);
    (emulator, service)
}

/// Runs a command; gives its exit code and what it said.
async fn ran(service: &Service, words: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = service.command(words).output().await.unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

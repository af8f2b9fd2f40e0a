//! What happens when a reply cannot be sent, and when the bus is away.

use std::time::Duration;

use chimein::agent::Agent as _;
use chimein::agent::bitbrat::{self, BitBrat, envelope, names, progress, snapshot};
use chimein::agent::{Error, Turn};
use chimein::clock::Clock;
use chimein::emulator::faults::{Action, Place};
use chimein::nats;
use chimein::telemetry::journal::Stage;
use chimein::thread::SkipReason;
use chimein::thread::{Speaker, Thread, TurnMessage};
use serde_json::json;

use crate::nats_server::NatsServer;
use crate::persistence;
use crate::platform::{DEAD_LETTER, INGRESS, OWN, PREFIX, Platform, SNAPSHOT, delivered, service};
use crate::rig::{PHONE, Rig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_twilio_refuses_is_recorded_and_told() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, |_| Some("never seen".into())).await;
    let rig = service(&server, &[("CHIMEIN_REALTIME_ENABLED", "false")]).await;
    let refusal = Action::Answer { status: 400, code: Some(50511), retry_after: None };
    let method = Some("POST".to_owned());
    rig.fault(Place::Rest { method, path: Some("/Messages".into()) }, refusal, 100);
    let conversation = rig.sms(PHONE, "hello").await;

    let record = platform.await_passed(&rig, SNAPSHOT, 1).await.remove(0).body;
    assert_eq!(record["delivery"]["status"], "FAILED");
    assert_eq!(record["delivery"]["error"]["code"], "send_error");
    let letter = platform.await_passed(&rig, DEAD_LETTER, 1).await.remove(0).body;
    assert_eq!(letter["type"], "router.deadletter.v1");
    assert_eq!(letter["correlationId"], record["correlationId"]);
    assert_eq!(letter["payload"]["reason"], "egress_delivery_failed");
    assert_eq!(letter["payload"]["originalType"], "egress.deliver.v1");
    let message = letter["payload"]["error"]["message"].as_str().unwrap();
    assert!(message.contains("50511") && !message.contains("never seen"), "{message}");
    rig.settled().await;
    assert!(rig.replies(conversation).is_empty());
    rig.end().await;
    platform.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn persistence_knows_of_a_failure_its_dead_letter_and_the_reply_that_was_sent_at_last() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, |_| Some("at last".into())).await;
    let extra = [("CHIMEIN_REALTIME_ENABLED", "false"), ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0")];
    let rig = service(&server, &extra).await;
    let refusal = Action::Answer { status: 400, code: Some(50511), retry_after: None };
    let method = Some("POST".to_owned());
    rig.fault(Place::Rest { method, path: Some("/Messages".into()) }, refusal, 100);
    let conversation = rig.sms(PHONE, "hello").await;
    let letter = platform.await_passed(&rig, DEAD_LETTER, 1).await.remove(0).body;
    let request = letter["correlationId"].as_str().unwrap().to_owned();
    let failed = persistence::record(&platform.all(), &request);
    assert_eq!(failed.status.as_deref(), Some("FAILED"));
    assert_eq!((failed.snapshots, failed.dead_letters), (1, 1), "neither hides the other");

    rig.settled().await;
    // Redriven it is refused once more, which is another ending.
    redrive(&rig).await;
    platform.await_passed(&rig, DEAD_LETTER, 2).await;
    let failed = persistence::record(&platform.all(), &request);
    assert_eq!((failed.snapshots, failed.dead_letters), (2, 2));
    rig.settled().await;
    rig.control.clear_faults();
    redrive(&rig).await;
    rig.eventually("the phone has it", |rig| rig.replies(conversation) == ["at last"]).await;
    let sent = || persistence::record(&platform.all(), &request);
    rig.eventually("it is recorded as sent", |_| sent().status.as_deref() == Some("SENT")).await;
    // Nothing that passed was dropped.
    let (passed, consumed) = (platform.all(), [INGRESS, SNAPSHOT, DEAD_LETTER]);
    let consumed = passed.iter().filter(|one| consumed.contains(&&*one.topic)).count();
    assert_eq!(persistence::kept(&passed).len(), consumed);
    rig.end().await;
    platform.end();
}

/// Has the replies that failed sent once more.
async fn redrive(rig: &Rig) {
    let url = format!("http://{}/v1/dead-letters/redrive", rig.app().admin_address().unwrap());
    let client = chimein::net::http::direct().unwrap().build().unwrap();
    let request = client.post(url).header("content-type", "application/json");
    let answer = request.body(r#"{"select":{"queue":"outbox"}}"#).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_without_a_place_to_go_is_recorded_and_told() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, |_| None).await;
    let rig = service(&server, &[]).await;
    let mut lost = delivered(&json!({"correlationId": "c-1", "egress": {}}), "cand-1", "hi");
    lost["ingress"] = json!({"channel": "unknown", "source": "tool-gateway"});
    let own = "local-internal-egress-v1-twilio-ingress-twilio-ingress-durable";
    rig.eventually("the service listens", |_| !platform.passed(INGRESS).is_empty()).await;
    platform.publish(OWN, &lost).await;
    let record = platform.await_passed(&rig, SNAPSHOT, 1).await.remove(0).body;
    assert_eq!(record["delivery"]["error"]["code"], "no_target");
    let letter = platform.await_passed(&rig, DEAD_LETTER, 1).await.remove(0).body;
    assert_eq!(letter["payload"]["egressSource"], "tool-gateway");
    platform.await_acknowledged(own).await;
    rig.end().await;
    platform.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_comes_after_a_person_is_recorded_and_not_sent() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, |_| None).await;
    let rig = service(&server, &[("CHIMEIN_REALTIME_ENABLED", "false")]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.eventually("the platform has the turn", |_| !platform.asked().is_empty()).await;
    let turn = platform.asked().remove(0);
    let attributes = json!({"chimein": {"paused": true}}).to_string();
    rig.rest_post_told(&format!("Conversations/{conversation}"), &[("Attributes", &attributes)])
        .await;
    // Webhooks of a conversation come in order: when this one is skipped the pause is known.
    rig.sms(PHONE, "anybody there?").await;
    rig.eventually("the next message is skipped", |rig| {
        let records = rig.app().journal().recent(conversation);
        records.iter().any(|record| record.stage == Stage::Skipped { reason: SkipReason::Paused })
    })
    .await;
    platform.publish(OWN, &delivered(&turn.body, "cand-1", "late")).await;
    let record = platform.await_passed(&rig, SNAPSHOT, 1).await.remove(0).body;
    assert_eq!(record["delivery"]["status"], "FAILED");
    assert_eq!(record["delivery"]["error"]["code"], "paused");
    rig.settled().await;
    assert!(rig.replies(conversation).is_empty() && platform.passed(DEAD_LETTER).is_empty());
    rig.end().await;
    platform.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_is_away_for_a_while_loses_nothing() {
    let mut server = NatsServer::start();
    let platform = Platform::start(&server, |text| Some(format!("re: {text}"))).await;
    let retries = [("CHIMEIN_AGENT_SCHEDULE", "200ms,200ms,500ms,1s,1s,1s,1s,1s,1s,1s,1s,1s")];
    let rig = service(&server, &retries).await;
    let conversation = rig.sms(PHONE, "one").await;
    rig.expect(conversation, &["re: one"]).await;
    server.kill();
    rig.sms(PHONE, "two").await;
    rig.eventually("the bus is missed", |rig| {
        let page = rig.app().health();
        format!("{:?}", chimein::admin::Insight::readiness(page)).contains("bus_down")
    })
    .await;
    server.begin();
    rig.eventually("the second answer", |rig| rig.replies(conversation).len() > 1).await;
    rig.sms(PHONE, "three").await;
    rig.expect(conversation, &["re: one", "re: two", "re: three"]).await;
    rig.eventually("three records", |_| platform.passed(SNAPSHOT).len() >= 3).await;
    rig.end().await;
    platform.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_starts_without_the_bus_and_finds_it_later() {
    let mut server = NatsServer::start();
    server.kill();
    let retries = [("CHIMEIN_AGENT_SCHEDULE", "200ms,200ms,500ms,1s,1s,1s,1s,1s,1s,1s,1s,1s")];
    let rig = service(&server, &retries).await;
    let conversation = rig.sms(PHONE, "hello").await;
    server.begin();
    let platform = Platform::start(&server, |text| Some(format!("re: {text}"))).await;
    rig.expect(conversation, &["re: hello"]).await;
    rig.end().await;
    platform.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_stream_is_named_and_one_is_made_only_behind_a_prefix() {
    let server = NatsServer::start();
    let error = agent(&server, "").await.take(&turn()).await.unwrap_err();
    let Error::Bus { source, .. } = error else { panic!("{error}") };
    let told = source.to_string();
    assert!(told.contains(OWN) && told.contains("BUS_PREFIX"), "{told}");

    let rig = service(&server, &[]).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(client);
    for _ in 0..1000 {
        if context.get_stream("BITBRAT").await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let stream = context.get_stream("BITBRAT").await.unwrap();
    assert_eq!(stream.cached_info().config.subjects, [format!("{PREFIX}>")]);
    rig.end().await;
}

async fn agent(server: &NatsServer, prefix: &str) -> BitBrat {
    let service = "twilio-ingress".to_owned();
    let names =
        names::Names { prefix: prefix.to_owned(), egress_instance: service.clone(), service };
    let chat_service = "IS00000000000000000000000000000000".parse().unwrap();
    let options = bitbrat::Options {
        patience: None,
        sender: envelope::EventSender { names, chat_service },
        policy: snapshot::Policy { is_on: true, includes_raw: true, bytes_max: None },
        progress: progress::ProgressWish::Never,
        ack_wait: Duration::from_secs(60),
    };
    let address = nats::ServerAddress::parse(&server.url()).unwrap();
    let dial = move || nats::Options {
        servers: vec![address.clone()],
        auth: nats::Auth::None,
        tls: None,
        name: "test".into(),
    };
    BitBrat::connect(options, Box::new(dial), Clock::start()).await.unwrap()
}

fn turn() -> Turn {
    let sid = "IM000000000000000000000000000000aa".parse().unwrap();
    Turn {
        id: sid,
        thread: Thread::Conversation("CH000000000000000000000000000000bb".parse().unwrap()),
        speaker: Speaker::Identity("bot".into()),
        messages: vec![TurnMessage {
            sid,
            index: Some(7),
            author: PHONE.into(),
            body: Some("hello".into()),
            attributes: serde_json::Map::new(),
            media: vec![],
            participant: None,
            created: None,
            extras: None,
        }],
        history: Vec::new(),
        attempt: 1,
        files: chimein::media::Offers::default(),
    }
}

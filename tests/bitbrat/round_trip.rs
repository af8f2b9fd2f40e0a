//! A message's way to the platform and back, and what must not happen twice or at all.

use chimein::emulator::Incoming;
use serde_json::{Value, json};

use crate::nats_server::NatsServer;
use crate::persistence;
use crate::platform::{DEAD_LETTER, INGRESS, OWN, Platform, SHARED, SNAPSHOT, delivered, service};
use crate::rig::{NUMBER, PHONE, Rig};

const OWN_DURABLE: &str = "local-internal-egress-v1-twilio-ingress-twilio-ingress-durable";
const SHARED_DURABLE: &str = "local-internal-egress-v1-twilio-ingress-durable";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_is_answered_by_the_platform_and_its_delivery_recorded() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, answer).await;
    let rig = service(&server, &[]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["re: hello"]).await;

    let asked = platform.asked();
    assert_eq!(asked.len(), 1, "one event");
    let record = platform.await_passed(&rig, SNAPSHOT, 1).await.remove(0);
    let reply = rig.control.messages(conversation).pop().unwrap().sid;
    assert_eq!(record.body["delivery"]["status"], "SENT");
    assert_eq!(record.body["delivery"]["providerMessageId"], json!(reply));
    assert_eq!(record.body["correlationId"], asked[0].body["correlationId"]);
    assert_eq!(record.body["event"]["candidates"][0]["text"], "\"re: hello\"");
    platform.await_acknowledged(OWN_DURABLE).await;
    assert!(platform.passed(DEAD_LETTER).is_empty());
    rig.end().await;
    platform.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_to_a_plain_number_is_answered_by_the_platform() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, answer).await;
    let (number, source) = ("TWILIO_PHONE_NUMBER", "CHIMEIN_MESSAGING_SOURCES");
    let direct = format!("{NUMBER}=direct");
    let rig = service(&server, &[(number, NUMBER), (source, direct.as_str())]).await;
    let _texted = rig.control.text(Incoming::new(PHONE, NUMBER, "hello")).await.unwrap();
    rig.eventually("the answer", |rig| !rig.control.texts_to(PHONE).is_empty()).await;
    platform.await_acknowledged(OWN_DURABLE).await;
    let texts = rig.control.texts_to(PHONE);
    assert_eq!(texts.len(), 1);
    assert_eq!(texts[0].body.reveal(), "re: hello");
    let record = platform.await_passed(&rig, SNAPSHOT, 1).await.remove(0);
    assert_eq!(record.body["delivery"]["status"], "SENT");

    // Of a thread that nobody has written in nothing is known.
    let mut lost = platform.asked().remove(0).body;
    lost["ingress"]["channel"] = json!(format!("TH{}", "0".repeat(32)));
    platform.publish(OWN, &delivered(&lost, "cand-2", "to nobody")).await;
    let told = platform.await_passed(&rig, DEAD_LETTER, 1).await.remove(0);
    assert!(told.body.to_string().contains("unknown_thread"), "{}", told.body);
    rig.end().await;
    platform.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attributes_are_written_by_their_documented_names() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, |_| None).await;
    let rig = service(&server, &[]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.eventually("the event is published", |_| !platform.asked().is_empty()).await;
    let asked = platform.asked().remove(0);
    let of = |name: &str| {
        let found = asked.headers.iter().find(|(given, _)| given == name);
        found.unwrap_or_else(|| panic!("{name} is missing")).1.clone()
    };
    assert_eq!(of("type"), "chat.message.v1");
    assert_eq!(json!(of("correlationId")), asked.body["correlationId"]);
    assert_eq!(of("idempotencyKey"), of("correlationId"));
    assert_eq!(of("source"), "ingress.twilio");
    assert_eq!(json!(of("traceId")), asked.body["traceId"]);
    assert_eq!(of("channel"), conversation.to_string());
    rig.end().await;
    platform.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_comes_twice_is_one_reply_and_another_candidate_another() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, answer).await;
    let rig = service(&server, &[]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["re: hello"]).await;
    let asked = platform.asked().remove(0).body;
    platform.publish(OWN, &delivered(&asked, "cand-1", "\"re: hello\"")).await;
    platform.publish(SHARED, &delivered(&asked, "cand-1", "\"re: hello\"")).await;
    platform.publish(OWN, &delivered(&asked, "cand-2", "and more")).await;
    rig.eventually("the second reply", |rig| rig.replies(conversation).len() > 1).await;
    platform.await_acknowledged(OWN_DURABLE).await;
    platform.await_acknowledged(SHARED_DURABLE).await;
    rig.expect(conversation, &["re: hello", "and more"]).await;
    rig.end().await;
    platform.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_shared_topic_other_connectors_events_are_acknowledged_and_left_alone() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, answer).await;
    let rig = service(&server, &[]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["re: hello"]).await;
    let asked = platform.asked().remove(0).body;
    let mut other = delivered(&asked, "cand-7", "for another");
    other["egress"]["connector"] = json!("discord");
    platform.publish(SHARED, &other).await;
    platform.publish(SHARED, &delivered(&asked, "cand-8", "by the scheduler")).await;
    rig.expect(conversation, &["re: hello", "by the scheduler"]).await;
    platform.await_acknowledged(SHARED_DURABLE).await;
    assert_eq!(rig.replies(conversation).len(), 2);
    rig.end().await;
    platform.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_deployment_does_not_answer_what_is_retained() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, answer).await;
    let rig = Rig::without_service(&[]).await;
    let conversation = rig.sms(PHONE, "before the bot").await;
    let old = delivered(&event_in(&conversation.to_string()), "cand-1", "answered long ago");
    platform.publish(SHARED, &old).await;
    platform.publish(OWN, &old).await;
    rig.end().await;

    let rig = service(&server, &[]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["re: hello"]).await;
    for durable in [OWN_DURABLE, SHARED_DURABLE] {
        platform.await_acknowledged(durable).await;
    }
    assert!(platform.passed(DEAD_LETTER).is_empty(), "the old ones were not even tried");
    rig.end().await;
    platform.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_while_the_service_was_away_is_sent_when_it_is_back() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, |_| None).await;
    let mut rig = service(&server, &[]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.eventually("the event is published", |_| !platform.asked().is_empty()).await;
    rig.settled().await;
    let asked = platform.asked().remove(0).body;
    platform.await_acknowledged(OWN_DURABLE).await;
    rig.stop_service().await;
    platform.publish(OWN, &delivered(&asked, "cand-1", "a little late")).await;
    rig.start_service().await;
    rig.expect(conversation, &["a little late"]).await;
    rig.end().await;
    platform.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_answer_is_cut_for_a_phone_and_recorded_once() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, |_| Some("A sentence. ".repeat(200))).await;
    let rig = service(&server, &[]).await;
    let conversation = rig.sms(PHONE, "tell me").await;
    rig.eventually("two parts", |rig| rig.replies(conversation).len() == 2).await;
    rig.settled().await;
    assert!(rig.replies(conversation).iter().all(|part| part.encode_utf16().count() <= 1600));
    let records = platform.await_passed(&rig, SNAPSHOT, 1).await;
    assert_eq!(records.len(), 1);
    rig.end().await;
    platform.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_of_the_connection_to_twilio_is_told_when_it_changes() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, answer).await;
    let rig = service(&server, &[]).await;
    let states = || -> Vec<Value> {
        let passed = platform.passed(INGRESS).into_iter();
        let told = passed.filter(|one| one.body["type"] == "system.source.status");
        told.map(|one| one.body["payload"]["status"].clone()).collect()
    };
    rig.eventually("it is told", |_| states().last() == Some(&json!("CONNECTED"))).await;
    let told = states();
    let changed = told.windows(2).all(|pair| pair[0] != pair[1]);
    assert!(changed, "each state once: {told:?}");
    let all = platform.passed(INGRESS);
    let users = all.iter().filter(|one| persistence::makes_a_user(&one.body)).count();
    assert_eq!(users, 0, "nobody has written");
    assert_eq!(persistence::kept(&all).len(), all.len(), "each change is kept");
    rig.end().await;
    platform.end();
}

fn answer(text: &str) -> Option<String> {
    Some(format!("\"re: {text}\""))
}

fn event_in(conversation: &str) -> Value {
    json!({
        "v": "2",
        "correlationId": "0d0c8a3e-2f0e-4b7c-9a51-6b0e3f4f7a10",
        "ingress": {"channel": conversation},
        "egress": {"connector": "twilio", "destination": OWN},
    })
}

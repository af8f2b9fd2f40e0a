//! A person takes a conversation over, and gives it back.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use chimein::clock::Clock;
use chimein::emulator::faults::{Action, Fault, Place};
use chimein::pipeline::policy::pause::FRESH_FOR;
use chimein::standard_webhooks::{self, Secret};
use chimein::telemetry::journal::Stage;
use chimein::thread::SkipReason;
use chimein::twilio::sid::ConversationSid;
use serde_json::json;

use crate::agent::Agent;
use crate::rig::{PHONE, Rig};

const NO_SOCKET: (&str, &str) = ("CHIMEIN_REALTIME_ENABLED", "false");
const HOLD: (&str, &str) = ("CHIMEIN_TURNS_PAUSED", "hold");
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Long enough for what is fresh to be answered on a slow machine.
const STALE_AFTER: Duration = Duration::from_secs(10);
const LATER: [(&str, &str); 2] =
    [("CHIMEIN_AGENT_SECRET", SECRET), ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bot_keeps_silent_while_a_person_has_the_conversation() {
    for extra in [&[][..], &[NO_SOCKET]] {
        let rig = Rig::start(extra).await;
        let conversation = rig.sms(PHONE, "one").await;
        rig.expect(conversation, &["one"]).await;
        pause(&rig, conversation, true).await;
        rig.sms(PHONE, "two").await;
        rig.eventually("it is skipped", |rig| {
            stages(rig, conversation, Stage::Skipped { reason: SkipReason::Paused }) == 1
        })
        .await;
        pause(&rig, conversation, false).await;
        rig.sms(PHONE, "three").await;
        rig.expect(conversation, &["one", "three"]).await;
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_that_nobody_told_of_is_asked_for() {
    let mut rig = Rig::without_service(&[NO_SOCKET]).await;
    let conversation = rig.sms(PHONE, "one").await;
    pause(&rig, conversation, true).await;
    rig.start_service().await;
    rig.eventually("it is skipped", |rig| {
        stages(rig, conversation, Stage::Skipped { reason: SkipReason::Paused }) == 1
    })
    .await;
    rig.settled().await;
    assert!(rig.replies(conversation).is_empty());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_messages_are_answered_in_order_as_soon_as_the_bot_is_back() {
    for extra in [&[HOLD][..], &[HOLD, NO_SOCKET]] {
        let rig = Rig::start(extra).await;
        let conversation = rig.sms(PHONE, "one").await;
        rig.expect(conversation, &["one"]).await;
        pause(&rig, conversation, true).await;
        rig.sms(PHONE, "two").await;
        rig.sms(PHONE, "three").await;
        rig.eventually("they are held", |rig| stages(rig, conversation, Stage::Held) == 1).await;
        assert_eq!(rig.replies(conversation), ["one"]);
        pause(&rig, conversation, false).await;
        rig.expect(conversation, &["one", "two", "three"]).await;
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_held_does_not_grow_stale() {
    let fast = [("CHIMEIN_AGENT_TIMEOUT", "5s"), ("CHIMEIN_TURNS_STALE_AFTER", "10s"), HOLD];
    let rig = Rig::start(&fast).await;
    let conversation = rig.sms(PHONE, "one").await;
    rig.expect(conversation, &["one"]).await;
    pause(&rig, conversation, true).await;
    rig.sms(PHONE, "two").await;
    rig.sms(PHONE, "three").await;
    let clock = Clock::start();
    let start = clock.now();
    rig.eventually("they are held", |rig| stages(rig, conversation, Stage::Held) == 1).await;
    rig.eventually("they are old", |_| clock.now().since(start) > STALE_AFTER).await;
    pause(&rig, conversation, false).await;
    rig.expect(conversation, &["one", "two", "three"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_messages_survive_a_restart() {
    let mut rig = Rig::start(&[HOLD]).await;
    let conversation = rig.sms(PHONE, "one").await;
    rig.expect(conversation, &["one"]).await;
    pause(&rig, conversation, true).await;
    rig.sms(PHONE, "two").await;
    rig.eventually("it is held", |rig| stages(rig, conversation, Stage::Held) == 1).await;
    rig.stop_service().await;
    rig.start_service().await;
    rig.eventually("it is held again", |rig| stages(rig, conversation, Stage::Held) == 1).await;
    assert_eq!(rig.replies(conversation), ["one"]);
    pause(&rig, conversation, false).await;
    rig.expect(conversation, &["one", "two"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_waits_untried_while_twilio_does_not_say_who_has_the_conversation() {
    let admin = ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0");
    let few = ("CHIMEIN_AGENT_SCHEDULE", "50ms");
    let agent = Agent::start(|turn, _| {
        let said = turn["messages"][0]["body"].as_str().unwrap();
        axum::Json(json!({"replies": [format!("{said} {}", turn["attempt"])]})).into_response()
    })
    .await;
    let rig = agent.rig_with(&[HOLD, NO_SOCKET, admin, few]).await;
    let conversation = rig.sms(PHONE, "one").await;
    rig.expect(conversation, &["one 1"]).await;
    pause(&rig, conversation, true).await;
    listed(&rig, "handoff", |handoff| handoff["paused"] == json!([conversation])).await;
    let clock = Clock::start();
    let start = clock.now();
    rig.eventually("what was heard is old", |_| clock.now().since(start) > FRESH_FOR).await;
    let path = Some(format!("/Conversations/{conversation}"));
    let place = Place::Rest { method: Some("GET".to_owned()), path };
    let action = Action::Answer { status: 500, code: None, retry_after: None };
    // The first read is for the messages before this one; the two after it take four requests each.
    let fault = Fault { id: 0, place, action, times: Some(8), skip: 1, percent: None };
    rig.control.add_fault(fault).unwrap();
    rig.sms(PHONE, "two").await;
    rig.eventually("it is held", |rig| stages(rig, conversation, Stage::Held) == 1).await;
    assert_eq!(agent.asked().len(), 1, "nobody was asked while a person may have had it");
    give_back(&rig, conversation).await;
    rig.expect(conversation, &["one 1", "two 1"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_held_does_not_grow_stale_while_the_service_is_away() {
    let fast = [("CHIMEIN_AGENT_TIMEOUT", "5s"), ("CHIMEIN_TURNS_STALE_AFTER", "10s"), HOLD];
    let mut rig = Rig::start(&fast).await;
    let conversation = rig.sms(PHONE, "one").await;
    rig.expect(conversation, &["one"]).await;
    pause(&rig, conversation, true).await;
    rig.sms(PHONE, "two").await;
    rig.eventually("it is held", |rig| stages(rig, conversation, Stage::Held) == 1).await;
    rig.stop_service().await;
    let clock = Clock::start();
    let start = clock.now();
    rig.eventually("it is old", |_| clock.now().since(start) > STALE_AFTER).await;
    rig.start_service().await;
    rig.eventually("it is held again", |rig| stages(rig, conversation, Stage::Held) == 1).await;
    pause(&rig, conversation, false).await;
    rig.expect(conversation, &["one", "two"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_comes_after_the_person_is_not_sent() {
    let agent = Agent::start(|turn, asked| {
        let body = format!("{} {asked}", turn["messages"][0]["body"].as_str().unwrap());
        axum::Json(json!({"replies": [body]})).into_response()
    })
    .await;
    let release = agent.hold();
    let rig = agent.rig_with(&[HOLD, NO_SOCKET]).await;
    let conversation = rig.sms(PHONE, "one").await;
    rig.eventually("the agent thinks", |_| agent.asked().len() == 1).await;
    pause(&rig, conversation, true).await;
    // Webhooks of a conversation come in order: when this one is seen the pause is known.
    rig.sms(PHONE, "two").await;
    rig.eventually("the next message is seen", |rig| {
        let records = rig.app().journal().recent(conversation);
        let is_seen = |stage: &Stage| matches!(stage, Stage::MessageSeen { .. });
        records.iter().filter(|record| is_seen(&record.stage)).count() == 2
    })
    .await;
    drop(release);
    rig.eventually("it is held", |rig| stages(rig, conversation, Stage::Held) == 1).await;
    assert!(rig.replies(conversation).is_empty());
    pause(&rig, conversation, false).await;
    rig.expect(conversation, &["one 1", "two 0"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_reply_is_not_sent_over_a_person_and_an_operators_is() {
    for extra in [&LATER[..], &[&LATER[..], &[NO_SOCKET]].concat()] {
        let agent = Agent::start(|_, _| StatusCode::ACCEPTED.into_response()).await;
        let rig = agent.rig_with(extra).await;
        let conversation = taken_over(&rig, &agent).await;
        post_late(&rig, conversation, "late").await;
        rig.eventually("it is skipped", |rig| {
            stages(rig, conversation, Stage::Skipped { reason: SkipReason::Paused }) == 1
        })
        .await;
        say_by_hand(&rig, conversation, "by hand").await;
        rig.expect(conversation, &["by hand"]).await;
        give_back(&rig, conversation).await;
        post_late(&rig, conversation, "later").await;
        rig.expect(conversation, &["by hand", "later"]).await;
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_reply_that_is_held_is_sent_once_the_bot_is_back() {
    let agent = Agent::start(|_, _| StatusCode::ACCEPTED.into_response()).await;
    let rig = agent.rig_with(&[&LATER[..], &[HOLD]].concat()).await;
    let conversation = taken_over(&rig, &agent).await;
    post_late(&rig, conversation, "late").await;
    listed(&rig, "queues", |queues| {
        let queues = queues["queues"].as_array().unwrap();
        queues.iter().any(|queue| queue["queue"] == "outbox" && queue["held"] == 1)
    })
    .await;
    assert!(rig.replies(conversation).is_empty());
    give_back(&rig, conversation).await;
    rig.expect(conversation, &["late"]).await;
    rig.end().await;
}

/// A conversation whose turn is with an agent that answers later when a person takes it over.
async fn taken_over(rig: &Rig, agent: &Agent) -> ConversationSid {
    let conversation = rig.sms(PHONE, "one").await;
    rig.eventually("the agent has the turn", |_| agent.asked().len() == 1).await;
    pause(rig, conversation, true).await;
    listed(rig, "handoff", |handoff| handoff["paused"] == json!([conversation])).await;
    conversation
}

async fn give_back(rig: &Rig, conversation: ConversationSid) {
    pause(rig, conversation, false).await;
    listed(rig, "handoff", |handoff| handoff["paused"] == json!([])).await;
}

/// Waits until the admin listener lists what is wanted.
async fn listed(rig: &Rig, what: &str, is_wanted: impl Fn(&serde_json::Value) -> bool) {
    let url = format!("http://{}/v1/{what}", rig.app().admin_address().unwrap());
    let http = chimein::net::http::direct().unwrap().build().unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !is_wanted(&http.get(&url).send().await.unwrap().json().await.unwrap()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what} is not as wanted");
}

/// Posts a reply as an agent does that answered 202.
async fn post_late(rig: &Rig, conversation: ConversationSid, reply: &str) {
    let body = json!({"conversation": conversation, "replies": [reply]}).to_string();
    let (secret, now) = (Secret::parse(&SECRET.into()).unwrap(), Clock::start().wall());
    let signature = standard_webhooks::sign(&secret, reply, now, body.as_bytes());
    let url = format!("http://{}/v1/conversations/{conversation}/replies", rig.app().address());
    let http = chimein::net::http::direct().unwrap().build().unwrap();
    let request = http
        .post(url)
        .header(standard_webhooks::ID, reply)
        .header(standard_webhooks::TIMESTAMP, now.as_secs())
        .header(standard_webhooks::SIGNATURE, signature)
        .body(body);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::ACCEPTED);
}

/// Says something as `chimein send` does.
async fn say_by_hand(rig: &Rig, conversation: ConversationSid, reply: &str) {
    let address = rig.app().admin_address().unwrap();
    let url = format!("http://{address}/v1/conversations/{conversation}/replies");
    let http = chimein::net::http::direct().unwrap().build().unwrap();
    let body = json!({"replies": [reply]}).to_string();
    let request = http.post(url).header(standard_webhooks::ID, reply).body(body);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::ACCEPTED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_pauses_and_resumes_and_lifts_what_the_guard_cut() {
    let cut = ("CHIMEIN_GUARD_TURNS_PER_MINUTE", "1");
    let rig = Rig::start(&[cut, ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0")]).await;
    let conversation = cut_off(&rig).await;
    assert_eq!(ask(&rig, conversation, "pause").await["paused"], true);
    rig.sms(PHONE, "three").await;
    rig.eventually("it is skipped", |rig| {
        stages(rig, conversation, Stage::Skipped { reason: SkipReason::Paused }) == 1
    })
    .await;
    assert_eq!(ask(&rig, conversation, "resume").await["paused"], false);
    rig.expect(conversation, &["one", "two"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_says_counts_before_the_socket_has_told_of_it() {
    let cut = ("CHIMEIN_GUARD_TURNS_PER_MINUTE", "1");
    let rig = Rig::start(&[cut, ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0")]).await;
    let conversation = cut_off(&rig).await;
    assert_eq!(ask(&rig, conversation, "pause").await["paused"], true);
    listed(&rig, "handoff", |handoff| handoff["paused"] == json!([conversation])).await;
    // Its own event tells the service of the pause first; from here on events are late.
    rig.sms(PHONE, "three").await;
    rig.eventually("it is skipped", |rig| skipped(rig, conversation) == 1).await;
    let event_type = Some("document_updated".to_owned());
    rig.fault(Place::SocketEvent { event_type }, Action::Delay { ms: 3_000 }, 1000);
    assert_eq!(ask(&rig, conversation, "resume").await["paused"], false);
    rig.expect(conversation, &["one", "two"]).await;
    // The other way round: nothing is said after the operator has paused it.
    assert_eq!(ask(&rig, conversation, "pause").await["paused"], true);
    rig.sms(PHONE, "four").await;
    rig.eventually("it is skipped too", |rig| skipped(rig, conversation) == 2).await;
    rig.settled().await;
    assert_eq!(rig.replies(conversation), ["one", "two"]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_that_the_socket_tells_of_after_the_resume_costs_no_message() {
    let rig = Rig::start(&[("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0")]).await;
    let conversation = rig.sms(PHONE, "one").await;
    rig.expect(conversation, &["one"]).await;
    rig.on_socket(conversation).await;
    let event_type = Some("document_updated".to_owned());
    // Only what the pause makes: what the resume makes, and all after it, never comes.
    let late = Place::SocketEvent { event_type };
    rig.fault(late.clone(), Action::Delay { ms: 1_500 }, 1);
    rig.fault(late, Action::Lose, 1000);
    assert_eq!(ask(&rig, conversation, "pause").await["paused"], true);
    assert_eq!(ask(&rig, conversation, "resume").await["paused"], false);
    listed(&rig, "handoff", |handoff| handoff["paused"] == json!([])).await;
    let clock = Clock::start();
    let start = clock.now();
    let is_told = |_: &Rig| clock.now().since(start) > Duration::from_millis(2_000);
    rig.eventually("the socket has told of the pause", is_told).await;
    rig.sms(PHONE, "two").await;
    rig.expect(conversation, &["one", "two"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mark_is_seen_beside_what_nobody_can_read() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for extra in [&[][..], &[NO_SOCKET]] {
        let rig = Rig::start(extra).await;
        let conversation = rig.sms(PHONE, "one").await;
        rig.expect(conversation, &["one"]).await;
        for (n, beside) in
            [r#""a":"\ud83d""#, r#""a":1e400"#, &format!(r#""a":{deep}"#)].into_iter().enumerate()
        {
            let attributes = format!(r#"{{{beside},"chimein":{{"paused":true}}}}"#);
            write(&rig, conversation, &attributes).await;
            rig.sms(PHONE, "two").await;
            rig.eventually("it is skipped", |rig| skipped(rig, conversation) == n + 1).await;
        }
        write(&rig, conversation, r#"{"a":"\ud83d"}"#).await;
        rig.sms(PHONE, "three").await;
        rig.expect(conversation, &["one", "three"]).await;
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_leaves_foreign_attributes_as_they_were() {
    let foreign = r#"{ "sim":89014103211118510720,"total":19.90, "z":"\ud83d","a":[1.0] }"#;
    let rig = Rig::start(&[("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0")]).await;
    let conversation = rig.sms(PHONE, "one").await;
    rig.expect(conversation, &["one"]).await;
    write(&rig, conversation, foreign).await;
    assert_eq!(ask(&rig, conversation, "pause").await["paused"], true);
    let among = foreign.replace(" }", r#","chimein":{"paused":true} }"#);
    assert_eq!(attributes(&rig, conversation).await, among);
    assert_eq!(ask(&rig, conversation, "resume").await["paused"], false);
    assert_eq!(attributes(&rig, conversation).await, foreign);
    write(&rig, conversation, "[1]").await;
    assert_eq!(ask(&rig, conversation, "pause").await["error"], "attributes_not_an_object");
    assert_eq!(attributes(&rig, conversation).await, "[1]");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_gives_the_thread_to_a_person_and_is_told_what_was_said_when_it_has_it_back() {
    let agent = Agent::start(|turn, _| {
        let body = turn["messages"][0]["body"].as_str().unwrap_or_default();
        let answer = match body {
            "a person, please" => json!({"replies": ["one moment"], "handoff": true}),
            body => json!({"replies": [format!("re: {body}")]}),
        };
        axum::Json(answer).into_response()
    })
    .await;
    let rig = agent.rig_with(&[("CHIMEIN_AGENT_HISTORY_MESSAGES", "10")]).await;
    let conversation = rig.sms(PHONE, "a person, please").await;
    rig.eventually("a person has it", |rig| stages(rig, conversation, Stage::HandedOver) == 1)
        .await;
    rig.expect(conversation, &["one moment"]).await;
    assert!(agent.asked()[0].get("history").is_none(), "nothing was said before");
    rig.sms(PHONE, "my order is late").await;
    let paused = Stage::Skipped { reason: SkipReason::Paused };
    rig.eventually("it is the person's", |rig| stages(rig, conversation, paused) == 1).await;
    pause(&rig, conversation, false).await;
    rig.sms(PHONE, "thanks").await;
    rig.expect(conversation, &["one moment", "re: thanks"]).await;
    let asked = agent.asked();
    let history = asked[1]["history"].as_array().unwrap().iter();
    let told: Vec<_> = history.map(|past| past["body"].as_str().unwrap()).collect();
    assert_eq!(
        (asked.len(), told),
        (2, vec!["a person, please", "one moment", "my order is late"])
    );
    rig.end().await;
}

/// A conversation whose second message the guard has cut.
async fn cut_off(rig: &Rig) -> ConversationSid {
    let conversation = rig.sms(PHONE, "one").await;
    rig.expect(conversation, &["one"]).await;
    rig.sms(PHONE, "two").await;
    rig.eventually("the guard has cut", |rig| {
        let records = rig.app().journal().recent(conversation);
        records.iter().any(|record| matches!(record.stage, Stage::Dead { .. }))
    })
    .await;
    conversation
}

fn skipped(rig: &Rig, conversation: ConversationSid) -> usize {
    stages(rig, conversation, Stage::Skipped { reason: SkipReason::Paused })
}

/// Asks on the admin listener, as `chimein handoff` does.
async fn ask(rig: &Rig, conversation: ConversationSid, verb: &str) -> serde_json::Value {
    let address = rig.app().admin_address().unwrap();
    let url = format!("http://{address}/v1/conversations/{conversation}/{verb}");
    let http = chimein::net::http::direct().unwrap().build().unwrap();
    http.post(url).send().await.unwrap().json().await.unwrap()
}

/// Writes the mark as a person's tool does that lets Twilio tell of it.
async fn pause(rig: &Rig, conversation: ConversationSid, is_paused: bool) {
    write(rig, conversation, &json!({"chimein": {"paused": is_paused}}).to_string()).await;
}

/// Writes a conversation's attributes as somebody else's program does.
async fn write(rig: &Rig, conversation: ConversationSid, attributes: &str) {
    let path = format!("Conversations/{conversation}");
    let _ = rig.rest_post_told(&path, &[("Attributes", attributes)]).await;
}

/// The attributes that a conversation has at Twilio.
async fn attributes(rig: &Rig, conversation: ConversationSid) -> String {
    let path = format!("Conversations/{conversation}");
    let shown = rig.rest_post(&path, &[("FriendlyName", "same")]).await;
    shown["attributes"].as_str().unwrap().to_owned()
}

fn stages(rig: &Rig, conversation: ConversationSid, wanted: Stage) -> usize {
    let records = rig.app().journal().recent(conversation);
    records.iter().filter(|record| record.stage == wanted).count()
}

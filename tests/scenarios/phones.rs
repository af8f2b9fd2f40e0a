//! Long replies: cut wherever a phone reads along, by whatever way they come, and whole elsewhere.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use chimein::clock::Clock;
use chimein::emulator::faults::{Action, Place};
use chimein::standard_webhooks::{self, Secret};
use chimein::twilio::sid::ConversationSid;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::rig::{BOT, NUMBER, PHONE, Rig};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_reply_to_a_chat_is_cut_where_a_phone_reads_along() {
    let agent = Agent::start(|turn, _| match turn["messages"][0]["body"].as_str() {
        Some("tell me") => axum::Json(json!({"replies": [long(), "end"]})).into_response(),
        _ => StatusCode::NO_CONTENT.into_response(),
    })
    .await;
    let rig = agent.rig().await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.eventually("the bot is in", |_| !agent.asked().is_empty()).await;
    rig.fault(participants(), unavailable(), READS);
    let messages = format!("Conversations/{conversation}/Messages");
    rig.rest_post_told(&messages, &[("Author", "alice"), ("Body", "tell me")]).await;
    rig.eventually("three replies", |rig| rig.replies(conversation).len() >= 3).await;
    rig.settled().await;
    let replies = rig.replies(conversation);
    assert_eq!(replies[2..], ["end"]);
    assert_eq!(replies[..2].join(" "), long().trim());
    assert_eq!(failed_deliveries(&rig, conversation), 0);
    assert_eq!(
        agent.asked().len(),
        2,
        "nobody is asked again because twilio does not say who reads along"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_late_reply_is_said_once_whoever_comes_between_two_attempts() {
    let agent = Agent::start(|_, _| StatusCode::ACCEPTED.into_response()).await;
    let rig = agent.rig_with(&[("CHIMEIN_AGENT_SECRET", SECRET)]).await;
    let conversation = chat(&rig).await;
    rig.fault(participants(), unavailable(), READS);
    assert_eq!(post_late(&rig, conversation, "evt_1").await, (503, Value::Null));
    assert_eq!(post_late(&rig, conversation, "evt_1").await, (202, json!(1)));
    rig.expect(conversation, &[&long()]).await;
    let phone = [("MessagingBinding.Address", PHONE), ("MessagingBinding.ProxyAddress", NUMBER)];
    rig.rest_post(&format!("Conversations/{conversation}/Participants"), &phone).await;
    assert_eq!(post_late(&rig, conversation, "evt_1").await, (202, json!(0)));
    assert_eq!(post_late(&rig, conversation, "evt_2").await, (202, json!(2)));
    rig.eventually("two parts more", |rig| rig.replies(conversation).len() >= 3).await;
    rig.settled().await;
    let replies = rig.replies(conversation);
    assert_eq!(replies[1..].join(" "), long().trim());
    assert_eq!(failed_deliveries(&rig, conversation), 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_by_one_number_keep_its_pace_and_hold_up_nobody_elses() {
    let slow = [("CHIMEIN_SEND_SENDER_RATE", "1"), ("CHIMEIN_SEND_CONCURRENCY", "1")];
    let rig = Rig::start(&slow).await;
    let mut conversations = Vec::new();
    for n in 0..5 {
        conversations.push(rig.sms(&format!("+1555555020{n}"), "hello").await);
    }
    let messages = |rig: &Rig, sid| {
        let by_bot = rig.control.messages(sid).into_iter().find(|message| message.author == BOT);
        by_bot.map(|message| message.created)
    };
    rig.eventually("all are answered", |rig| {
        conversations.iter().all(|sid| messages(rig, *sid).is_some())
    })
    .await;
    rig.settled().await;
    let mut sent: Vec<_> = conversations.iter().filter_map(|sid| messages(&rig, *sid)).collect();
    sent.sort_unstable();
    assert!(sent[4].since(sent[0]) >= std::time::Duration::from_millis(3500), "one a second");
    assert!(conversations.iter().all(|sid| rig.replies(*sid) == ["hello"]));
    let chat = chat(&rig).await;
    rig.rest_post_told(
        &format!("Conversations/{chat}/Messages"),
        &[("Author", "alice"), ("Body", "and me?")],
    )
    .await;
    rig.expect(chat, &["and me?"]).await;
    rig.end().await;
}

/// How often a read is asked for before it has failed.
const READS: u64 = 4;

/// A text of two parts.
fn long() -> String {
    "A sentence of some length. ".repeat(100).trim_end().to_owned()
}

fn participants() -> Place {
    Place::Rest { method: Some("GET".to_owned()), path: Some("/Participants".to_owned()) }
}

const fn unavailable() -> Action {
    Action::Answer { status: 503, code: None, retry_after: None }
}

/// A conversation without a phone, with the bot.
async fn chat(rig: &Rig) -> ConversationSid {
    let made = rig.rest_post("Conversations", &[]).await;
    let conversation = made["sid"].as_str().unwrap().parse().unwrap();
    let participants = format!("Conversations/{conversation}/Participants");
    rig.rest_post(&participants, &[("Identity", "alice")]).await;
    rig.rest_post(&participants, &[("Identity", BOT)]).await;
    conversation
}

/// Posts a long reply; gives the status and how many were new.
async fn post_late(rig: &Rig, conversation: ConversationSid, id: &str) -> (u16, Value) {
    let body = json!({"conversation": conversation, "replies": [long()]}).to_string();
    let (secret, now) = (Secret::parse(&SECRET.into()).unwrap(), Clock::start().wall());
    let signature = standard_webhooks::sign(&secret, id, now, body.as_bytes());
    let url = format!("http://{}/v1/conversations/{conversation}/replies", rig.app().address());
    let request = chimein::net::http::direct().unwrap().build().unwrap().post(url);
    let request = request
        .header(standard_webhooks::ID, id)
        .header(standard_webhooks::TIMESTAMP, now.as_secs())
        .header(standard_webhooks::SIGNATURE, signature);
    let answer = request.body(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["added"].clone())
}

/// How many deliveries of the bot's messages failed.
fn failed_deliveries(rig: &Rig, conversation: ConversationSid) -> usize {
    let messages = rig.control.messages(conversation).into_iter();
    let receipts = messages.filter(|one| one.author == BOT).flat_map(|one| one.receipts);
    receipts.filter(|receipt| receipt.error_code.is_some()).count()
}

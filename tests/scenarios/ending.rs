//! The end of a thread: behind the last words, once, and whoever writes next begins anew.

use axum::Json;
use axum::response::IntoResponse as _;
use chimein::emulator::faults::{Action, Place};
use chimein::emulator::state::model::State;
use chimein::twilio::sid::ConversationSid;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::rig::{NUMBER, PHONE, Rig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_is_closed_behind_the_last_words_and_the_next_one_is_new() {
    let agent = polite().await;
    let rig = agent.rig().await;
    let first = rig.sms(PHONE, "hello").await;
    rig.expect(first, &["re: hello"]).await;
    rig.fault(closes(first), Action::AnswerAfter { status: 500, code: Some(20500) }, 1);
    rig.fault(closes(first), Action::BreakBefore, 1);
    rig.sms(PHONE, "bye").await;
    rig.eventually("it is closed", |rig| is_closed(rig, first)).await;
    rig.expect(first, &["re: hello", "re: bye", "good bye"]).await;
    let second = rig.sms(PHONE, "me again").await;
    assert_ne!(first, second);
    rig.expect(second, &["re: me again"]).await;
    assert!(!is_closed(&rig, second));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_cannot_be_closed_is_a_dead_letter_that_is_redriven() {
    let agent = polite().await;
    let rig = agent.rig_with(&[("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0")]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["re: hello"]).await;
    let refused = Action::Answer { status: 400, code: Some(50001), retry_after: None };
    rig.fault(closes(conversation), refused, 1);
    rig.sms(PHONE, "bye").await;
    let letter = rig.dead_letter_of("outbox").await;
    assert_eq!(letter["cause"]["code"], 50001, "{letter}");
    assert!(!is_closed(&rig, conversation));
    let admin = rig.app().admin_address().unwrap();
    let id = letter["id"].as_str().unwrap();
    let url = format!("http://{admin}/v1/dead-letters/outbox/{id}/redrive");
    let answer = rig.http.post(url).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    rig.eventually("it is closed", |rig| is_closed(rig, conversation)).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_numbers_history_begins_anew() {
    let agent = polite().await;
    let rig = Rig::on_numbers(&[
        ("CHIMEIN_AGENT_KIND", "http"),
        ("CHIMEIN_AGENT_URL", agent.url()),
        ("CHIMEIN_AGENT_HISTORY_MESSAGES", "50"),
    ])
    .await;
    let mut said = Vec::new();
    for (text, answers) in
        [("one", &["re: one"][..]), ("bye", &["re: bye", "good bye"]), ("two", &["re: two"])]
    {
        rig.text(PHONE, NUMBER, text).await;
        said.extend(answers);
        rig.expect_texts(PHONE, &said).await;
    }
    let history = |word: &str| {
        let asked = agent.asked();
        let turn = asked.iter().find(|turn| turn["messages"][0]["body"] == word).unwrap();
        turn["history"].as_array().cloned().unwrap_or_default()
    };
    assert_eq!(history("bye").len(), 2, "{:?}", history("bye"));
    assert_eq!(history("two"), Vec::<Value>::new());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn later_words_end_a_conversation_too() {
    let agent = polite().await;
    let rig = agent.rig_with(&[("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0")]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["re: hello"]).await;
    let admin = rig.app().admin_address().unwrap();
    let url = format!("http://{admin}/v1/threads/{conversation}/replies");
    let body = json!({"replies": ["over"], "end": true}).to_string();
    for _ in 0..2 {
        let asked = rig.http.post(&url).header("webhook-id", "the-end").body(body.clone());
        assert_eq!(asked.send().await.unwrap().status().as_u16(), 202);
    }
    rig.eventually("it is closed", |rig| is_closed(rig, conversation)).await;
    rig.expect(conversation, &["re: hello", "over"]).await;
    rig.end().await;
}

fn closes(conversation: ConversationSid) -> Place {
    let path = format!("Conversations/{conversation}");
    Place::Rest { method: Some("POST".into()), path: Some(path) }
}

fn is_closed(rig: &Rig, wanted: ConversationSid) -> bool {
    let all = rig.control.conversations();
    all.iter().any(|known| known.sid == wanted && known.state == State::Closed)
}

/// An agent that answers each message, and says good bye to who does.
async fn polite() -> Agent {
    Agent::start(|turn, _| {
        let body = turn["messages"][0]["body"].as_str().unwrap_or_default();
        let mut answer = json!({"replies": [format!("re: {body}")]});
        if body == "bye" {
            answer = json!({"replies": ["re: bye", "good bye"], "end": true});
        }
        Json(answer).into_response()
    })
    .await
}

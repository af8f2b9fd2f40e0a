//! What is kept of each message, as an operator sees it later.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use chimein::emulator::faults::{Action, Place};
use chimein::telemetry::journal::Stage;
use chimein::twilio::sid::ConversationSid;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::rig::{NUMBER, PHONE, Rig};

/// With an admin listener on some port.
const ASKED: (&str, &str) = ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_agent_failed_and_whose_reply_was_looked_for_is_told_step_by_step() {
    let agent = Agent::start(|_, asked| {
        if asked == 0 {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        axum::Json(json!({"replies": ["at last"]})).into_response()
    })
    .await;
    let rig = agent.rig_with(&[ASKED, ("CHIMEIN_REALTIME_ENABLED", "false")]).await;
    let method = Some("POST".to_owned());
    let lost = Action::AnswerAfter { status: 500, code: Some(20500) };
    rig.fault(Place::Rest { method, path: Some("/Messages".into()) }, lost, 1);
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["at last"]).await;
    rig.settled().await;
    let message = first_message(&rig, conversation);
    let told = traced(&rig, &format!("message={message}"), "reply_sent").await;
    let wanted = [
        "webhook_received",
        "message_seen",
        "turn_started",
        "attempt_failed inbox agent_status",
        "turn_started",
        "agent_answered",
        "reply_stored",
        "attempt_failed outbox look",
        "reply_looked_for",
        "reply_sent",
    ];
    let mut rest = told.iter();
    for step in wanted {
        assert!(rest.any(|told| told == step), "{step} is not at its place in {told:?}");
    }
    for step in ["joined", "webhook_acknowledged"] {
        assert!(told.iter().any(|told| told == step), "{step} is missing in {told:?}");
    }
    let page = rig.ask_admin(&format!("/v1/timeline?thread={conversation}")).await.to_string();
    assert!(!page.contains("hello") && !page.contains("at last"), "no text is kept");
    assert!(!page.contains(&PHONE[1..]), "no address is kept");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_door_by_which_a_message_came_is_told() {
    let rig = Rig::start(&[ASKED]).await;
    let conversation = rig.sms(PHONE, "first").await;
    rig.expect(conversation, &["first"]).await;
    rig.on_socket(conversation).await;
    rig.sms(PHONE, "second").await;
    rig.expect(conversation, &["first", "second"]).await;
    let records = || rig.app().journal().recent(conversation);
    let second = records().iter().rev().find_map(|record| {
        matches!(record.stage, Stage::MessageSeen { .. }).then_some(record.message).flatten()
    });
    let second = second.expect("it was seen");
    rig.eventually("both doors told of it", |_| {
        records().iter().any(|record| {
            record.message == Some(second) && matches!(record.stage, Stage::MessageAgain { .. })
        })
    })
    .await;
    let page = format!("/v1/timeline?message={second}");
    let page =
        rig.admin_says(&page, |page| stages(page).iter().any(|step| step == "message_again")).await;
    let doors = page["records"].as_array().unwrap().iter();
    let mut doors: Vec<_> = doors.filter_map(|record| record["door"].as_str()).collect();
    doors.sort_unstable();
    assert!(doors.contains(&"webhook") && doors.len() > 1, "{doors:?}");
    assert!(doors.windows(2).all(|pair| pair[0] != pair[1]), "each is told once: {doors:?}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_to_a_number_is_found_by_the_address_also_after_a_restart() {
    let mut rig = Rig::on_numbers(&[ASKED]).await;
    rig.text(PHONE, NUMBER, "hello").await;
    rig.expect_texts(PHONE, &["hello"]).await;
    let find = format!("http://{}/v1/threads/find", rig.app().admin_address().unwrap());
    let found = rig.http.post(find).json(&json!({"to": PHONE})).send().await.unwrap();
    let found: Value = found.json().await.unwrap();
    let thread = found["thread"].as_str().expect("the only number that fits").to_owned();
    let page = format!("/v1/timeline?thread={thread}");
    let is_over = |page: &Value| {
        let records = page["records"].as_array().unwrap();
        records.iter().any(|record| record["status"] == "delivered")
    };
    let before = rig.admin_says(&page, is_over).await;
    let steps = stages(&before);
    for step in ["webhook_received", "message_seen", "turn_started", "reply_stored", "reply_sent"] {
        assert!(steps.iter().any(|told| told == step), "{step} is missing in {steps:?}");
    }
    assert!(!before.to_string().contains(&PHONE[1..]), "no address is kept");
    rig.stop_service().await;
    rig.start_service().await;
    let after = rig.ask_admin(&page).await;
    let (before, after) = (before["records"].as_array(), after["records"].as_array());
    assert!(after.unwrap().starts_with(before.unwrap()), "{after:?}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_without_a_timeline_says_so_and_answers_all_the_same() {
    let rig = Rig::start(&[ASKED, ("CHIMEIN_TIMELINE_ENABLED", "false")]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["hello"]).await;
    let page = rig.ask_admin(&format!("/v1/timeline?thread={conversation}")).await;
    assert_eq!(page["error"], "no_timeline");
    rig.end().await;
}

/// The first message that was seen in a conversation.
fn first_message(rig: &Rig, conversation: ConversationSid) -> String {
    let records = rig.app().journal().recent(conversation);
    let message = records.iter().find_map(|record| record.message);
    message.expect("a message was seen").to_string()
}

/// The steps that the timeline tells once one is among them, an attempt with its queue and cause.
async fn traced(rig: &Rig, of: &str, once: &str) -> Vec<String> {
    let is_there = |page: &Value| stages(page).iter().any(|step| step == once);
    stages(&rig.admin_says(&format!("/v1/timeline?{of}"), is_there).await)
}

fn stages(page: &Value) -> Vec<String> {
    let told = |record: &Value| {
        let word = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
        match word("stage").as_str() {
            "attempt_failed" => format!("attempt_failed {} {}", word("queue"), word("reason")),
            stage => stage.to_owned(),
        }
    };
    page["records"].as_array().into_iter().flatten().map(told).collect()
}

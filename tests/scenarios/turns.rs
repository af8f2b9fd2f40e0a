//! What the agent is asked, and what becomes of its answers.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use chimein::emulator::record::Happening;
use chimein::telemetry::journal::Stage;
use chimein::thread::CauseClass;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::rig::{PHONE, Rig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_replies_are_sent_in_order_and_nothing_for_silence() {
    let agent = Agent::start(|turn, _| match body_of(turn) {
        "quiet" => StatusCode::NO_CONTENT.into_response(),
        _ => axum::Json(json!({"replies": ["one", {"body": "two"}, "three"]})).into_response(),
    })
    .await;
    let rig = agent.rig().await;
    let conversation = rig.sms(PHONE, "quiet").await;
    rig.sms(PHONE, "speak").await;
    rig.expect(conversation, &["one", "two", "three"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_agent_is_asked_again_with_the_same_turn_id() {
    let agent = Agent::start(|_, asked| {
        if asked < 2 {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        axum::Json(json!({"replies": ["at last"]})).into_response()
    })
    .await;
    let rig = agent.rig().await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["at last"]).await;
    let asked = agent.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|turn| turn["id"] == asked[0]["id"]));
    assert_eq!(asked[2]["attempt"], 3);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_the_agent_refuses_holds_up_nobody() {
    let agent = Agent::start(|turn, _| match body_of(turn) {
        "bad" => StatusCode::BAD_REQUEST.into_response(),
        _ => axum::Json(json!({"replies": ["fine"]})).into_response(),
    })
    .await;
    let rig = agent.rig().await;
    let conversation = rig.sms(PHONE, "bad").await;
    rig.sms(PHONE, "good").await;
    rig.expect(conversation, &["fine"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_takes_too_much_room_is_a_dead_letter_at_once() {
    let agent = Agent::start(|turn, _| match body_of(turn) {
        "much" => {
            // Attributes go with each part of the text.
            let (body, note) = ("A sentence. ".repeat(5000), "x".repeat(100_000));
            axum::Json(json!({"replies": [{"body": body, "attributes": {"note": note}}]}))
                .into_response()
        }
        _ => axum::Json(json!({"replies": ["fine"]})).into_response(),
    })
    .await;
    let rig = agent.rig().await;
    let conversation = rig.sms(PHONE, "much").await;
    rig.sms(PHONE, "little").await;
    rig.expect(conversation, &["fine"]).await;
    assert_eq!(agent.asked().len(), 2, "one question each");
    let is_dead = |stage: &Stage| {
        matches!(stage, Stage::Dead { queue: "inbox", reason: CauseClass::AgentAnswerTooLarge, .. })
    };
    rig.eventually("the large one is a dead letter", |rig| {
        let records = rig.app().journal().recent(conversation);
        records.iter().any(|record| is_dead(&record.stage))
    })
    .await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_understands_is_a_dead_letter_and_no_silence() {
    let agent = Agent::start(|turn, _| {
        let answer = match body_of(turn) {
            "text" => r#"{"replies":[{"text":"x"}]}"#,
            "reply" => r#"{"reply":"x"}"#,
            "nothing" => r#"{"replies":[{"body":""},"",null]}"#,
            "null" => r#"{"replies":null}"#,
            _ => r#"{"replies":[{"body":"half \ud83d","attributes":null,"media_sids":null}]}"#,
        };
        answer.into_response()
    })
    .await;
    let rig = agent.rig().await;
    let conversation = rig.sms(PHONE, "text").await;
    for body in ["reply", "nothing", "null", "half"] {
        rig.sms(PHONE, body).await;
    }
    rig.expect(conversation, &["half \u{fffd}"]).await;
    let is_dead = |stage: &Stage| matches!(stage, Stage::Dead { queue: "inbox", .. });
    rig.eventually("two are dead letters", |rig| {
        let records = rig.app().journal().recent(conversation);
        records.iter().filter(|record| is_dead(&record.stage)).count() == 2
    })
    .await;
    assert_eq!(agent.asked().len(), 5, "one question each");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bot_is_seen_typing_while_the_agent_thinks() {
    let agent = Agent::start(|_, _| axum::Json(json!({"replies": ["hm"]})).into_response()).await;
    let release = agent.hold();
    let rig = agent.rig().await;
    let conversation = rig.sms(PHONE, "think").await;
    rig.eventually("typing is shown", |rig| {
        let is_typing = |what: &Happening| matches!(what, Happening::Typing { .. });
        rig.control.records(0).iter().any(|record| is_typing(&record.what))
    })
    .await;
    drop(release);
    rig.expect(conversation, &["hm"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carrier_keywords_are_not_fed_to_the_agent() {
    let rig = Rig::start(&[]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    for word in ["HELP", "OPTOUT", "revoke.", "start"] {
        rig.sms(PHONE, word).await;
    }
    rig.sms(PHONE, "bye").await;
    rig.expect(conversation, &["hello", "bye"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_between_two_bots_is_cut() {
    let rig = Rig::start(&[("CHIMEIN_GUARD_TURNS_PER_MINUTE", "5")]).await;
    let conversation = rig.sms(PHONE, "0").await;
    for n in 1..12 {
        rig.sms(PHONE, &n.to_string()).await;
    }
    rig.expect(conversation, &["0", "1", "2", "3", "4"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_reply_reaches_a_phone_in_parts() {
    let text = "All work and no play makes for a dull bot. ".repeat(50);
    let text = text.trim().to_owned();
    let said = text.clone();
    let agent =
        Agent::start(move |_, _| axum::Json(json!({"replies": [said.clone()]})).into_response())
            .await;
    let rig = agent.rig().await;
    let conversation = rig.sms(PHONE, "tell me").await;
    rig.eventually("two parts", |rig| rig.replies(conversation).len() == 2).await;
    let parts = rig.replies(conversation);
    assert!(parts.iter().all(|part| part.len() <= 1600));
    assert_eq!(parts.join(" "), text);
    rig.end().await;
}

fn body_of(turn: &Value) -> &str {
    turn["messages"][0]["body"].as_str().unwrap_or_default()
}

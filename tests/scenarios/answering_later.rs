//! Agents that take a turn with 202 and answer it later, never, or twice: one message, one turn, one answer.

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use chimein::clock::Clock;
use chimein::standard_webhooks::{self, Secret};
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::rig::{PHONE, Rig};

/// People whose turns are answered twice: the first one's late at first, the others' at the same moment.
const PEOPLE: usize = 4;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_was_taken_and_forgotten_is_asked_once_more_and_then_it_is_a_dead_letter() {
    let agent = Agent::start(|turn, _| {
        if turn["messages"][0]["body"] == "hello" {
            return Json(json!({ "replies": ["at once"] })).into_response();
        }
        StatusCode::ACCEPTED.into_response()
    })
    .await;
    let rig = agent
        .rig_with(&[
            ("CHIMEIN_AGENT_SECRET", SECRET),
            ("CHIMEIN_AGENT_ANSWER_WITHIN", "1s"),
            ("CHIMEIN_AGENT_HISTORY_MESSAGES", "10"),
            ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0"),
        ])
        .await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["at once"]).await;
    rig.sms(PHONE, "forget me").await;
    let letter = rig.dead_letter_of("reports").await;
    assert_eq!(letter["cause"]["class"], "agent_timeout", "{letter}");
    let asked = agent.asked().split_off(1);
    let told = |name: &str| asked.iter().map(|turn| turn[name].clone()).collect::<Vec<_>>();
    assert_eq!(told("attempt"), [1, 2], "it can see that it is asked again");
    assert_eq!(told("id")[0], told("id")[1]);
    assert_eq!(told("history")[0], told("history")[1]);
    assert_eq!(told("history")[1].as_array().map(Vec::len), Some(2));
    // Better late than never.
    assert_eq!(post_late(&rig, &asked[0]).await, (202, json!(2)));
    assert_eq!(post_late(&rig, &asked[0]).await, (202, json!(0)));
    rig.expect(conversation, &["at once", "late", "and more"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_words_that_name_no_turn_answer_all_that_wait_in_their_thread() {
    let agent = Agent::start(|_, _| StatusCode::ACCEPTED.into_response()).await;
    let rig = agent
        .rig_with(&[("CHIMEIN_AGENT_SECRET", SECRET), ("CHIMEIN_AGENT_ANSWER_WITHIN", "2s")])
        .await;
    let conversation = rig.sms(PHONE, "hello").await;
    let silent = rig.sms("+15555550124", "nobody answers me").await;
    rig.eventually("both are asked", |_| agent.asked().len() == 2).await;
    let turns = agent.asked();
    let asker = conversation.to_string();
    let mut turn = turns.iter().find(|turn| turn["thread"] == asker.as_str()).unwrap().clone();
    turn["id"] = json!("an id of my own");
    assert_eq!(post_late(&rig, &turn).await, (202, json!(2)));
    rig.expect(conversation, &["late", "and more"]).await;
    // By then the other one's time is over too.
    let of = |thread: &dyn ToString| {
        let asked = agent.asked();
        asked.iter().filter(|turn| turn["thread"] == thread.to_string()).count()
    };
    rig.eventually("the other one is asked again", |_| of(&silent) == 2).await;
    rig.settled().await;
    assert_eq!(of(&conversation), 1);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_answers_both_asks_is_heard_once() {
    let agent = Agent::start(|_, _| Json(json!({ "replies": ["at once"] })).into_response()).await;
    let rig = agent
        .rig_with(&[
            ("CHIMEIN_AGENT_SECRET", SECRET),
            ("CHIMEIN_AGENT_TIMEOUT", "2s"),
            ("CHIMEIN_AGENT_SCHEDULE", "20ms"),
        ])
        .await;
    for nth in 0..PEOPLE {
        let thinks = agent.hold_from_now().await;
        let conversation = rig.sms(&format!("+1555555040{nth}"), "hello").await;
        let asked = || {
            let turns = agent.asked().into_iter();
            turns.filter(|turn| turn["thread"] == conversation.to_string()).collect::<Vec<_>>()
        };
        rig.eventually("it is asked again", |_| asked().len() == 2).await;
        let turn = asked().remove(0);
        let late = post_late(&rig, &turn);
        if nth == 0 {
            assert_eq!(late.await, (202, json!(2)));
            drop(thinks);
        } else {
            let ((status, _), ()) = futures::join!(late, async { drop(thinks) });
            assert_eq!(status, 202);
        }
        rig.settled().await;
        let said = rig.replies(conversation);
        let is_late = said == ["late", "and more"];
        assert!(is_late || nth > 0 && said == ["at once"], "{nth}: {said:?}");
        // Nor does it help to say it again.
        assert_eq!(post_late(&rig, &turn).await, (202, json!(0)));
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_turn_of_one_thread_is_a_key_as_any_other_in_another() {
    let agent = Agent::start(|_, _| Json(json!({ "replies": ["at once"] })).into_response()).await;
    let rig = agent.rig_with(&[("CHIMEIN_AGENT_SECRET", SECRET)]).await;
    let asker = rig.sms(PHONE, "tell the others").await;
    let other = rig.sms("+15555550124", "hello").await;
    rig.expect(asker, &["at once"]).await;
    rig.expect(other, &["at once"]).await;
    let turns = agent.asked();
    let mut turn = turns.iter().find(|turn| turn["thread"] == asker.to_string()).unwrap().clone();
    assert_eq!(post_late(&rig, &turn).await, (202, json!(0)), "it has its answer");
    turn["thread"] = json!(other.to_string());
    assert_eq!(post_late(&rig, &turn).await, (202, json!(2)));
    rig.expect(other, &["at once", "late", "and more"]).await;
    rig.end().await;
}

/// Answers a turn by the door for later replies; gives the status and how many were new.
async fn post_late(rig: &Rig, turn: &Value) -> (u16, Value) {
    let (thread, id) = (turn["thread"].as_str().unwrap(), turn["id"].as_str().unwrap());
    let body = json!({"thread": thread, "replies": ["late", "and more"]}).to_string();
    let (secret, now) = (Secret::parse(&SECRET.into()).unwrap(), Clock::start().wall());
    let signature = standard_webhooks::sign(&secret, id, now, body.as_bytes());
    let url = format!("http://{}/v1/threads/{thread}/replies", rig.app().address());
    let request = rig
        .http
        .post(url)
        .header(standard_webhooks::ID, id)
        .header(standard_webhooks::TIMESTAMP, now.as_secs())
        .header(standard_webhooks::SIGNATURE, signature);
    let answer = request.body(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["added"].clone())
}

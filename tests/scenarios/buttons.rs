//! Buttons where a channel has none: a list under the text, and an answer that names one of it.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::numbers::FRIEND;
use crate::rig::{NUMBER, PHONE, Rig, WHATSAPP};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_or_a_title_of_the_latest_list_is_told_as_the_button() {
    for (theirs, ours) in [(PHONE, NUMBER), (FRIEND, WHATSAPP)] {
        let agent = Agent::start(|turn, _| answer(turn)).await;
        let desk = desk(&agent).await;
        desk.text(theirs, ours, "1").await;
        desk.text(theirs, ours, "sizes").await;
        desk.expect_texts(theirs, &["Which size?\n\n1. Small\n2. Large"]).await;
        for text in ["2", "small", "3", "a large one"] {
            desk.text(theirs, ours, text).await;
            desk.settled().await;
        }
        desk.text(theirs, ours, "colours").await;
        let colours = "1. Red\n2. Blue: https://example.com/blue";
        desk.expect_texts(theirs, &["Which size?\n\n1. Small\n2. Large", colours]).await;
        desk.text(theirs, ours, "2.").await;
        desk.text(theirs, ours, "Large").await;
        desk.settled().await;
        let (large, small) = (choice("Large", Some("l")), choice("Small", Some("s")));
        let expected = [
            ("1", Value::Null),
            ("sizes", Value::Null),
            ("2", large),
            ("small", small),
            ("3", Value::Null),
            ("a large one", Value::Null),
            ("colours", Value::Null),
            ("2.", choice("Blue", None)),
            ("Large", Value::Null),
        ];
        let asked = told(&agent);
        assert_eq!(asked, expected.map(|(text, choice)| (text.to_owned(), choice)), "{theirs}");
        desk.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_has_its_list_too_and_keeps_it_over_a_restart() {
    let agent = Agent::start(|turn, _| answer(turn)).await;
    let mut rig = agent.rig().await;
    let conversation = rig.sms(PHONE, "sizes").await;
    rig.expect(conversation, &["Which size?\n\n1. Small\n2. Large"]).await;
    rig.stop_service().await;
    rig.start_service().await;
    rig.sms(PHONE, " LARGE ").await;
    rig.eventually("it is asked", |_| agent.asked().len() == 2).await;
    let large = choice("Large", Some("l"));
    assert_eq!(told(&agent)[1], (" LARGE ".to_owned(), large));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buttons_that_nobody_asked_for_are_chosen_from_too_and_wrong_ones_refused() {
    let agent = Agent::start(|turn, _| answer(turn)).await;
    let desk = desk(&agent).await;
    let reply = json!({"to": PHONE, "body": "Shall we?", "buttons": [{"title": "Yes", "id": "y"}]});
    assert_eq!(desk.send("k1", &reply).await.0, 202);
    desk.expect_texts(PHONE, &["Shall we?\n\n1. Yes"]).await;
    desk.text(PHONE, NUMBER, "yes").await;
    desk.settled().await;
    assert_eq!(told(&agent)[0].1, choice("Yes", Some("y")));
    let wrong = json!({"to": PHONE, "body": "Shall we?", "buttons": [{"label": "Yes"}]});
    let (status, refused) = desk.send("k2", &wrong).await;
    assert_eq!(status, 400, "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("did you mean `title`?"), "{refused}");
    desk.end().await;
}

/// What the agent says to a turn.
fn answer(turn: &Value) -> axum::response::Response {
    let sizes = json!([{"title": "Small", "id": "s"}, {"title": "Large", "id": "l"}]);
    let colours = json!([{"title": "Red"}, {"title": "Blue", "url": "https://example.com/blue"}]);
    match turn["messages"][0]["body"].as_str() {
        Some("sizes") => {
            axum::Json(json!({"replies": [{"body": "Which size?", "buttons": sizes}]}))
                .into_response()
        }
        Some("colours") => axum::Json(json!({"replies": [{"buttons": colours}]})).into_response(),
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

/// What was told to the agent: each text with the button that it means.
fn told(agent: &Agent) -> Vec<(String, Value)> {
    let one = |turn: Value| {
        let message = &turn["messages"][0];
        (message["body"].as_str().unwrap().to_owned(), message["choice"].clone())
    };
    agent.asked().into_iter().map(one).collect()
}

fn choice(text: &str, payload: Option<&str>) -> Value {
    match payload {
        Some(payload) => json!({"text": text, "payload": payload}),
        None => json!({ "text": text }),
    }
}

async fn desk(agent: &Agent) -> Rig {
    let of = [("CHIMEIN_AGENT_KIND", "http"), ("CHIMEIN_AGENT_URL", agent.url())];
    Rig::on_numbers(&of).await
}

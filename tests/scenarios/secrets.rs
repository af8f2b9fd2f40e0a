//! Agents by name have secrets of their own.

use axum::Json;
use axum::response::IntoResponse as _;
use chimein::clock::Clock;
use chimein::standard_webhooks::{self, Headers, Secret};
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::rig::Rig;

const SECRETS: [&str; 2] =
    ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_agent_signs_with_its_own_secret_and_is_known_by_it() {
    let (sales, rest) = (agent().await, agent().await);
    let rig = Rig::start(&[
        ("CHIMEIN_AGENTS_SALES_KIND", "http"),
        ("CHIMEIN_AGENTS_SALES_URL", sales.url()),
        ("CHIMEIN_AGENTS_SALES_SECRET", SECRETS[0]),
        ("CHIMEIN_AGENTS_REST_KIND", "http"),
        ("CHIMEIN_AGENTS_REST_URL", rest.url()),
        ("CHIMEIN_AGENTS_REST_SECRET", SECRETS[1]),
        ("CHIMEIN_ROUTES_1_AGENT", "sales"),
        ("CHIMEIN_ROUTES_1_KEYWORD", "buy"),
        ("CHIMEIN_ROUTES_2_AGENT", "rest"),
    ])
    .await;
    for (nth, (agent, text)) in [(&sales, "buy"), (&rest, "hello")].into_iter().enumerate() {
        let conversation = rig.sms(&format!("+1555555041{nth}"), text).await;
        rig.expect(conversation, &["at once"]).await;
        let (head, body) = agent.signed().remove(0);
        let text_of = |name| head.get(name).map(|value| value.to_str().unwrap());
        let headers = Headers {
            id: text_of(standard_webhooks::ID),
            timestamp: text_of(standard_webhooks::TIMESTAMP),
            signature: text_of(standard_webhooks::SIGNATURE),
        };
        for (of, secret) in SECRETS.into_iter().enumerate() {
            let (secret, now) = (Secret::parse(&secret.into()).unwrap(), Clock::start().wall());
            let verified = standard_webhooks::verify(&secret, &headers, &body, now);
            assert_eq!(verified.is_ok(), of == nth, "{text}, by secret {of}");
        }
        // Either is let in by its own.
        let mut turn = agent.asked().remove(0);
        turn["id"] = json!(format!("reminder {nth}"));
        assert_eq!(post_late(&rig, SECRETS[nth], &turn).await, (202, json!(2)));
    }
    rig.end().await;
}

/// One that says "at once".
async fn agent() -> Agent {
    Agent::start(|_, _| Json(json!({ "replies": ["at once"] })).into_response()).await
}

/// Answers a turn by the door for later replies; gives the status and how many were new.
async fn post_late(rig: &Rig, secret: &str, turn: &Value) -> (u16, Value) {
    let (thread, id) = (turn["thread"].as_str().unwrap(), turn["id"].as_str().unwrap());
    let body = json!({"thread": thread, "replies": ["late", "and more"]}).to_string();
    let (secret, now) = (Secret::parse(&secret.into()).unwrap(), Clock::start().wall());
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

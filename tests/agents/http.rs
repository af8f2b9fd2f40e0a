//! An agent behind a URL.

use std::io;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use chimein::clock::Clock;
use chimein::standard_webhooks::{self, Secret};
use futures::{StreamExt as _, stream};
use serde_json::json;

use crate::agent::Agent;
use crate::peer::{Act, Document, Gate, Memory, Peer};
use crate::rig::Rig;

/// What replies that come later are signed with.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub struct Http {
    agent: Agent,
    memory: Memory<Document>,
    /// Open while it is away, and what it was about to say breaks off.
    exit: Gate,
}

impl Peer for Http {
    async fn start() -> Self {
        let (memory, exit) = (Memory::default(), Gate::default());
        let (heard, away) = (Memory::clone(&memory), exit.clone());
        let agent = Agent::start(move |turn, _| {
            // So says whoever stands before it.
            if away.is_open() {
                return StatusCode::BAD_GATEWAY.into_response();
            }
            let turn = Document(turn.clone());
            let act = heard.hear(turn.id(), turn.text(), turn.clone());
            answer(act, &heard, &away)
        });
        Self { agent: agent.await, memory, exit }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("CHIMEIN_AGENT_KIND", "http".to_owned()),
            ("CHIMEIN_AGENT_URL", self.agent.url().to_owned()),
            ("CHIMEIN_AGENT_SECRET", SECRET.to_owned()),
        ]
    }

    fn patience(&self) -> Vec<(&'static str, String)> {
        vec![("CHIMEIN_AGENT_ANSWER_WITHIN", "2s".to_owned())]
    }

    fn asked(&self) -> Vec<String> {
        self.memory.texts()
    }

    fn document(&self, text: &str) -> serde_json::Value {
        self.memory.turn(text).0
    }

    fn let_go_on(&self) {
        self.memory.gate.open();
    }

    async fn say_later(&self, rig: &Rig, text: &str) {
        post_later(rig, &self.memory.turn("late"), text).await;
    }

    async fn go_away(&mut self) {
        self.exit.open();
    }

    async fn come_back(&mut self) {
        self.exit.shut();
    }
}

/// Posts a reply to a turn that was taken over.
pub async fn post_later(rig: &Rig, turn: &Document, text: &str) {
    let body = turn.replies(&[text]).to_string();
    let thread = turn.0["thread"].as_str().unwrap();
    let url = format!("http://{}/v1/threads/{thread}/replies", rig.app().address());
    let (secret, now) = (Secret::parse(&SECRET.into()).unwrap(), Clock::start().wall());
    let signature = standard_webhooks::sign(&secret, turn.id(), now, body.as_bytes());
    let request = rig
        .http
        .post(url)
        .header(standard_webhooks::ID, turn.id())
        .header(standard_webhooks::TIMESTAMP, now.as_secs().to_string())
        .header(standard_webhooks::SIGNATURE, signature)
        .body(body);
    assert_eq!(request.send().await.unwrap().status(), 202);
}

fn answer(act: Act, memory: &Memory<Document>, exit: &Gate) -> Response {
    match act {
        Act::Say(texts) if texts.is_empty() => StatusCode::NO_CONTENT.into_response(),
        Act::Say(texts) => axum::Json(json!({ "replies": texts })).into_response(),
        Act::SayOnceLet(text) => {
            let (gate, exit) = (memory.gate.clone(), exit.clone());
            let body = json!({"replies": [text]}).to_string();
            let once_let = stream::once(async move {
                tokio::select! {
                    () = exit.pass() => Err(io::Error::other("it is gone")),
                    () = gate.pass() => Ok(Bytes::from(body)),
                }
            });
            Body::from_stream(once_let).into_response()
        }
        Act::Later => StatusCode::ACCEPTED.into_response(),
        Act::Die => broken(""),
        Act::SayAndDie(text) => broken(&json!({"replies": [text]}).to_string()),
        Act::TalkGarbage => "<html>".into_response(),
    }
}

/// An answer whose connection breaks after these words.
fn broken(words: &str) -> Response {
    let words = stream::iter([Ok(Bytes::from(words.to_owned()))]);
    let breaks = stream::once(async { Err(io::Error::other("it died")) });
    Body::from_stream(words.chain(breaks)).into_response()
}

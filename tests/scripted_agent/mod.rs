//! An agent behind HTTP that keeps what it was asked, and answers by a function of the test.

#![allow(dead_code, reason = "each of the binaries that include this uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

type AnswerTurn = dyn Fn(&Value, usize) -> Response + Send + Sync;
type Asked = Arc<Mutex<Vec<Value>>>;
type Signed = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

#[derive(Clone)]
struct Shared {
    asked: Asked,
    signed: Signed,
    held: Arc<tokio::sync::Mutex<()>>,
    answer: Arc<AnswerTurn>,
}

/// An agent behind HTTP that keeps what it was asked; gone when dropped.
pub struct Agent {
    shared: Shared,
    url: String,
    server: JoinHandle<()>,
}

impl Agent {
    /// Answers with a function of the turn and of how often it was asked before.
    pub async fn start(answer: impl Fn(&Value, usize) -> Response + Send + Sync + 'static) -> Self {
        let shared = Shared {
            asked: Asked::default(),
            signed: Signed::default(),
            held: Arc::default(),
            answer: Arc::new(answer),
        };
        let router = Router::new().route("/", post(answer_turn)).with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { shared, url, server }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every turn that it was asked.
    pub fn asked(&self) -> Vec<Value> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// The same as it came: the headers and the body of each request.
    pub fn signed(&self) -> Vec<(HeaderMap, Bytes)> {
        self.shared.signed.lock().unwrap().clone()
    }

    /// Holds every answer back until the guard is dropped.
    pub fn hold(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.shared.held).try_lock_owned().unwrap()
    }

    /// As [`Agent::hold`], while it may be answering.
    pub async fn hold_from_now(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.shared.held).lock_owned().await
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer_turn(State(shared): State<Shared>, head: HeaderMap, body: Bytes) -> Response {
    let turn: Value = serde_json::from_slice(&body).unwrap();
    shared.signed.lock().unwrap().push((head, body));
    let before = {
        let mut asked = shared.asked.lock().unwrap();
        asked.push(turn.clone());
        asked.iter().filter(|known| known["id"] == turn["id"]).count() - 1
    };
    drop(shared.held.lock().await);
    (shared.answer)(&turn, before)
}

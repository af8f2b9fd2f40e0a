//! An agent behind HTTP that keeps what it was asked.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::rig::Rig;

type AnswerTurn = dyn Fn(&Value, usize) -> Response + Send + Sync;
type Asked = Arc<Mutex<Vec<Value>>>;

#[derive(Clone)]
struct Shared {
    asked: Asked,
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
        let shared =
            Shared { asked: Asked::default(), held: Arc::default(), answer: Arc::new(answer) };
        let router = Router::new().route("/", post(answer_turn)).with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { shared, url, server }
    }

    /// A service that asks this agent.
    pub async fn rig(&self) -> Rig {
        self.rig_with(&[]).await
    }

    /// As [`Agent::rig`], with more settings.
    pub async fn rig_with(&self, extra: &[(&'static str, &str)]) -> Rig {
        let ours = [("CHIMEIN_AGENT_KIND", "http"), ("CHIMEIN_AGENT_URL", self.url.as_str())];
        Rig::start(&[&ours, extra].concat()).await
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every turn that it was asked.
    pub fn asked(&self) -> Vec<Value> {
        self.shared.asked.lock().unwrap().clone()
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

async fn answer_turn(
    State(shared): State<Shared>,
    axum::Json(turn): axum::Json<Value>,
) -> Response {
    let before = {
        let mut asked = shared.asked.lock().unwrap();
        asked.push(turn.clone());
        asked.iter().filter(|known| known["id"] == turn["id"]).count() - 1
    };
    drop(shared.held.lock().await);
    (shared.answer)(&turn, before)
}

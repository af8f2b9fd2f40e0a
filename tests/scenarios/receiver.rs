//! Somebody who is told: checks the signature, and keeps each thing once, by its id.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use chimein::clock::Clock;
use chimein::standard_webhooks::{self, Headers, Secret};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What it is signed with.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// How the receiver is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mood {
    Fine,
    Away,
    Silent,
    Refusing,
}

/// What was told, each once.
#[derive(Clone, Debug, Default)]
pub struct Told(pub Vec<Value>);

impl Told {
    /// Those with this state.
    pub fn states(&self, state: &str) -> Vec<Value> {
        self.0.iter().filter(|one| one["state"] == state).cloned().collect()
    }
}

/// What is known of who was told.
struct Known {
    told: Mutex<Told>,
    mood: watch::Sender<Mood>,
    turned_away: AtomicUsize,
}

/// Who takes what is signed with [`SECRET`].
pub struct Receiver {
    known: Arc<Known>,
    pub url: String,
    server: JoinHandle<()>,
}

impl Receiver {
    pub async fn start() -> Self {
        let known = Arc::new(Known {
            told: Mutex::default(),
            mood: watch::channel(Mood::Fine).0,
            turned_away: AtomicUsize::new(0),
        });
        let router = Router::new().route("/told", post(take)).with_state(Arc::clone(&known));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/told", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { known, url, server }
    }

    pub fn is(&self, mood: Mood) {
        self.known.mood.send_replace(mood);
    }

    /// How often it took nothing.
    pub fn turned_away(&self) -> usize {
        self.known.turned_away.load(Ordering::Relaxed)
    }

    pub fn told(&self) -> Told {
        self.known.told.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(known): State<Arc<Known>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let given = Headers {
        id: text(standard_webhooks::ID),
        timestamp: text(standard_webhooks::TIMESTAMP),
        signature: text(standard_webhooks::SIGNATURE),
    };
    let secret = Secret::parse(&SECRET.into()).unwrap();
    standard_webhooks::verify(&secret, &given, &body, Clock::start().wall()).unwrap();
    let mut mood = known.mood.subscribe();
    match *mood.borrow_and_update() {
        Mood::Fine => {}
        Mood::Away => {
            known.turned_away.fetch_add(1, Ordering::Relaxed);
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        Mood::Refusing => return StatusCode::BAD_REQUEST,
        Mood::Silent => {}
    }
    let _spoken = mood.wait_for(|mood| *mood != Mood::Silent).await;
    let one: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(one["id"].as_str(), given.id);
    let mut told = known.told.lock().unwrap();
    if told.0.iter().all(|other| other["id"] != one["id"]) {
        told.0.push(one);
    }
    StatusCode::NO_CONTENT
}

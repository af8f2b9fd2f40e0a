//! The small server: answers as scripted and keeps what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures::{StreamExt, stream};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{Client, Options, client};

/// One scripted answer.
pub(super) struct Scripted {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) how: How,
}

#[derive(Debug)]
pub(super) enum How {
    Whole(String),
    /// Half a body, then the connection breaks.
    BrokenOff,
    /// No answer at all.
    Never,
}

pub(super) fn answer(status: u16, body: &str) -> Scripted {
    Scripted { status, headers: vec![], how: How::Whole(body.to_owned()) }
}

pub(super) fn json_answer(status: u16, body: Value) -> Scripted {
    answer(status, &body.to_string())
}

#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) line: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Scripted>>,
    asked: Mutex<Vec<Asked>>,
}

/// A server on a free port that ends with the test.
pub(super) struct Server {
    pub(super) url: String,
    script: Arc<Script>,
    /// Aborted when the server is dropped.
    _tasks: JoinSet<()>,
}

impl Server {
    pub(super) async fn start(answers: Vec<Scripted>) -> Self {
        let script = Arc::new(Script { answers: Mutex::new(answers.into()), ..Script::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(reply).with_state(Arc::clone(&script));
        let mut tasks = JoinSet::new();
        let _ = tasks.spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self { url, script, _tasks: tasks }
    }

    pub(super) fn client(&self) -> Client {
        client(&self.url, |_| {})
    }

    pub(super) fn client_with(&self, change: impl FnOnce(&mut Options)) -> Client {
        client(&self.url, change)
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.script.asked.lock().unwrap().clone()
    }
}

async fn reply(State(script): State<Arc<Script>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let asked = Asked {
        line: format!("{} {}", parts.method, parts.uri),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    script.asked.lock().unwrap().push(asked);
    let scripted = script.answers.lock().unwrap().pop_front().expect("another answer is scripted");
    let body = match scripted.how {
        How::Whole(text) => Body::from(text),
        How::BrokenOff => {
            let start = stream::iter([Ok(Bytes::from("{\"sid\":"))]);
            Body::from_stream(start.chain(stream::iter([Err(std::io::Error::other("broken"))])))
        }
        How::Never => std::future::pending().await,
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(scripted.status).unwrap();
    for (name, value) in scripted.headers {
        let _ = response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

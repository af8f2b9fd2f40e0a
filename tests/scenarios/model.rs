//! A model behind the OpenAI API that keeps what it was asked, and how its answers are written.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use futures::{Stream, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::rig::Rig;

/// What was said to it last.
pub fn last_words(request: &Value) -> String {
    let messages = request["messages"].as_array().unwrap();
    messages.last().unwrap()["content"].as_str().unwrap().to_owned()
}

pub fn answer_to(request: &Value) -> String {
    format!("re: {}", last_words(request))
}

/// An answer in two pieces, as a stream that ends well; they are empty where it says nothing.
pub fn streamed(text: &str) -> Response {
    let (head, tail) = text.split_at(text.len().min(2));
    let end = json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}).to_string();
    events(vec![delta(head), delta(tail), end, "[DONE]".to_owned()])
}

pub fn delta(text: &str) -> String {
    json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
        .to_string()
}

pub fn event(data: &str) -> Bytes {
    format!("data: {data}\n\n").into()
}

pub fn events(data: Vec<String>) -> Response {
    body(stream::iter(data.into_iter().map(|data| Ok::<_, Infallible>(event(&data)))))
}

pub fn body<E: Into<axum::BoxError> + 'static>(
    stream: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> Response {
    ([("content-type", "text/event-stream")], Body::from_stream(stream)).into_response()
}

type Asked = Arc<Mutex<Vec<(Option<String>, Value)>>>;
type AnswerRequest = dyn Fn(&Value, usize) -> Response + Send + Sync;

#[derive(Clone)]
struct Shared {
    asked: Asked,
    answer: Arc<AnswerRequest>,
}

/// A model server that keeps what it was asked; gone when dropped.
pub struct Model {
    shared: Shared,
    url: String,
    server: JoinHandle<()>,
}

impl Model {
    /// Answers with a function of the request and of how often the same was asked before.
    pub async fn start(answer: impl Fn(&Value, usize) -> Response + Send + Sync + 'static) -> Self {
        let shared = Shared { asked: Arc::default(), answer: Arc::new(answer) };
        let router = Router::new()
            .route("/v1/chat/completions", post(answer_request))
            .route("/v1/responses", post(answer_request))
            .with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { shared, url, server }
    }

    pub async fn rig(&self, extra: &[(&'static str, &str)]) -> Rig {
        Rig::start(&self.settings(extra)).await
    }

    pub fn settings<'a>(
        &'a self,
        extra: &[(&'static str, &'a str)],
    ) -> Vec<(&'static str, &'a str)> {
        let ours = [
            ("CHIMEIN_AGENT_KIND", "openai"),
            ("OPENAI_BASE_URL", self.url.as_str()),
            ("CHIMEIN_OPENAI_MODEL", "mock"),
        ];
        [&ours, extra].concat()
    }

    pub fn asked(&self) -> Vec<(Option<String>, Value)> {
        self.shared.asked.lock().unwrap().clone()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer_request(
    State(shared): State<Shared>,
    headers: HeaderMap,
    axum::Json(request): axum::Json<Value>,
) -> Response {
    let key = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let before = {
        let mut asked = shared.asked.lock().unwrap();
        let before = asked.iter().filter(|(_, known)| *known == request).count();
        asked.push((key, request.clone()));
        before
    };
    (shared.answer)(&request, before)
}

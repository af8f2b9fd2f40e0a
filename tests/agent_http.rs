//! The HTTP agent against a real endpoint: what it sends, and what it makes of each answer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chimein::agent::http::{HttpAgent, Options};
use chimein::agent::{Agent, Answer, Error, Retry, Turn};
use chimein::clock::{Clock, Timestamp};
use chimein::standard_webhooks::{self, Headers, Secret};
use chimein::thread::{Reply, Speaker, Thread, TurnMessage};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

#[tokio::test]
async fn the_request_is_signed_and_says_what_was_said() {
    let endpoint = Endpoint::answering(|| json_answer(json!({"replies": ["hi"]}))).await;
    let sent = Clock::start().wall();
    let answer = endpoint.agent(Limits::default()).take(&turn()).await.unwrap();
    assert_eq!(answer, Answer::Replies(vec![Reply::text("hi")]));

    let (headers, body) = endpoint.received.lock().unwrap().pop().unwrap();
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
    let given = Headers {
        id: text("webhook-id"),
        timestamp: text("webhook-timestamp"),
        signature: text("webhook-signature"),
    };
    assert_eq!(standard_webhooks::verify(&secret(), &given, &body, Clock::start().wall()), Ok(()));
    assert_eq!(given.id, Some("IM000000000000000000000000000000aa"));
    let mut body: Value = serde_json::from_slice(&body).unwrap();
    let deadline = body.as_object_mut().unwrap().remove("deadline").unwrap();
    let deadline = Timestamp::parse_rfc3339(deadline.as_str().unwrap()).unwrap();
    let now = Clock::start().wall();
    assert!(deadline > sent && deadline <= now + Limits::default().timeout, "{deadline}");
    assert_eq!(
        body,
        json!({
            "type": "turn",
            "version": 1,
            "id": "IM000000000000000000000000000000aa",
            "attempt": 3,
            "thread": "CH000000000000000000000000000000bb",
            "channel": "conversation",
            "conversation": "CH000000000000000000000000000000bb",
            "identity": "bot",
            "messages": [{
                "sid": "IM000000000000000000000000000000aa",
                "index": 7,
                "author": "+15555550123",
                "participant_sid": null,
                "body": "hello",
                "attributes": {"lang": "en"},
                "media": [],
                "date_created": "2026-11-21T03:48:05.120Z",
            }],
        })
    );
}

#[tokio::test]
async fn nothing_to_say_and_later_are_answers() {
    for (status, expected) in
        [(StatusCode::NO_CONTENT, Answer::Replies(vec![])), (StatusCode::ACCEPTED, Answer::Later)]
    {
        let endpoint = Endpoint::answering(move || status.into_response()).await;
        assert_eq!(endpoint.agent(Limits::default()).take(&turn()).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_slow_agent_runs_into_its_timeout() {
    let endpoint = Endpoint::silent().await;
    let limits = Limits { timeout: Duration::from_millis(50), ..Limits::default() };
    let error = endpoint.agent(limits).take(&turn()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(error.retry(), Retry::Backoff);
}

#[tokio::test]
async fn an_answer_over_the_limit_is_cut_off() {
    let endpoint =
        Endpoint::answering(|| json_answer(json!({"replies": ["x".repeat(5000)]}))).await;
    let limits = Limits { response_bytes_max: 4096, ..Limits::default() };
    let error = endpoint.agent(limits).take(&turn()).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { bytes_max: 4096, .. }), "{error}");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Endpoint::answering(|| json_answer(json!({"replies": ["stolen"]}))).await;
    let target = elsewhere.url();
    let endpoint = Endpoint::answering(move || {
        (StatusCode::FOUND, [("location", target.clone())]).into_response()
    })
    .await;
    let error = endpoint.agent(Limits::default()).take(&turn()).await.unwrap_err();
    assert!(matches!(error, Error::Status { status: 302, .. }), "{error}");
    assert!(elsewhere.received.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_agent_that_asks_for_time_gets_it() {
    let endpoint = Endpoint::answering(|| {
        (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "9")]).into_response()
    })
    .await;
    let error = endpoint.agent(Limits::default()).take(&turn()).await.unwrap_err();
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(9)));
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_tried_again() {
    let endpoint = Endpoint::silent().await;
    let agent = endpoint.agent(Limits::default());
    drop(endpoint);
    let error = agent.take(&turn()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert_eq!(error.retry(), Retry::Backoff);
}

struct Limits {
    timeout: Duration,
    response_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), response_bytes_max: 1 << 16 }
    }
}

type Received = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// An HTTP server that keeps what it got; gone when dropped.
struct Endpoint {
    address: std::net::SocketAddr,
    received: Received,
    server: JoinHandle<()>,
}

impl Endpoint {
    async fn answering(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Self {
        Self::serve(move || {
            let answer = answer();
            async move { answer }
        })
        .await
    }

    async fn silent() -> Self {
        Self::serve(std::future::pending::<Response>).await
    }

    async fn serve<F: Future<Output = Response> + Send + 'static>(
        answer: impl Fn() -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        let received = Received::default();
        let take = move |State(received): State<Received>, headers: HeaderMap, body: Bytes| {
            received.lock().unwrap().push((headers, body));
            answer()
        };
        let router = Router::new().route("/turns", post(take)).with_state(Arc::clone(&received));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, received, server }
    }

    fn url(&self) -> String {
        format!("http://{}/turns", self.address)
    }

    fn agent(&self, limits: Limits) -> HttpAgent {
        let Limits { timeout, response_bytes_max } = limits;
        let url = self.url().parse().unwrap();
        let (secret, report_url) = (Some(secret()), None);
        let history = chimein::thread::Budget::default();
        let patience = None;
        let options =
            Options { url, secret, timeout, response_bytes_max, history, report_url, patience };
        let client = chimein::net::http::direct().unwrap().build().unwrap();
        HttpAgent::new(options, client, Clock::start())
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn json_answer(body: Value) -> Response {
    axum::Json(body).into_response()
}

fn secret() -> Secret {
    Secret::parse(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).unwrap()
}

fn turn() -> Turn {
    let sid = "IM000000000000000000000000000000aa".parse().unwrap();
    let attributes = json!({"lang": "en"});
    Turn {
        id: sid,
        thread: Thread::Conversation("CH000000000000000000000000000000bb".parse().unwrap()),
        speaker: Speaker::Identity("bot".into()),
        messages: vec![TurnMessage {
            sid,
            index: Some(7),
            author: "+15555550123".into(),
            body: Some("hello".into()),
            attributes: attributes.as_object().unwrap().clone(),
            media: vec![],
            participant: None,
            created: Timestamp::parse_rfc3339("2026-11-21T03:48:05.120Z"),
            extras: None,
        }],
        history: Vec::new(),
        attempt: 3,
        files: chimein::media::Offers::default(),
    }
}

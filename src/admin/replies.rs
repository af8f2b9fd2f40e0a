//! The operator's routes around a reply by hand: whether its conversation can be written to, and what
//! became of it.
//!
//! Decides how it is asked and answered; the facts are [`Replies`]'s, which the composition root
//! brings. It checks nobody: [`super::operate`] mounts it behind its own guard. Answers are JSON and
//! hold nothing that a person wrote.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::channels::Fares;
use crate::http::problem::problem;
use crate::queue::Cause;
use crate::telemetry::chain::Chain;
use crate::thread::ThreadId;

/// How long Twilio may take to say whether there is a conversation; an operator waits.
const ASK_LIMIT: Duration = Duration::from_secs(10);

/// Knows conversations and what became of replies.
pub trait Replies: Send + Sync {
    /// Asks Twilio for a conversation's state, in Twilio's word; `None` where there is none.
    ///
    /// # Errors
    ///
    /// If Twilio did not say.
    fn state(&self, thread: ThreadId) -> BoxFuture<'_, Result<Option<&'static str>, Failed>>;

    /// Looks up what became of what was said under an idempotency key; `None` if nothing is known of it.
    ///
    /// # Errors
    ///
    /// If the store did not say.
    fn fate<'a>(
        &'a self,
        thread: ThreadId,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<RepliesFate>, Failed>>;
}

/// What became of the parts of a reply.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RepliesFate {
    /// How many there are.
    pub parts: usize,
    /// How many of them are at Twilio.
    pub sent: usize,
    /// Why the first of those that failed for good did so, if any did.
    pub dead: Option<Cause>,
    /// How those fare that are at Twilio, where somebody tells.
    pub delivery: Vec<Fares>,
}

impl RepliesFate {
    /// The word for it: `dead` if any part failed, `sent` if all are at Twilio, else `queued`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        if self.dead.is_some() {
            "dead"
        } else if self.sent == self.parts {
            "sent"
        } else {
            "queued"
        }
    }
}

/// It could not be found out.
#[derive(Debug, thiserror::Error)]
#[error("it could not be found out")]
pub struct Failed(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Makes the routes.
pub fn router(replies: Arc<dyn Replies>) -> Router {
    Router::new()
        .route("/v1/conversations/{conversation}", get(thread))
        .route("/v1/conversations/{conversation}/replies/{key}", get(reply))
        .route("/v1/threads/{thread}", get(thread))
        .route("/v1/threads/{thread}/replies/{key}", get(reply))
        .with_state(replies)
}

async fn thread(State(replies): State<Arc<dyn Replies>>, Path(thread): Path<String>) -> Response {
    let Ok(thread) = thread.parse::<ThreadId>() else { return malformed() };
    let failed = |reason: &str| {
        tracing::warn!(conversation_sid = %thread, reason,
            "twilio did not say whether there is a conversation");
        let detail = "twilio did not say whether there is such a conversation; ask again";
        problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    };
    match tokio::time::timeout(ASK_LIMIT, replies.state(thread)).await {
        Ok(Ok(Some(state))) => {
            let thread = thread.to_string();
            let body = json!({ "conversation": thread, "thread": thread, "state": state });
            Json(body).into_response()
        }
        Ok(Ok(None)) => {
            let detail = "there is no such conversation in this chat service";
            problem(StatusCode::NOT_FOUND, "unknown_conversation", detail)
        }
        Ok(Err(error)) => failed(&Chain(&error).to_string()),
        Err(_) => failed("timeout"),
    }
}

async fn reply(
    State(replies): State<Arc<dyn Replies>>,
    Path((thread, key)): Path<(String, String)>,
) -> Response {
    let Ok(thread) = thread.parse::<ThreadId>() else { return malformed() };
    match replies.fate(thread, &key).await {
        Ok(Some(fate)) => {
            let RepliesFate { parts, sent, dead, delivery } = &fate;
            let delivery: Vec<_> = delivery.iter().map(delivered).collect();
            Json(json!({
                "state": fate.as_str(),
                "parts": parts,
                "sent": sent,
                "delivery": delivery,
                "cause": dead.as_ref().map(|cause| json!({
                    "class": cause.class,
                    "code": cause.code,
                    "detail": cause.detail,
                })),
            }))
            .into_response()
        }
        Ok(None) => {
            let detail = "nothing was said in this conversation under this key, or long ago";
            problem(StatusCode::NOT_FOUND, "unknown_reply", detail)
        }
        Err(error) => {
            tracing::error!(conversation_sid = %thread, error = %Chain(&error),
                "the store failed an operator's call");
            problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the store failed; see the log")
        }
    }
}

fn delivered(fares: &Fares) -> Value {
    json!({ "state": fares.state, "code": fares.code, "is_over": fares.is_over })
}

/// The answer to a path that names no thread.
pub(super) fn malformed() -> Response {
    let detail = "the path must name a thread: CH or TH followed by 32 hexadecimal digits";
    problem(StatusCode::NOT_FOUND, "unknown_conversation", detail)
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    const PATH: &str = "/v1/conversations/CHcccccccccccccccccccccccccccccccc";

    #[tokio::test]
    async fn a_conversation_is_there_or_not_or_nobody_knows() {
        for (state, status, said) in [
            (Ok(Some("active")), 200, "active"),
            (Ok(Some("closed")), 200, "closed"),
            (Ok(None), 404, "unknown_conversation"),
            (Err(()), 503, "unavailable"),
        ] {
            let (found, body) = ask(Known { state, fate: Ok(None) }, PATH).await;
            assert_eq!(found, status, "{body}");
            let word = if status == 200 { &body["state"] } else { &body["error"] };
            assert_eq!(word, said);
        }
        let known = Known { state: Ok(Some("active")), fate: Ok(None) };
        assert_eq!(ask(known, "/v1/conversations/CH01").await.0, 404);
    }

    #[tokio::test(start_paused = true)]
    async fn an_operator_does_not_wait_for_ever() {
        let (status, body) = ask(Silent, PATH).await;
        assert_eq!((status, &body["error"]), (503, &json!("unavailable")));
    }

    #[tokio::test]
    async fn a_reply_is_queued_sent_or_dead_with_its_cause() {
        let dead = Cause::new("dead").with_code(50_400).with_detail("refused");
        for (fate, status, said) in [
            (
                Ok(Some(RepliesFate { parts: 3, sent: 2, dead: None, delivery: Vec::new() })),
                200,
                "queued",
            ),
            (
                Ok(Some(RepliesFate { parts: 3, sent: 3, dead: None, delivery: Vec::new() })),
                200,
                "sent",
            ),
            (
                Ok(Some(RepliesFate { parts: 3, sent: 1, dead: Some(dead), delivery: Vec::new() })),
                200,
                "dead",
            ),
            (Ok(None), 404, "unknown_reply"),
            (Err(()), 503, "unavailable"),
        ] {
            let known = Known { state: Ok(None), fate };
            let (found, body) = ask(known, &format!("{PATH}/replies/a%2Fb")).await;
            assert_eq!(found, status, "{body}");
            let word = if status == 200 { &body["state"] } else { &body["error"] };
            assert_eq!(word, said);
            assert_eq!(body["cause"]["code"] == 50_400, said == "dead", "{body}");
        }
    }

    struct Known {
        state: Result<Option<&'static str>, ()>,
        fate: Result<Option<RepliesFate>, ()>,
    }

    impl Replies for Known {
        fn state(&self, _: ThreadId) -> BoxFuture<'_, Result<Option<&'static str>, Failed>> {
            Box::pin(std::future::ready(self.state.map_err(|()| Failed("planted".into()))))
        }

        fn fate<'a>(
            &'a self,
            _: ThreadId,
            key: &'a str,
        ) -> BoxFuture<'a, Result<Option<RepliesFate>, Failed>> {
            assert_eq!(key, "a/b");
            let fate = self.fate.clone().map_err(|()| Failed("planted".into()));
            Box::pin(std::future::ready(fate))
        }
    }

    struct Silent;

    impl Replies for Silent {
        fn state(&self, _: ThreadId) -> BoxFuture<'_, Result<Option<&'static str>, Failed>> {
            Box::pin(std::future::pending())
        }

        fn fate<'a>(
            &'a self,
            _: ThreadId,
            _: &'a str,
        ) -> BoxFuture<'a, Result<Option<RepliesFate>, Failed>> {
            Box::pin(std::future::pending())
        }
    }

    async fn ask(replies: impl Replies + 'static, path: &str) -> (u16, Value) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router(Arc::new(replies)).oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("planted"));
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}

//! The door for messages that nobody asked for: `POST /v1/messages`.
//!
//! For reminders and the like by a plain number. The body is
//! `{"to":"+1555…","from":"+1555…","body":"…"}`, or with a template's `content_sid` and
//! `content_variables`; the header `webhook-id` (or `idempotency-key`) makes it count once however often it
//! is sent. `from` may be left out where one address of ours alone can send it. The message takes the way of
//! every reply: in its thread's order, once, surviving restarts; it is on disk when this answers 202.
//! It checks nobody: whoever mounts it does.
//!
//! `POST /v1/threads/find` takes `{"to":"+1555…","from":"+1555…"}` and names the thread of the two, by the
//! same rule, for all that is asked of a thread by its id.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::json;

use super::answer::{self, Message, PairAddresses};
use super::later::{Batch, ID_BYTES_MAX, Outbox, not_read, not_stored, read};
use crate::http::problem::problem;
use crate::standard_webhooks;
use crate::telemetry::chain::Chain;

/// Where such messages are posted to.
pub const PATH: &str = "/v1/messages";

/// Where the thread of two addresses is asked for.
pub const FIND_PATH: &str = "/v1/threads/find";

/// Another name for the header, which other services have.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Makes the route for callers that are trusted already: the operator, on the admin listener.
pub fn trusted_router(outbox: Arc<dyn Outbox>) -> Router {
    let routes = Router::new().route(PATH, post(take));
    routes.route(FIND_PATH, post(find)).with_state(outbox)
}

async fn find(State(outbox): State<Arc<dyn Outbox>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let unproven = match read(&head, body).await {
        Ok(unproven) => unproven,
        Err(error) => return not_read(error),
    };
    let thread = answer::addresses(&unproven.proven())
        .and_then(|PairAddresses { to, from }| outbox.between(from.as_ref(), &to));
    match thread {
        Ok(thread) => {
            let body = json!({ "thread": thread.id().to_string(), "channel": thread.channel() });
            axum::Json(body).into_response()
        }
        Err(reason) => problem(StatusCode::BAD_REQUEST, "invalid_body", &reason),
    }
}

async fn take(State(outbox): State<Arc<dyn Outbox>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Some(key) = key(&head.headers) else {
        let detail = "the header webhook-id (or idempotency-key) must name this message, in at most \
            256 bytes; repeat it with the same one";
        return problem(StatusCode::BAD_REQUEST, "missing_id", detail);
    };
    match read(&head, body).await {
        Ok(unproven) => store(&*outbox, key, &unproven.proven()).await,
        Err(error) => not_read(error),
    }
}

fn key(headers: &HeaderMap) -> Option<&str> {
    let names = [standard_webhooks::ID, IDEMPOTENCY_KEY].into_iter();
    let mut given = names.filter_map(|name| headers.get(name)?.to_str().ok());
    given.next().filter(|key| !key.is_empty() && key.len() <= ID_BYTES_MAX)
}

async fn store(outbox: &dyn Outbox, key: &str, body: &[u8]) -> Response {
    let invalid = |detail: &str| problem(StatusCode::BAD_REQUEST, "invalid_body", detail);
    let Message { to, from, reply } = match answer::message(body) {
        Ok(message) => message,
        Err(reason) => return invalid(&reason),
    };
    let thread = match outbox.between(from.as_ref(), &to) {
        Ok(thread) => thread,
        Err(reason) => return invalid(&reason),
    };
    let name = thread.id();
    match outbox.put(Batch::new(thread, key, vec![reply])).await {
        Ok(added) => {
            let body = json!({ "ok": true, "thread": name.to_string(), "added": added });
            (StatusCode::ACCEPTED, axum::Json(body)).into_response()
        }
        Err(error) => {
            tracing::error!(conversation_sid = %name, error = %Chain(&error),
                "a message was not stored");
            not_stored(&error)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::body::{Body, to_bytes};
    use futures::future::BoxFuture;
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::super::later::OutboxError;
    use super::*;
    use crate::pii::Pii;
    use crate::thread::{Medium, Pair, Reply, Thread};

    #[tokio::test]
    async fn a_message_is_stored_in_the_thread_of_its_addresses() {
        let outbox = Arc::new(Recording::default());
        let body = r#"{"to":"+15555550123","from":"+15555550100","body":"It is time."}"#;
        for header in ["webhook-id", "idempotency-key"] {
            let (status, answer) = call(&outbox, Some((header, "k1")), body).await;
            assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
            assert!(answer["thread"].as_str().unwrap().starts_with("TH"));
        }
        let stored = outbox.0.lock().unwrap();
        assert_eq!(stored.len(), 2);
        assert_eq!(
            (stored[0].key.as_str(), &stored[0].replies),
            ("k1", &vec![Reply::text("It is time.")])
        );
        assert!(!stored[0].late);
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_refused_by_name() {
        let outbox = Arc::new(Recording::default());
        let id = Some(("webhook-id", "k1"));
        for (id, body, words) in [
            (None, r#"{"to":"+1","body":"x"}"#, "webhook-id"),
            (id, r#"{"body":"x"}"#, "there is no `to`"),
            (id, r#"{"to":"+1"}"#, "nothing to send"),
            (id, r#"{"to":"+1","text":"x"}"#, "did you mean `body`?"),
            (id, r#"{"to":"+1","media_sids":[]}"#, "unknown field `media_sids`"),
            (id, r#"{"to":"+1","body":"x","from":"nobody"}"#, "`from` is none"),
            (id, "hello", "reading failed at line 1"),
        ] {
            let (status, answer) = call(&outbox, id, body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
            assert!(answer["detail"].as_str().unwrap().contains(words), "{answer}");
        }
        assert!(outbox.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_thread_of_two_addresses_is_named_as_a_message_names_it() {
        let outbox = Arc::new(Recording::default());
        let addresses = r#"{"to":"+15555550123","from":"+15555550100"}"#;
        let (status, found) = call_at(FIND_PATH, &outbox, None, addresses).await;
        assert_eq!((status, &found["channel"]), (StatusCode::OK, &json!("sms")), "{found}");
        let message = r#"{"to":"+1 (555) 555-0123","from":"+15555550100","body":"x"}"#;
        let (_, taken) = call(&outbox, Some(("webhook-id", "k1")), message).await;
        assert_eq!(taken["thread"], found["thread"]);
        for (body, words) in [
            (r#"{"from":"+15555550100"}"#, "there is no `to`"),
            (r#"{"to":"+15555550123","body":"x"}"#, "unknown field `body`"),
            (r#"{"to":"+15555550123","from":"nobody"}"#, "`from` is none"),
        ] {
            let (status, answer) = call_at(FIND_PATH, &outbox, None, body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
            assert!(answer["detail"].as_str().unwrap().contains(words), "{answer}");
        }
    }

    #[derive(Default)]
    struct Recording(Mutex<Vec<Batch>>);

    impl Outbox for Recording {
        fn put(&self, batch: Batch) -> BoxFuture<'_, Result<usize, OutboxError>> {
            self.0.lock().unwrap().push(batch);
            Box::pin(std::future::ready(Ok(1)))
        }

        fn between(&self, ours: Option<&Pii>, theirs: &Pii) -> Result<Thread, String> {
            let ours = ours.filter(|ours| ours.reveal() != "nobody");
            let ours = ours.ok_or("`from` is none of ours")?.clone();
            let pair = Pair { medium: Medium::Sms, ours, theirs: theirs.clone() };
            Ok(pair.into())
        }
    }

    async fn call(
        outbox: &Arc<Recording>,
        header: Option<(&str, &str)>,
        body: &str,
    ) -> (StatusCode, Value) {
        call_at(PATH, outbox, header, body).await
    }

    async fn call_at(
        path: &str,
        outbox: &Arc<Recording>,
        header: Option<(&str, &str)>,
        body: &str,
    ) -> (StatusCode, Value) {
        let mut request = Request::post(path);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let router = trusted_router(Arc::<Recording>::clone(outbox));
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), 1 << 16).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }
}

//! The door for replies that come after the turn: `POST /v1/threads/{id}/replies`, and for conversations
//! `POST /v1/conversations/{CH}/replies` as well.
//!
//! For agents that answered a turn with 202, and for replies nobody asked for. The body is that of an
//! agent's answer and names the thread, `{"thread":"TH…","replies":[…]}` (or `"conversation":"CH…"`), signed by the
//! Standard Webhooks scheme with the agent's secret; `webhook-id` is the idempotency key, so a request
//! sent twice makes its replies once. The scheme signs id, time and body and not the path, so it is the
//! body that keeps replies from being posted to another conversation by whoever has seen them. Nothing
//! is acknowledged before the [`Outbox`] has it on disk. What a request's head alone shows to be wrong is
//! refused before its body is read, and how much is held of all bodies before they are proven is
//! bounded.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, request};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::future::BoxFuture;
use serde_json::json;

use super::answer::{self, Asked};
use super::{Origin, Parting};
use crate::clock::Clock;
use crate::http::body::{self, BodyError, Unproven};
use crate::http::caller;
use crate::http::problem::problem;
use crate::pii::Pii;
use crate::standard_webhooks::{self, Headers, Secret};
use crate::telemetry::chain::Chain;
use crate::telemetry::refusals::Refusals;
use crate::telemetry::trace::TraceId;
use crate::thread::{MessageId, Reply, Thread, ThreadId};

/// Where replies in a conversation are posted to.
pub const PATH: &str = "/v1/conversations/{conversation}/replies";
/// Where replies in any thread are posted to.
pub const THREADS_PATH: &str = "/v1/threads/{thread}/replies";
/// The largest body that is read.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// How long a body may take in all.
const BODY_WITHIN: Duration = Duration::from_secs(5);
/// The longest `webhook-id` that is taken.
pub const ID_BYTES_MAX: usize = 256;

/// Where accepted replies go.
pub trait Outbox: Send + Sync {
    /// Stores replies under their idempotency key; durable when it returns. Says how many were new.
    ///
    /// # Errors
    ///
    /// If they could not be stored; the caller is asked to come again.
    fn put(&self, batch: Batch) -> BoxFuture<'_, Result<usize, OutboxError>>;

    /// Hears that an agent has said something to a turn, if only that there is nothing to say; durable
    /// when it returns, where anybody waits for it.
    ///
    /// # Errors
    ///
    /// If it could not be stored.
    fn heard(&self, turn: MessageId) -> BoxFuture<'_, Result<(), OutboxError>> {
        let _nobody_waits = turn;
        Box::pin(std::future::ready(Ok(())))
    }

    /// Hears that an agent has said something in a thread without a word on which turn it answers; durable when
    /// it returns, where anybody waits for it.
    ///
    /// # Errors
    ///
    /// If it could not be stored.
    fn heard_in(&self, thread: ThreadId) -> BoxFuture<'_, Result<(), OutboxError>> {
        let _nobody_waits = thread;
        Box::pin(std::future::ready(Ok(())))
    }

    /// Says whether a message has a turn in a thread.
    ///
    /// # Errors
    ///
    /// If the store did not say.
    fn has_turn(
        &self,
        turn: MessageId,
        thread: ThreadId,
    ) -> BoxFuture<'_, Result<bool, OutboxError>> {
        let _nobody_knows = (turn, thread);
        Box::pin(std::future::ready(Ok(false)))
    }

    /// The thread that an id names; none if nothing is known of it.
    ///
    /// # Errors
    ///
    /// If the store did not say.
    fn thread(&self, id: ThreadId) -> BoxFuture<'_, Result<Option<Thread>, OutboxError>> {
        Box::pin(std::future::ready(Ok(Thread::named(id))))
    }

    /// The thread of an address of ours, the only one of its kind if none is named, and one of somebody
    /// else.
    ///
    /// # Errors
    ///
    /// A sentence that says what to name instead.
    fn between(&self, _ours: Option<&Pii>, _theirs: &Pii) -> Result<Thread, String> {
        Err("there are no numbers to send from: set TWILIO_PHONE_NUMBER or TWILIO_WHATSAPP_NUMBER"
            .to_owned())
    }
}

/// Replies that came together, after their turn.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Where they go.
    pub thread: Thread,
    /// What makes them count once, however often they come.
    pub key: String,
    /// The replies, in order.
    pub replies: Vec<Reply>,
    /// The turn that they answer, where that is known.
    pub turn: Option<MessageId>,
    /// Whether they are the answer to that turn, of which there is one, whichever way it comes: then their ids
    /// follow from the turn and not from the key.
    pub is_answer: bool,
    /// The trace of that turn, where the agent kept it; without one it is the conversation's.
    pub trace: Option<TraceId>,
    /// Whether an agent gives them after their turn, so that a person who has the conversation by now
    /// silences them. What an operator says, and what answers no turn, is not late.
    pub late: bool,
    /// Whether it is known that a phone reads along, so that long texts are cut to what its channel
    /// takes; if not, whoever stores them finds out.
    pub cut: bool,
    /// What the agent wants back once they are settled.
    pub origin: Option<Origin>,
    /// What becomes of the thread then.
    pub parting: Parting,
    /// How often the agent had taken the thread back by then, if it does such things: once it was more, the
    /// person is not to have it.
    pub taken_back: Option<u64>,
}

impl Batch {
    /// Makes a batch of replies that nobody wants to hear of again.
    #[must_use]
    pub fn new(thread: Thread, key: &str, replies: Vec<Reply>) -> Self {
        let key = key.to_owned();
        Self {
            thread,
            key,
            replies,
            turn: None,
            is_answer: false,
            trace: None,
            late: false,
            cut: false,
            origin: None,
            parting: Parting::Stays,
            taken_back: None,
        }
    }
}

/// Why replies were not stored; none of them was.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The store failed.
    #[error("replies could not be stored")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Whether a phone reads a long reply was not to be found out.
    #[error("twilio did not say whether a phone reads along, where a long reply is cut")]
    Undecided(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// They take more room than there is for one request; they never fit.
    #[error("replies are too large for one request")]
    TooLarge(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What the door needs.
#[derive(Clone)]
pub struct RepliesRoute {
    /// Where accepted replies go.
    pub outbox: Arc<dyn Outbox>,
    /// Checks who calls.
    pub secret: Secret,
    /// Reads the time for the signature's age.
    pub clock: Clock,
}

/// Makes the routes.
pub fn router(door: RepliesRoute) -> Router {
    let refused = Refusals::new(door.clock);
    router_of(vec![door], refused)
}

/// Makes the routes for several agents, each of which is known by its secret.
pub fn router_of(doors: Vec<RepliesRoute>, refused: Refusals) -> Router {
    let room = LateShared { doors: doors.into(), refused };
    Router::new().route(PATH, post(take)).route(THREADS_PATH, post(take)).with_state(room)
}

/// Makes the same route for callers that are trusted already: the operator, on the admin listener.
///
/// It checks no signature, so whoever mounts it checks who calls. `webhook-id` is asked for all the
/// same, because it is what makes a request that is sent twice count once.
pub fn trusted_router(outbox: Arc<dyn Outbox>) -> Router {
    let routes = Router::new().route(PATH, post(take_trusted));
    routes.route(THREADS_PATH, post(take_trusted)).with_state(outbox)
}

async fn take_trusted(
    State(outbox): State<Arc<dyn Outbox>>,
    Path(thread): Path<String>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Some(key) = text(&head.headers, standard_webhooks::ID).filter(|key| !key.is_empty()) else {
        let detail = "the header webhook-id must name this request; repeat it with the same one";
        return problem(StatusCode::BAD_REQUEST, "missing_id", detail);
    };
    match read(&head, body).await {
        Ok(unproven) => {
            let posted = Posted { key, body: &unproven.proven(), late: false };
            store(&*outbox, &thread, posted).await
        }
        Err(error) => not_read(error),
    }
}

/// What all requests share.
#[derive(Clone)]
struct LateShared {
    doors: Arc<[RepliesRoute]>,
    refused: Refusals,
}

impl LateShared {
    /// Turns away who has not signed.
    fn refuse(&self, head: &request::Parts, refusal: standard_webhooks::Error) -> Response {
        if let Some(left_out) = self.refused.admit(caller::peer(&head.extensions)) {
            tracing::warn!(reason = %refusal, left_out, "late replies were refused");
        }
        problem(StatusCode::UNAUTHORIZED, "invalid_signature", &refusal.to_string())
    }
}

async fn take(
    State(room): State<LateShared>,
    Path(thread): Path<String>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let given = Headers {
        id: text(&head.headers, standard_webhooks::ID),
        timestamp: text(&head.headers, standard_webhooks::TIMESTAMP),
        signature: text(&head.headers, standard_webhooks::SIGNATURE),
    };
    let Some(first) = room.doors.first() else {
        return problem(StatusCode::NOT_FOUND, "unknown_thread", "nobody answers later");
    };
    let claim = match standard_webhooks::claim(&given, first.clock.wall()) {
        Ok(claim) => claim,
        Err(refusal) => return room.refuse(&head, refusal),
    };
    let unproven = match read(&head, body).await {
        Ok(unproven) => unproven,
        Err(error) => return not_read(error),
    };
    let mut proven = Err(standard_webhooks::Error::Mismatch);
    // Each is tried, so that timing does not tell whose it is.
    for door in &*room.doors {
        let fits = claim.prove(&door.secret, &unproven.bytes).is_ok();
        if fits && proven.is_err() {
            proven = Ok(door);
        }
    }
    let door = match proven {
        Ok(door) => door,
        Err(refusal) => return room.refuse(&head, refusal),
    };
    let key = given.id.unwrap_or_default();
    let posted = Posted { key, body: &unproven.proven(), late: true };
    store(&*door.outbox, &thread, posted).await
}

pub(super) async fn read(
    head: &request::Parts,
    body: axum::body::Body,
) -> Result<Unproven, BodyError> {
    let limits = body::Limits { bytes_max: BODY_BYTES_MAX, within: BODY_WITHIN };
    body::read(head, body, limits).await
}

/// Says why a body was not read.
pub(super) fn not_read(error: BodyError) -> Response {
    let (status, word, detail) = match error {
        BodyError::TooLarge => {
            let detail = format!("a body may have {BODY_BYTES_MAX} bytes at most; send several");
            (StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
        }
        BodyError::TooSlow => {
            let detail = format!("a body may take {} s in all", BODY_WITHIN.as_secs());
            (StatusCode::REQUEST_TIMEOUT, "too_slow", detail)
        }
        BodyError::NoRoom => {
            let detail = format!("{error}; send it again");
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
        }
        BodyError::Broken => (StatusCode::BAD_REQUEST, "broken_off", error.to_string()),
    };
    problem(status, word, &detail)
}

/// What a caller who was let in has posted.
struct Posted<'a> {
    key: &'a str,
    body: &'a [u8],
    /// Whether an agent has signed it, after its turn.
    late: bool,
}

/// Stores the replies of a caller who was let in.
async fn store(outbox: &dyn Outbox, named: &str, posted: Posted<'_>) -> Response {
    let Posted { key, body, late } = posted;
    let Ok(name) = named.parse::<ThreadId>() else {
        let detail = "the path must name a thread: CH or TH followed by 32 hexadecimal digits";
        return problem(StatusCode::NOT_FOUND, "unknown_conversation", detail);
    };
    if key.len() > ID_BYTES_MAX {
        let detail = format!("webhook-id may have {ID_BYTES_MAX} bytes at most");
        return problem(StatusCode::BAD_REQUEST, "invalid_id", &detail);
    }
    // The operator's own path is not one that others repeat.
    let asked = Asked { id: key, thread: name, must_name: late };
    let (replies, parting) = match answer::parse(body, asked) {
        Ok(answer) => answer.parted().unwrap_or_default(),
        Err(error) => {
            return problem(StatusCode::BAD_REQUEST, "invalid_body", &error.to_string());
        }
    };
    let thread = match outbox.thread(name).await {
        Ok(Some(thread)) => thread,
        Ok(None) => {
            let detail = "nobody has written in this thread yet, or it is of a channel that is off";
            return problem(StatusCode::NOT_FOUND, "unknown_thread", detail);
        }
        Err(error) => {
            tracing::error!(conversation_sid = %name, error = %Chain(&error),
                "a thread could not be looked up");
            return not_stored(&error);
        }
    };
    let batch = Batch { late, parting, ..Batch::new(thread, key, replies) };
    match put(outbox, batch).await {
        Ok(added) => {
            (StatusCode::ACCEPTED, axum::Json(json!({"ok": true, "added": added}))).into_response()
        }
        Err(error) => {
            tracing::error!(conversation_sid = %name, error = %Chain(&error),
                "late replies were not stored");
            not_stored(&error)
        }
    }
}

/// Stores replies, and notes which turn has its answer: the one that their key names, else all of the thread that
/// wait for one.
async fn put(outbox: &dyn Outbox, batch: Batch) -> Result<usize, OutboxError> {
    if !batch.late {
        return outbox.put(batch).await;
    }
    let thread = batch.thread.id();
    let turn = match batch.key.parse::<MessageId>() {
        Ok(turn) if outbox.has_turn(turn, thread).await? => Some(turn),
        Ok(_) | Err(_) => None,
    };
    let added = outbox.put(Batch { turn, is_answer: turn.is_some(), ..batch }).await?;
    match turn {
        Some(turn) => outbox.heard(turn).await?,
        None => outbox.heard_in(thread).await?,
    }
    Ok(added)
}

/// Says whether the same request can do better another time.
pub(super) fn not_stored(error: &OutboxError) -> Response {
    let unavailable = |detail| problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
    match error {
        OutboxError::Store(_) => unavailable("the store failed; send it again"),
        OutboxError::Undecided(_) => {
            unavailable("twilio did not say whether a phone reads along; send it again")
        }
        OutboxError::TooLarge(why) => {
            let detail = format!("{why}; send less, or in several requests");
            problem(StatusCode::PAYLOAD_TOO_LARGE, "replies_too_large", &detail)
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;
    use crate::clock::Timestamp;

    const BODY: &[u8] =
        br#"{"conversation":"CH0123456789abcdef0123456789abcdef","replies":["one"]}"#;
    const TEST_PATH: &str = "/v1/conversations/CH0123456789abcdef0123456789abcdef/replies";

    #[tokio::test]
    async fn signed_replies_are_stored_before_they_are_accepted() {
        let (door, outbox) = door(false);
        let body = br#"{"conversation":"CH0123456789abcdef0123456789abcdef","replies":["one",{"body":"two"}]}"#;
        let answer = call(&door, TEST_PATH, signed(&door, "evt_1", body), body).await;
        assert_eq!(answer, StatusCode::ACCEPTED);
        let stored = outbox.stored.lock().unwrap();
        assert_eq!(stored.len(), 1);
        assert_eq!(stored[0].0, "evt_1");
        assert_eq!(stored[0].1, vec![Reply::text("one"), Reply::text("two")]);
    }

    #[tokio::test]
    async fn what_is_unsigned_stale_or_malformed_stores_nothing() {
        let (door, outbox) = door(false);
        let body = BODY;
        let fresh = || signed(&door, "evt_1", body);
        let stale =
            signed_at(&door, "evt_1", body, door.clock.wall().before(Duration::from_secs(3600)));
        let elsewhere = "/v1/conversations/CH01/replies";
        for (path, headers, body, expected) in [
            (TEST_PATH, HeaderMap::new(), body, StatusCode::UNAUTHORIZED),
            (TEST_PATH, stale, body, StatusCode::UNAUTHORIZED),
            (TEST_PATH, fresh(), br#"{"replies":["two"]}"#, StatusCode::UNAUTHORIZED),
            (elsewhere, fresh(), body, StatusCode::NOT_FOUND),
            (TEST_PATH, signed(&door, "evt_1", b"hello"), b"hello", StatusCode::BAD_REQUEST),
            (TEST_PATH, signed(&door, &"x".repeat(257), body), body, StatusCode::BAD_REQUEST),
        ] {
            assert_eq!(call(&door, path, headers, body).await, expected, "{path}");
        }
        let large = vec![b' '; BODY_BYTES_MAX + 1];
        let answer = ask(&door, TEST_PATH, signed(&door, "evt_1", &large), &large).await;
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert!(outbox.stored.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_the_head_shows_to_be_wrong_is_refused_without_its_body() {
        let (door, _) = door(false);
        let stale =
            signed_at(&door, "evt_1", b"", door.clock.wall().before(Duration::from_secs(3600)));
        let mut no_id = signed(&door, "evt_1", b"");
        no_id.remove(standard_webhooks::ID);
        let mut shapeless = signed(&door, "evt_1", b"");
        shapeless.insert(standard_webhooks::SIGNATURE, "v1,AAAA".parse().unwrap());
        for headers in [HeaderMap::new(), stale, no_id, shapeless] {
            let endless = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
            let mut request = Request::post(TEST_PATH).body(Body::from_stream(endless)).unwrap();
            *request.headers_mut() = headers;
            let answer = router(door.clone()).oneshot(request).await.unwrap();
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        }
    }

    #[tokio::test]
    async fn replies_signed_for_one_conversation_are_not_taken_for_another() {
        let (door, outbox) = door(false);
        let elsewhere = TEST_PATH.replace("CH0123", "CH9999");
        let unnamed = br#"{"replies":["one"]}"#;
        for (path, body, told) in [
            (elsewhere.as_str(), BODY, "is not CH9999"),
            (TEST_PATH, &unnamed[..], "sign and send {\"conversation\":\"CH0123"),
        ] {
            let answer = ask(&door, path, signed(&door, "evt_1", body), body).await;
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
            let answer = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
            let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
            assert!(answer["detail"].as_str().unwrap().contains(told), "{answer}");
        }
        assert!(outbox.stored.lock().unwrap().is_empty());
        let answer = call(&door, TEST_PATH, signed(&door, "evt_1", BODY), BODY).await;
        assert_eq!(answer, StatusCode::ACCEPTED);
    }

    #[tokio::test]
    async fn a_trusted_caller_needs_no_signature_but_an_id() {
        let (door, outbox) = door(false);
        let mut named = HeaderMap::new();
        named.insert(standard_webhooks::ID, "by-hand".parse().unwrap());
        for (headers, expected) in
            [(HeaderMap::new(), StatusCode::BAD_REQUEST), (named, StatusCode::ACCEPTED)]
        {
            let mut request =
                Request::post(TEST_PATH).body(Body::from(r#"{"replies":["one"]}"#)).unwrap();
            *request.headers_mut() = headers;
            let router = trusted_router(Arc::clone(&door.outbox));
            assert_eq!(router.oneshot(request).await.unwrap().status(), expected);
        }
        assert_eq!(
            *outbox.stored.lock().unwrap(),
            [("by-hand".to_owned(), vec![Reply::text("one")])]
        );
    }

    #[tokio::test]
    async fn replies_that_cannot_be_stored_are_not_accepted() {
        let (door, _) = door(true);
        let body = BODY;
        let answer = call(&door, TEST_PATH, signed(&door, "evt_1", body), body).await;
        assert_eq!(answer, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn only_what_never_fits_is_not_asked_for_again() {
        for (error, expected) in [
            (OutboxError::Store("x".into()), StatusCode::SERVICE_UNAVAILABLE),
            (OutboxError::Undecided("x".into()), StatusCode::SERVICE_UNAVAILABLE),
            (OutboxError::TooLarge("x".into()), StatusCode::PAYLOAD_TOO_LARGE),
        ] {
            assert_eq!(not_stored(&error).status(), expected);
        }
    }

    #[tokio::test]
    async fn what_nobody_knows_is_refused_by_name_and_null_is_absent() {
        let (door, outbox) = door(false);
        for (body, expected, told) in [
            (r#"{"replies":[{"text":"x"}]}"#, StatusCode::BAD_REQUEST, "did you mean `body`?"),
            (r#"{"reply":"x"}"#, StatusCode::BAD_REQUEST, "did you mean `replies`?"),
            (r#"{"replies":[{"attributes":{}}]}"#, StatusCode::BAD_REQUEST, "none of `body`"),
            (r#"{"replies":null}"#, StatusCode::ACCEPTED, "\"added\":0"),
            (r#"{"replies":[]}"#, StatusCode::ACCEPTED, "\"added\":0"),
            (r#"{"replies":[{"body":"a\ud83d","media_sids":null}]}"#, StatusCode::ACCEPTED, "1"),
        ] {
            let body =
                body.replacen('{', r#"{"conversation":"CH0123456789abcdef0123456789abcdef","#, 1);
            let headers = signed(&door, "evt_1", body.as_bytes());
            let answer = ask(&door, TEST_PATH, headers, body.as_bytes()).await;
            assert_eq!(answer.status(), expected, "{body}");
            let answer = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
            let answer = String::from_utf8(answer.to_vec()).unwrap();
            assert!(answer.contains(told), "{body}: {answer}");
        }
        let stored = outbox.stored.lock().unwrap();
        assert_eq!(stored.last().unwrap().1, [Reply::text("a\u{fffd}")]);
    }

    struct Recording {
        broken: bool,
        stored: Mutex<Vec<(String, Vec<Reply>)>>,
    }

    impl Outbox for Recording {
        fn put(&self, batch: Batch) -> BoxFuture<'_, Result<usize, OutboxError>> {
            Box::pin(async move {
                if self.broken {
                    return Err(OutboxError::Store("closed".into()));
                }
                let count = batch.replies.len();
                self.stored.lock().unwrap().push((batch.key, batch.replies));
                Ok(count)
            })
        }
    }

    fn door(broken: bool) -> (RepliesRoute, Arc<Recording>) {
        let outbox = Arc::new(Recording { broken, stored: Mutex::default() });
        let secret = Secret::parse(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).unwrap();
        let door = RepliesRoute {
            outbox: Arc::<Recording>::clone(&outbox),
            secret,
            clock: Clock::start(),
        };
        (door, outbox)
    }

    fn signed(door: &RepliesRoute, id: &str, body: &[u8]) -> HeaderMap {
        signed_at(door, id, body, door.clock.wall())
    }

    fn signed_at(door: &RepliesRoute, id: &str, body: &[u8], at: Timestamp) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(standard_webhooks::ID, id.parse().unwrap());
        headers.insert(standard_webhooks::TIMESTAMP, at.as_secs().into());
        let signature = standard_webhooks::sign(&door.secret, id, at, body);
        headers.insert(standard_webhooks::SIGNATURE, signature.parse().unwrap());
        headers
    }

    async fn call(door: &RepliesRoute, path: &str, headers: HeaderMap, body: &[u8]) -> StatusCode {
        ask(door, path, headers, body).await.status()
    }

    async fn ask(door: &RepliesRoute, path: &str, headers: HeaderMap, body: &[u8]) -> Response {
        let mut request = Request::post(path).body(Body::from(body.to_vec())).unwrap();
        *request.headers_mut() = headers;
        router(door.clone()).oneshot(request).await.unwrap()
    }
}

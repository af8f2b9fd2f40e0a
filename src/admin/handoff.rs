//! The operator's routes for handoff: a conversation goes to a person, or back to the bot.
//!
//! Decides how it is asked and answered; the work is [`Handover`]'s, which the composition root
//! brings. It checks nobody: [`super::operate`] mounts it behind its own guard. Errors are JSON and
//! hold nothing that a person wrote.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

use super::notes::Notes;
use super::replies;
use crate::channels::handover::{Handover, NotHandedOver};
use crate::http::problem::problem;
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::OperatorAct;
use crate::thread::ThreadId;

/// The most conversations that are listed.
pub const LISTED_MAX: usize = 1000;

/// Who gives threads, and where that is noted.
#[derive(Clone)]
struct GivingHands {
    handover: Arc<dyn Handover>,
    notes: Notes,
}

/// Makes the routes.
pub fn router(handover: Arc<dyn Handover>, notes: Notes) -> Router {
    Router::new()
        .route("/v1/handoff", get(list))
        .route("/v1/conversations/{conversation}/pause", post(pause))
        .route("/v1/conversations/{conversation}/resume", post(resume))
        .route("/v1/threads/{thread}/pause", post(pause))
        .route("/v1/threads/{thread}/resume", post(resume))
        .with_state(GivingHands { handover, notes })
}

async fn list(State(hands): State<GivingHands>) -> Response {
    let paused = hands.handover.paused(LISTED_MAX).await;
    let sids: Vec<_> = paused.iter().map(|taken| taken.thread.to_string()).collect();
    let threads: Vec<_> = paused
        .iter()
        .map(
            |taken| json!({ "thread": taken.thread.to_string(), "since": taken.since.to_string() }),
        )
        .collect();
    Json(json!({ "paused": sids, "threads": threads })).into_response()
}

async fn pause(state: State<GivingHands>, path: Path<String>) -> Response {
    set(state, path, true).await
}

async fn resume(state: State<GivingHands>, path: Path<String>) -> Response {
    set(state, path, false).await
}

async fn set(
    State(hands): State<GivingHands>,
    Path(thread): Path<String>,
    is_paused: bool,
) -> Response {
    let Ok(thread) = thread.parse::<ThreadId>() else { return replies::malformed() };
    match hands.handover.set(thread, is_paused).await {
        Ok(()) => {
            let act = if is_paused { OperatorAct::Paused } else { OperatorAct::Resumed };
            hands.notes.note(thread, act);
            let thread = thread.to_string();
            let body = json!({ "conversation": thread, "thread": thread, "paused": is_paused });
            Json(body).into_response()
        }
        Err(error @ NotHandedOver::Unknown) => {
            problem(StatusCode::NOT_FOUND, "unknown_conversation", &error.to_string())
        }
        Err(error @ NotHandedOver::Attributes) => {
            problem(StatusCode::CONFLICT, "attributes_not_an_object", &error.to_string())
        }
        Err(error @ NotHandedOver::Failed(_)) => {
            tracing::error!(conversation_sid = %thread, error = %Chain(&error),
                "a conversation could not change hands");
            let detail = "twilio or the store did not do it; see the log, and ask again";
            problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use futures::future::BoxFuture;
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::*;
    use crate::channels::handover::TakenThread;
    use crate::clock::{Clock, Timestamp};
    use crate::telemetry::journal::Journal;

    const SID: &str = "CHcccccccccccccccccccccccccccccccc";

    #[tokio::test]
    async fn a_conversation_changes_hands_and_is_listed() {
        let hands = Arc::new(TestHands::default());
        let (status, body) = call(&hands, "POST", &path("pause")).await;
        assert_eq!((status, &body["paused"]), (200, &true.into()));
        let (_, body) = call(&hands, "GET", "/v1/handoff").await;
        assert_eq!(body["paused"][0], SID);
        let taken = json!({ "thread": SID, "since": "2026-11-18T13:46:40.000Z" });
        assert_eq!(body["threads"], json!([taken]));
        let (status, body) = call(&hands, "POST", &path("resume")).await;
        assert_eq!((status, &body["paused"]), (200, &false.into()));
        assert_eq!(call(&hands, "GET", "/v1/handoff").await.1["paused"], json!([]));
    }

    #[tokio::test]
    async fn what_cannot_be_done_is_told_with_its_reason() {
        for (refusal, status) in [
            (NotHandedOver::Unknown, 404),
            (NotHandedOver::Attributes, 409),
            (NotHandedOver::Failed("planted".into()), 503),
        ] {
            let hands = Arc::new(TestHands(Mutex::default(), Mutex::new(Some(refusal))));
            let (found, body) = call(&hands, "POST", &path("pause")).await;
            assert_eq!(found, status, "{body}");
            assert!(!body.to_string().contains("planted"));
        }
        let hands = Arc::new(TestHands::default());
        assert_eq!(call(&hands, "POST", "/v1/conversations/IM01/pause").await.0, 404);
    }

    #[derive(Default)]
    struct TestHands(Mutex<Vec<ThreadId>>, Mutex<Option<NotHandedOver>>);

    impl Handover for TestHands {
        fn set(
            &self,
            conversation: ThreadId,
            is_paused: bool,
        ) -> BoxFuture<'_, Result<(), NotHandedOver>> {
            let mut paused = self.0.lock().unwrap();
            paused.retain(|known| *known != conversation);
            paused.extend(is_paused.then_some(conversation));
            let refusal = self.1.lock().unwrap().take();
            Box::pin(std::future::ready(refusal.map_or(Ok(()), Err)))
        }

        fn paused(&self, count: usize) -> BoxFuture<'_, Vec<TakenThread>> {
            let since = Timestamp::from_millis(1_795_009_600_000);
            let taken = |&thread: &ThreadId| TakenThread { thread, since };
            let paused = self.0.lock().unwrap().iter().map(taken).take(count).collect();
            Box::pin(std::future::ready(paused))
        }
    }

    fn path(verb: &str) -> String {
        format!("/v1/conversations/{SID}/{verb}")
    }

    async fn call(hands: &Arc<TestHands>, method: &str, path: &str) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let handover: Arc<dyn Handover> = Arc::<TestHands>::clone(hands);
        let notes = Notes { journal: Journal::new(1), clock: Clock::start() };
        let answer = router(handover, notes).oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }
}

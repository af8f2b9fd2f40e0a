//! The operator's routes around a person: which threads are of an address, and to forget them.
//!
//! Decides how it is asked and answered; the work is [`Forget`]'s. Addresses come in bodies, never in paths,
//! which end in logs. It checks nobody: [`super::operate`] mounts it behind its own guard.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::http::problem::problem;
use crate::json;
use crate::pii::Pii;
use crate::pipeline::forget::{Error, Forget, ForgottenThread};
use crate::telemetry::chain::Chain;
use crate::thread::{MessageId, ThreadId};

/// What stays here, and why: said with every answer.
pub const KEPT: [&str; 2] = [
    "ids of what is done, so that nothing is done twice: sids, and of two addresses a digest, until \
     queue.retention is over; no text and no address",
    "that somebody wants to hear nothing more (STOP): a digest and a time, until the person writes START",
];

/// What this service cannot reach, and what helps: said with every answer.
pub const NOT_REACHED: [(&str, &str); 5] = [
    (
        "what Twilio keeps of a conversation",
        "DELETE https://conversations.twilio.com/v1/Services/IS…/Conversations/CH…",
    ),
    (
        "what Twilio keeps of texts to and from a number",
        "GET https://api.twilio.com/2010-04-01/Accounts/AC…/Messages.json?To=…, and with From=…; then \
         DELETE …/Messages/SM….json for each",
    ),
    ("what the agent keeps", "its own matter; it is not told"),
    ("logs, backups, and copies that an upgrade made of the store", "delete them by hand"),
    (
        "with NATS: blocks of the server's store that it has not compacted yet",
        "a new stream; or encrypt the server's store",
    ),
];

/// Makes the routes.
pub fn router(forget: Forget) -> Router {
    Router::new()
        .route("/v1/threads/search", post(search))
        .route("/v1/forget", post(take))
        .with_state(forget)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchBody {
    address: Pii,
}

async fn search(State(forget): State<Forget>, body: Bytes) -> Response {
    let Ok(SearchBody { address }) = json::from_slice(&body) else {
        return problem(StatusCode::BAD_REQUEST, "invalid_body", r#"wanted {"address":"+1555…"}"#);
    };
    match forget.channels.threads_of(&address).await {
        Ok(threads) => {
            let threads: Vec<_> = threads.iter().map(ToString::to_string).collect();
            Json(json!({ "threads": threads })).into_response()
        }
        Err(error) => unavailable(&Error::from(error)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForgetBody {
    who: Pii,
    #[serde(default, deserialize_with = "json::null_as_default")]
    act: bool,
}

/// What was forgotten, or is there to be.
#[derive(Serialize)]
struct ForgetAnswer {
    /// Whether it was done.
    done: bool,
    threads: Vec<ForgottenThread>,
    kept: [&'static str; 2],
    not_reached: Vec<NotReached>,
}

#[derive(Serialize)]
struct NotReached {
    what: &'static str,
    how: &'static str,
}

async fn take(State(forget): State<Forget>, body: Bytes) -> Response {
    let Ok(ForgetBody { who, act }) = json::from_slice(&body) else {
        let detail =
            r#"wanted {"who":"+1555…","act":false}; who is an address, or CH…, TH… or IM…"#;
        return problem(StatusCode::BAD_REQUEST, "invalid_body", detail);
    };
    let threads = match named(&forget, &who).await {
        Ok(Some(threads)) => threads,
        Ok(None) => {
            let detail = "wanted an address such as +15555550123 or whatsapp:+15555550123, a thread \
                          (CH… or TH…), or a message (IM…, SM… or MM…) whose thread the timeline knows";
            return problem(StatusCode::NOT_FOUND, "unknown_person", detail);
        }
        Err(error) => return unavailable(&error),
    };
    let mut found = Vec::new();
    for thread in threads {
        let one = if act { forget.thread(thread).await } else { forget.look(thread).await };
        match one {
            Ok(one) => found.push(one),
            Err(error) => return unavailable(&error),
        }
    }
    let done = act && found.iter().all(|one| one.under_way.is_empty() && one.elsewhere.is_empty());
    let not_reached = NOT_REACHED.map(|(what, how)| NotReached { what, how }).into();
    Json(ForgetAnswer { done, threads: found, kept: KEPT, not_reached }).into_response()
}

/// The threads that are meant; none if nothing is understood.
async fn named(forget: &Forget, who: &Pii) -> Result<Option<Vec<ThreadId>>, Error> {
    let text = who.reveal().trim();
    if let Ok(thread) = text.parse::<ThreadId>() {
        return Ok(Some(vec![thread]));
    }
    if let Ok(message) = text.parse::<MessageId>() {
        let Some(timeline) = &forget.timeline else { return Ok(None) };
        return Ok(timeline.thread_of(message).await?.map(|thread| vec![thread]));
    }
    if !text.starts_with('+') && !text.contains(':') {
        return Ok(None);
    }
    Ok(Some(forget.channels.threads_of(&Pii::from(text)).await?))
}

fn unavailable(error: &Error) -> Response {
    tracing::error!(error = %Chain(error), "what was asked about a person could not be done");
    problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &error.to_string())
}

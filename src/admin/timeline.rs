//! The operator's route for the timeline: what happened to a message, or in a thread.
//!
//! Decides how it is asked and answered; what is kept is the [`Timeline`]'s. It checks nobody:
//! [`super::operate`] mounts it behind its own guard. Answers hold sids and words, no address and no text.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use crate::http::problem::problem;
use crate::telemetry::chain::Chain;
use crate::thread::{MessageId, ThreadId};
use crate::timeline::{Error, PAGE_MAX, Subject, Timeline, TimelineQuery};

/// Records of a page unless asked otherwise.
const LIMIT_DEFAULT: usize = 200;

/// Makes the routes; without a timeline they say so.
pub fn router(timeline: Option<Timeline>) -> Router {
    Router::new().route("/v1/timeline", get(read)).with_state(timeline)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadQuery {
    thread: Option<String>,
    message: Option<String>,
    reply: Option<String>,
    #[serde(default, deserialize_with = "crate::json::null_as_default")]
    all: bool,
    after: Option<String>,
    limit: Option<usize>,
}

async fn read(
    State(timeline): State<Option<Timeline>>,
    query: Result<Query<ReadQuery>, QueryRejection>,
) -> Response {
    let Some(timeline) = timeline else {
        let detail = "no timeline is kept: timeline.enabled is false, or it could not be opened, \
                      which the log says";
        return problem(StatusCode::NOT_FOUND, "no_timeline", detail);
    };
    let Some(ask) = query.ok().and_then(|Query(query)| asked(query)) else {
        let detail = "wanted one of thread (CH… or TH…), message (IM…, SM… or MM…), each with 32 \
                      hexadecimal digits, reply (a reply's id) and all=true; beside it after (an \
                      earlier page's next) and limit (1 to 1000)";
        return problem(StatusCode::BAD_REQUEST, "invalid_query", detail);
    };
    match timeline.read(ask).await {
        Ok(page) => Json(page).into_response(),
        Err(error @ Error::Cursor) => {
            problem(StatusCode::BAD_REQUEST, "invalid_cursor", &error.to_string())
        }
        Err(error) => {
            tracing::error!(error = %Chain(&error), "timeline could not be read");
            let detail = "the timeline could not be read; see the log";
            problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
        }
    }
}

/// What is asked for; nothing if it is malformed.
fn asked(query: ReadQuery) -> Option<TimelineQuery> {
    let ReadQuery { thread, message, reply, all, after, limit } = query;
    let subject = match (thread, message, reply, all) {
        (Some(thread), None, None, false) => Subject::Thread(thread.parse::<ThreadId>().ok()?),
        (None, Some(message), None, false) => Subject::Message(message.parse::<MessageId>().ok()?),
        (None, None, Some(reply), false) => Subject::Reply(reply.parse().ok()?),
        (None, None, None, true) => Subject::Everything,
        (_, _, _, _) => return None,
    };
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    (1..=PAGE_MAX).contains(&limit).then_some(TimelineQuery { subject, after, limit })
}

//! The operator's routes on the admin listener: queues, dead letters, replies by hand.
//!
//! Decides in which form things are asked and answered; the work is the [`DeadLetters`]'s, and who may call is
//! [`access`]'s matter. Errors are JSON, `{"error":…,"detail":…}`, and hold nothing that a person wrote.

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::access::{self, Access};
use super::dead_letters::{
    BulkBounds, DeadLetters, LETTERS_MAX, LetterFate, Selection, SettleError, Target,
};
use crate::http::problem::problem;
use crate::json;
use crate::queue::Error;
use crate::telemetry::chain::Chain;

/// The largest body of a bulk call: a thousand letters by name have some forty bytes each.
const BULK_BYTES_MAX: usize = 64 * 1024;

/// Letters of a page, or of a bulk call, unless asked otherwise.
const LIMIT_DEFAULT: u32 = 100;

/// The paths and their methods, in the order of the manual; `architecture.yaml` lists them.
pub const OPERATE_PATHS: &[(&str, &str)] = &[
    ("GET", "/v1/openapi.json"),
    ("GET", "/v1/queues"),
    ("GET", "/v1/dead-letters"),
    ("GET", "/v1/dead-letters/causes"),
    ("POST", "/v1/dead-letters/redrive"),
    ("POST", "/v1/dead-letters/drop"),
    ("GET", "/v1/dead-letters/{queue}/{id}"),
    ("DELETE", "/v1/dead-letters/{queue}/{id}"),
    ("POST", "/v1/dead-letters/{queue}/{id}/redrive"),
    ("POST", "/v1/messages"),
    ("GET", "/v1/threads"),
    ("POST", "/v1/threads/find"),
    ("POST", "/v1/threads/search"),
    ("GET", "/v1/threads/{thread}"),
    ("POST", "/v1/threads/{thread}/replies"),
    ("GET", "/v1/threads/{thread}/replies/{key}"),
    ("POST", "/v1/threads/{thread}/pause"),
    ("POST", "/v1/threads/{thread}/resume"),
    ("GET", "/v1/handoff"),
    ("GET", "/v1/timeline"),
    ("POST", "/v1/forget"),
    ("GET", "/v1/conversations/{conversation}"),
    ("POST", "/v1/conversations/{conversation}/replies"),
    ("GET", "/v1/conversations/{conversation}/replies/{key}"),
    ("POST", "/v1/conversations/{conversation}/pause"),
    ("POST", "/v1/conversations/{conversation}/resume"),
];

/// Builds the routes; `others` are those for replies and handoff, which check nobody themselves.
///
/// It has no fallback, so it merges with [`super::private`].
pub fn router(dead_letters: DeadLetters, others: Router, allowed: Access) -> Router {
    Router::new()
        .route("/v1/openapi.json", get(openapi))
        .route("/v1/queues", get(queues))
        .route("/v1/dead-letters", get(list))
        .route("/v1/dead-letters/causes", get(causes))
        .route("/v1/dead-letters/redrive", post(redrive_all))
        .route("/v1/dead-letters/drop", post(drop_all))
        .route("/v1/dead-letters/{queue}/{id}", get(show).delete(drop_one))
        .route("/v1/dead-letters/{queue}/{id}/redrive", post(redrive_one))
        .layer(DefaultBodyLimit::max(BULK_BYTES_MAX))
        .with_state(dead_letters)
        .merge(others)
        .method_not_allowed_fallback(|| async {
            problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "see the Allow header")
        })
        .route_layer(middleware::from_fn_with_state(allowed, access::guard))
}

/// The whole of the admin listener's API, as an OpenAPI document.
pub const OPENAPI: &str = include_str!("openapi.json");

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

async fn queues(State(dead_letters): State<DeadLetters>) -> Response {
    answer(dead_letters.queues().await.map(|queues| json!({ "queues": queues })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    queue: Option<String>,
    class: Option<String>,
    code: Option<u32>,
    #[serde(alias = "thread")]
    conversation: Option<String>,
    since: Option<String>,
    before: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

impl ListQuery {
    fn selection(&self) -> Selection {
        let Self { queue, class, code, conversation, since, before, .. } = self;
        Selection {
            queue: queue.clone(),
            class: class.clone(),
            code: *code,
            conversation: conversation.clone(),
            since: since.clone(),
            before: before.clone(),
        }
    }
}

async fn list(
    State(dead_letters): State<DeadLetters>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Response {
    let Ok(Query(query)) = query else {
        let detail = "wanted queue, class, code, thread, since, before, limit or cursor";
        return problem(StatusCode::BAD_REQUEST, "invalid_query", detail);
    };
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    answer(dead_letters.list(&query.selection(), query.cursor.as_deref(), limit).await)
}

async fn causes(
    State(dead_letters): State<DeadLetters>,
    query: Result<Query<Selection>, QueryRejection>,
) -> Response {
    let Ok(Query(selection)) = query else {
        let detail = "wanted queue, class, code, thread, since or before";
        return problem(StatusCode::BAD_REQUEST, "invalid_query", detail);
    };
    answer(dead_letters.causes(&selection).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowQuery {
    #[serde(default, deserialize_with = "json::null_as_default")]
    reveal: bool,
}

async fn show(
    State(dead_letters): State<DeadLetters>,
    Path((queue, id)): Path<(String, String)>,
    query: Result<Query<ShowQuery>, QueryRejection>,
) -> Response {
    let Ok(Query(ShowQuery { reveal })) = query else {
        return problem(StatusCode::BAD_REQUEST, "invalid_query", "reveal is true or false");
    };
    let Some(target) = target(&queue, &id) else { return unknown() };
    answer(dead_letters.show(target, reveal).await)
}

async fn redrive_one(dead_letters: State<DeadLetters>, path: Path<(String, String)>) -> Response {
    settle(dead_letters, path, LetterFate::Redrive).await
}

async fn drop_one(dead_letters: State<DeadLetters>, path: Path<(String, String)>) -> Response {
    settle(dead_letters, path, LetterFate::Drop).await
}

async fn settle(
    State(dead_letters): State<DeadLetters>,
    Path((queue, id)): Path<(String, String)>,
    fate: LetterFate,
) -> Response {
    let Some(target) = target(&queue, &id) else { return unknown() };
    answer(dead_letters.settle(target, fate).await.map(|()| json!({ "ok": true })))
}

async fn redrive_all(dead_letters: State<DeadLetters>, body: Bytes) -> Response {
    settle_all(dead_letters, &body, LetterFate::Redrive).await
}

async fn drop_all(dead_letters: State<DeadLetters>, body: Bytes) -> Response {
    settle_all(dead_letters, &body, LetterFate::Drop).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BulkBody {
    /// All that it fits.
    select: Option<Selection>,
    limit: Option<u32>,
    expected: Option<u64>,
    /// Or these, `queue/id` each.
    letters: Option<Vec<String>>,
}

async fn settle_all(
    State(dead_letters): State<DeadLetters>,
    body: &[u8],
    fate: LetterFate,
) -> Response {
    match json::from_slice(body) {
        Ok(BulkBody { select, limit, expected, letters: None }) => {
            let bounds = BulkBounds { limit: limit.unwrap_or(LETTERS_MAX), expected };
            let select = select.unwrap_or_default();
            settled(dead_letters.settle_all(&select, fate, bounds).await)
        }
        Ok(BulkBody { select: None, limit: None, expected: None, letters: Some(letters) }) => {
            let targets: Result<Vec<Target>, _> = letters.iter().map(|name| name.parse()).collect();
            let Ok(targets) = targets else {
                let detail = "letters are named as the list does: \"outbox/5b9ef340…\"";
                return problem(StatusCode::BAD_REQUEST, "invalid_body", detail);
            };
            settled(dead_letters.settle_chosen(&targets, fate).await)
        }
        Ok(_) | Err(_) => {
            let detail = r#"wanted {"select":{"queue":…,"class":…,"code":…,"thread":…,"since":…,"before":…},"limit":…,"expected":…}, or {"letters":["outbox/…"]}"#;
            problem(StatusCode::BAD_REQUEST, "invalid_body", detail)
        }
    }
}

fn settled<T: serde::Serialize>(result: Result<T, SettleError>) -> Response {
    match result {
        Ok(done) => answer(Ok(done)),
        Err(SettleError::Queue(error)) => answer::<T>(Err(error)),
        Err(error @ SettleError::More { .. }) => {
            problem(StatusCode::CONFLICT, "count_changed", &error.to_string())
        }
        Err(error @ SettleError::TooMany) => {
            problem(StatusCode::BAD_REQUEST, "invalid_argument", &error.to_string())
        }
    }
}

fn target(queue: &str, id: &str) -> Option<Target> {
    format!("{queue}/{id}").parse().ok()
}

fn unknown() -> Response {
    let detail =
        "the path names a queue (joins, inbox, outbox, reports) and an id of 32 hexadecimal digits";
    problem(StatusCode::NOT_FOUND, "unknown_dead_letter", detail)
}

fn answer<T: serde::Serialize>(result: Result<T, Error>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(error @ Error::NoDeadLetter { .. }) => {
            problem(StatusCode::NOT_FOUND, "unknown_dead_letter", &error.to_string())
        }
        Err(error @ Error::Invalid { .. }) => {
            problem(StatusCode::BAD_REQUEST, "invalid_argument", &error.to_string())
        }
        Err(error) => {
            tracing::error!(error = %Chain(&error), "the store failed an operator's call");
            problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the store failed; see the log")
        }
    }
}

#[cfg(test)]
mod tests;

//! The operator's routes on the admin listener: queues, dead letters, replies by hand.
//!
//! Decides who may call and in which form things are asked and answered; the work is the
//! [`Desk`]'s. With a token configured every call carries it as a bearer token. Without one the routes
//! answer on a loopback listener only, and only to callers that no web page can be: a request whose
//! `Host` is not this machine, or whose `Origin` is another, is refused. Errors are JSON,
//! `{"error":…,"detail":…}`, and hold nothing that a person wrote.

use std::net::{IpAddr, SocketAddr};

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use super::debug::carries;
use super::desk::{Desk, Fate, LETTERS_MAX, Selection, Target};
use crate::json;
use crate::queue::Error;
use crate::telemetry::chain::Chain;

/// The largest body of a bulk call.
const BULK_BYTES_MAX: usize = 4 * 1024;

/// Letters of a page, or of a bulk call, unless asked otherwise.
const LIMIT_DEFAULT: u32 = 100;

/// The paths and their methods, in the order of the manual; `architecture.yaml` lists them.
pub const OPERATE_PATHS: &[(&str, &str)] = &[
    ("GET", "/v1/queues"),
    ("GET", "/v1/dead-letters"),
    ("POST", "/v1/dead-letters/redrive"),
    ("POST", "/v1/dead-letters/drop"),
    ("GET", "/v1/dead-letters/{queue}/{id}"),
    ("DELETE", "/v1/dead-letters/{queue}/{id}"),
    ("POST", "/v1/dead-letters/{queue}/{id}/redrive"),
    ("GET", "/v1/conversations/{conversation}"),
    ("POST", "/v1/conversations/{conversation}/replies"),
    ("GET", "/v1/conversations/{conversation}/replies/{key}"),
    ("GET", "/v1/handoff"),
    ("POST", "/v1/conversations/{conversation}/pause"),
    ("POST", "/v1/conversations/{conversation}/resume"),
];

/// Who may call.
#[derive(Clone, Debug)]
pub enum Access {
    /// Whoever has this token.
    Token(SecretString),
    /// Whoever is on this machine.
    Loopback,
    /// Nobody.
    Closed,
}

impl Access {
    /// Decides by where the listener is and whether there is a token.
    #[must_use]
    pub fn new(listen: SocketAddr, token: Option<SecretString>) -> Self {
        match token {
            Some(token) => Self::Token(token),
            None if listen.ip().to_canonical().is_loopback() => Self::Loopback,
            None => Self::Closed,
        }
    }
}

/// Builds the routes; `others` are those for replies and handoff, which check nobody themselves.
///
/// It has no fallback, so it merges with [`super::private`].
pub fn router(desk: Desk, others: Router, access: Access) -> Router {
    Router::new()
        .route("/v1/queues", get(queues))
        .route("/v1/dead-letters", get(list))
        .route("/v1/dead-letters/redrive", post(redrive_all))
        .route("/v1/dead-letters/drop", post(drop_all))
        .route("/v1/dead-letters/{queue}/{id}", get(show).delete(drop_one))
        .route("/v1/dead-letters/{queue}/{id}/redrive", post(redrive_one))
        .layer(DefaultBodyLimit::max(BULK_BYTES_MAX))
        .with_state(desk)
        .merge(others)
        .method_not_allowed_fallback(|| async {
            problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "see the Allow header")
        })
        .route_layer(middleware::from_fn_with_state(access, guard))
}

async fn guard(State(access): State<Access>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    match access {
        Access::Token(token) if carries(headers, &token) => next.run(request).await,
        Access::Token(_) => {
            let detail = "send the token of admin.debug_token as Authorization: Bearer …";
            let mut answer = problem(StatusCode::UNAUTHORIZED, "unauthorized", detail);
            let scheme = header::HeaderValue::from_static("Bearer");
            let _ = answer.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
            answer
        }
        Access::Loopback if is_of_this_machine(headers) => next.run(request).await,
        Access::Loopback => {
            let detail =
                "without a token only programs on this machine may call, by its loopback address";
            problem(StatusCode::FORBIDDEN, "forbidden_origin", detail)
        }
        Access::Closed => {
            let detail =
                "set CHIMEIN_ADMIN_DEBUG_TOKEN, or let CHIMEIN_ADMIN_LISTEN be a loopback address";
            problem(StatusCode::FORBIDDEN, "no_token_configured", detail)
        }
    }
}

/// Whether the caller is no web page that makes a browser on this machine call.
fn is_of_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let is_own_origin =
        origin.is_none_or(|origin| origin.strip_prefix("http://").is_some_and(|own| own == host));
    is_own_origin && is_loopback_host(host)
}

fn is_loopback_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn queues(State(desk): State<Desk>) -> Response {
    answer(desk.queues().await.map(|queues| json!({ "queues": queues })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    queue: Option<String>,
    class: Option<String>,
    conversation: Option<String>,
    before: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

async fn list(
    State(desk): State<Desk>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Response {
    let Ok(Query(query)) = query else {
        let detail = "wanted queue, class, conversation, before, limit or cursor";
        return problem(StatusCode::BAD_REQUEST, "invalid_query", detail);
    };
    let ListQuery { queue, class, conversation, before, limit, cursor } = query;
    let selection = Selection { queue, class, conversation, before };
    answer(desk.list(&selection, cursor.as_deref(), limit.unwrap_or(LIMIT_DEFAULT)).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowQuery {
    #[serde(default, deserialize_with = "json::null_as_default")]
    reveal: bool,
}

async fn show(
    State(desk): State<Desk>,
    Path((queue, id)): Path<(String, String)>,
    query: Result<Query<ShowQuery>, QueryRejection>,
) -> Response {
    let Ok(Query(ShowQuery { reveal })) = query else {
        return problem(StatusCode::BAD_REQUEST, "invalid_query", "reveal is true or false");
    };
    let Some(target) = target(&queue, &id) else { return unknown() };
    if reveal {
        tracing::info!(job_id = %target.id, "operator asked to see a dead letter's text");
    }
    answer(desk.show(target, reveal).await)
}

async fn redrive_one(desk: State<Desk>, path: Path<(String, String)>) -> Response {
    settle(desk, path, Fate::Redrive).await
}

async fn drop_one(desk: State<Desk>, path: Path<(String, String)>) -> Response {
    settle(desk, path, Fate::Drop).await
}

async fn settle(
    State(desk): State<Desk>,
    Path((queue, id)): Path<(String, String)>,
    fate: Fate,
) -> Response {
    let Some(target) = target(&queue, &id) else { return unknown() };
    answer(desk.settle(target, fate).await.map(|()| json!({ "ok": true })))
}

async fn redrive_all(desk: State<Desk>, body: Bytes) -> Response {
    settle_all(desk, &body, Fate::Redrive).await
}

async fn drop_all(desk: State<Desk>, body: Bytes) -> Response {
    settle_all(desk, &body, Fate::Drop).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BulkBody {
    #[serde(default, deserialize_with = "json::null_as_default")]
    select: Selection,
    limit: Option<u32>,
}

async fn settle_all(State(desk): State<Desk>, body: &[u8], fate: Fate) -> Response {
    let Ok(BulkBody { select, limit }) = json::from_slice(body) else {
        let detail =
            r#"wanted {"select":{"queue":…,"class":…,"conversation":…,"before":…},"limit":…}"#;
        return problem(StatusCode::BAD_REQUEST, "invalid_body", detail);
    };
    answer(desk.settle_all(&select, fate, limit.unwrap_or(LETTERS_MAX)).await)
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

pub(super) fn problem(status: StatusCode, error: &str, detail: &str) -> Response {
    (status, Json(json!({ "error": error, "detail": detail }))).into_response()
}

#[cfg(test)]
mod tests;

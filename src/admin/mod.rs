//! Health, readiness, metrics and debug endpoints.
//!
//! Decides what the outside may see of the service and in which shape; the facts come from an
//! [`Insight`] that the composition root implements. Anybody may ask whether the service is healthy; the
//! rest is for those whom [`access`] lets in, on the admin listener. Shapes and paths are BitBrat's, so that its
//! tooling reads them; what we add comes after. Answers hold no phone number and no text of a
//! message. Secrets enter as the debug pages' token only. Time is read for `timestamp` and
//! `uptimeSec`. Source of the shapes: BitBrat 0.33.3, its base server and integration base class.

pub mod access;
pub mod dead_letters;
mod debug;
pub mod forget;
pub mod handoff;
mod health;
mod insight;
mod mask;
pub mod notes;
pub mod operate;
pub mod remedies;
pub mod replies;
pub mod texts;
pub mod threads;
pub mod timeline;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router, middleware};
use serde_json::json;

use self::access::Access;
use self::insight::Shared;
pub use self::insight::{
    AgentState, Cluster, Connector, Counters, Insight, Options, Readiness, STORE_FAILING, Seat,
};
pub use crate::jobs::status::ConnectorState;
use crate::telemetry::metrics::format::Format;

/// The paths of [`public`] in the order of the manual; `architecture.yaml` lists them.
pub const PUBLIC_PATHS: &[&str] = &["/", "/healthz", "/livez", "/readyz"];

/// The debug pages' paths in the order of the manual; `architecture.yaml` lists them.
pub const DEBUG_PATHS: &[&str] =
    &["/_debug/twilio", "/_debug/config", "/_debug/instance", "/_debug/connectors"];

/// Builds the pages of the public listener; an unknown path is answered 404 in JSON.
///
/// Merge it with routers that have no fallback of their own.
pub fn public(options: Arc<Options>) -> Router {
    let mut routes = health_routes();
    if options.is_on_platform {
        routes = routes
            .merge(debug_routes(Access::by_token(options.debug_token.clone())))
            // The webhook's own route goes before it, while Twilio is on.
            .route("/webhooks/{platform}", any(debug::unknown_platform));
    }
    finished(routes, options)
}

/// Builds the pages of the admin listener, which listens there: metrics, debug pages, and health once
/// more.
pub fn private(options: Arc<Options>, listen: SocketAddr) -> Router {
    let allowed = Access::to_metrics(listen, options.debug_token.clone());
    let metrics = Router::new()
        .route("/metrics", get(metrics))
        .route_layer(middleware::from_fn_with_state(allowed, access::guard));
    let debug = debug_routes(Access::new(listen, options.debug_token.clone()));
    finished(health_routes().merge(metrics).merge(debug), options)
}

fn debug_routes(allowed: Access) -> Router<Shared> {
    Router::new()
        .route("/_debug/twilio", get(debug::twilio))
        .route("/_debug/config", get(debug::config))
        .route("/_debug/instance", get(debug::instance))
        .route("/_debug/connectors", get(debug::connectors))
        .route("/_debug/{platform}", get(debug::unknown_platform))
        .route_layer(middleware::from_fn_with_state(allowed, access::guard))
}

fn health_routes() -> Router<Shared> {
    Router::new()
        .route("/", get(health::root))
        .route("/healthz", get(health::health))
        .route("/livez", get(health::health))
        .route("/readyz", get(health::ready))
}

fn finished(router: Router<Shared>, options: Shared) -> Router {
    router
        .method_not_allowed_fallback(|| async {
            refusal(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed")
        })
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "not_found") })
        .with_state(options)
}

/// How long a page of metrics waits for fresh values before it shows the last ones.
const REFRESH_LIMIT: Duration = Duration::from_secs(2);

async fn metrics(State(options): State<Shared>, headers: HeaderMap) -> Response {
    if tokio::time::timeout(REFRESH_LIMIT, options.insight.refresh()).await.is_err() {
        tracing::warn!("metrics are not fresh, the service did not answer in time");
    }
    let accept = headers.get_all(header::ACCEPT).iter();
    let accept: Vec<_> = accept.filter_map(|value| value.to_str().ok()).collect();
    let format = Format::wanted(&accept.join(","));
    let headers = [(header::CONTENT_TYPE, format.content_type()), (header::VARY, "Accept")];
    (headers, options.metrics.page_in(format)).into_response()
}

fn refusal(status: StatusCode, error: &'static str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

#[cfg(test)]
mod tests;

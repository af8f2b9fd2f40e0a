//! `/`, `/healthz`, `/livez` and `/readyz`, in BitBrat's shapes.
//!
//! Alive means that the process answers. Ready means that it can do its work: the socket is up, or
//! it is declared that the service works without; what is lacking is named.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::insight::{AgentState, Options, Readiness, Shared, uptime};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HealthAnswer<'a> {
    status: &'static str,
    service: &'a str,
    timestamp: String,
    uptime_sec: u64,
}

#[derive(Serialize)]
struct Root<'a> {
    message: String,
    #[serde(flatten)]
    health: HealthAnswer<'a>,
    version: &'static str,
}

#[derive(Serialize)]
struct ReadyAnswer<'a> {
    #[serde(flatten)]
    health: HealthAnswer<'a>,
    ready: bool,
    degraded: bool,
    reasons: Vec<&'static str>,
    /// Each of several agents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    agents: Vec<AgentState>,
}

fn body(options: &Options) -> HealthAnswer<'_> {
    HealthAnswer {
        status: "ok",
        service: &options.service,
        timestamp: options.clock.wall().to_string(),
        uptime_sec: uptime(options.clock).as_secs(),
    }
}

pub(super) async fn root(State(options): State<Shared>) -> Response {
    let message = format!("{} up", options.service);
    let version = env!("CARGO_PKG_VERSION");
    Json(Root { message, health: body(&options), version }).into_response()
}

pub(super) async fn health(State(options): State<Shared>) -> Response {
    Json(body(&options)).into_response()
}

pub(super) async fn ready(State(options): State<Shared>) -> Response {
    let (ready, degraded, reasons) = match options.insight.readiness() {
        Readiness::Ready => (true, false, Vec::new()),
        Readiness::Degraded(reasons) => (true, true, reasons),
        Readiness::NotReady(reasons) => (false, false, reasons),
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let agents = options.insight.agents();
    let answer = ReadyAnswer { health: body(&options), ready, degraded, reasons, agents };
    (status, Json(answer)).into_response()
}

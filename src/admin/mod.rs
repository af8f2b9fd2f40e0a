//! Health, readiness, metrics and debug endpoints.
//!
//! Decides what the outside may see of the service and in which shape; the facts come from an
//! [`Insight`] that the composition root implements. Anybody may ask whether the service is healthy; the
//! rest is for those whom [`access`] lets in, on the admin listener. Shapes and paths are BitBrat's, so that its
//! tooling reads them; what we add comes after. Answers hold no phone number and no text of a
//! message. Secrets enter as the debug pages' token only. Time is read for `timestamp` and
//! `uptimeSec`. Source of the shapes: BitBrat 0.33.3, its base server and integration base class.

pub mod access;
mod debug;
pub mod desk;
pub mod handoff;
mod health;
mod mask;
pub mod operate;
pub mod replies;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use futures::future::BoxFuture;
use secrecy::SecretString;
use serde_json::json;

use self::access::Access;
use crate::clock::{Clock, Moment, Timestamp};
use crate::config::Effective;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::format::Format;
use crate::twilio::sid::ConversationSid;

/// What the running service knows about itself.
pub trait Insight: Send + Sync + 'static {
    /// Says whether the service can do its work.
    fn readiness(&self) -> Readiness;

    /// Describes the connection to Twilio; `None` if Twilio is switched off.
    fn twilio(&self) -> Option<Connector>;

    /// Describes the instances that share the work; `None` if there can be no others.
    fn cluster(&self) -> Option<Cluster> {
        None
    }

    /// Brings metrics up to date that are only measured when somebody asks.
    fn refresh(&self) -> BoxFuture<'_, ()>;
}

/// The instances that share the work, as one of them sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cluster {
    /// Its own name among them.
    pub instance: String,
    /// How many live, this one included.
    pub instances: usize,
    /// Whether the connection that they share the work by is up.
    pub is_connected: bool,
    /// What this one holds, by kind.
    pub held: BTreeMap<&'static str, Vec<String>>,
}

/// The word of a service that cannot write its store.
pub const STORE_FAILING: &str = "store_failing";

/// Whether the service can do its work, and what it lacks, in closed words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Readiness {
    /// It works as it should.
    Ready,
    /// It works with less than it should have.
    Degraded(Vec<&'static str>),
    /// It cannot work yet, or no more.
    NotReady(Vec<&'static str>),
}

/// The connection to Twilio as the debug pages show it.
#[derive(Clone, Debug)]
pub struct Connector {
    /// How the socket is.
    pub state: ConnectorState,
    /// The bot's own identity.
    pub identity: String,
    /// When the last message of a person was created.
    pub last_message_at: Option<Timestamp>,
    /// What went wrong last: an error's text, which holds no personal data.
    pub last_error: Option<String>,
    /// What has been done since the start.
    pub counters: Counters,
    /// The conversations that the bot sits in; the page shows a bounded number of them.
    pub conversations: Vec<Seat>,
}

/// The states that BitBrat knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConnectorState {
    /// Not connected.
    Disconnected,
    /// Being connected.
    Connecting,
    /// Connected.
    Connected,
    /// Given up, or refused.
    Error,
}

/// What has been done since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Messages of people that were seen.
    pub received: u64,
    /// Messages that were handed on to the agent.
    pub published: u64,
    /// Messages whose turn or reply failed for good.
    pub failed: u64,
}

/// A conversation that the bot sits in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seat {
    /// The conversation.
    pub sid: ConversationSid,
    /// Twilio's word for the membership, such as joined.
    pub status: &'static str,
}

/// What the pages need to know; fixed for the life of the process.
pub struct Options {
    /// The service's name.
    pub service: String,
    /// This instance's name.
    pub instance_id: String,
    /// The topic that replies are asked on, where they come by a bus.
    pub egress_topic: Option<String>,
    /// The effective settings, secrets masked.
    pub effective: Vec<Effective>,
    /// What debug pages ask for, and metrics beyond this machine.
    pub debug_token: Option<SecretString>,
    /// Whether the public listener has the debug pages too, for a platform's tools that send the token.
    pub is_on_platform: bool,
    /// The metrics that are shown.
    pub metrics: Metrics,
    /// What the running service knows about itself.
    pub insight: Arc<dyn Insight>,
    /// Tells the time and, from its origin on, how long the service has been up.
    pub clock: Clock,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("service", &self.service)
            .field("instance_id", &self.instance_id)
            .finish_non_exhaustive()
    }
}

type Shared = Arc<Options>;

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
        routes = routes.merge(debug_routes(Access::by_token(options.debug_token.clone())));
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

/// How long the service has been up.
fn uptime(clock: Clock) -> Duration {
    clock.now().since(Moment::ORIGIN)
}

#[cfg(test)]
mod tests;

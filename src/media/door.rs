//! The door behind links: `GET|HEAD /media/{token}` on the public listener.
//!
//! A token is proven before anything else is done, and costs nothing where it is none. Then the file comes as
//! Twilio gives it, with headers that keep a browser from doing anything with it but keeping it. How many come
//! at once is bounded, how many wait for that too, and whoever finds no room is told to come again.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::carry;
use super::fetch::{Error, Fetch, Opened};
use super::link::{FileGrant, InvalidLink, Links};
use crate::clock::Clock;
use crate::http::caller;
use crate::http::problem::problem;
use crate::telemetry::chain::Chain;
use crate::telemetry::refusals::Refusals;

/// Where files are served.
pub const ROUTE: &str = "/media/{token}";

/// How many files are under way at once. Each holds a connection and a few pieces of its file: some 40 MiB in
/// all at worst.
pub const CARRIED_MAX: usize = 32;

/// How many requests wait for a place among them.
pub const WAITING_MAX: usize = 256;

/// How long one waits.
const PLACE_WITHIN: Duration = Duration::from_secs(10);

/// How long a file may take from the first request for it to its last byte.
const CARRIED_WITHIN: Duration = Duration::from_secs(120);

/// When whoever found no room may come again.
const COME_AGAIN_SECONDS: &str = "5";

/// What the door needs.
#[derive(Debug)]
pub struct MediaRoute {
    /// Reads links.
    pub links: Links,
    /// Fetches files.
    pub fetch: Fetch,
    /// The largest file that is passed on.
    pub bytes_max: u64,
    /// Where files are carried.
    pub tasks: TaskTracker,
    /// Reads the time.
    pub clock: Clock,
}

/// What all requests share.
struct DoorShared {
    door: MediaRoute,
    carried: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    refused: Refusals,
}

/// Makes the routes.
pub fn router(door: MediaRoute) -> Router {
    let room = DoorShared {
        refused: Refusals::new(door.clock),
        door,
        carried: Arc::new(Semaphore::new(CARRIED_MAX)),
        waiting: Arc::new(Semaphore::new(WAITING_MAX)),
    };
    Router::new().route(ROUTE, get(serve)).with_state(Arc::new(room))
}

async fn serve(
    State(room): State<Arc<DoorShared>>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    let grant = match room.door.links.read(&token, room.door.clock.wall()) {
        Ok(grant) => grant,
        Err(refusal) => return room.refuse(&request, refusal),
    };
    let Some(place) = room.place().await else {
        let detail = "too many files are under way; come again";
        let mut answer = problem(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
        let again = HeaderValue::from_static(COME_AGAIN_SECONDS);
        answer.headers_mut().insert(header::RETRY_AFTER, again);
        return answer;
    };
    let opening = room.door.fetch.open(grant.file, room.door.bytes_max);
    let begun = room.door.clock.now();
    let opened = tokio::time::timeout(CARRIED_WITHIN, opening).await;
    match opened.unwrap_or(Err(Error::Late(CARRIED_WITHIN))) {
        Ok(opened) => {
            let left = CARRIED_WITHIN.saturating_sub(room.door.clock.now().since(begun));
            room.give(request.method(), grant, opened, (place, left))
        }
        Err(error) => failed(grant, &error),
    }
}

impl DoorShared {
    /// Waits for a place among the files under way; none if too many wait, or for too long.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        let carried = Arc::clone(&self.carried);
        if let Ok(place) = Arc::clone(&carried).try_acquire_owned() {
            return Some(place);
        }
        let _waits = Arc::clone(&self.waiting).try_acquire_owned().ok()?;
        tokio::time::timeout(PLACE_WITHIN, carried.acquire_owned()).await.ok()?.ok()
    }

    fn refuse(&self, request: &Request, refusal: InvalidLink) -> Response {
        let (status, word) = match refusal {
            InvalidLink::Forged => (StatusCode::FORBIDDEN, "forged_link"),
            InvalidLink::Expired => (StatusCode::GONE, "expired_link"),
        };
        if let Some(left_out) = self.refused.admit(caller::peer(request.extensions())) {
            tracing::warn!(reason = %refusal, left_out, "links to files were refused");
        }
        problem(status, word, &refusal.to_string())
    }

    fn give(
        &self,
        method: &Method,
        grant: FileGrant,
        opened: Opened,
        (place, within): (OwnedSemaphorePermit, Duration),
    ) -> Response {
        let left = grant.until.since(self.door.clock.wall());
        let cached = format!("private, max-age={}", left.as_secs());
        let mut answer = Response::builder()
            .header(header::CONTENT_TYPE, &opened.content_type)
            .header(header::CONTENT_DISPOSITION, "attachment")
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
            .header(header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'")
            .header(header::REFERRER_POLICY, "no-referrer")
            .header(header::CACHE_CONTROL, cached);
        if let Some(length) = opened.length {
            answer = answer.header(header::CONTENT_LENGTH, length);
        }
        let body = if method == Method::HEAD {
            Body::empty()
        } else {
            carry::carry(opened, place, within, &self.door.tasks)
        };
        answer.body(body).expect("statuses and header values are well formed")
    }
}

/// Says why a file does not come.
fn failed(grant: FileGrant, error: &Error) -> Response {
    tracing::info!(conversation_sid = %grant.thread, error = %Chain(error),
        "a file could not be passed on");
    let (status, word) = match error {
        Error::Gone => (StatusCode::NOT_FOUND, "gone"),
        Error::TooLarge { .. } => (StatusCode::BAD_GATEWAY, "too_large"),
        Error::Late(_) => (StatusCode::GATEWAY_TIMEOUT, "too_slow"),
        Error::Asking(_) | Error::Misled(_) | Error::Status(_) | Error::Http(_) => {
            (StatusCode::BAD_GATEWAY, "unavailable")
        }
    };
    problem(status, word, &error.to_string())
}

//! The server's side of Twilsock: the upgrade, one driver task a connection, and the HTTP requests
//! that clients send through it.
//!
//! What a frame means is pure ([`session`]); the driver moves frames, pings, orders and requests
//! between it, the socket and the hub. Every bound is named: frames waiting, requests under way.

mod call;
mod client_api;
mod driver;
mod session;
mod shapes;
mod subscriptions;
mod sync_api;
pub mod wire;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::faults::{Action, Occasion};
use super::hub::Hub;
use super::rest::ConnectionBroken;
use crate::telemetry::chain::Chain;

/// Answers the upgrade of a WebSocket and starts its driver.
///
/// # Errors
///
/// If a fault wants the connection broken.
pub(super) async fn upgrade(
    hub: Arc<Hub>,
    mut request: Request<Body>,
) -> Result<Response<Body>, ConnectionBroken> {
    match hub.fault(Occasion::SocketOpen) {
        Some(Action::Answer { status, .. }) => return Ok(plain(status)),
        Some(Action::BreakBefore) => return Err(ConnectionBroken),
        Some(Action::Silence) => {
            hub.stop.cancelled().await;
            return Err(ConnectionBroken);
        }
        Some(Action::Delay { ms }) => hub.sleep(std::time::Duration::from_millis(ms)).await,
        Some(_) | None => {}
    }
    let Some(key) = websocket_key(request.headers()) else { return Ok(plain(400)) };
    let upgrade = hyper::upgrade::on(&mut request);
    let tasks = hub.tasks.clone();
    tasks.spawn(async move {
        match upgrade.await {
            Ok(upgraded) => driver::run(hub, upgraded).await,
            Err(error) => tracing::debug!(error = %Chain(&error), "a socket was not opened"),
        }
    });
    Ok(Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::UPGRADE, "websocket")
        .header(header::CONNECTION, "Upgrade")
        .header(header::SEC_WEBSOCKET_ACCEPT, key)
        .body(Body::empty())
        .expect("the header values are well formed"))
}

/// The accept key, if the request is a WebSocket's.
fn websocket_key(headers: &HeaderMap) -> Option<String> {
    let wants = headers.get(header::UPGRADE)?.to_str().ok()?;
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    wants.eq_ignore_ascii_case("websocket").then(|| derive_accept_key(key.as_bytes()))
}

fn plain(status: u16) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

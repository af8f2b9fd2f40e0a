//! Listens, and hands each request to the door that it belongs to.
//!
//! One tracked task a connection; a header that does not come in time ends it, and so does the
//! emulator's stop. A door that answers with an error breaks the connection without an answer, which
//! is what faults ask for.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use super::answer::plain;
use super::hub::Hub;
use super::rest::ConnectionBroken;
use super::{control, media, phone, rest, twilsock};
use crate::clock::Timestamp;
use crate::telemetry::chain::Chain;

/// Where the socket is opened.
const SOCKET: &str = "/v3/wsconnect";

/// Where a container's health is asked.
const HEALTH: &str = "/healthz";

/// How long a client may take to send a request's header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);

/// Accepts connections until the emulator stops.
pub(super) async fn accept(hub: Arc<Hub>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            () = hub.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                hub.tasks.spawn(connection(Arc::clone(&hub), stream));
            }
            Err(error) => {
                // Too many open files, most likely: it passes.
                tracing::warn!(error = %Chain(&error), "a connection was not accepted");
                hub.sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(hub: Arc<Hub>, stream: TcpStream) {
    // Small answers must not wait for more of them.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let stop = hub.stop.clone();
    let service = service_fn(move |request: Request<Incoming>| route(Arc::clone(&hub), request));
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(target: "wire::http", error = %Chain(&error), "a connection ended with an error");
    }
}

/// Lets in who may come, and keeps the page out of other pages' frames.
async fn route(
    hub: Arc<Hub>,
    request: Request<Incoming>,
) -> Result<Response<Body>, ConnectionBroken> {
    let request = request.map(Body::new);
    let path = request.uri().path();
    let writes = path.starts_with(control::BASE) && !request.method().is_safe();
    let mut checked = hub.visitors.check_host(request.headers());
    if writes || path == SOCKET {
        checked = checked.and_then(|()| hub.visitors.check_origin(request.headers()));
    }
    if let Err(unwelcome) = checked {
        return Ok(plain(StatusCode::FORBIDDEN, format!("{unwelcome}\n")));
    }
    let now = hub.wall();
    let mut response = serve(hub, request).await?;
    let headers = response.headers_mut();
    headers.insert(header::DATE, date(now));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// The emulator's own time, which can jump.
fn date(now: Timestamp) -> HeaderValue {
    let since = Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or_default());
    let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + since);
    HeaderValue::from_str(&date).unwrap_or(HeaderValue::from_static(""))
}

async fn serve(hub: Arc<Hub>, request: Request<Body>) -> Result<Response<Body>, ConnectionBroken> {
    let path = request.uri().path().to_owned();
    if path == SOCKET {
        return twilsock::upgrade(hub, request).await;
    }
    if path.starts_with(media::STORE) {
        return media::stored(&hub, &request.method().clone(), &path).await;
    }
    if media::is_media(&path) {
        return media::serve(&hub, request).await;
    }
    if ["/v1/", "/v2/", "/2010-04-01/"].iter().any(|start| path.starts_with(start)) {
        return rest::serve(hub, request).await;
    }
    if path.starts_with(control::BASE) {
        return Ok(control::http::serve(hub, request).await);
    }
    if path == "/" {
        return Ok(phone::page());
    }
    if path == HEALTH {
        return Ok(plain(StatusCode::OK, "ok\n".to_owned()));
    }
    Ok(plain(StatusCode::NOT_FOUND, "not found\n".to_owned()))
}

//! The HTTP server shell that every listener shares.
//!
//! Decides how connections are accepted, bounded and ended; what is served is the router's matter.
//! axum's own `serve` has no limit on the time a client takes for anything, so connections are accepted
//! here, on a thread of their own, and handed to hyper one by one, once something has come from them. Whoever is slow with a head,
//! a body or an answer is ended after a while, and at once where others need the place.
//!
//! I/O enters through the listener. Time enters through tokio's timers: how long each part of a request
//! may take, how long an idle kept-alive connection stays open, and the grace at the end. Nothing of a
//! request is logged.

mod account;
pub mod body;
pub mod caller;
mod connection_slots;
mod crowd;
mod phase;
pub mod problem;
mod unverified;
mod watch;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use self::body::Arriving;
use self::connection_slots::{ConnectionSlot, ConnectionSlots};
use self::crowd::Bounds;
use self::phase::{Event, Limits};
use self::unverified::Unverified;
use self::watch::{Answer, Verdict, WatchedConnection};
use crate::clock::Clock;
use crate::net::network::Network;
use crate::telemetry::chain::Chain;
use crate::telemetry::flood::Flood;

/// Bounds what clients may do to a listener.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many connections may be open at once; for a further one another is ended that waits, and
    /// where none waits it waits itself.
    pub connections_max: usize,
    /// How many connections one address (of IPv6 one /64) may have once half of the places are taken;
    /// for a further one another of its own is ended.
    pub connections_per_address: usize,
    /// Whose addresses stand for many people: their connections are not bounded by address, and leave
    /// after those of others.
    pub trusted_proxies: Arc<[Network]>,
    /// How long a request's headers may take, from the opening of the connection or from their first
    /// byte.
    pub header_read_timeout: Duration,
    /// How long a request's body may take in all, from when its handler asks for it.
    pub body_read_timeout: Duration,
    /// How long a client may take none of its answer.
    pub write_timeout: Duration,
    /// How long a connection is kept that waits between two requests.
    pub idle_timeout: Duration,
    /// How many bytes may be held of all requests whose sender is not known yet, beyond what every
    /// connection may have of one.
    pub unverified_bytes_max: usize,
    /// How long answers in flight may take after the cancellation before they are cut off.
    pub grace: Duration,
    /// Reads the time.
    pub clock: Clock,
}

impl Default for Options {
    /// 4,096 connections, 256 of them from one address, 10 s for headers, 5 s for a body, 10 s for an
    /// answer, 620 s idle, 8 MiB unverified, 5 s of grace.
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            connections_per_address: 256,
            trusted_proxies: Arc::default(),
            header_read_timeout: Duration::from_secs(10),
            body_read_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
            // A balancer that keeps a connection for longer than this service sends a webhook into the
            // closing one, and Twilio hears a 502.
            // Source: Google Cloud, External Application Load Balancer overview, Backend HTTP keepalive
            // timeout, read 2026-11-29: 600 s, not to be changed; the backend's is to be longer.
            // Source: AWS, Edit attributes for your Application Load Balancer, Connection idle timeout,
            // read 2026-11-29: 60 s unless set; the application's is to be larger.
            idle_timeout: Duration::from_secs(620),
            unverified_bytes_max: 8 << 20,
            grace: Duration::from_secs(5),
            clock: Clock::start(),
        }
    }
}

impl Options {
    /// How long each part of a request may take.
    fn limits(&self) -> Limits {
        Limits {
            header_read: self.header_read_timeout,
            // Whoever reads the body ends it first, and says why.
            body_read: self.body_read_timeout + BODY_ANSWER,
            write: self.write_timeout,
            idle: self.idle_timeout,
        }
    }
}

/// How long a handler may take to answer a body that took too long, before the connection is cut off.
const BODY_ANSWER: Duration = Duration::from_secs(1);

/// How long what has not become a request yet, or waits for its client, may take after the
/// cancellation. What is on its way when it comes arrives within that time.
const LAST_LIMITS: Limits = Limits {
    header_read: Duration::from_millis(500),
    body_read: Duration::from_secs(1),
    write: Duration::from_secs(1),
    idle: Duration::ZERO,
};

/// How long accepting pauses after a failure, so that a lack of file descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How large a request's headers may be; larger ones are answered 431.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Serves `router` on `listener` until `cancel` is cancelled, then lets open requests finish.
///
/// Handlers find the peer's address in `axum::extract::ConnectInfo<SocketAddr>`. An upgraded
/// connection leaves this function's care: whoever took it with `hyper::upgrade::on` ends it.
/// When the future completes the listener is closed and no task of it is left.
///
/// # Cancel safety
///
/// Dropping the future cuts off every connection; cancel the token instead.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: Options,
    cancel: CancellationToken,
) {
    let grace = options.grace;
    let unverified = Unverified::new(options.unverified_bytes_max);
    // Of its own, so that accepting ends with this future too.
    let cancel = cancel.child_token();
    let _ends = cancel.clone().drop_guard();
    let server = Arc::new(ListenerShared { router, options, unverified, cancel });
    let runtime = Handle::current();
    // On a thread of its own: who has just come waits behind nobody's requests, and the system drops no
    // connection because too many wait to be accepted; it would come again after a second.
    let accepting =
        spawn_blocking(move || runtime.block_on(accept_until_cancelled(listener, &server)));
    match accepting.await {
        Ok(connections) => drain(connections, grace).await,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "accepting connections ended unexpectedly");
        }
    }
}

/// What all connections of a listener share.
struct ListenerShared {
    router: Router,
    options: Options,
    unverified: Unverified,
    cancel: CancellationToken,
}

async fn accept_until_cancelled(
    listener: TcpListener,
    server: &Arc<ListenerShared>,
) -> JoinSet<()> {
    let Options { connections_max, connections_per_address: per_address, .. } = server.options;
    let trusted = Arc::clone(&server.options.trusted_proxies);
    let clock = server.options.clock;
    let bounds = Bounds { connections_max, per_address };
    let slots = ConnectionSlots::new(bounds, trusted, clock);
    let (mut connections, mut failures) = (JoinSet::new(), Flood::default());
    let mut waiting: Option<(TcpStream, SocketAddr)> = None;
    loop {
        let taking = async {
            match &waiting {
                Some((_, peer)) => slots.take(peer.ip()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = server.cancel.cancelled() => return connections,
            Some(ended) = connections.join_next() => report_panic(ended),
            place = taking => {
                // Who is refused is closed by being dropped.
                if let Some(((stream, peer), place)) = waiting.take().zip(place) {
                    let client = ConnectedClient { stream, peer, place };
                    connections.spawn(converse(client, Arc::clone(server)));
                }
            }
            accepted = listener.accept(), if waiting.is_none() => match accepted {
                Ok(accepted) => waiting = Some(accepted),
                Err(error) if was_the_clients(&error) => {}
                Err(error) => {
                    if let Some(left_out) = failures.admit(None, clock.now()) {
                        tracing::warn!(error = %Chain(&error), left_out,
                            "cannot accept a connection");
                    }
                    tokio::select! {
                        () = server.cancel.cancelled() => return connections,
                        () = clock.sleep(ACCEPT_PAUSE) => {}
                    }
                }
            },
        }
    }
}

/// Who has connected, and the place that the connection takes.
struct ConnectedClient {
    stream: TcpStream,
    peer: SocketAddr,
    place: ConnectionSlot,
}

/// Whether a connection failed by the client's doing, which says nothing about the next one.
fn was_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

/// Answers one connection's requests until either side ends it.
async fn converse(client: ConnectedClient, server: Arc<ListenerShared>) {
    let ConnectedClient { stream, peer, place } = client;
    // A connection that says nothing costs no buffers.
    let begun = attend(pin!(stream.readable()), &place, &server, |_| {}).await;
    let Some(Ok(())) = begun else { return };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %Chain(&error), "a connection ended before it began");
    }
    let service = service_fn(|request| respond(request, peer, &place, &server));
    let watched =
        WatchedConnection::new(stream, Arc::clone(&place.watch), server.unverified.clone());
    // Without a time limit of hyper's, which would be one for heads and idle connections alike.
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(watched), service);
    // Boxed, so that one that says nothing has no room for it.
    let mut connection = Box::pin(connection.with_upgrades());
    let finish = |connection: Pin<&mut _>| UpgradeableConnection::graceful_shutdown(connection);
    let ended = attend(connection.as_mut(), &place, &server, finish).await;
    if let Some(Err(error)) = ended {
        tracing::debug!(error = %Chain(&error), "connection ended early");
    }
}

/// Has the router answer a request that is well formed.
async fn respond(
    request: Request<Incoming>,
    peer: SocketAddr,
    place: &ConnectionSlot,
    server: &ListenerShared,
) -> Result<Response<Answer>, Infallible> {
    let watch = &place.watch;
    watch.turn().await;
    watch.note(Event::HeadRead);
    // Source: RFC 9112, section 3.2, read 2026-11-29: more than one is answered 400.
    let mut answer = if request.headers().get_all(header::HOST).iter().nth(1).is_some() {
        refusal(StatusCode::BAD_REQUEST, "repeated_host")
    } else {
        let within = server.options.body_read_timeout;
        let mut request = request.map(|body| Arriving::new(body, Arc::clone(watch), within));
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(server.unverified.clone());
        server.router.clone().oneshot(request).await?
    };
    if watch.was_slow() {
        answer = refusal(StatusCode::REQUEST_TIMEOUT, "too_slow");
    }
    Ok(answer.map(|body| Answer { body, watch: Arc::clone(watch) }))
}

fn refusal(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

/// Drives a connection to its end; gives `None` once it is to be cut off instead. After the
/// cancellation it is told to `finish`, and has less time.
async fn attend<C: Future>(
    mut connection: Pin<&mut C>,
    place: &ConnectionSlot,
    server: &ListenerShared,
    finish: impl FnOnce(Pin<&mut C>),
) -> Option<C::Output> {
    tokio::select! {
        ended = while_welcome(connection.as_mut(), place, server.options.limits()) => return ended,
        () = server.cancel.cancelled() => {}
    }
    finish(connection.as_mut());
    while_welcome(connection, place, LAST_LIMITS).await
}

/// Drives a connection to its end; gives `None` once it is to be cut off instead.
async fn while_welcome<C: Future + Unpin>(
    mut connection: C,
    place: &ConnectionSlot,
    limits: Limits,
) -> Option<C::Output> {
    let clock = place.watch.clock();
    let (mut alarm, mut set_for) = (pin!(sleep(Duration::ZERO)), None);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(ended) = pin!(&mut connection).poll(cx) {
            return Poll::Ready(Some(ended));
        }
        loop {
            // The connection's own progress, which is all that changes it, wakes this task too.
            match place.verdict(limits, cx.waker()) {
                Verdict::Leave => return Poll::Ready(None),
                Verdict::Stay { until: None } => return Poll::Pending,
                Verdict::Stay { until: Some(until) } => {
                    if set_for != Some(until) {
                        alarm.set(sleep(until.since(clock.now())));
                        set_for = Some(until);
                    }
                    if alarm.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    set_for = None;
                }
            }
        }
    })
    .await
}

/// Waits for the open connections, at most `grace`, then cuts off the rest.
async fn drain(mut connections: JoinSet<()>, grace: Duration) {
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            report_panic(ended);
        }
    };
    if tokio::time::timeout(grace, all_ended).await.is_err() {
        tracing::warn!(connections = connections.len(), "cutting off connections at the end");
        connections.shutdown().await;
    }
}

fn report_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = %Chain(&error), "a request handler panicked");
    }
}

#[cfg(test)]
mod tests;

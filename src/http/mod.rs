//! The HTTP server shell that every listener shares.
//!
//! Decides how connections are accepted, bounded and ended; what is served is the router's matter.
//! axum's own `serve` has no limit on the time a client takes to send its headers, so connections
//! are accepted here and handed to hyper one by one.
//!
//! I/O enters through the listener. Time enters through tokio's timers: how long a head may take, how
//! long an idle kept-alive connection stays open, and the grace at the end. Nothing of a request is
//! logged.

mod phase;
mod places;
mod watch;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use self::phase::{Event, Limits};
use self::places::{Place, Places};
use self::watch::{Answer, Verdict, Watch, Watched};
use crate::telemetry::chain::Chain;

/// Bounds what clients may do to a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Options {
    /// How many connections may be open at once; for a further one the longest idle one is ended,
    /// and where none is idle it waits.
    pub connections_max: usize,
    /// How long a request's headers may take, from the opening of the connection or from their first
    /// byte.
    pub header_read_timeout: Duration,
    /// How long a connection is kept that waits between two requests.
    pub idle_timeout: Duration,
    /// How long answers in flight may take after the cancellation before they are cut off.
    pub grace: Duration,
}

impl Default for Options {
    /// 4,096 connections, 10 s for headers, 620 s idle, 5 s of grace.
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            header_read_timeout: Duration::from_secs(10),
            // A balancer that keeps a connection for longer than this service sends a webhook into the
            // closing one, and Twilio hears a 502.
            // Source: Google Cloud, External Application Load Balancer overview, Backend HTTP keepalive
            // timeout, read 2026-11-29: 600 s, not to be changed; the backend's is to be longer.
            // Source: AWS, Edit attributes for your Application Load Balancer, Connection idle timeout,
            // read 2026-11-29: 60 s unless set; the application's is to be larger.
            idle_timeout: Duration::from_secs(620),
            grace: Duration::from_secs(5),
        }
    }
}

/// How long accepting pauses after a failure, so that a lack of file descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bytes that hyper buffers for one connection's request headers; larger heads are answered 431.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Serves `router` on `listener` until `cancel` is cancelled, then lets open requests finish.
///
/// Handlers find the peer's address in `axum::extract::ConnectInfo<SocketAddr>`. An upgraded
/// connection leaves this function's care: whoever took it with `hyper::upgrade::on` ends it.
/// When the future completes the listener is closed and no task of it is left.
///
/// # Cancel safety
///
/// Dropping the future cuts off every connection at once; cancel the token instead.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: Options,
    cancel: CancellationToken,
) {
    let connections = accept_until_cancelled(listener, &router, options, &cancel).await;
    drain(connections, options.grace).await;
}

async fn accept_until_cancelled(
    listener: TcpListener,
    router: &Router,
    options: Options,
    cancel: &CancellationToken,
) -> JoinSet<()> {
    let places = Places::new(options.connections_max);
    let mut connections = JoinSet::new();
    let mut waiting = None;
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return connections,
            Some(ended) = connections.join_next() => report_panic(ended),
            place = places.take(), if waiting.is_some() => {
                if let Some((stream, peer)) = waiting.take() {
                    let (service, end) = (router.clone(), cancel.clone());
                    let client = Client { stream, peer, place };
                    let _ = connections.spawn(converse(client, service, options, end));
                }
            }
            accepted = listener.accept(), if waiting.is_none() => match accepted {
                Ok(accepted) => waiting = Some(accepted),
                Err(error) if was_the_clients(&error) => {}
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "cannot accept a connection");
                    tokio::select! {
                        () = cancel.cancelled() => return connections,
                        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                    }
                }
            },
        }
    }
}

/// Who has connected, and the place that the connection takes.
struct Client {
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
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
async fn converse(client: Client, router: Router, options: Options, cancel: CancellationToken) {
    let Client { stream, peer, place } = client;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %Chain(&error), "a connection ended before it began");
    }
    let (begun, answered) = (Arc::clone(&place.watch), Arc::clone(&place.watch));
    let service = router
        .map_request(move |mut request: Request<Incoming>| {
            begun.note(Event::HeadRead);
            let _ = request.extensions_mut().insert(ConnectInfo(peer));
            request
        })
        .map_response(move |response: Response| {
            let watch = Arc::clone(&answered);
            response.map(|body| Answer { body, watch })
        });
    let watched = Watched { stream, watch: Arc::clone(&place.watch) };
    // Without a time limit of hyper's, which would be one for heads and idle connections alike.
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(watched), TowerToHyperService::new(service))
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut ended = tokio::select! {
        ended = while_welcome(connection.as_mut(), &place.watch, options) => Some(ended),
        () = cancel.cancelled() => None,
    };
    if ended.is_none() {
        connection.as_mut().graceful_shutdown();
        ended = Some(while_welcome(connection.as_mut(), &place.watch, options).await);
    }
    if let Some(Some(Err(error))) = ended {
        tracing::debug!(error = %Chain(&error), "connection ended early");
    }
}

/// Drives a connection to its end; gives `None` once it is to be cut off instead.
async fn while_welcome<C: Future + Unpin>(
    mut connection: C,
    watch: &Watch,
    options: Options,
) -> Option<C::Output> {
    let limits = Limits { header_read: options.header_read_timeout, idle: options.idle_timeout };
    let clock = watch.clock();
    let (mut alarm, mut set_for) = (pin!(sleep(Duration::ZERO)), None);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(ended) = pin!(&mut connection).poll(cx) {
            return Poll::Ready(Some(ended));
        }
        loop {
            // The connection's own progress, which is all that changes it, wakes this task too.
            match watch.verdict(limits, cx.waker()) {
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

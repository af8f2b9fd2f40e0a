//! The HTTP server shell that every listener shares.
//!
//! Decides how connections are accepted, bounded and ended; what is served is the router's matter.
//! axum's own `serve` has no limit on the time a client takes to send its headers, so connections
//! are accepted here and handed to hyper one by one.
//!
//! I/O enters through the listener. Time enters through tokio's timers: the header read timeout,
//! which is also how long an idle kept-alive connection stays open, and the grace at the end.
//! Nothing of a request is logged.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::telemetry::chain::Chain;

/// Bounds what clients may do to a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Options {
    /// How many connections may be open at once; further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// How long a client may take from the connection, or from the end of the last answer, to the
    /// end of its request's headers.
    pub header_read_timeout: Duration,
    /// How long answers in flight may take after the cancellation before they are cut off.
    pub grace: Duration,
}

impl Default for Options {
    /// 4,096 connections, 30 s for headers, 5 s of grace.
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            header_read_timeout: Duration::from_secs(30),
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
    let permits = Arc::new(Semaphore::new(options.connections_max));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return connections,
            Some(ended) = connections.join_next() => report_panic(ended),
            accepted = accept(&listener, &permits) => match accepted {
                Ok((stream, peer, permit)) => {
                    let end = cancel.clone();
                    let service = router.clone();
                    let _ = connections.spawn(async move {
                        converse(stream, peer, service, options, end).await;
                        drop(permit);
                    });
                }
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

/// Takes the next connection once there is room for one more.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed while its only owner accepts");
    let (stream, peer) = listener.accept().await?;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %Chain(&error), "a connection ended before it began");
    }
    Ok((stream, peer, permit))
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
async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    options: Options,
    cancel: CancellationToken,
) {
    let service = router.map_request(move |mut request: Request<Incoming>| {
        let _ = request.extensions_mut().insert(ConnectInfo(peer));
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_read_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = cancel.cancelled() => None,
    };
    if ended.is_none() {
        connection.as_mut().graceful_shutdown();
        ended = Some(connection.as_mut().await);
    }
    if let Some(Err(error)) = ended {
        tracing::debug!(error = %Chain(&error), "connection ended early");
    }
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

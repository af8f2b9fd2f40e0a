//! Tests of the server shell over real sockets on the loopback address.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;

#[tokio::test]
async fn requests_are_answered_with_the_peer_known() {
    let router = Router::new().route(
        "/",
        get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }),
    );
    let server = Served::start(router, Options::default()).await;
    let answer = server.ask("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("127.0.0.1"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_never_finishes_its_headers_is_cut_off() {
    let options = Options { header_read_timeout: Duration::from_millis(50), ..Options::default() };
    let server = Served::start(Router::new(), options).await;
    let answer = server.ask("GET / HTTP/1.1\r\nhost:").await;
    assert!(!answer.contains("200"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_kept_alive_connection_does_not_outlast_its_idle_time() {
    let options = Options { header_read_timeout: Duration::from_millis(50), ..Options::default() };
    let server = Served::start(Router::new().route("/", get(|| async { "ok" })), options).await;
    let answer = server.ask("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.ends_with("ok"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn an_answer_in_flight_is_finished_after_the_cancellation() {
    let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let server = Served::start(waiting_router(&entered, &go_on), Options::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    entered.notified().await;
    server.cancel.cancel();
    go_on.notify_one();
    assert!(read_all(&mut stream).await.ends_with("late"));
    server.stop().await;
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let options = Options { grace: Duration::from_secs(60), ..Options::default() };
    let server = Served::start(Router::new(), options).await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    let _ = idle.read_exact(&mut first).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn an_answer_slower_than_the_grace_is_cut_off() {
    let (entered, never) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let options = Options { grace: Duration::from_millis(20), ..Options::default() };
    let server = Served::start(waiting_router(&entered, &never), options).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    entered.notified().await;
    server.stop().await;
    assert_eq!(read_all(&mut stream).await, "");
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_their_turn() {
    let options = Options { connections_max: 1, ..Options::default() };
    let server = Served::start(Router::new().route("/", get(|| async { "ok" })), options).await;
    let first = server.connect().await;
    let mut second = server.connect().await;
    second.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut byte = [0; 1];
    let early = tokio::time::timeout(Duration::from_millis(50), second.read(&mut byte)).await;
    assert!(early.is_err(), "answered while the only place was taken");
    drop(first);
    assert!(read_all(&mut second).await.ends_with("ok"));
    server.stop().await;
}

/// How long any single step of a test may take.
const STEP: Duration = Duration::from_secs(10);

struct Served {
    address: SocketAddr,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Served {
    async fn start(router: Router, options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cancel = CancellationToken::new();
        let task = tokio::spawn(serve(listener, router, options, cancel.clone()));
        Self { address, cancel, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        read_all(&mut stream).await
    }

    async fn stop(self) {
        self.cancel.cancel();
        tokio::time::timeout(STEP, self.task).await.expect("ends in time").unwrap();
        assert!(TcpStream::connect(self.address).await.is_err(), "the listener is still open");
    }
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(STEP, stream.read_to_end(&mut answer)).await;
    let _ = read.expect("the server closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

fn waiting_router(entered: &Arc<Notify>, go_on: &Arc<Notify>) -> Router {
    let (entered, go_on) = (Arc::clone(entered), Arc::clone(go_on));
    Router::new().route(
        "/",
        get(move || {
            let (entered, go_on) = (Arc::clone(&entered), Arc::clone(&go_on));
            async move {
                entered.notify_one();
                go_on.notified().await;
                "late"
            }
        }),
    )
}

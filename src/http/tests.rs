//! Tests of the server shell over real sockets on the loopback address.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    let server = Served::start(any_router(), brief_heads()).await;
    assert_eq!(server.ask("GET / HTTP/1.1\r\nhost:").await, "");
    assert_eq!(server.ask("").await, "", "one that sends nothing at all");
    server.stop().await;
}

#[tokio::test]
async fn a_kept_alive_connection_lives_on_past_the_time_for_headers_and_answers_again() {
    let server = Served::start(any_router(), brief_heads()).await;
    let mut stream = server.connect().await;
    for request in [
        "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        "HEAD / HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello",
        "GET /empty HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /streamed HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 20"), "{request}");
        assert!(stays_open(&mut stream, HEADER_TIME * 4).await, "cut off after {request}");
    }
    stream.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    assert_eq!(read_all(&mut stream).await, "", "a later head has its time too");
    server.stop().await;
}

#[tokio::test]
async fn a_kept_alive_connection_does_not_outlast_its_idle_time() {
    let options = Options { idle_timeout: Duration::from_millis(50), ..Options::default() };
    let server = Served::start(any_router(), options).await;
    let answer = server.ask("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.ends_with("ok"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn the_longest_idle_connection_makes_room_for_a_new_one() {
    let options = Options { connections_max: 3, ..Options::default() };
    let server = Served::start(any_router(), options).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        let mut stream = server.connect().await;
        stream.write_all(b"GET /empty HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 204"));
        idle.push(stream);
    }
    let answer = server.ask("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.ends_with("ok"), "{answer}");
    assert_eq!(read_all(&mut idle[0]).await, "", "the longest idle one is still open");
    for stream in &mut idle[1..] {
        stream.write_all(b"GET /empty HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(read_head(stream).await.starts_with("HTTP/1.1 204"));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_comes_to_rest_makes_room_for_one_that_waits() {
    let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let options = Options { connections_max: 1, ..Options::default() };
    let server = Served::start(waiting_router(&entered, &go_on), options).await;
    let mut first = server.connect().await;
    first.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    entered.notified().await;
    let mut second = server.connect().await;
    second.write_all(b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(nothing_comes(&mut second).await, "answered while the only place was taken");
    go_on.notify_one();
    assert!(read_all(&mut first).await.ends_with("late"), "the answer was lost");
    assert!(read_head(&mut second).await.starts_with("HTTP/1.1 404"));
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
async fn one_at_work_keeps_its_place_and_another_waits_for_it() {
    let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let options = Options { connections_max: 1, ..Options::default() };
    let server = Served::start(waiting_router(&entered, &go_on), options).await;
    let mut first = server.connect().await;
    first.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    entered.notified().await;
    let mut second = server.connect().await;
    second.write_all(b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(nothing_comes(&mut second).await, "answered while the only place was taken");
    drop(first);
    assert!(read_head(&mut second).await.starts_with("HTTP/1.1 404"));
    server.stop().await;
}

#[tokio::test]
async fn whoever_hangs_midway_makes_room_for_others() {
    let trusted_proxies = Arc::new(["127.0.0.1".parse().unwrap()]);
    let options = Options { connections_max: 1, trusted_proxies, ..Options::default() };
    let server = Served::start(any_router(), options).await;
    for midway in [
        "",
        "GET / HTTP/1.1\r\nhost:",
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhel",
    ] {
        let mut hanging = server.connect().await;
        hanging.write_all(midway.as_bytes()).await.unwrap();
        let answer = server.ask("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(answer.ends_with("ok"), "{midway}: {answer}");
        assert_eq!(read_all(&mut hanging).await, "", "{midway}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_drips_is_ended_by_its_time_in_all() {
    let options = Options { body_read_timeout: Duration::from_millis(80), ..Options::default() };
    let server = Served::start(any_router(), options).await;
    let mut stream = server.connect().await;
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let dripping = async {
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let mut answer = Vec::new();
    let answered = async {
        while !answer.ends_with(b"}") {
            assert!(reading.read_buf(&mut answer).await.unwrap() > 0, "closed before the answer");
        }
    };
    tokio::select! {
        biased;
        answered = tokio::time::timeout(STEP, answered) => answered.expect("it is ended"),
        () = dripping => panic!("closed before the answer was read"),
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.ends_with(r#"{"error":"too_slow"}"#), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_never_takes_its_answers_is_cut_off() {
    let options = Options { write_timeout: Duration::from_millis(80), ..Options::default() };
    let router = Router::new().route("/", get(|| async { "x".repeat(8 << 20) }));
    let server = Served::start(router, options).await;
    let mut stream = server.connect().await;
    let request = "GET / HTTP/1.1\r\nhost: x\r\n\r\n".repeat(8);
    stream.write_all(request.as_bytes()).await.unwrap();
    // The system keeps some megabytes for it, but not all.
    tokio::time::sleep(Duration::from_millis(400)).await;
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        bytes += count;
    }
    assert!(bytes < 8 * (8 << 20), "all of it was kept: {bytes}");
    server.stop().await;
}

#[tokio::test]
async fn whoever_asks_many_times_at_once_lets_others_have_their_turn() {
    let served = Arc::new(AtomicUsize::new(0));
    let count = move || {
        let before = served.fetch_add(1, Ordering::Relaxed);
        async move { before.to_string() }
    };
    let router = any_router().route("/count", get(count));
    let server = Served::start(router, Options::default()).await;
    let (mut many, mut one) = (server.connect().await, server.connect().await);
    for stream in [&mut many, &mut one] {
        stream.write_all(b"GET /empty HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(read_head(stream).await.starts_with("HTTP/1.1 204"));
    }
    // Neither waits, so that the server finds both.
    let flood = b"GET /count HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
    assert!(many.try_write(&flood).unwrap() > 8 * 1024);
    let request = b"GET /count HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert_eq!(one.try_write(request).unwrap(), request.len());
    let answer = read_all(&mut one).await;
    let before: usize = answer.rsplit("\r\n\r\n").next().unwrap().parse().unwrap();
    assert!(before <= 4, "{before} others came first");
    server.stop().await;
}

#[tokio::test]
async fn heads_may_have_64_kib_to_the_byte() {
    let server = Served::start(any_router(), Options::default()).await;
    let start = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nlong: ";
    for (length, status) in [(HEAD_BYTES_MAX, "200"), (HEAD_BYTES_MAX + 1, "431")] {
        let long = "x".repeat(length - start.len() - 4);
        let answer = server.ask(&format!("{start}{long}\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{length}: {answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_request_with_two_hosts_is_refused() {
    let server = Served::start(any_router(), Options::default()).await;
    let answer =
        server.ask("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.ends_with(r#"{"error":"repeated_host"}"#), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_request_yet_does_not_hold_up_the_end() {
    let options = Options { grace: Duration::from_secs(60), ..Options::default() };
    let server = Served::start(any_router(), options).await;
    let mut held = Vec::new();
    for begun in ["", "GET / HTTP/1.1\r\nhost:", "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\n"] {
        let mut stream = server.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        held.push(stream);
    }
    // The last was accepted after the others.
    let answer = server.ask("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.ends_with("ok"), "{answer}");
    let clock = crate::clock::Clock::start();
    server.stop().await;
    let took = clock.now().since(crate::clock::Moment::ORIGIN);
    assert!(took < Duration::from_secs(10), "it took {took:?}");
}

/// How long headers may take where a test waits for that time to pass.
const HEADER_TIME: Duration = Duration::from_millis(50);

fn brief_heads() -> Options {
    Options { header_read_timeout: HEADER_TIME, ..Options::default() }
}

/// Answers at once: with a body, with none, and with one of unknown length.
fn any_router() -> Router {
    let streamed = || async {
        let parts = ["a", "b"].map(Ok::<_, std::convert::Infallible>);
        axum::body::Body::from_stream(futures::stream::iter(parts))
    };
    Router::new()
        .route("/", get(|| async { "ok" }).post(|body: String| async move { body }))
        .route("/empty", get(|| async { axum::http::StatusCode::NO_CONTENT }))
        .route("/streamed", get(streamed))
}

/// Reads until an answer's headers are complete, and whatever came with their end.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = async {
        while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "closed before an answer");
        }
    };
    tokio::time::timeout(STEP, reading).await.expect("the server answers");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Whether the server keeps the connection open for a while.
async fn stays_open(stream: &mut TcpStream, time: Duration) -> bool {
    // What is left of an answer's body may still come.
    let rest = async {
        let mut bytes = [0; 1_024];
        while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    };
    tokio::time::timeout(time, rest).await.is_err()
}

/// Whether the server answers nothing for a while.
async fn nothing_comes(stream: &mut TcpStream) -> bool {
    tokio::time::timeout(HEADER_TIME, stream.read_u8()).await.is_err()
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

//! A load balancer for a test: one address, every request to the next instance in turn.
//!
//! It passes on what it was asked, takes the next instance where one does not listen, and answers 502
//! where one ends in the middle of a request, as real ones do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The largest body that is passed on.
const BODY_BYTES_MAX: usize = 1 << 20;

/// The balancer; ends when dropped.
pub struct Balancer {
    port: u16,
    task: JoinHandle<()>,
}

struct Backends {
    ports: Vec<u16>,
    next: AtomicUsize,
    http: reqwest::Client,
}

impl Balancer {
    /// Starts a balancer over instances on these ports.
    pub async fn over(ports: Vec<u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let http = chimein::net::http::direct()
            .unwrap()
            .connect_timeout(Duration::from_secs(1))
            .timeout(Duration::from_secs(10))
            .build()
            .unwrap();
        let backends = Arc::new(Backends { ports, next: AtomicUsize::new(0), http });
        let router = Router::new().fallback(pass_on).with_state(backends);
        let task = tokio::spawn(async move { axum_serve(listener, router).await });
        Self { port, task }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn axum_serve(listener: TcpListener, router: Router) {
    let options = chimein::http::Options {
        connections_max: 1000,
        grace: Duration::from_secs(1),
        ..chimein::http::Options::default()
    };
    chimein::http::serve(listener, router, options, tokio_util::sync::CancellationToken::new())
        .await;
}

async fn pass_on(State(backends): State<Arc<Backends>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    for _ in 0..backends.ports.len() {
        let next = backends.next.fetch_add(1, Ordering::Relaxed);
        let port = backends.ports[next % backends.ports.len()];
        let url = format!("http://127.0.0.1:{port}{path}");
        let request = backends.http.request(parts.method.clone(), url);
        let answer = request.headers(parts.headers.clone()).body(body.clone()).send().await;
        match answer {
            Ok(answer) => {
                let status = answer.status();
                let body = answer.bytes().await.unwrap_or_default();
                return (status, Body::from(body)).into_response();
            }
            Err(error) if error.is_connect() => {}
            Err(_) => return StatusCode::BAD_GATEWAY.into_response(),
        }
    }
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

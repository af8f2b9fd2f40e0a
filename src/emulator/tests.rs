//! The emulator as its users see it: over HTTP, over the socket, with a webhook receiver beside it.

mod groups;
mod media;
mod rest;
mod socket;
mod texts;
mod webhooks;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::broadcast;

use super::record::{Happening, Record};
use super::{Control, Emulator, Options};
use crate::twilio::form;
use crate::twilio::signature;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// An emulator with a client for its REST API.
struct Twilio {
    emulator: Emulator,
    client: reqwest::Client,
}

impl Twilio {
    async fn start() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        let options = Options { seed: Some(7), ..options };
        let emulator = Emulator::start(options).await.unwrap();
        let client = crate::net::http::direct().unwrap().build().unwrap();
        Self { emulator, client }
    }

    fn control(&self) -> Control {
        self.emulator.control()
    }

    fn service(&self) -> String {
        self.emulator.credentials().service_sid.to_string()
    }

    async fn call(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        self.send(method, path, fields, &[]).await.unwrap()
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Result<(u16, Value), reqwest::Error> {
        let credentials = self.emulator.credentials();
        let url = match path.starts_with("http") {
            true => path.to_owned(),
            false => self.emulator.urls().conversations.join(path).unwrap().to_string(),
        };
        let basic =
            format!("{}:{}", credentials.account_sid, credentials.auth_token.expose_secret());
        let mut request = self
            .client
            .request(method.parse().unwrap(), url)
            .header("authorization", format!("Basic {}", STANDARD.encode(basic)))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form::encode(fields.iter().copied()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// Makes a conversation with the bot in it; gives its sid.
    async fn conversation_with(&self, identity: &str) -> String {
        let (status, made) = self.call("POST", "/v1/Conversations", &[]).await;
        assert_eq!(status, 201);
        let sid = made["sid"].as_str().unwrap().to_owned();
        let path = format!("/v1/Conversations/{sid}/Participants");
        assert_eq!(self.call("POST", &path, &[("Identity", identity)]).await.0, 201);
        sid
    }
}

/// A webhook as its receiver got it.
#[derive(Clone, Debug)]
struct Received {
    method: String,
    fields: BTreeMap<String, String>,
    delivery_id: String,
    is_signed: bool,
    content_type: String,
}

/// A receiver of webhooks, which answers as told.
struct Receiver {
    url: String,
    got: tokio::sync::mpsc::UnboundedReceiver<Received>,
    _task: tokio::task::JoinHandle<()>,
}

type Answer = Arc<dyn Fn(&Received) -> (u16, String, Duration) + Send + Sync>;

impl Receiver {
    async fn start(twilio: &Twilio) -> Self {
        Self::answering(twilio, Arc::new(|_| (200, String::new(), Duration::ZERO))).await
    }

    async fn answering(twilio: &Twilio, answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let url = format!("{base}/hook?tenant=a%20b");
        let keys = signature::Keys {
            auth_tokens: vec![twilio.emulator.credentials().auth_token.clone()],
            ..signature::Keys::default()
        };
        let (sender, got) = tokio::sync::mpsc::unbounded_channel();
        let handler = move |request: axum::extract::Request| {
            let (keys, sender, base, answer) =
                (keys.clone(), sender.clone(), base.clone(), Arc::clone(&answer));
            async move {
                let received = receive(&keys, &base, request).await;
                let (status, body, delay) = answer(&received);
                sender.send(received).unwrap();
                tokio::time::sleep(delay).await;
                (axum::http::StatusCode::from_u16(status).unwrap(), body)
            }
        };
        let router = axum::Router::new().fallback(handler);
        let service = hyper_util::service::TowerToHyperService::new(router);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let serving = hyper::server::conn::http1::Builder::new()
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service.clone());
                tokio::spawn(serving);
            }
        });
        Self { url, got, _task: task }
    }

    async fn next(&mut self) -> Received {
        tokio::time::timeout(PATIENCE, self.got.recv())
            .await
            .expect("a webhook came in time")
            .expect("the receiver runs")
    }

    async fn events(&mut self, count: usize) -> Vec<String> {
        let mut events = Vec::new();
        for _ in 0..count {
            events.push(self.next().await.fields["EventType"].clone());
        }
        events
    }
}

async fn receive(keys: &signature::Keys, base: &str, request: axum::extract::Request) -> Received {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let header = |name: &str| {
        parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    let url = format!("{base}{}", parts.uri);
    let content_type = header("content-type");
    let signed = header("x-twilio-signature");
    let seen = signature::Request {
        url: &url,
        body: signature::Body::of(parts.method.as_str(), Some(&content_type), &body),
        signatures: &[signed.as_bytes()],
        settings: &[],
    };
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let source = if parts.method == "GET" { query } else { &body };
    Received {
        method: parts.method.to_string(),
        fields: form::Form::parse(source)
            .pairs()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        delivery_id: header("i-twilio-idempotency-token"),
        is_signed: signature::verify(keys, &seen).is_ok(),
        content_type,
    }
}
/// Waits for a record that a test is after.
async fn until<T>(
    records: &mut broadcast::Receiver<Record>,
    mut wanted: impl FnMut(&Happening) -> Option<T>,
) -> T {
    let search = async {
        loop {
            if let Some(found) = wanted(&records.recv().await.unwrap().what) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.expect("the awaited record came in time")
}

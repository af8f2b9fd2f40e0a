//! Sends the stages of messages as spans to an OpenTelemetry collector: OTLP over HTTP, as JSON.
//!
//! A layer of the log ([`Spans`]) turns each ended stage into a [`span::Ended`] and offers it to a
//! bounded channel; one task ([`Exporter`]) posts them in batches. A view of the work, never part of it:
//! what does not fit is dropped and counted, what the collector does not take is dropped, nothing
//! waits. Which traces are sent is decided by their id ([`span::is_sampled`]), so all processes agree.
//! Time enters through the [`Clock`], secrets with [`Options::headers`]; sids and words leave, no
//! address and no text.
//!
//! The protocol is written here rather than taken from OpenTelemetry's crates: their span ids and
//! samplers are their own, where ours follow from the message, and they bring twenty-one crates, four of
//! them in a second version. Source: OTLP specification 1.9, "OTLP/HTTP", "JSON Protobuf Encoding",
//! and `trace.proto`, read 2026-11-21.

mod layer;
pub mod span;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

pub use self::layer::Spans;
use self::span::{Ended, Resource, batch};
use super::chain::Chain;
use crate::clock::Clock;
use crate::net::{self, proxies::Proxies, tls};

/// Spans that wait to be sent; beyond it they are dropped.
const SPANS_WAITING_MAX: usize = 4_096;

/// Spans in one request.
const SPANS_SENT_MAX: usize = 512;

/// How long a span waits for others to be sent with.
const SENT_EVERY: Duration = Duration::from_secs(1);

/// How long the collector may take; the last batch of a stop as well.
const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);

/// Where spans go and which.
#[derive(Clone, Debug)]
pub struct Options {
    /// The collector's base; `v1/traces` is added to it.
    pub endpoint: Url,
    /// Headers of each request, written `name=value` and separated by commas.
    pub headers: Option<SecretString>,
    /// The share of traces that is sent, 0 to 1.
    pub ratio: f64,
    /// The proxies between us and the collector.
    pub proxies: Proxies,
    /// Who sends.
    pub resource: Resource,
}

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The headers are not of the agreed form.
    #[error("telemetry.otlp_headers cannot be used: wanted name=value, separated by commas")]
    Headers,
    /// The TLS configuration could not be made.
    #[error("the TLS configuration could not be made")]
    Tls(#[from] tls::Error),
    /// The HTTP client could not be made.
    #[error("the http client for the collector could not be made")]
    Client(#[source] reqwest::Error),
}

/// Makes the layer that gathers spans and the exporter that sends them.
///
/// # Errors
///
/// If the options cannot be used.
pub fn open(options: Options, clock: Clock) -> Result<(Spans, Exporter), Error> {
    let headers = options.headers.as_ref().map(headers).transpose()?.unwrap_or_default();
    let (tls, _) = tls::client_config()?;
    let client = net::http::builder(tls, &options.proxies)
        .timeout(ANSWER_WITHIN)
        .build()
        .map_err(Error::Client)?;
    let (sender, receiver) = mpsc::channel(SPANS_WAITING_MAX);
    let dropped = Arc::<AtomicU64>::default();
    let spans = Spans::new(sender, Arc::clone(&dropped), options.ratio, clock);
    let url = traces_url(options.endpoint);
    let resource = options.resource;
    Ok((spans, Exporter { url, headers, resource, client, receiver, dropped, is_failing: false }))
}

/// Adds the path of traces to a collector's base.
/// Source: OTLP exporter configuration, "Endpoint URLs for OTLP/HTTP", read 2026-11-21.
fn traces_url(mut base: Url) -> Url {
    let path = format!("{}/v1/traces", base.path().trim_end_matches('/'));
    base.set_path(&path);
    base
}

/// Reads the headers; names and values may be percent-encoded.
fn headers(text: &SecretString) -> Result<HeaderMap, Error> {
    let pairs = text.expose_secret().split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let mut headers = HeaderMap::new();
    for pair in pairs {
        // A plus is a plus here, and an ampersand no end.
        let pair = pair.replace('+', "%2B").replace('&', "%26");
        let (name, value) = form_urlencoded::parse(pair.as_bytes()).next().ok_or(Error::Headers)?;
        let name = name.trim().parse::<HeaderName>().map_err(|_| Error::Headers)?;
        let mut value = HeaderValue::from_str(value.trim()).map_err(|_| Error::Headers)?;
        if value.is_empty() {
            return Err(Error::Headers);
        }
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Whether a text can be used as [`Options::headers`].
#[must_use]
pub fn are_headers(text: &SecretString) -> bool {
    headers(text).is_ok()
}

/// Posts spans until it is told to stop.
#[derive(Debug)]
pub struct Exporter {
    url: Url,
    headers: HeaderMap,
    resource: Resource,
    client: reqwest::Client,
    receiver: mpsc::Receiver<Ended>,
    dropped: Arc<AtomicU64>,
    is_failing: bool,
}

impl Exporter {
    /// Runs until `stop` is cancelled, then sends what is there within one request's time.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut waiting = Vec::new();
        loop {
            let came = tokio::select! {
                biased;
                () = stop.cancelled() => 0,
                came = self.receiver.recv_many(&mut waiting, SPANS_SENT_MAX) => came,
            };
            if came == 0 {
                break;
            }
            self.gather(&mut waiting, &stop).await;
            self.send(std::mem::take(&mut waiting)).await;
        }
        while waiting.len() < SPANS_SENT_MAX
            && let Ok(span) = self.receiver.try_recv()
        {
            waiting.push(span);
        }
        if !waiting.is_empty() {
            self.send(waiting).await;
        }
    }

    /// Waits a while for more spans of the same batch.
    async fn gather(&mut self, waiting: &mut Vec<Ended>, stop: &CancellationToken) {
        let patience = tokio::time::sleep(SENT_EVERY);
        tokio::pin!(patience);
        while waiting.len() < SPANS_SENT_MAX {
            let room = SPANS_SENT_MAX - waiting.len();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = &mut patience => return,
                came = self.receiver.recv_many(waiting, room) => if came == 0 { return },
            }
        }
    }

    async fn send(&mut self, spans: Vec<Ended>) {
        let count = spans.len();
        let body = batch(&self.resource, &spans).to_string();
        let request = self
            .client
            .post(self.url.clone())
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let sent = request.send().await.and_then(reqwest::Response::error_for_status);
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(count = dropped, "spans came faster than they could be sent");
        }
        match sent {
            Ok(_) if self.is_failing => {
                self.is_failing = false;
                tracing::info!("the collector takes spans again");
            }
            Ok(_) => {}
            Err(error) if self.is_failing => {
                tracing::debug!(count, error = %Chain(&error.without_url()), "spans were not taken");
            }
            Err(error) => {
                self.is_failing = true;
                let error = error.without_url();
                tracing::warn!(count, error = %Chain(&error),
                    "the collector does not take spans; they are dropped until it does");
            }
        }
    }
}

#[cfg(test)]
mod tests;

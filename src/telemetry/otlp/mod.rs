//! Sends the stages of messages as spans to an OpenTelemetry collector: OTLP over HTTP.
//!
//! OpenTelemetry's own SDK batches, samples, writes and retries, and heeds the standard variables. Ours
//! is the rest: a layer of the log ([`Spans`]) makes a span of each ended stage, with ids that follow
//! from the message; the HTTP client is made as all are; the log says in our words when the collector
//! does not take what it gets. A view of the work, never part of it: the queue of spans is bounded, what
//! does not fit is dropped and counted, nothing waits. Time enters through the [`Clock`], secrets with
//! [`Options::headers`]; sids and words leave, no address and no text.
//!
//! The SDK sends from a thread of its own, which [`Exporter::stop`] ends.

mod layer;
mod send;

use std::fmt;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, Key, KeyValue};
use opentelemetry_otlp::{Protocol, RetryPolicy, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::resource::{
    EnvResourceDetector, ResourceDetector, SdkProvidedResourceDetector, TelemetryResourceDetector,
};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use url::Url;

pub use self::layer::Spans;
use self::layer::TraceIds;
use self::send::{Batches, Client};
use crate::clock::Clock;
use crate::net::{self, proxies::Proxies, tls};

/// How long a stop waits until the collector has taken what is there.
const FLUSHED_WITHIN: Duration = Duration::from_secs(3);

/// What the SDK calls a service that nobody has named.
const UNNAMED: &str = "unknown_service";

/// Who sends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resource {
    /// The service's name.
    pub service: String,
    /// This instance's name among several, where it has one.
    pub instance: Option<String>,
}

/// Where spans go and which.
#[derive(Clone, Debug)]
pub struct Options {
    /// The collector's base; `v1/traces` is added to it.
    pub endpoint: Url,
    /// Headers of each request, written `name=value` and separated by commas.
    pub headers: Option<SecretString>,
    /// How long one batch may take, with its retries.
    pub timeout: Duration,
    /// The share of traces that is sent, 0 to 1.
    pub ratio: f64,
    /// The proxies between us and the collector.
    pub proxies: Proxies,
    /// Who sends, unless the standard variables name another.
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
    /// A standard variable asks for what there is not.
    #[error("the exporter of traces could not be made")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Makes the layer that makes spans and the exporter that sends them from the runtime.
///
/// # Errors
///
/// If the options cannot be used.
pub fn open(options: Options, clock: Clock, runtime: Handle) -> Result<(Spans, Exporter), Error> {
    let headers = options.headers.as_ref().map(headers).transpose()?.unwrap_or_default();
    let (tls, _) = tls::client_config()?;
    let client = net::http::builder(tls, &options.proxies).default_headers(headers);
    let client = Client::new(client.build().map_err(Error::Client)?);
    let sending = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client.clone())
        .with_endpoint(traces_url(options.endpoint))
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(options.timeout)
        .with_retry_policy(RetryPolicy::recommended())
        .build()?;
    let cut = CancellationToken::new();
    let batches = Batches::new(sending, client, options.timeout, runtime, cut.clone());
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(batches)
        .with_id_generator(TraceIds)
        .with_sampler(Sampler::TraceIdRatioBased(options.ratio))
        .with_resource(resource(options.resource))
        .build();
    let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .build();
    let spans = Spans::new(provider.tracer_with_scope(scope), clock);
    Ok((spans, Exporter { provider, cut }))
}

/// Says who sends: ours, then what `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` say.
fn resource(ours: Resource) -> opentelemetry_sdk::Resource {
    let name = Key::from_static_str("service.name");
    let named = SdkProvidedResourceDetector.detect().get(&name);
    let named = named.filter(|name| !name.as_str().starts_with(UNNAMED));
    let instance = ours.instance.map(|instance| KeyValue::new("service.instance.id", instance));
    opentelemetry_sdk::Resource::builder_empty()
        .with_service_name(ours.service)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(instance)
        .with_detectors(&[
            Box::new(TelemetryResourceDetector),
            Box::new(EnvResourceDetector::new()),
        ])
        .with_attributes(named.map(|named| KeyValue::new(name, named)))
        .build()
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

/// Sends spans from a thread of its own until it is stopped.
pub struct Exporter {
    provider: SdkTracerProvider,
    cut: CancellationToken,
}

impl Exporter {
    /// Sends what is there, within a bound, and ends the thread.
    pub async fn stop(self) {
        self.stop_within(FLUSHED_WITHIN).await;
    }

    /// Says whether the thread has ended.
    async fn stop_within(self, patience: Duration) -> bool {
        let Self { provider, cut } = self;
        // The SDK waits for its thread in the caller's. It gets more time than it needs, for
        // if it gave up first it would leave the thread behind.
        let ending = move || provider.shutdown_with_timeout(patience.saturating_mul(4));
        let mut ending = tokio::task::spawn_blocking(ending);
        let ended = match tokio::time::timeout(patience, &mut ending).await {
            Ok(ended) => ended,
            Err(_) => {
                cut.cancel();
                ending.await
            }
        };
        matches!(ended, Ok(Ok(())))
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

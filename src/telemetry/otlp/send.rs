//! How batches of spans reach the collector: by our HTTP client, with what fails told in our words.
//!
//! [`Batches`] stands around OpenTelemetry's exporter, on the thread that its SDK has for it; the
//! requests themselves run in our runtime. Decides when a batch is given up: after its time, and when a
//! stop has waited long enough.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::telemetry::chain::Chain;

/// As much of a collector's answer is read, which says no more than what it has refused.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The HTTP client as OpenTelemetry wants it, which remembers why the last request had no answer.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Client {
    pub(super) fn new(http: reqwest::Client) -> Self {
        Self { http, trouble: Arc::default() }
    }

    async fn answer(&self, request: Request<Bytes>) -> Result<Response<Bytes>, reqwest::Error> {
        let mut answer = self.http.execute(request.try_into()?).await?;
        let mut body = BytesMut::new();
        while body.len() < ANSWER_BYTES_MAX
            && let Some(chunk) = answer.chunk().await?
        {
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(body.freeze());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }

    fn remember(&self, trouble: Option<String>) -> Option<String> {
        let mut kept = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut kept, trouble)
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.answer(request).await.map_err(reqwest::Error::without_url);
        drop(self.remember(answer.as_ref().err().map(|error| Chain(error).to_string())));
        Ok(answer?)
    }
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
enum BatchRefused {
    #[error("the collector took more than {} ms", .0.as_millis())]
    Late(Duration),
    #[error("the collector could not take it before the end")]
    Cut,
    #[error("{0}")]
    NoAnswer(String),
    #[error(transparent)]
    Sdk(#[from] OTelSdkError),
}

/// Sends batches, and says when the collector stops taking them and when it does again.
pub(super) struct Batches {
    sending: opentelemetry_otlp::SpanExporter,
    client: Client,
    timeout: Duration,
    runtime: Handle,
    cut: CancellationToken,
    is_failing: AtomicBool,
}

impl Batches {
    /// Sends by an exporter that has this client; gives up all batches once `cut` is cancelled.
    pub(super) const fn new(
        sending: opentelemetry_otlp::SpanExporter,
        client: Client,
        timeout: Duration,
        runtime: Handle,
        cut: CancellationToken,
    ) -> Self {
        Self { sending, client, timeout, runtime, cut, is_failing: AtomicBool::new(false) }
    }

    async fn send(&self, batch: Vec<SpanData>) -> Result<(), BatchRefused> {
        let sent = tokio::select! {
            biased;
            () = self.cut.cancelled() => return Err(BatchRefused::Cut),
            sent = tokio::time::timeout(self.timeout, self.sending.export(batch)) => sent,
        };
        let trouble = self.client.remember(None);
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(trouble.map_or(BatchRefused::Sdk(error), BatchRefused::NoAnswer)),
            Err(_) => Err(BatchRefused::Late(self.timeout)),
        }
    }
}

impl SpanExporter for Batches {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        // The SDK's thread is there to wait in.
        match self.runtime.block_on(self.send(batch)) {
            Ok(()) => {
                if self.is_failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the collector takes spans again");
                }
            }
            Err(error) if self.is_failing.swap(true, Ordering::Relaxed) => {
                tracing::debug!(count, error = %Chain(&error), "spans were not taken");
            }
            Err(error) => tracing::warn!(
                count,
                error = %Chain(&error),
                "the collector does not take spans; they are dropped until it does"
            ),
        }
        // It has been told, and the SDK would tell it again for each batch.
        Ok(())
    }

    fn set_resource(&mut self, resource: &opentelemetry_sdk::Resource) {
        self.sending.set_resource(resource);
    }
}

impl fmt::Debug for Batches {
    /// Shows nothing of the exporter, which holds headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches").finish_non_exhaustive()
    }
}

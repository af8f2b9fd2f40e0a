//! Asks a model server once: the request, the bounds on time and size, the answer read to its end.
//!
//! I/O. Decides nothing about what an answer means. Time enters through the clock; the key goes into one
//! header and nowhere else.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret as _, SecretString};
use sse_stream::SseByteStream;

use super::chat::Chat;
use super::problem::{self, Problem};
use super::reading::{Fault, Read};
use super::request::Style;
use super::responses::Responses;
use super::said::ModelSaid;
use super::settings::OpenAiApi;
use crate::clock::{Clock, Moment};
use crate::net::body::{Broken, whole};
use crate::net::http::is_too_slow;

/// The most of one event that is held. The last event of a Responses stream has the whole answer, each
/// letter in up to six bytes, and the system prompt.
const EVENT_BYTES_MAX: usize = 4 << 20;
/// The most of one answer that is read: some hundred bytes come with each syllable.
const STREAM_BYTES_MAX: usize = 64 << 20;
/// The most of an error that is read.
const ERROR_BYTES_MAX: usize = 64 << 10;
/// The header that is finer than `Retry-After`.
const RETRY_AFTER_MS: &str = "retry-after-ms";

/// The server, and for how long it is waited.
pub(super) struct Server {
    /// What speaks HTTP: follows no redirects, repeats nothing.
    pub(super) client: reqwest::Client,
    /// Where requests go, without a slash at its end.
    pub(super) base_url: String,
    /// Who asks; local servers want no key.
    pub(super) key: Option<SecretString>,
    /// How long the first word may take.
    pub(super) first_token_timeout: Duration,
    /// How long an answer may take in all.
    pub(super) timeout: Duration,
    /// How long the answer's text may be.
    pub(super) text_bytes_max: usize,
    /// Reads the time.
    pub(super) clock: Clock,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing came in this time.
    TooSlow(Duration),
    /// The server could not be reached, or the connection broke.
    Unreachable(reqwest::Error),
    /// What was read of the answer is none.
    Fault(Fault),
    /// The server refused.
    Refused {
        /// Its status.
        status: u16,
        /// What that means.
        problem: Problem,
        /// For how long it wants to be left alone.
        retry_after: Option<Duration>,
    },
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            // The stream had begun well.
            Fault::Problem(problem) => Self::Refused { status: 200, problem, retry_after: None },
            fault => Self::Fault(fault),
        }
    }
}

impl Server {
    /// Asks once and reads the answer to its end.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the connection, and with it the model's work.
    pub(super) async fn ask(&self, style: &Style, body: Vec<u8>) -> Result<ModelSaid, Failure> {
        let first_by = self.clock.now() + self.first_token_timeout;
        let url = format!("{}/{}", self.base_url, style.path());
        let request = self.client.post(url).timeout(self.timeout).headers(self.headers());
        let sent = self.by(Some(first_by), request.body(body).send()).await?;
        let response = sent.map_err(|error| self.broken(error))?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        match style.api {
            OpenAiApi::Chat => self.read(response, Chat::new(self.text_bytes_max), first_by).await,
            OpenAiApi::Responses => {
                self.read(response, Responses::new(self.text_bytes_max), first_by).await
            }
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream, application/json"));
        headers.extend(authorization(self.key.as_ref()).map(|value| (AUTHORIZATION, value)));
        headers
    }

    /// Waits for something, not beyond the time if there is one.
    async fn by<T>(
        &self,
        by: Option<Moment>,
        waited_for: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            got = waited_for => Ok(got),
            () = self.clock.sleep_until_or_never(by) => {
                Err(Failure::TooSlow(self.first_token_timeout))
            }
        }
    }

    async fn read(
        &self,
        response: reqwest::Response,
        mut reader: impl Read,
        first_by: Moment,
    ) -> Result<ModelSaid, Failure> {
        if is_json(response.headers()) {
            let body = whole(response, EVENT_BYTES_MAX).await;
            let body = body.map_err(|broken| self.stopped(broken))?;
            reader.event(&String::from_utf8_lossy(&body))?;
            reader.event("[DONE]")?;
            return Ok(reader.finish()?);
        }
        let held = AtomicUsize::new(0);
        let mut events = pin!(SseByteStream::new(pieces(response, &held)));
        loop {
            let by = (!reader.has_begun()).then_some(first_by);
            let Some(event) = self.by(by, events.next()).await? else { break };
            held.store(0, Ordering::Relaxed);
            let event = event.map_err(|error| match error {
                sse_stream::Error::Body(broken) => match broken.downcast::<Broken>() {
                    Ok(broken) => self.stopped(*broken),
                    Err(_) => Failure::Fault(Fault::Incomplete),
                },
                _ => Failure::Fault(Fault::Garbled),
            });
            match event {
                Ok(event) => {
                    if let Some(data) = event.data {
                        reader.event(&data)?;
                    }
                }
                // What was said before the connection broke may be all that was to be said.
                Err(failure) => return reader.finish().map_err(|_| failure),
            }
        }
        Ok(reader.finish()?)
    }

    async fn refused(&self, response: reqwest::Response) -> Failure {
        let status = response.status().as_u16();
        let headers = response.headers();
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let (millis, plain) = (text(RETRY_AFTER_MS), text(RETRY_AFTER.as_str()));
        let retry_after = problem::asked_pause(millis, plain, self.clock.wall());
        // A status is an answer, whatever becomes of the words behind it.
        let body = whole(response, ERROR_BYTES_MAX).await.unwrap_or_default();
        Failure::Refused { status, problem: problem::of_answer(status, &body), retry_after }
    }

    fn stopped(&self, broken: Broken) -> Failure {
        match broken {
            Broken::TooLarge => Failure::Fault(Fault::TooLarge),
            Broken::Connection(error) => self.broken(error),
        }
    }

    fn broken(&self, error: reqwest::Error) -> Failure {
        if is_too_slow(&error) {
            Failure::TooSlow(self.timeout)
        } else {
            Failure::Unreachable(error.without_url())
        }
    }
}

/// The header that says who asks; none if the key cannot stand in one.
pub(super) fn authorization(key: Option<&SecretString>) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", key?.expose_secret())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The pieces of a body; fails where one event, or all of them, become too large.
fn pieces<'a>(
    response: reqwest::Response,
    held: &'a AtomicUsize,
) -> impl Stream<Item = Result<Bytes, Broken>> + Send + 'a {
    stream::try_unfold((response, 0_usize), move |(mut response, read)| async move {
        let Some(piece) = response.chunk().await.map_err(Broken::Connection)? else {
            return Ok(None);
        };
        let read = read.saturating_add(piece.len());
        let of_event = held.fetch_add(piece.len(), Ordering::Relaxed).saturating_add(piece.len());
        if read > STREAM_BYTES_MAX || of_event > EVENT_BYTES_MAX {
            return Err(Broken::TooLarge);
        }
        Ok(Some((piece, (response, read))))
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("application/json")
}

//! One request and its answer: bounds, headers, and telling apart what happened.

use std::future::Future;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use url::Url;

use super::{Client, Error, FailureCause, Op, Outcome, RequestSubject};
use crate::bytes16;
use crate::clock::Timestamp;
use crate::concurrency::Slot;
use crate::json;
use crate::net::body::{self, Broken};
use crate::net::http::retry_after;
use crate::twilio::form::Form;
use crate::twilio::sid::ConversationSid;

/// How much of an error answer is read: Twilio's are some hundred bytes, a gateway's page may be long.
const ERROR_BYTES_MAX: usize = 16 * 1024;

/// The status of what Twilio has no room for; it was never processed. Source: Error 20429, read 2026-11-21.
const TOO_MANY_REQUESTS: u16 = 429;

/// How long a request's id may be; Twilio's have 34 letters.
const REQUEST_ID_MAX: usize = 64;

/// How long to wait before a read is asked for again. Whoever asks has a slower schedule of his own,
/// made for outages; a single 503 is none.
const READ_PAUSES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400)];

impl Client {
    /// Reads: sends a request that changes nothing, and again after a hiccup.
    pub(super) async fn get<T: DeserializeOwned>(&self, op: Op, url: Url) -> Result<T, Error> {
        self.read_patiently(|| self.call(op, Method::GET, url.clone(), None)).await
    }

    /// Asks for what changes nothing, and again after a hiccup.
    pub(super) async fn read_patiently<T, F>(&self, ask: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        for pause in READ_PAUSES {
            match ask().await {
                Err(error) if error.is_hiccup() => self.inner.clock.sleep(pause).await,
                answer => return answer,
            }
        }
        ask().await
    }

    /// Sends a request once and reads its answer as JSON.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        op: Op,
        method: Method,
        url: Url,
        form: Option<String>,
    ) -> Result<T, Error> {
        let subject = subject(&url, form.as_deref());
        self.called(op, subject, self.request(method, url, form)).await
    }

    /// Sends a request once, whatever is in it, and reads its answer as JSON.
    pub(super) async fn called<T: DeserializeOwned>(
        &self,
        op: Op,
        subject: Option<RequestSubject>,
        request: RequestBuilder,
    ) -> Result<T, Error> {
        let started = self.inner.clock.now();
        let result = match self.answered(op, request).await {
            Ok((status, bytes)) => json::from_slice(&bytes).map_err(|error| {
                if is_page(&bytes) {
                    return Error::Foreign { op, status };
                }
                // The error's own text can quote the answer.
                let source =
                    FailureCause::Unreadable { line: error.line(), column: error.column() };
                Error::Unknown { op, source }
            }),
            Err(error) => Err(error),
        };
        self.observed(op, subject, &result, self.inner.clock.now().since(started));
        result
    }

    /// Sends a request once whose answer has no body, or none that says more than its status.
    pub(super) async fn call_empty(
        &self,
        op: Op,
        method: Method,
        url: Url,
        form: Option<String>,
    ) -> Result<(), Error> {
        let (started, subject) = (self.inner.clock.now(), subject(&url, form.as_deref()));
        let request = self.request(method, url, form);
        let result = self.answered(op, request).await.map(|_| ());
        self.observed(op, subject, &result, self.inner.clock.now().since(started));
        result
    }

    pub(super) fn observed<T>(
        &self,
        op: Op,
        subject: Option<RequestSubject>,
        result: &Result<T, Error>,
        took: Duration,
    ) {
        let outcome = result.as_ref().map_or_else(Error::outcome, |_| Outcome::Done);
        tracing::debug!(
            rest_op = op.as_str(),
            status = result.as_ref().err().and_then(Error::status),
            elapsed_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            outcome = ?outcome,
            "a rest request ended"
        );
        if let Some(observer) = &self.inner.observer {
            observer.finished(op, subject, outcome, took);
        }
    }

    fn request(&self, method: Method, url: Url, form: Option<String>) -> RequestBuilder {
        let request = self.inner.http.request(method, url);
        match form {
            Some(form) => {
                request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
            }
            None => request,
        }
    }

    /// Sends a request once and gives the status and body of an answer of the 2xx kind.
    pub(super) async fn answered(
        &self,
        op: Op,
        request: RequestBuilder,
    ) -> Result<(u16, Vec<u8>), Error> {
        let (_place, response) = self.send(op, request).await?;
        if response.status().is_success() {
            self.inner.limiter.succeeded();
            let status = response.status().as_u16();
            return read(response, self.inner.response_bytes_max)
                .await
                .map(|bytes| (status, bytes))
                .map_err(|source| Error::Unknown { op, source });
        }
        Err(self.refusal(op, response).await)
    }

    /// Reads an answer that is no success, of a request that has its place still.
    pub(super) async fn refusal(&self, op: Op, response: Response) -> Error {
        if response.status().as_u16() == TOO_MANY_REQUESTS {
            self.inner.limiter.refused(self.inner.clock.now());
        }
        refused(op, response, self.inner.clock.wall()).await
    }

    /// Sends a request once there is a place for it, which is held until the answer is read.
    pub(super) async fn send(
        &self,
        op: Op,
        request: RequestBuilder,
    ) -> Result<(Slot, Response), Error> {
        let patience = self.inner.request_timeout;
        let place = tokio::time::timeout(patience, self.inner.limiter.acquire())
            .await
            .map_err(|_| Error::NotSent { op, source: FailureCause::Busy(patience) })?;
        if let Some(observer) = &self.inner.observer {
            let held_back = |pause| Error::NotSent { op, source: FailureCause::Away(pause) };
            observer.pass(op).map_err(held_back)?;
        }
        let response = request.send().await.map_err(|error| {
            // Before the connection stands, timeouts included, nothing was sent.
            let nothing_sent = error.is_connect() || error.is_builder();
            let source = FailureCause::Http(error.without_url());
            if nothing_sent { Error::NotSent { op, source } } else { Error::Unknown { op, source } }
        })?;
        Ok((place, response))
    }
}

/// What a request is about, if it is about one thing.
fn subject(url: &Url, form: Option<&str>) -> Option<RequestSubject> {
    let conversation: Option<ConversationSid> =
        url.path_segments()?.find_map(|part| part.parse().ok());
    match conversation {
        Some(sid) => Some(*sid.as_bytes()),
        None => addressee(form.or(url.query())?),
    }
}

/// Whom a text goes to. Requests about conversations have no such field.
fn addressee(fields: &str) -> Option<RequestSubject> {
    let fields = Form::parse(fields.as_bytes());
    fields.first("To").map(|to| bytes16::digest([to.as_bytes()]))
}

/// Whether an answer is text for people, such as a captive portal's page, and no JSON that is broken.
fn is_page(bytes: &[u8]) -> bool {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    first.is_some_and(|byte| !matches!(byte, b'{' | b'['))
}

/// Reads an answer that is no success; its body may be HTML, empty or broken off.
async fn refused(op: Op, response: Response, now: Timestamp) -> Error {
    #[derive(Deserialize)]
    struct RefusalBody {
        #[serde(default, deserialize_with = "number")]
        code: GivenCode,
        status: Option<IgnoredAny>,
        message: Option<IgnoredAny>,
    }
    let status = response.status().as_u16();
    let retry_after =
        header(response.headers(), RETRY_AFTER.as_str()).and_then(|text| retry_after(text, now));
    let request_id = header(response.headers(), "twilio-request-id")
        .filter(|id| id.len() <= REQUEST_ID_MAX)
        .map(str::to_owned);
    // The status is the fact; a body that cannot be read only means that there is no code.
    let body = match read(response, ERROR_BYTES_MAX).await {
        Ok(bytes) => json::from_slice::<RefusalBody>(&bytes).ok(),
        Err(_) => None,
    };
    let is_twilios = body
        .as_ref()
        .is_some_and(|body| body.code.is_given || body.status.is_some() || body.message.is_some());
    if !is_twilios && !matches!(status, 408 | TOO_MANY_REQUESTS | 500..) {
        return Error::Foreign { op, status };
    }
    let code = body.and_then(|body| body.code.number);
    Error::Refused { op, status, code, retry_after, request_id }
}

/// A code: given all the same if it is no number.
#[derive(Default)]
struct GivenCode {
    is_given: bool,
    number: Option<u32>,
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<GivenCode, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let number = value.as_u64().and_then(|code| u32::try_from(code).ok());
    Ok(GivenCode { is_given: true, number })
}

async fn read(response: Response, max: usize) -> Result<Vec<u8>, FailureCause> {
    body::whole(response, max).await.map_err(|broken| match broken {
        Broken::TooLarge => FailureCause::TooLarge { max },
        Broken::Connection(error) => FailureCause::Http(error.without_url()),
    })
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

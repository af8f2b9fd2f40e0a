//! One request and its answer: bounds, headers, and telling apart what happened.

use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::{Cause, Client, Error, Op, Outcome};
use crate::clock::Timestamp;

/// The longest wait that an answer may ask for; a longer one is cut to this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// How much of an error answer is read: Twilio's are some hundred bytes, a gateway's page may be long.
const ERROR_BYTES_MAX: usize = 16 * 1024;

/// How long a request's id may be; Twilio's have 34 letters.
const REQUEST_ID_MAX: usize = 64;

/// How long to wait before a read is asked for again. Whoever asks has a slower schedule of his own,
/// made for outages; a single 503 is none.
const READ_PAUSES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400)];

impl Client {
    /// Reads: sends a request that changes nothing, and again after a hiccup.
    pub(super) async fn get<T: DeserializeOwned>(&self, op: Op, url: Url) -> Result<T, Error> {
        for pause in READ_PAUSES {
            match self.call(op, Method::GET, url.clone(), None).await {
                Err(error) if error.is_hiccup() => {
                    let clock = &self.inner.clock;
                    clock.sleep_until(clock.now() + pause).await;
                }
                answer => return answer,
            }
        }
        self.call(op, Method::GET, url, None).await
    }

    /// Sends a request once and reads its answer as JSON.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        op: Op,
        method: Method,
        url: Url,
        form: Option<String>,
    ) -> Result<T, Error> {
        let started = self.inner.clock.now();
        let result = match self.exchange(op, method, url, form).await {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| Error::Unknown {
                op,
                // The error's own text can quote the answer.
                source: Cause::Unreadable { line: error.line(), column: error.column() },
            }),
            Err(error) => Err(error),
        };
        self.observed(op, &result, self.inner.clock.now().since(started));
        result
    }

    /// Sends a request whose answer has no body.
    pub(super) async fn call_empty(&self, op: Op, method: Method, url: Url) -> Result<(), Error> {
        let started = self.inner.clock.now();
        let result = self.exchange(op, method, url, None).await.map(|_| ());
        self.observed(op, &result, self.inner.clock.now().since(started));
        result
    }

    fn observed<T>(&self, op: Op, result: &Result<T, Error>, took: Duration) {
        let outcome = result.as_ref().map_or_else(Error::outcome, |_| Outcome::Done);
        tracing::debug!(
            rest_op = op.as_str(),
            status = result.as_ref().err().and_then(Error::status),
            elapsed_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            outcome = ?outcome,
            "a rest request ended"
        );
        if let Some(observer) = &self.inner.observer {
            observer.finished(op, outcome, took);
        }
    }

    async fn exchange(
        &self,
        op: Op,
        method: Method,
        url: Url,
        form: Option<String>,
    ) -> Result<Vec<u8>, Error> {
        let patience = self.inner.request_timeout;
        let _permit = tokio::time::timeout(patience, self.inner.permits.acquire())
            .await
            .map_err(|_| Error::NotSent { op, source: Cause::Busy(patience) })?
            .expect("the semaphore is never closed");
        let mut request = self.inner.http.request(method, url);
        if let Some(form) = form {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        }
        let response = request.send().await.map_err(|error| {
            // Before the connection stands, timeouts included, nothing was sent.
            let nothing_sent = error.is_connect() || error.is_builder();
            let source = Cause::Http(error.without_url());
            if nothing_sent { Error::NotSent { op, source } } else { Error::Unknown { op, source } }
        })?;
        if response.status().is_success() {
            return read(response, self.inner.response_bytes_max)
                .await
                .map_err(|source| Error::Unknown { op, source });
        }
        Err(refused(op, response, self.inner.clock.wall()).await)
    }
}

/// Reads an answer that is no success; its body may be HTML, empty or broken off.
async fn refused(op: Op, response: Response, now: Timestamp) -> Error {
    #[derive(Deserialize)]
    struct Body {
        code: Option<u32>,
    }
    let status = response.status().as_u16();
    let retry_after =
        header(response.headers(), RETRY_AFTER.as_str()).and_then(|text| retry_after(text, now));
    let request_id = header(response.headers(), "twilio-request-id")
        .filter(|id| id.len() <= REQUEST_ID_MAX)
        .map(str::to_owned);
    // The status is the fact; a body that cannot be read only means that there is no code.
    let code = match read(response, ERROR_BYTES_MAX).await {
        Ok(bytes) => serde_json::from_slice::<Body>(&bytes).ok().and_then(|body| body.code),
        Err(_) => None,
    };
    Error::Refused { op, status, code, retry_after, request_id }
}

async fn read(mut response: Response, max: usize) -> Result<Vec<u8>, Cause> {
    let mut bytes = Vec::new();
    let http = |error: reqwest::Error| Cause::Http(error.without_url());
    while let Some(chunk) = response.chunk().await.map_err(http)? {
        if bytes.len() + chunk.len() > max {
            return Err(Cause::TooLarge { max });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Reads a wait in seconds or as a date, cut to an hour.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse::<u64>() {
        Ok(secs) => Duration::from_secs(secs),
        Err(_) => {
            let at = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
            let at = i64::try_from(at.as_millis()).ok()?;
            Timestamp::from_millis(at).since(now)
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date_and_never_above_an_hour() {
        let now = Timestamp::parse_rfc3339("2026-11-21T04:00:00Z").unwrap();
        for (text, secs) in [
            ("0", Some(0)),
            (" 17 ", Some(17)),
            ("86400", Some(3600)),
            ("Sat, 21 Nov 2026 04:01:30 GMT", Some(90)),
            ("Sat, 21 Nov 2026 03:00:00 GMT", Some(0)),
            ("Sun, 22 Nov 2026 04:00:00 GMT", Some(3600)),
            ("soon", None),
            ("-1", None),
            ("99999999999999999999999", None),
            ("", None),
        ] {
            assert_eq!(retry_after(text, now), secs.map(Duration::from_secs), "{text}");
        }
    }
}

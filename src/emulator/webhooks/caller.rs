//! Sends one webhook and reads the answer, within Twilio's time limit.
//!
//! The only place where the emulator opens a connection of its own. Redirects are not followed and
//! nothing is sent twice here: Conversations webhooks are not retried, those of the messaging product by
//! whoever calls. Source: webhook notes 1.4, read 2026-11-21.

use std::time::Duration;

use secrecy::SecretString;

use super::request::{Product, Request, request};
use crate::clock::Clock;
use crate::emulator::state::Target;
use crate::emulator::state::command::Amendment;
use crate::emulator::state::model::HookMethod;
use crate::json;
use crate::net;
use crate::pii::Pii;

/// Bytes of an answer that are read; a pre-action answer is small.
const ANSWER_BYTES_MAX: usize = 128 * 1024;

/// How a webhook ended.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status and the body, or what went wrong.
    pub result: Result<(u16, Pii), Failure>,
    /// The type of the body.
    pub content_type: Option<String>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Why no answer came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// Not in time.
    Timeout,
    /// The connection broke.
    Connection,
    /// No connection was made at all.
    Unreachable,
}

impl Failure {
    /// Its name in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connection | Self::Unreachable => "connection",
        }
    }
}

/// What a pre-action webhook decided.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The change goes through, with these modifications.
    Go(Amendment),
    /// The change is refused, with a status of the 400s.
    Refused,
    /// The change is refused, with a status of the 500s.
    Failed,
}

impl Answer {
    /// What Twilio's debugger says of a webhook of the messaging product that failed: 11200, or 11205
    /// where there was no connection.
    #[must_use]
    pub const fn complaint(&self) -> Option<u32> {
        match &self.result {
            Ok((200..=299, _)) => None,
            Ok(_) | Err(Failure::Timeout | Failure::Connection) => Some(11200),
            Err(Failure::Unreachable) => Some(11205),
        }
    }

    /// Reads the answer of a pre-action webhook.
    ///
    /// No answer in time lets the change through as it is. That a broken connection does so too, and
    /// that a 2xx whose body is no JSON object changes nothing, is assumed.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match &self.result {
            Ok((200..=299, body)) => Verdict::Go(json::from_str(body.reveal()).unwrap_or_default()),
            Ok((500.., _)) => Verdict::Failed,
            Ok((400..=499, _)) => Verdict::Refused,
            Ok(_) | Err(Failure::Timeout | Failure::Connection | Failure::Unreachable) => {
                Verdict::Go(Amendment::default())
            }
        }
    }
}

/// A client for webhooks.
#[derive(Clone, Debug)]
pub struct Caller {
    client: reqwest::Client,
    clock: Clock,
    auth_token: SecretString,
}

impl Caller {
    /// Builds the client.
    ///
    /// # Errors
    ///
    /// If TLS cannot be set up.
    pub fn new(
        clock: Clock,
        auth_token: SecretString,
        timeout: Duration,
    ) -> Result<Self, net::http::Error> {
        let client = net::http::direct()?.timeout(timeout).build()?;
        Ok(Self { client, clock, auth_token })
    }

    /// The clock that its calls are timed by.
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// Writes and signs a webhook; `mis_sign` signs it with a wrong key.
    #[must_use]
    pub fn prepare(
        &self,
        target: &Target,
        content: (Product, &[(String, Pii)]),
        delivery_id: &str,
        mis_sign: bool,
    ) -> Request {
        let wrong = SecretString::from("not the auth token".to_owned());
        let key = if mis_sign { &wrong } else { &self.auth_token };
        request(target, content, key, delivery_id)
    }

    /// Sends a webhook. It may take as long as `timeout` says, else as long as the client's.
    ///
    /// # Cancel safety
    ///
    /// Dropping it may leave the webhook sent and unanswered.
    pub async fn call(&self, request: Request, timeout: Option<Duration>) -> Answer {
        let started = self.clock.now();
        let sent = self.send(request, timeout).await;
        let (result, content_type) = match sent {
            Ok((status, content_type, body)) => (Ok((status, body)), content_type),
            Err(failure) => (Err(failure), None),
        };
        Answer { result, content_type, elapsed: self.clock.now().since(started) }
    }

    async fn send(
        &self,
        request: Request,
        timeout: Option<Duration>,
    ) -> Result<(u16, Option<String>, Pii), Failure> {
        let method = match request.method {
            HookMethod::Get => reqwest::Method::GET,
            HookMethod::Post => reqwest::Method::POST,
        };
        let mut builder = self.client.request(method, request.url.reveal());
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        if let Some(timeout) = timeout {
            builder = builder.timeout(timeout);
        }
        let mut response =
            builder.body(request.body.into_revealed()).send().await.map_err(|error| why(&error))?;
        let status = response.status().as_u16();
        let content_type = response.headers().get(reqwest::header::CONTENT_TYPE);
        let content_type = content_type.and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| why(&error))? {
            let room = ANSWER_BYTES_MAX.saturating_sub(body.len());
            body.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        Ok((status, content_type, Pii::new(String::from_utf8_lossy(&body))))
    }
}

fn why(error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        Failure::Unreachable
    } else if error.is_timeout() {
        Failure::Timeout
    } else {
        Failure::Connection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_status_refuses_a_change() {
        let answer = |result: Result<(u16, &str), Failure>| Answer {
            result: result.map(|(status, body)| (status, Pii::new(body))),
            content_type: None,
            elapsed: Duration::ZERO,
        };
        let unchanged = Verdict::Go(Amendment::default());
        for (result, verdict) in [
            (Ok((200, "")), unchanged.clone()),
            (Ok((200, "{}")), unchanged.clone()),
            (Ok((204, "")), unchanged.clone()),
            (
                Ok((200, r#"{"body":"x"}"#)),
                Verdict::Go(Amendment { body: Some("x".into()), ..Amendment::default() }),
            ),
            (Ok((400, "")), Verdict::Refused),
            (Ok((403, r#"{"body":"x"}"#)), Verdict::Refused),
            (Ok((500, "")), Verdict::Failed),
            (Err(Failure::Timeout), unchanged.clone()),
            (Err(Failure::Connection), unchanged.clone()),
            (Err(Failure::Unreachable), unchanged.clone()),
        ] {
            assert_eq!(answer(result).verdict(), verdict);
        }
    }
}

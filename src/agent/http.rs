//! The agent behind a URL: one signed POST a turn, JSON both ways.
//!
//! The request is the turn as [`super::document`] writes it, signed by the Standard Webhooks scheme with
//! the turn's id as `webhook-id`. The answer is `{"replies":[…]}` with 200, nothing to say with 204, or 202 and the replies later (see
//! [`super::later`]). What is read of it is [`super::answer`]'s.
//!
//! Where it wants to know what became of its replies, each step is one more signed POST, as
//! `report.schema.json` describes, with an id of its own; any 2xx takes it.
//!
//! Redirects are not followed: a turn goes where the configuration says and nowhere else.

mod examine;
mod kind;
mod ping;
pub mod settings;

use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::header::CONTENT_TYPE;
use url::Url;

use super::answer::{self, Asked};
use super::document::Document;
use super::report;
use super::{Agent, Answer, Error, Patience, Report, Turn};
use crate::clock::{Clock, Timestamp};
use crate::net::body::{self, Broken};
use crate::standard_webhooks::{self, Secret};
use crate::thread::Budget;

pub use self::kind::Kind;

/// What an [`HttpAgent`] needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where turns are posted.
    pub url: Url,
    /// Signs the requests; without it they go unsigned.
    pub secret: Option<Secret>,
    /// How long an answer may take; minutes, since agents think.
    pub timeout: Duration,
    /// How large an answer may be.
    pub response_bytes_max: usize,
    /// How much of what was said before it is told with each turn.
    pub history: Budget,
    /// Where it is told what became of its replies, if it wants to know.
    pub report_url: Option<Url>,
    /// How long it may be silent about a turn that it answers later, if that is watched.
    pub patience: Option<Patience>,
}

/// How long it may take to take a report, which asks for no thinking.
const REPORT_WITHIN: Duration = Duration::from_secs(10);

/// Asks an HTTP endpoint.
#[derive(Clone, Debug)]
pub struct HttpAgent {
    options: Options,
    client: reqwest::Client,
    clock: Clock,
}

impl HttpAgent {
    /// Makes an agent of a client that follows no redirects and retries nothing.
    #[must_use]
    pub const fn new(options: Options, client: reqwest::Client, clock: Clock) -> Self {
        Self { options, client, clock }
    }

    async fn ask(&self, turn: &Turn) -> Result<Answer, Error> {
        let id = turn.id.to_string();
        let response =
            self.request(turn, &id).send().await.map_err(|error| self.failed(&id, error))?;
        match response.status().as_u16() {
            204 => Ok(Answer::Replies(Vec::new())),
            202 => Ok(Answer::Later),
            200 | 201 => {
                let body = self.read(response, &id).await?;
                let asked = Asked { id: &id, thread: turn.thread.id(), must_name: false };
                answer::parse(&body, asked)
            }
            _ => Err(Error::refused(id, &response, self.clock.wall())),
        }
    }

    fn request(&self, turn: &Turn, id: &str) -> reqwest::RequestBuilder {
        let due = self.clock.wall() + self.options.timeout;
        let document = Document::of(turn).due(Some(due));
        let body = serde_json::to_vec(&document).expect("a turn is always JSON");
        self.signed(&self.options.url, id, body).timeout(self.options.timeout)
    }

    async fn tell(&self, report: &Report) -> Result<(), Error> {
        let Some(url) = &self.options.report_url else { return Ok(()) };
        let id = report::id(report);
        let document = report::Document::of(report, &id);
        let body = serde_json::to_vec(&document).expect("a report is always JSON");
        let request = self.signed(url, &id, body).timeout(REPORT_WITHIN);
        let sent = request.send().await;
        let response = sent.map_err(|error| Error::unheard(&id, error, REPORT_WITHIN))?;
        if response.status().is_success() {
            Ok(())
        } else {
            Err(Error::refused(id, &response, self.clock.wall()))
        }
    }

    fn signed(&self, url: &Url, id: &str, body: Vec<u8>) -> reqwest::RequestBuilder {
        let secret = self.options.secret.as_ref();
        signed(&self.client, (url, secret), (id, body), self.clock.wall())
    }

    async fn read(&self, response: reqwest::Response, id: &str) -> Result<Vec<u8>, Error> {
        let bytes_max = self.options.response_bytes_max;
        body::whole(response, bytes_max).await.map_err(|broken| match broken {
            Broken::TooLarge => Error::TooLarge { turn: id.to_owned(), bytes_max },
            Broken::Connection(error) => self.failed(id, error),
        })
    }

    fn failed(&self, id: &str, error: reqwest::Error) -> Error {
        Error::unheard(id, error, self.options.timeout)
    }
}

/// A POST of JSON, signed if there is a secret.
fn signed(
    client: &reqwest::Client,
    (url, secret): (&Url, Option<&Secret>),
    (id, body): (&str, Vec<u8>),
    at: Timestamp,
) -> reqwest::RequestBuilder {
    let mut request = client.post(url.clone()).header(CONTENT_TYPE, "application/json");
    let Some(secret) = secret else {
        return request.header(standard_webhooks::ID, id).body(body);
    };
    for (name, value) in standard_webhooks::headers(secret, id, at, &body) {
        request = request.header(name, value);
    }
    request.body(body)
}

impl Agent for HttpAgent {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn history(&self) -> Budget {
        self.options.history
    }

    fn takes_bytes(&self) -> bool {
        true
    }

    fn take<'a>(&'a self, turn: &'a Turn) -> BoxFuture<'a, Result<Answer, Error>> {
        Box::pin(self.ask(turn))
    }

    fn is_told(&self) -> bool {
        self.options.report_url.is_some()
    }

    fn patience(&self) -> Option<Patience> {
        self.options.patience
    }

    fn report<'a>(&'a self, report: &'a Report) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.tell(report))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Retry;

    #[test]
    fn only_failures_that_may_pass_are_retried() {
        let status =
            |status| Error::Status { turn: "IM1".into(), status, retry_after: None }.retry();
        for again in [408, 425, 429, 500, 502, 503, 504, 599] {
            assert_eq!(status(again), Retry::Backoff, "{again}");
        }
        for never in [301, 302, 400, 401, 403, 404, 409, 410, 422] {
            assert_eq!(status(never), Retry::No, "{never}");
        }
    }
}

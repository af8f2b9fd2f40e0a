//! Fetches a file from Twilio, as it comes.
//!
//! Twilio is asked where the file is, with the credentials and at the configured place alone
//! ([`rest::Client::find_file`]); from there on nothing of ours goes along. Redirects are followed here, a few,
//! and each place is judged first: https, on an address of the internet at large, or one of the configured
//! places, as an emulator's. Through a proxy it is the proxy that asks for the name, so there only addresses
//! that a place names itself can be refused.
//!
//! I/O: connections, by clients of [`crate::net::http`]. What is held is one piece of the file at a time, and
//! its size, the time to its head and the time between two pieces are bounded; its whole time is the caller's.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, LOCATION};
use reqwest::{Client, Response};
use url::Url;

use super::content_type;
use crate::clock::Clock;
use crate::net;
use crate::net::proxies::Proxies;
use crate::net::public::is_led_inside;
use crate::twilio::rest::{self, FileName, Whereabouts};

/// How often a place may point to another one.
const REDIRECTS_MAX: usize = 3;

/// How long to wait before a file is asked for again that is not there: one that has just come may be none
/// for some seconds. Source: Intermittent 404 Errors When Accessing Media URLs, read 2026-11-29.
const ABSENT_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// How long the next piece of a file may take.
const PIECE_WITHIN: Duration = Duration::from_secs(10);

/// What is needed to fetch.
#[derive(Clone, Debug)]
pub struct Options {
    /// The proxies between us and the world.
    pub proxies: Proxies,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long a place may take to begin its answer.
    pub request_timeout: Duration,
}

/// Fetches files; clones share connections.
#[derive(Clone, Debug)]
pub struct Fetch {
    rest: rest::Client,
    /// For configured places, and for those that a proxy goes to.
    plain: Client,
    /// For all others.
    public: Client,
    options: Options,
    clock: Clock,
}

/// A file that has begun to come.
#[derive(Debug)]
pub struct Opened {
    /// Its type, of a plain shape.
    pub content_type: String,
    /// Its size, where that is said.
    pub length: Option<u64>,
    response: Response,
    came: u64,
    bytes_max: u64,
}

/// Says why a file does not come. Holds no place and nothing of the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Twilio has it no more, or never had it.
    #[error("twilio has no such file")]
    Gone,
    /// It is larger than allowed.
    #[error("the file has more than {bytes_max} bytes")]
    TooLarge {
        /// The bound.
        bytes_max: u64,
    },
    /// Twilio did not say where it is.
    #[error("twilio did not say where the file is")]
    Asking(#[source] rest::Error),
    /// It is said to be where nobody goes.
    #[error("the file is said to be at a place that is not gone to: {0}")]
    Misled(Misled),
    /// Its place does not give it.
    #[error("the file's place answered with status {0}")]
    Status(u16),
    /// The connection to its place failed.
    #[error("the file could not be fetched from its place")]
    Http(#[source] reqwest::Error),
    /// It is too slow.
    #[error("nothing of the file came within {} ms", .0.as_millis())]
    Late(Duration),
}

/// Why nobody goes to a place.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Misled {
    /// It is no address of the internet at large.
    #[error("no address of the internet at large")]
    Inside,
    /// It is not encrypted, or holds a name and password.
    #[error("no plain https url")]
    Scheme,
    /// It points on and on.
    #[error("more than {REDIRECTS_MAX} redirects")]
    TooFar,
}

impl Fetch {
    /// Makes the clients; connects to nothing yet.
    ///
    /// # Errors
    ///
    /// Where a client cannot be made of the options.
    pub fn new(
        rest: rest::Client,
        options: Options,
        tls: rustls::ClientConfig,
        clock: Clock,
    ) -> Result<Self, reqwest::Error> {
        let plain = net::http::builder(tls.clone(), &options.proxies);
        let public = net::http::public(tls);
        let build = |builder: reqwest::ClientBuilder| {
            builder.http1_only().connect_timeout(options.connect_timeout).build()
        };
        Ok(Self { rest, plain: build(plain)?, public: build(public)?, options, clock })
    }

    /// Begins to fetch a file that may have so many bytes.
    ///
    /// # Errors
    ///
    /// See [`Error`]; a file without a known size may turn out to be too large later.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives the file up.
    pub async fn open(&self, name: FileName, bytes_max: u64) -> Result<Opened, Error> {
        let mut found = self.reach(name).await;
        for pause in ABSENT_PAUSES {
            if !matches!(found, Err(Error::Gone)) {
                break;
            }
            self.clock.sleep(pause).await;
            found = self.reach(name).await;
        }
        let response = found?;
        let length = response.content_length();
        if length.is_some_and(|length| length > bytes_max) {
            return Err(Error::TooLarge { bytes_max });
        }
        let said = response.headers().get(CONTENT_TYPE).and_then(|said| said.to_str().ok());
        let content_type = content_type::plain(said);
        Ok(Opened { content_type, length, response, came: 0, bytes_max })
    }

    async fn reach(&self, name: FileName) -> Result<Response, Error> {
        match self.rest.find_file(name).await.map_err(Error::Asking)? {
            None => Err(Error::Gone),
            Some(Whereabouts::Here(response)) => Ok(response),
            Some(Whereabouts::Elsewhere(place)) => self.follow(place).await,
        }
    }

    /// Goes to a place, and on to where it points.
    async fn follow(&self, mut place: Url) -> Result<Response, Error> {
        for _ in 0..=REDIRECTS_MAX {
            let (client, here) = self.way(place).map_err(Error::Misled)?;
            let asked = client.get(here.clone()).header(ACCEPT_ENCODING, "identity").send();
            let response = within(self.options.request_timeout, asked).await?;
            let status = response.status();
            if status.is_redirection() {
                let next = response.headers().get(LOCATION).and_then(|next| next.to_str().ok());
                let next = next.and_then(|next| here.join(next).ok());
                place = next.ok_or(Error::Status(status.as_u16()))?;
                continue;
            }
            return match status.as_u16() {
                200 => Ok(response),
                404 | 410 => Err(Error::Gone),
                status => Err(Error::Status(status)),
            };
        }
        Err(Error::Misled(Misled::TooFar))
    }

    /// By which client a place is gone to, if at all.
    fn way(&self, mut place: Url) -> Result<(&Client, Url), Misled> {
        if !place.username().is_empty() || place.password().is_some() {
            return Err(Misled::Scheme);
        }
        if self.rest.is_own(&place) {
            return Ok((&self.plain, place));
        }
        if is_led_inside(&place) {
            return Err(Misled::Inside);
        }
        // Assumed: who serves a file without TLS, as Twilio's store once did, serves it with TLS too.
        if place.scheme() == "http" && place.port().is_none() {
            place.set_scheme("https").map_err(|()| Misled::Scheme)?;
        }
        if place.scheme() != "https" {
            return Err(Misled::Scheme);
        }
        let is_proxied = self.options.proxies.of(&place).is_some();
        Ok((if is_proxied { &self.plain } else { &self.public }, place))
    }
}

impl Opened {
    /// Gives the next piece, or nothing once all of it has come.
    ///
    /// # Errors
    ///
    /// Where it is too large, too slow or broken off.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let piece = within(PIECE_WITHIN, self.response.chunk()).await?;
        let Some(piece) = piece else { return Ok(None) };
        self.came = self.came.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if self.came > self.bytes_max {
            return Err(Error::TooLarge { bytes_max: self.bytes_max });
        }
        Ok(Some(piece))
    }
}

/// Waits for a part of an answer.
async fn within<T>(
    limit: Duration,
    part: impl Future<Output = Result<T, reqwest::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, part).await {
        Ok(answer) => answer.map_err(|error| Error::Http(error.without_url())),
        Err(_) => Err(Error::Late(limit)),
    }
}

#[cfg(test)]
mod tests;

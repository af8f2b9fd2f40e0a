//! Asks the running service on its admin listener.
//!
//! Used by the commands that need what only the service has: its open store, its outbox. I/O: HTTP
//! to the address that the settings give, or to a given URL. The token enters from the settings and
//! leaves in the `Authorization` header alone. Nothing is repeated in here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use crate::config::Report;
use crate::config::kinds::{Listen, Setting};
use crate::net::body::{self, Broken};
use crate::net::{self, proxies::Proxies, tls};
use crate::thread::ThreadId;

/// How long the service may take to accept the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long an answer may take; a bulk call writes up to a thousand times.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The largest answer that is read: a page of a thousand dead letters has well under a mebibyte, one
/// revealed payload up to two.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The longest part of a refusal's words that is shown.
const REFUSAL_CHARS_MAX: usize = 300;

/// The admin listener of one service.
#[derive(Debug)]
pub(super) struct AdminApi {
    http: reqwest::Client,
    base: Url,
    token: Option<SecretString>,
    /// Whether somebody has said which one.
    is_named: bool,
}

/// Says why the service did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings do not say where the admin listener is.
    #[error("the setting admin.listen is malformed; `chimein config` says why")]
    Setting,
    /// The settings switch the admin listener off.
    #[error("admin.listen is off, so a running service cannot be asked; set CHIMEIN_ADMIN_LISTEN")]
    Off,
    /// The TLS configuration could not be made.
    #[error("the http client could not be made")]
    Tls(#[from] tls::Error),
    /// The HTTP client could not be made.
    #[error("the http client could not be made")]
    Client(#[source] reqwest::Error),
    /// Nobody is there.
    #[error("nothing answers at {base}: is the service running? --url names another place")]
    NoAnswer {
        /// Where was asked.
        base: String,
        /// What happened on the way.
        #[source]
        source: reqwest::Error,
    },
    /// The request went out and its answer was lost.
    #[error("the answer of {base} was lost; what was asked may have been done")]
    Lost {
        /// Where was asked.
        base: String,
        /// What happened on the way.
        #[source]
        source: reqwest::Error,
    },
    /// The service said no.
    #[error("{base} answered {status}: {detail}")]
    Refused {
        /// Where was asked.
        base: String,
        /// The HTTP status.
        status: u16,
        /// The service's own words.
        detail: String,
    },
    /// Something else listens there.
    #[error("what listens at {base} does not answer like chimein's admin listener")]
    Unreadable {
        /// Where was asked.
        base: String,
    },
}

impl AdminApi {
    /// Finds the service by `url`, else by the settings.
    pub(super) fn new(report: &Report, url: Option<&Url>) -> Result<Self, Error> {
        let base = match url {
            Some(url) => url.clone(),
            None => base(report)?,
        };
        let (tls, _) = tls::client_config()?;
        // The settings name an address of this machine.
        let proxies = if url.is_none() { &Proxies::default() } else { report.proxies() };
        let http = net::http::builder(tls, proxies)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(Error::Client)?;
        let is_named = url.is_some();
        Ok(Self { http, base, token: report.admin_token().cloned(), is_named })
    }

    /// Says which service was asked, if nobody has named it.
    pub(super) fn note(&self) -> Option<String> {
        (!self.is_named).then(|| format!("asked the service at {}", self.base))
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, Error> {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.call(self.http.request(Method::GET, url)).await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.call(self.http.request(Method::POST, self.url(path)).json(body)).await
    }

    /// Posts a body under an idempotency key.
    pub(super) async fn post_once<T: DeserializeOwned>(
        &self,
        path: &[&str],
        id: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let request = self.http.request(Method::POST, self.url(path)).json(body);
        self.call(request.header("webhook-id", id)).await
    }

    pub(super) async fn delete<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Error> {
        self.call(self.http.request(Method::DELETE, self.url(path))).await
    }

    /// Asks for the thread of an address of ours, the only one that fits if none is named, and of somebody
    /// else's.
    pub(super) async fn thread_between(
        &self,
        from: Option<&str>,
        to: &str,
    ) -> Result<ThreadId, Error> {
        #[derive(Deserialize)]
        struct FoundThread {
            thread: ThreadId,
        }
        let mut body = json!({ "to": to });
        if let Some(from) = from {
            body["from"] = json!(from);
        }
        let found: FoundThread = self.post(&["v1", "threads", "find"], &body).await?;
        Ok(found.thread)
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(path);
        }
        url
    }

    /// The base without what a given URL may hold beside the place: a name and a password.
    fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    async fn call<T: DeserializeOwned>(&self, mut request: RequestBuilder) -> Result<T, Error> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        let answer = request.send().await.map_err(|error| self.failed(error))?;
        let status = answer.status();
        let bytes = self.read(answer).await?;
        if status.is_success() {
            return serde_json::from_slice(&bytes)
                .map_err(|_| Error::Unreadable { base: self.origin() });
        }
        Err(self.refused(status.as_u16(), &bytes))
    }

    fn failed(&self, error: reqwest::Error) -> Error {
        let (base, never_sent) = (self.origin(), error.is_connect() || error.is_builder());
        let source = error.without_url();
        if never_sent { Error::NoAnswer { base, source } } else { Error::Lost { base, source } }
    }

    async fn read(&self, answer: Response) -> Result<Vec<u8>, Error> {
        body::whole(answer, ANSWER_BYTES_MAX).await.map_err(|broken| match broken {
            Broken::TooLarge => Error::Unreadable { base: self.origin() },
            Broken::Connection(error) => self.failed(error),
        })
    }

    fn refused(&self, status: u16, bytes: &[u8]) -> Error {
        #[derive(Deserialize)]
        struct ErrorBody {
            error: String,
            detail: Option<String>,
        }
        let base = self.origin();
        match serde_json::from_slice::<ErrorBody>(bytes) {
            Ok(ErrorBody { error, detail }) => {
                let words = detail.unwrap_or(error);
                let letters = words.chars().filter(|letter| !letter.is_control());
                Error::Refused { base, status, detail: letters.take(REFUSAL_CHARS_MAX).collect() }
            }
            Err(_) => Error::Unreadable { base },
        }
    }
}

/// Where the service's own machine reaches the admin listener.
fn base(report: &Report) -> Result<Url, Error> {
    let shown = report.effective.iter().find(|effective| effective.key == "admin.listen");
    let text = shown.and_then(|effective| effective.shown.as_deref()).unwrap_or_default();
    let address = match Listen::parse(text.trim()) {
        Some(Listen::On(address)) => address,
        Some(Listen::Off) => return Err(Error::Off),
        None => return Err(Error::Setting),
    };
    let ip: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    let address = SocketAddr::new(ip, address.port());
    Url::parse(&format!("http://{address}")).map_err(|_| Error::Setting)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::kinds;
    use crate::config::Environment;

    #[test]
    fn the_listener_is_found_as_seen_from_its_machine() {
        for (listen, found) in [
            (None, Some("http://127.0.0.1:9464/")),
            (Some("0.0.0.0:9000"), Some("http://127.0.0.1:9000/")),
            (Some("[::]:9000"), Some("http://[::1]:9000/")),
            (Some("10.0.0.7:9000"), Some("http://10.0.0.7:9000/")),
            (Some("off"), None),
            (Some("9000"), None),
        ] {
            let environment =
                Environment::from_pairs(listen.map(|listen| ("CHIMEIN_ADMIN_LISTEN", listen)));
            let base = base(&kinds::load(None, &environment)).ok();
            assert_eq!(base.as_ref().map(Url::as_str), found, "{listen:?}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_told_apart_from_a_stranger() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let stranger = std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream
                .write_all(b"HTTP/1.1 404 Not FoundThread\r\ncontent-length: 3\r\n\r\nno\n")
                .unwrap();
        });
        let environment = Environment::from_pairs([("CHIMEIN_ADMIN_DEBUG_TOKEN", "planted")]);
        let api = AdminApi::new(&kinds::load(None, &environment), Some(&url)).unwrap();
        assert!(!format!("{api:?}").contains("planted"));
        let answer = api.get::<serde_json::Value>(&["v1", "queues"], &[]).await;
        assert!(matches!(answer, Err(Error::Unreadable { .. })), "{answer:?}");
        stranger.join().unwrap();
        let answer = api.get::<serde_json::Value>(&["v1", "queues"], &[]).await;
        assert!(matches!(answer, Err(Error::NoAnswer { .. })), "{answer:?}");
    }
}

//! The REST client for Conversations v1 and Programmable Messaging: adds the bot, reads, writes.
//!
//! One pooled HTTP client; every operation is one request (a listing one for each page). A write is
//! never repeated in here, because only the caller knows whether that is safe; a read is, a few times
//! within a second, after a hiccup ([`Error::is_hiccup`]). Nothing is redirected; where a file is kept is an
//! answer, and going there is the caller's, without these credentials. An [`Error`] therefore
//! keeps apart what happened: refused, never sent, or sent with the answer lost.
//! REST writes never ask Twilio for webhooks (`X-Twilio-Webhook-Enabled` is not sent), which is what
//! keeps the bot from hearing itself.
//!
//! I/O: TCP and TLS to the configured bases only; a listing's next page is followed as a path on the
//! configured base, so that credentials never leave for wherever an answer says. Time enters through
//! timers and, for a `Retry-After` that is a date, through the [`Clock`]. The secret becomes one header value that is
//! marked sensitive. Source: REST basics and Conversations API, vendor definition of April 2026 and
//! pages read 2026-11-21.

mod configuration;
mod configuration_model;
mod error;
mod exchange;
mod files;
mod host;
mod model;
mod operations;
mod pages;
mod settings;
mod texts;
mod walk;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::clock::Clock;
use crate::concurrency::{Limit, Limiter};
use crate::net::{self, proxies::Proxies};
use crate::twilio::sid::{AccountSid, ApiKeySid, ChatServiceSid};

pub use self::configuration_model::{
    AccountDefaults, AccountState, Alert, Approval, Balance, ConversationWebhook, KeyDetails,
    MessagingServiceSettings, PhoneNumber, RoleRights, ServiceSettings, WhatsappSender,
};
pub use self::error::{Error, FailureCause, Op, Outcome};
pub use self::files::{FileName, Whereabouts};
pub use self::host::{host, media_host, own_edge};
pub use self::model::{
    AddressConfiguration, AutoCreation, Binding, Conversation, ConversationFilter, Entry, Media,
    Message, MessagesAfter, NewMessage, Participant, ParticipantConversation, Webhooks,
};
pub use self::pages::Pages;
pub use self::settings::{SettingsApi, SettingsDocument, SettingsForm, SettingsResource};
pub use self::texts::{NewText, Text, TextFilter, TextMedia, TextPages, TextSender};
pub use self::walk::WalkBack;
pub use crate::twilio::events::ConversationState;

/// Who asks.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// The account, with its auth token.
    AuthToken(SecretString),
    /// An API key of the account.
    ApiKey {
        /// The key.
        sid: ApiKeySid,
        /// Its secret.
        secret: SecretString,
    },
}

/// Where to ask, as whom, and the bounds.
#[derive(Clone, Debug)]
pub struct Options {
    /// The Conversations API, with its version: `https://conversations.twilio.com/v1`. Without a path
    /// `/v1` is assumed.
    pub conversations_base_url: Url,
    /// The core API, without the version: `https://api.twilio.com`.
    pub api_base_url: Url,
    /// The Messaging API, without the version: `https://messaging.twilio.com`.
    pub messaging_base_url: Url,
    /// The media service of conversations, without the version: `https://mcs.us1.twilio.com`.
    pub media_base_url: Url,
    /// Where API keys, templates and alerts are kept.
    pub products: ProductUrls,
    /// The account.
    pub account_sid: AccountSid,
    /// The chat service that all conversations are of; the account's default one if there is none.
    pub chat_service_sid: Option<ChatServiceSid>,
    /// Who asks.
    pub credentials: Credentials,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long a request may take as a whole, connection and answer included.
    pub request_timeout: Duration,
    /// How many bytes an answer may have.
    pub response_bytes_max: usize,
    /// How many requests may be under way at once at most; further ones wait. Twilio's own limit is not
    /// published, so it is found: fewer after a 429, slowly more while there is none.
    pub in_flight_max: usize,
    /// The proxies between us and the bases.
    pub proxies: Proxies,
}

/// Where the products are that are asked about an account's set-up alone, each without the version.
#[derive(Clone, Debug)]
pub struct ProductUrls {
    /// API keys: `https://iam.twilio.com`.
    pub iam: Url,
    /// Templates: `https://content.twilio.com`.
    pub content: Url,
    /// Alerts: `https://monitor.twilio.com`.
    pub monitor: Url,
}

impl ProductUrls {
    /// The words that their hosts begin with, in the order of the fields.
    pub const NAMES: [&str; 3] = ["iam", "content", "monitor"];

    /// All of them at one place, as the emulator has them.
    #[must_use]
    pub fn at(place: &Url) -> Self {
        Self { iam: place.clone(), content: place.clone(), monitor: place.clone() }
    }
}

impl Options {
    /// Fills in the public hosts and the bounds: 5 s, 15 s, 4 MiB (a page of 100 messages of 32 KB
    /// with room), 20 requests (as many as the official helper's sockets), no proxy.
    ///
    /// # Panics
    ///
    /// Never: the hosts are constants.
    #[must_use]
    pub fn new(account_sid: AccountSid, credentials: Credentials) -> Self {
        let url = |text| Url::parse(text).expect("a constant URL");
        Self {
            conversations_base_url: url("https://conversations.twilio.com/v1"),
            api_base_url: url("https://api.twilio.com"),
            messaging_base_url: url("https://messaging.twilio.com"),
            media_base_url: url("https://mcs.us1.twilio.com"),
            products: ProductUrls {
                iam: url("https://iam.twilio.com"),
                content: url("https://content.twilio.com"),
                monitor: url("https://monitor.twilio.com"),
            },
            account_sid,
            chat_service_sid: None,
            credentials,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(15),
            response_bytes_max: 4 * 1024 * 1024,
            in_flight_max: 20,
            proxies: Proxies::default(),
        }
    }
}

/// What a request is about: the bytes of a conversation's sid, or a digest of the address that a text goes
/// to.
pub type RequestSubject = [u8; 16];

/// Hears how each request ended, for counting, and holds requests back while Twilio is away.
///
/// A trait, since requests are counted and held back in rooms above this client, which others use alone.
pub trait Observer: Send + Sync {
    /// Says whether a request may go, or in which time one may.
    ///
    /// # Errors
    ///
    /// The time to wait.
    fn pass(&self, _op: Op) -> Result<(), Duration> {
        Ok(())
    }

    /// Is told once for each request, and what it was about.
    fn finished(&self, op: Op, subject: Option<RequestSubject>, outcome: Outcome, took: Duration);
}

/// The version of the core API, which has had no other for years.
const CORE_VERSION: &str = "2010-04-01";

/// How many requests may be under way before Twilio has answered any; more once it has. The official
/// helper's sockets are 20 for each client, of which a service runs several.
const IN_FLIGHT_FIRST: usize = 64;

/// Says why a client cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A base URL is neither `http` nor `https`, or has no host.
    #[error("the base url {0} is no http url with a host")]
    Base(&'static str),
    /// The HTTP client cannot be built.
    #[error("building the http client")]
    Http(#[source] reqwest::Error),
}

/// Asks Twilio; clones share connections and bounds.
#[derive(Clone)]
pub struct Client {
    inner: Arc<ClientInner>,
}

struct ClientInner {
    http: reqwest::Client,
    base: Url,
    /// With its version.
    core_base: Url,
    messaging_base: Url,
    media_base: Url,
    iam_base: Url,
    content_base: Url,
    monitor_base: Url,
    account_sid: AccountSid,
    chat_service_sid: Option<ChatServiceSid>,
    clock: Clock,
    limiter: Limiter,
    request_timeout: Duration,
    response_bytes_max: usize,
    observer: Option<Arc<dyn Observer>>,
}

impl Client {
    /// Makes a client; connects to nothing yet.
    ///
    /// # Errors
    ///
    /// See [`BuildError`].
    pub fn new(
        options: Options,
        tls: rustls::ClientConfig,
        clock: Clock,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Self, BuildError> {
        let base = base(options.conversations_base_url, "conversations", "/v1")?;
        let api_base = base_without_slash(options.api_base_url, "api")?;
        let messaging_base = base_without_slash(options.messaging_base_url, "messaging")?;
        let media_base = base_without_slash(options.media_base_url, "media")?;
        let iam_base = base_without_slash(options.products.iam, "iam")?;
        let content_base = base_without_slash(options.products.content, "content")?;
        let monitor_base = base_without_slash(options.products.monitor, "monitor")?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let authorization = authorization(options.account_sid, &options.credentials);
        headers.insert(reqwest::header::AUTHORIZATION, authorization);
        let http = net::http::builder(tls, &options.proxies)
            .default_headers(headers)
            .user_agent(concat!("chimein/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .connect_timeout(options.connect_timeout)
            .timeout(options.request_timeout)
            .pool_max_idle_per_host(options.in_flight_max);
        Ok(Self {
            inner: Arc::new(ClientInner {
                http: http.build().map_err(BuildError::Http)?,
                base,
                core_base: below(&api_base, &[CORE_VERSION]),
                messaging_base,
                media_base,
                iam_base,
                content_base,
                monitor_base,
                account_sid: options.account_sid,
                chat_service_sid: options.chat_service_sid,
                clock,
                limiter: Limiter::new(Limit::new(IN_FLIGHT_FIRST, options.in_flight_max)),
                request_timeout: options.request_timeout,
                response_bytes_max: options.response_bytes_max,
                observer,
            }),
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.inner.base.as_str())
            .field("chat_service_sid", &self.inner.chat_service_sid)
            .finish_non_exhaustive()
    }
}

fn authorization(account_sid: AccountSid, credentials: &Credentials) -> HeaderValue {
    let (user, password) = match credentials {
        Credentials::AuthToken(token) => (account_sid.to_string(), token),
        Credentials::ApiKey { sid, secret } => (sid.to_string(), secret),
    };
    let encoded = STANDARD.encode(format!("{user}:{}", password.expose_secret()));
    let mut value = HeaderValue::try_from(format!("Basic {encoded}"))
        .expect("base64 is made of letters that a header takes");
    value.set_sensitive(true);
    value
}

fn base(url: Url, name: &'static str, default_path: &str) -> Result<Url, BuildError> {
    let mut url = base_without_slash(url, name)?;
    if url.path() == "/" {
        url.set_path(default_path);
    }
    Ok(url)
}

fn base_without_slash(mut url: Url, name: &'static str) -> Result<Url, BuildError> {
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(BuildError::Base(name));
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Puts a path below a base, each part percent-encoded.
fn below(base: &Url, parts: &[&str]) -> Url {
    let mut url = base.clone();
    url.path_segments_mut().expect("an http url has a path").pop_if_empty().extend(parts);
    url
}

#[cfg(feature = "service")]
#[cfg(test)]
mod tests;

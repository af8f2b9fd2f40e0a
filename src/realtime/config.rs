//! What a client needs from its owner: addresses, times, bounds, tokens, watermarks.
//!
//! Decides the defaults; reads nothing by itself. Secrets come in through [`TokenProvider`] only.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use url::Url;

use super::conversations::core;
use super::conversations::resume::Resume;
use super::twilsock::frame::Limits;
use super::twilsock::{driver, session};
use crate::clock::Clock;
use crate::net::proxies::Proxies;
pub use crate::twilio::access_token::AccessToken;
use crate::twilio::sid::ConversationSid;

/// The region of an account that names none.
/// Source: access token protocol notes, "Region and hosts", read 2026-11-21.
pub const REGION_DEFAULT: &str = "us1";

/// Where to connect to, and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// Twilsock's whole WebSocket URL; `ws://` for an emulator.
    pub twilsock_url: Url,
    /// Host of the Conversations client API, a label that Twilsock routes by.
    pub api_url: Url,
    /// Host of Sync, another such label.
    pub sync_url: Url,
    /// TLS for `wss://`. It must not offer ALPN `h2`.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The proxies between us and Twilsock.
    pub proxies: Proxies,
    /// Whether participants are followed; costs a third subscription a conversation.
    pub roster: bool,
    /// Whether invitations are accepted.
    pub join_invited: bool,
    /// Events that may wait for the owner. Messages beyond it stay at Twilio until there is room.
    pub events_max: usize,
    /// Reads under way at the same time.
    pub reads_in_flight_max: usize,
    /// Least time between two writes of read horizons.
    pub horizon_interval: Duration,
    /// How long [`super::Client::shutdown`] waits for commands under way.
    pub shutdown_grace: Duration,
    /// Largest frame taken.
    pub limits: Limits,
    /// Time that one write to the socket may take.
    pub write_timeout: Duration,
    /// Times and bounds of the session.
    pub session: session::Options,
    /// Where an earlier client stopped, see [`super::Client::resume`].
    pub resume: Option<Resume>,
    /// The clock; tests pass one with paused time.
    pub clock: Clock,
}

impl Config {
    /// The configuration for one of Twilio's regions, such as `us1`; none if it is no host name.
    /// Source: access token protocol notes, "Region and hosts", read 2026-11-21.
    #[must_use]
    pub fn for_region(region: &str, tls: Arc<rustls::ClientConfig>) -> Option<Self> {
        let url = |scheme: &str, host: &str, path: &str| {
            format!("{scheme}://{host}.{region}.twilio.com{path}").parse().ok()
        };
        let mut config = Self::for_urls(
            url("wss", "tsock", "/v3/wsconnect")?,
            url("https", "aim", "")?,
            url("https", "cds", "")?,
        );
        config.tls = Some(tls);
        Some(config)
    }

    /// The configuration for any server, an emulator for one.
    #[must_use]
    pub fn for_urls(twilsock_url: Url, api_url: Url, sync_url: Url) -> Self {
        Self {
            twilsock_url,
            api_url,
            sync_url,
            tls: None,
            proxies: Proxies::default(),
            roster: false,
            join_invited: true,
            events_max: 1024,
            reads_in_flight_max: 64,
            horizon_interval: Duration::from_secs(2),
            shutdown_grace: Duration::from_secs(5),
            limits: Limits::default(),
            write_timeout: Duration::from_secs(10),
            session: session::Options::default(),
            resume: None,
            clock: Clock::start(),
        }
    }

    pub(super) fn core_options(&self) -> core::Options {
        core::Options {
            session: self.session,
            api: self.api_url.clone(),
            sync: self.sync_url.clone(),
            roster: self.roster,
            join_invited: self.join_invited,
            events_max: self.events_max.max(1),
            reads_in_flight_max: self.reads_in_flight_max.max(1),
            horizon_interval: self.horizon_interval,
        }
    }

    pub(super) fn socket_options(&self) -> driver::Options {
        driver::Options {
            url: self.twilsock_url.clone(),
            tls: self.tls.clone(),
            proxies: self.proxies.clone(),
            connect_timeout: self.session.connect_timeout,
            limits: self.limits,
            write_timeout: self.write_timeout,
        }
    }
}

/// Gives access tokens. Asked at start, before each expiry, and when the server refuses one.
pub trait TokenProvider: Send + Sync + 'static {
    /// Gives a token; a fresh one if the last was refused.
    fn token(&self) -> BoxFuture<'_, Result<AccessToken, TokenError>>;
}

/// Says that there is no token now. The client asks again with growing delays.
#[derive(Debug, thiserror::Error)]
#[error("no access token")]
pub struct TokenError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Remembers up to where each conversation is handled.
pub trait Watermarks: Send + Sync + 'static {
    /// Gives the highest index handled. Everything after it will be delivered. Without one,
    /// Twilio's read horizon counts; without that, everything is delivered.
    fn load(
        &self,
        conversation: ConversationSid,
    ) -> BoxFuture<'_, Result<Option<u64>, WatermarkError>>;
}

/// Says that a watermark cannot be read now. The client asks again with growing delays; it never
/// guesses.
#[derive(Debug, thiserror::Error)]
#[error("watermark cannot be read")]
pub struct WatermarkError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Watermarks of an owner that keeps none: Twilio's read horizon alone counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoWatermarks;

impl Watermarks for NoWatermarks {
    fn load(
        &self,
        _conversation: ConversationSid,
    ) -> BoxFuture<'_, Result<Option<u64>, WatermarkError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

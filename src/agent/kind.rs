//! What the house knows of a kind of agent beside its turns: how it is made of the settings, what would
//! keep it from working, and what the pages of its platform ask for.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures::future::BoxFuture;
use url::Url;

use super::Agent;
use super::later::Outbox;
use crate::channels::handover::Handover;
use crate::clock::Clock;
use crate::config::settings::{self, Twilio};
use crate::config::{AgentSettings, Declaration, Settings};
use crate::finding::Finding;
use crate::net::place::{is_private, place_of};
use crate::net::{self, tls};
use crate::queue::Documents;
use crate::standard_webhooks::{Secret, SecretError};
use crate::telemetry::metrics::Metrics;

/// What findings about an agent's server are called.
pub(super) const CHECK: &str = "agent";

/// How long an agent's server may take to say that it is there; a turn may take minutes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A kind of agent.
pub trait Kind: Sync {
    /// Its word among the settings, and the settings that it has for itself.
    fn declares(&self) -> Declaration;

    /// Makes the agent that the settings ask for.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    fn make<'a>(&'a self, of: Making<'a>) -> BoxFuture<'a, Result<Arc<dyn Agent>, Error>>;

    /// Looks for what would keep it from working; changes nothing there.
    ///
    /// # Errors
    ///
    /// If it could not even be looked at; what is found wrong is no error.
    fn examine<'a>(
        &'a self,
        settings: &'a Settings,
        clock: Clock,
    ) -> BoxFuture<'a, Result<Vec<Finding>, Error>>;

    /// The routes on the public listener that an agent of this kind answers by; none where it has none of
    /// its own.
    fn routes(&self, _of: Serving<'_>) -> Option<Router> {
        None
    }

    /// What the platform that the agent is part of asks of the debug pages; nothing where there is none.
    fn platform(&self, _settings: &Settings) -> Option<Platform> {
        None
    }
}

/// What an agent is made of.
#[derive(Clone, Copy)]
pub struct Making<'a> {
    /// All settings.
    pub settings: &'a Settings,
    /// Twilio's part of them.
    pub twilio: &'a Twilio,
    /// The one TLS configuration.
    pub tls: &'a rustls::ClientConfig,
    /// What is counted.
    pub metrics: &'a Metrics,
    /// What has to be remembered longer than any turn.
    pub documents: &'a Documents,
    /// Reads the time.
    pub clock: Clock,
}

impl Making<'_> {
    /// Makes the client that an agent on the network is asked by: the one TLS configuration, the proxies.
    ///
    /// # Errors
    ///
    /// If it cannot be made of the settings.
    pub fn client(&self) -> Result<reqwest::Client, Error> {
        let builder = net::http::builder(self.tls.clone(), &self.settings.proxy.proxies());
        Ok(builder.connect_timeout(self.twilio.account.connect_timeout).build()?)
    }
}

/// What an agent's own routes are made of.
pub struct Serving<'a> {
    /// All settings.
    pub settings: &'a Settings,
    /// Where replies go that come after their turn.
    pub outbox: Arc<dyn Outbox>,
    /// Gives threads to people and back.
    pub handover: Arc<dyn Handover>,
    /// What has to be remembered longer than any turn.
    pub documents: Documents,
    /// Reads the time.
    pub clock: Clock,
}

/// A platform whose tools read the debug pages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Platform {
    /// The topic that replies are asked on.
    pub egress_topic: String,
}

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The secret is of the wrong form.
    #[error("agent.secret cannot be used: set it to whsec_ and 24 to 64 random bytes in base64")]
    Secret(#[from] SecretError),
    /// It thinks about conversations, and there are none.
    #[error(
        "agent.kind {0} needs conversations: set TWILIO_CHAT_SERVICE_SID, TWILIO_API_KEY, \
         TWILIO_API_SECRET and TWILIO_IDENTITY too"
    )]
    NumbersAlone(&'static str),
    /// Nobody has read what it has for itself, since it was not declared.
    #[error("agent.kind {0} has no settings: it is not among the kinds of agents")]
    Undeclared(&'static str),
    /// It lacks a setting, which the settings themselves refuse before.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// It is no part of this build.
    #[error("agent.kind {kind} needs a chimein that was built with the feature {feature}")]
    NotBuilt {
        /// Its word among the settings.
        kind: &'static str,
        /// The cargo feature.
        feature: &'static str,
    },
    /// The bus does not let us in.
    #[error("the message bus cannot be used")]
    Bus(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What it is to be made of cannot be used.
    #[error("the agent cannot be made of its settings")]
    Settings(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The HTTP client could not be made.
    #[error("the http client for the agent could not be made")]
    Client(#[from] reqwest::Error),
    /// The TLS configuration could not be made.
    #[error("the TLS configuration could not be made")]
    Tls(#[from] tls::Error),
}

/// What the settings hold for the kind that is chosen, by the type that it declared.
///
/// # Errors
///
/// If that type was not declared when they were read.
pub fn own<T: AgentSettings>(settings: &Settings) -> Result<&T, Error> {
    settings.kinds.get().ok_or(Error::Undeclared(settings.agent.kind.word()))
}

/// The secret that agents sign with, if one is set.
///
/// # Errors
///
/// If it is of the wrong form.
pub fn secret(settings: &settings::Agent) -> Result<Option<Secret>, Error> {
    settings.secret.as_ref().map(Secret::parse).transpose().map_err(Into::into)
}

/// Makes the client that an agent's server is looked at with.
///
/// # Errors
///
/// If it cannot be made of the settings.
pub(super) fn examiner(settings: &Settings) -> Result<reqwest::Client, Error> {
    let (tls, _) = tls::client_config()?;
    Ok(net::http::builder(tls, &settings.proxy.proxies()).timeout(PATIENCE).build()?)
}

/// Warns of a server that is asked in the clear across the internet.
pub(super) fn unencrypted(url: &Url, setting: &str) -> Option<Finding> {
    (url.scheme() == "http" && !is_private(url)).then(|| {
        let place = place_of(url);
        let found = format!("{place} is asked without encryption, with what people wrote");
        Finding::warn(CHECK, found, format!("let {setting} be an https URL"))
    })
}

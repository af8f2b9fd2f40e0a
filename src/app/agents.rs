//! Makes the agent that the settings ask for.
//!
//! Maps settings to the agents' own options and nothing else; secrets pass through to the agent that
//! signs with them.

use std::sync::Arc;

#[cfg(feature = "nats")]
use super::dial;
use super::parts::Parts;
use crate::agent::Agent;
#[cfg(feature = "nats")]
use crate::agent::bitbrat::{self, BitBrat, envelope, names, progress, snapshot};
use crate::agent::echo::Echo;
use crate::agent::http::{self, HttpAgent};
use crate::config::kinds::AgentKind;
#[cfg(feature = "nats")]
use crate::config::kinds::{Progress, SnapshotMode};
use crate::config::settings;
#[cfg(feature = "nats")]
use crate::nats;
use crate::standard_webhooks::{Secret, SecretError};

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The secret is of the wrong form.
    #[error("agent.secret cannot be used: set it to whsec_ and 24 to 64 random bytes in base64")]
    Secret(#[from] SecretError),
    /// The platform's events name a chat service.
    #[cfg(feature = "nats")]
    #[error(
        "agent.kind bitbrat needs conversations: set TWILIO_CHAT_SERVICE_SID, TWILIO_API_KEY, \
         TWILIO_API_SECRET and TWILIO_IDENTITY too"
    )]
    NumbersAlone,
    /// The bus does not let us in.
    #[cfg(feature = "nats")]
    #[error("the message bus cannot be used")]
    Bus(#[from] nats::Error),
    /// The HTTP client could not be made.
    #[error("the http client for the agent could not be made")]
    Client(#[from] reqwest::Error),
}

/// The agent, and what runs beside its turns.
pub struct Thinker {
    /// What takes turns.
    pub agent: Arc<dyn Agent>,
    /// The same, if it is a platform whose replies come by a bus.
    #[cfg(feature = "nats")]
    pub platform: Option<Arc<BitBrat>>,
}

impl Thinker {
    fn new(agent: impl Agent + 'static) -> Self {
        Self {
            agent: Arc::new(agent),
            #[cfg(feature = "nats")]
            platform: None,
        }
    }
}

/// Makes the agent.
///
/// # Errors
///
/// [`AgentError`], if a client cannot be made of the settings.
pub async fn make(parts: &Parts<'_>, tls: &rustls::ClientConfig) -> Result<Thinker, AgentError> {
    let settings = &parts.settings.agent;
    match (settings.kind, &settings.url) {
        (AgentKind::Http, Some(url)) => http_agent(parts, tls, url.url().clone()),
        #[cfg(feature = "nats")]
        (AgentKind::BitBrat, _) => platform(parts, tls).await,
        // The settings refuse kind http without a URL, and bitbrat where it is not built in.
        #[cfg(not(feature = "nats"))]
        (AgentKind::BitBrat, _) => Ok(Thinker::new(Echo)),
        (AgentKind::Http, None) | (AgentKind::Echo, _) => Ok(Thinker::new(Echo)),
    }
}

/// The secret that agents sign with, if one is set.
///
/// # Errors
///
/// If it is of the wrong form.
pub fn secret(settings: &settings::Agent) -> Result<Option<Secret>, AgentError> {
    settings.secret.as_ref().map(Secret::parse).transpose().map_err(Into::into)
}

fn http_agent(
    parts: &Parts<'_>,
    tls: &rustls::ClientConfig,
    url: url::Url,
) -> Result<Thinker, AgentError> {
    let settings = &parts.settings.agent;
    let client = crate::net::http::builder(tls.clone(), &parts.settings.proxy.proxies())
        .connect_timeout(parts.twilio.account.connect_timeout)
        .build()?;
    let options = http::Options {
        url,
        secret: secret(settings)?,
        timeout: settings.timeout,
        response_bytes_max: settings.response_bytes_max.0,
    };
    Ok(Thinker::new(HttpAgent::new(options, client, parts.recorder.clock)))
}

/// The names on the platform's bus that the settings make.
#[cfg(feature = "nats")]
#[must_use]
pub fn names(settings: &settings::BitBrat) -> names::Names {
    let prefix = settings.prefix.as_ref().map(|prefix| prefix.as_str().to_owned());
    names::Names {
        prefix: prefix.unwrap_or_default(),
        service: settings.service.as_str().to_owned(),
        egress_instance: settings.egress_instance.as_str().to_owned(),
    }
}

#[cfg(feature = "nats")]
async fn platform(parts: &Parts<'_>, tls: &rustls::ClientConfig) -> Result<Thinker, AgentError> {
    let settings = &parts.settings.bitbrat;
    let names = names(settings);
    let policy = snapshot::Policy {
        is_on: settings.snapshot_mode != SnapshotMode::Off,
        includes_raw: settings.include_raw_payloads,
        bytes_max: settings.snapshot_bytes_max.map(std::num::NonZeroUsize::get),
    };
    let conversations = parts.twilio.conversations.as_ref();
    let chat_service = conversations.ok_or(AgentError::NumbersAlone)?.chat_service_sid;
    let options = bitbrat::Options {
        sender: envelope::Sender { names, chat_service },
        policy,
        progress: match settings.progress {
            Progress::Never => progress::Wish::Never,
            Progress::Chats => progress::Wish::Chats,
            Progress::Always => progress::Wish::Always,
        },
        ack_wait: std::time::Duration::from_secs(settings.ack_wait_seconds.get().into()),
    };
    let (connection, tls) = (parts.settings.nats.clone(), tls.clone());
    let name = settings.service.as_str().to_owned();
    let dial = Box::new(move || dial::options(&connection, &name, &tls));
    let platform = Arc::new(BitBrat::connect(options, dial, parts.recorder.clock).await?);
    let agent: Arc<dyn Agent> = Arc::<BitBrat>::clone(&platform);
    Ok(Thinker { agent, platform: Some(platform) })
}

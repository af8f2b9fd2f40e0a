//! The emulator and the service of a demo, on this machine alone.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use secrecy::ExposeSecret;
use uuid::Uuid;

use super::Error;
use super::channel::DemoChannel;
use crate::admin::{Insight as _, Readiness};
use crate::agent::kinds;
use crate::app::{self, App};
use crate::cli::outcome::line;
use crate::cli::signals;
use crate::config::Environment;
use crate::emulator::control::Webhook;
use crate::emulator::state::messaging::Number;
use crate::emulator::{self, Emulator};
use crate::telemetry::log;

/// How long a round trip may take before it has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// The bot's identity in the demo.
pub(super) const IDENTITY: &str = "bot";
/// How many conversations an identity is given here; Twilio allows 1,000.
const SEATS: u32 = 900;

/// The emulator and the service, running.
pub(super) struct Demo {
    pub(super) emulator: Emulator,
    pub(super) app: App,
    pub(super) channel: DemoChannel,
    folder: PathBuf,
}

impl Demo {
    /// Starts both for so many phones, the emulator on this address; returns once the service is ready.
    pub(super) async fn start(
        (listen, channel): (SocketAddr, DemoChannel),
        phones: u32,
        environment: &Environment,
    ) -> Result<Self, Error> {
        let options = emulator::Options { listen, ..emulator::Options::default() };
        let emulator = Emulator::start(options).await?;
        let folder = std::env::temp_dir().join(format!("chimein-demo-{}", Uuid::new_v4().simple()));
        let listener = app::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let public_url = listener.local_addr().map(|address| format!("http://{address}"));
        let public_url = ("CHIMEIN_WEBHOOK_PUBLIC_URL", public_url.map_err(Error::Setup)?);
        let queue = ("CHIMEIN_QUEUE_PATH", folder.join("chimein.db").display().to_string());
        let pool = ("CHIMEIN_IDENTITY_POOL", pool(phones).join(","));
        let mut own = vec![public_url, queue];
        match channel {
            DemoChannel::Conversation => {
                own.extend(conversations(&emulator).into_iter().chain([pool]))
            }
            DemoChannel::Sms => own.push(("TWILIO_PHONE_NUMBER", channel.ours().to_owned())),
            DemoChannel::Whatsapp => {
                own.push(("TWILIO_WHATSAPP_NUMBER", channel.ours().to_owned()))
            }
        }
        if channel != DemoChannel::Conversation {
            // As fast as the emulator, whose senders are given no pace here.
            own.push(("CHIMEIN_MESSAGING_SENDER_RATES", format!("{}=1000", channel.ours())));
        }
        let environment = overlay(environment, &emulator, own);
        let report = kinds::load(None, &environment);
        let effective = report.effective.clone();
        let settings = report.into_settings()?;
        let options = log::Options {
            level: settings.log.level.clone(),
            format: settings.log.format,
            stream: log::Stream::Stderr,
            service: settings.server.name.as_str().to_owned(),
        };
        log::init(&options, None)?;
        let app = App::start(&settings, effective, listener).await?;
        let url = format!("http://{}{}", app.address(), channel.route());
        let control = emulator.control();
        if channel == DemoChannel::Conversation {
            control.set_webhook(Webhook { post_url: Some(url), ..Webhook::default() });
        } else {
            let number = Number { rate: Some(1000), ..Number::told_to(channel.ours(), url) };
            control.set_number(number).map_err(Error::Message)?;
        }
        let demo = Self { emulator, app, channel, folder };
        demo.ready().await?;
        Ok(demo)
    }

    /// Waits until the service says that it is ready.
    async fn ready(&self) -> Result<(), Error> {
        let waited = tokio::time::timeout(PATIENCE, async {
            while let Readiness::NotReady(_) = self.app.health().readiness() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        if waited.await.is_ok() {
            return Ok(());
        }
        let reasons = match self.app.health().readiness() {
            Readiness::NotReady(reasons) => reasons.join(", "),
            Readiness::Ready | Readiness::Degraded(_) => String::new(),
        };
        Err(Error::NotReady { reasons })
    }

    /// Says where to look, and waits to be stopped.
    pub(super) async fn until_interrupted(&self) -> Result<ExitCode, Error> {
        let stop = signals::stop_signal().map_err(Error::Setup)?;
        line(format_args!("A local Twilio and a bot with an echo agent are running."));
        line(format_args!(""));
        line(format_args!("  phones        {}", self.emulator.urls().phone));
        line(format_args!("  health        http://{}/readyz", self.app.address()));
        if let Some(address) = self.app.admin_address() {
            line(format_args!("  debug page    http://{address}/_debug/twilio"));
            line(format_args!("  metrics       http://{address}/metrics"));
        }
        line(format_args!(""));
        line(format_args!(
            "Open the first address, type an SMS, see the bot answer. Ctrl-C ends it."
        ));
        stop.await;
        Ok(ExitCode::SUCCESS)
    }

    /// Stops both and removes the queue's folder.
    pub(super) async fn stop(self) {
        self.app.stop().await;
        self.emulator.shutdown().await;
        remove(&self.folder);
    }
}

fn remove(folder: &Path) {
    match std::fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => eprintln!("chimein: {} was not removed: {error}", folder.display()),
    }
}

/// The environment with the emulator's addresses and credentials and what is the demo's own over it. The agent stays as the
/// user has set it.
fn overlay(
    environment: &Environment,
    emulator: &Emulator,
    own: Vec<(&'static str, String)>,
) -> Environment {
    let (urls, credentials) = (emulator.urls(), emulator.credentials());
    let ours = [
        ("TWILIO_ENABLED", "true".to_owned()),
        ("TWILIO_ACCOUNT_SID", credentials.account_sid.to_string()),
        ("TWILIO_AUTH_TOKEN", credentials.auth_token.expose_secret().to_owned()),
        ("TWILIO_CONVERSATIONS_BASE_URL", urls.conversations.to_string()),
        ("TWILIO_API_BASE_URL", urls.api.to_string()),
        ("TWILIO_MESSAGING_BASE_URL", urls.api.to_string()),
        ("TWILIO_MEDIA_BASE_URL", urls.api.to_string()),
        ("TWILIO_TWILSOCK_URL", urls.twilsock.to_string()),
        ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
    ];
    let quiet = environment.get("LOG_LEVEL").is_none().then(|| ("LOG_LEVEL", "warn".to_owned()));
    let theirs = environment
        .names()
        .filter(|name| !is_replaced(name))
        .filter_map(|name| environment.get(name).map(|value| (name.to_owned(), value.to_owned())));
    let ours =
        ours.into_iter().chain(own).chain(quiet).map(|(name, value)| (name.to_owned(), value));
    Environment::from_pairs(theirs.chain(ours))
}

/// What conversations need.
fn conversations(emulator: &Emulator) -> [(&'static str, String); 4] {
    let credentials = emulator.credentials();
    [
        ("TWILIO_API_KEY", credentials.api_key.to_string()),
        ("TWILIO_API_SECRET", credentials.api_secret.expose_secret().to_owned()),
        ("TWILIO_CHAT_SERVICE_SID", credentials.service_sid.to_string()),
        ("TWILIO_IDENTITY", IDENTITY.to_owned()),
    ]
}

/// Further identities, where one has not enough seats.
fn pool(phones: u32) -> Vec<String> {
    (2..=phones.div_ceil(SEATS)).map(|number| format!("{IDENTITY}-{number}")).collect()
}

/// Whether an author is the bot, under any identity of the pool.
pub(super) fn is_bot(author: &str) -> bool {
    author == IDENTITY || author.strip_prefix(IDENTITY).is_some_and(|rest| rest.starts_with('-'))
}

/// Whether a variable would point the demo's service at something else than the emulator.
fn is_replaced(name: &str) -> bool {
    name.starts_with("TWILIO_")
        || name.starts_with("CHIMEIN_WEBHOOK_")
        || name.starts_with("CHIMEIN_MESSAGING_")
        || name == "CHIMEIN_IDENTITY_POOL"
}

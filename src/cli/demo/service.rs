//! The emulator and the service of a demo, on this machine alone.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use uuid::Uuid;

use super::Error;
use super::channel::DemoChannel;
use crate::admin::{Insight as _, Readiness};
use crate::agent::kinds;
use crate::app::{self, App};
use crate::cli::outcome::line;
use crate::cli::{doctor, setup, signals};
use crate::clock::Clock;
use crate::config::{Environment, Settings};
use crate::emulator::control::Webhook;
use crate::emulator::state::messaging::Number;
use crate::emulator::{self, Emulator};
use crate::telemetry::chain::Chain;
use crate::telemetry::log;

/// How long a round trip may take before it has failed.
pub(in crate::cli) const PATIENCE: Duration = Duration::from_secs(15);
/// The bot's identity in the demo.
pub(super) const IDENTITY: &str = "bot";
/// How many conversations an identity is given here; Twilio allows 1,000.
const SEATS: u32 = 900;

/// How a demo is to be.
pub(in crate::cli) struct DemoOptions<'a> {
    /// Where the emulator listens.
    pub(in crate::cli) listen: SocketAddr,
    /// By which road messages go.
    pub(in crate::cli) channel: DemoChannel,
    /// How many phones write at once.
    pub(in crate::cli) phones: u32,
    /// Where everything is kept from run to run; without it nothing is.
    pub(in crate::cli) state: Option<&'a Path>,
    /// Settings over those of the environment.
    pub(in crate::cli) settings: Vec<(&'static str, String)>,
}

/// The emulator and the service, running.
pub(in crate::cli) struct Demo {
    pub(in crate::cli) emulator: Emulator,
    pub(in crate::cli) app: App,
    pub(in crate::cli) channel: DemoChannel,
    settings: Settings,
    folder: DemoFolder,
}

/// Where the demo's store is.
struct DemoFolder {
    path: PathBuf,
    is_kept: bool,
}

impl DemoFolder {
    fn of(state: Option<&Path>) -> Self {
        let passing =
            || std::env::temp_dir().join(format!("chimein-demo-{}", Uuid::new_v4().simple()));
        Self { path: state.map_or_else(passing, Path::to_owned), is_kept: state.is_some() }
    }
}

impl Demo {
    /// Starts both; returns once the service is ready.
    pub(in crate::cli) async fn start(
        demo: DemoOptions<'_>,
        environment: &Environment,
    ) -> Result<Self, Error> {
        let DemoOptions { listen, channel, phones, state, settings: own } = demo;
        let folder = DemoFolder::of(state);
        let snapshot = folder.is_kept.then(|| folder.path.join("emulator.json"));
        if folder.is_kept {
            std::fs::create_dir_all(&folder.path).map_err(Error::Setup)?;
        }
        let options = emulator::Options { listen, snapshot, ..emulator::Options::default() };
        let emulator = Emulator::start(options).await?;
        let listener = app::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let public_url = listener.local_addr().map(|address| format!("http://{address}"));
        let public_url = ("CHIMEIN_WEBHOOK_PUBLIC_URL", public_url.map_err(Error::Setup)?);
        let queue = ("CHIMEIN_QUEUE_PATH", folder.path.join("chimein.db").display().to_string());
        let pool = ("CHIMEIN_IDENTITY_POOL", pool(phones).join(","));
        let mut own: Vec<_> = own.into_iter().chain([public_url, queue]).collect();
        match channel {
            DemoChannel::Conversation => {
                own.extend(emulator.conversation_variables());
                own.extend([("TWILIO_IDENTITY", IDENTITY.to_owned()), pool]);
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
        let loaded = report.into_settings()?;
        let options = log::Options {
            level: loaded.log.level.clone(),
            format: loaded.log.format,
            stream: log::Stream::Stderr,
            has_colours: environment.get("NO_COLOR").is_none(),
            service: loaded.server.name.as_str().to_owned(),
        };
        log::init(&options, None)?;
        let app = App::start(&loaded, effective, listener).await?;
        let url = format!("http://{}{}", app.address(), channel.route());
        let control = emulator.control();
        if channel == DemoChannel::Conversation {
            control.set_webhook(Webhook { post_url: Some(url), ..Webhook::default() });
        } else {
            let number = Number { rate: Some(1000), ..Number::told_to(channel.ours(), url) };
            control.set_number(number).map_err(Error::Message)?;
        }
        let demo = Self { emulator, app, channel, settings: loaded, folder };
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
        self.tell();
        tokio::select! {
            _ = stop => Ok(ExitCode::SUCCESS),
            never = self.look_after() => match never {},
        }
    }

    /// Has the doctor look, and sees what setup would change, as a service does.
    pub(in crate::cli) async fn look_after(&self) -> Infallible {
        let Self { app, settings, .. } = self;
        let clock = Clock::start();
        tokio::select! {
            never = doctor::watch(settings, (app.metrics(), app.findings()), clock) => never,
            never = setup::watch(settings, app.plans(), clock) => never,
        }
    }

    /// Says where to look.
    pub(in crate::cli) fn tell(&self) {
        let agent = self.settings.agent.kind.word();
        line(format_args!("A local Twilio and a bot with an agent of kind {agent} are running."));
        line(format_args!(""));
        line(format_args!("  phones        {}", self.emulator.urls().phone));
        line(format_args!("  health        http://{}/readyz", self.app.address()));
        if let Some(address) = self.app.admin_address() {
            line(format_args!("  console       http://{address}/console/"));
            line(format_args!("  debug page    http://{address}/_debug/twilio"));
            line(format_args!("  metrics       http://{address}/metrics"));
        }
        line(format_args!(""));
        line(format_args!(
            "Open the first address, type an SMS, see the bot answer. Ctrl-C ends it."
        ));
    }

    /// Stops both; keeps what is to be kept, and removes the rest.
    pub(in crate::cli) async fn stop(self) {
        self.app.stop().await;
        let control = self.emulator.control();
        self.emulator.shutdown().await;
        if let Err(error) = control.save().await {
            eprintln!("chimein: the local Twilio's state was not kept: {}", Chain(&error));
        }
        if !self.folder.is_kept {
            remove(&self.folder.path);
        }
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
    let ours =
        [("TWILIO_ENABLED", "true".to_owned()), ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0".to_owned())];
    // What the doctor says of a demo's own address is no news to anybody.
    let level = "warn,chimein::cli::doctor=error";
    let quiet = environment.get("LOG_LEVEL").is_none().then(|| ("LOG_LEVEL", level.to_owned()));
    let theirs = environment
        .names()
        .filter(|name| !is_replaced(name))
        .filter_map(|name| environment.get(name).map(|value| (name.to_owned(), value.to_owned())));
    let ours = emulator
        .account_variables()
        .into_iter()
        .chain(ours)
        .chain(quiet)
        .chain(own)
        .map(|(name, value)| (name.to_owned(), value));
    Environment::from_pairs(theirs.chain(ours))
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

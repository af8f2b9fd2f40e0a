//! `chimein demo`: a local Twilio, the service against it, and an agent, on this machine alone.
//!
//! Without options it runs until interrupted and says where to look. `--once TEXT` sends one SMS and
//! prints what became of it, step by step; `--many N` sends one SMS from each of N phones at the same
//! time and counts the answers. `--channel` says by which road they go. The service is the real one, built from settings as `serve` builds
//! it; only the addresses and credentials are the emulator's. Its queue lives in a folder of its own
//! that is removed at the end.

mod channel;
mod many;
mod once;
mod service;
mod timeline;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

pub(super) use self::channel::DemoChannel;
use self::service::PATIENCE;
pub(super) use self::service::{Demo, DemoOptions};
pub(super) use self::timeline::{Step, trouble};
use crate::config::{self, Environment};
use crate::emulator::state::refusal::Refusal;
use crate::telemetry::log;
use crate::{app, emulator};

/// What `chimein demo` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Sends one SMS with this text, prints its timeline and the answer, and ends.
    #[arg(long, value_name = "TEXT", conflicts_with = "many")]
    once: Option<String>,
    /// Sends one SMS from each of this many phones at the same time, counts the answers and ends.
    #[arg(long, value_name = "PHONES")]
    many: Option<u32>,
    /// Over which channel they are sent: a conversation, or plain SMS or WhatsApp without one.
    #[arg(long, value_enum, default_value_t = DemoChannel::Conversation)]
    channel: DemoChannel,
    /// Where the page with the phones is served; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(super) listen: SocketAddr,
}

/// Says why the demo could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings taken from the environment are not fit to start with.
    #[error(transparent)]
    Settings(#[from] config::Error),
    /// The log could not be set up.
    #[error("the log could not be set up")]
    Log(#[from] log::Error),
    /// The runtime or the signals could not be set up.
    #[error("the demo could not be set up")]
    Setup(#[source] io::Error),
    /// The emulator could not be started.
    #[error("the emulator could not be started")]
    Emulator(#[from] emulator::Error),
    /// The service could not be started.
    #[error("the service could not be started")]
    App(#[from] app::Error),
    /// The emulator did not take a message.
    #[error("the emulator did not take the message")]
    Message(#[source] Refusal),
    /// The service did not become ready.
    #[error("the service was not ready after {} s: {reasons}", PATIENCE.as_secs())]
    NotReady {
        /// What it lacked.
        reasons: String,
    },
}

/// Runs the command.
///
/// # Errors
///
/// See [`Error`]; a round trip that fails is told by the exit code.
pub fn run(args: &Args, environment: &Environment) -> Result<ExitCode, Error> {
    let runtime = tokio::runtime::Runtime::new().map_err(Error::Setup)?;
    runtime.block_on(async {
        let options = DemoOptions {
            listen: args.listen,
            channel: args.channel,
            phones: args.many.unwrap_or(1),
            state: None,
            settings: Vec::new(),
        };
        let demo = Demo::start(options, environment).await?;
        let ended = match (&args.once, args.many) {
            (Some(text), _) => once::run(&demo, text).await,
            (None, Some(phones)) => many::run(&demo, phones).await,
            (None, None) => demo.until_interrupted().await,
        };
        demo.stop().await;
        ended
    })
}

//! `chimein emulator`: runs a Twilio for this machine until it is told to stop.
//!
//! Prints one line of JSON when it is ready, with everything that a client must know, so that a
//! script can start it and read on. The credentials in it are made up and open nothing else. On a terminal it says the
//! same to a person, and then what it is asked and asks, line by line.

mod fault;
mod watch;

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use url::Url;

use crate::cli::outcome::line;
use crate::emulator::state::messaging::Number;
use crate::emulator::state::model::Channel;
use crate::emulator::{self, Defect, Emulator, Options};
use crate::net::authority::{Authority, Hosts};
use crate::pii::Pii;

/// Options of `chimein emulator`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// How others reach it, if not by the address it listens on.
    #[arg(long, value_name = "URL")]
    public_url: Option<Url>,
    /// A host by which it may be called besides its own address and URL, and whose pages may write;
    /// may be given several times.
    #[arg(long = "allow-host", value_name = "HOST[:PORT]", value_parser = host)]
    allowed_hosts: Vec<String>,
    /// Where the service's post-action webhooks go.
    #[arg(long, value_name = "URL")]
    webhook_url: Option<Url>,
    /// A number of the account, with the URL that is told of texts to it; may be given several times.
    /// Without any, every number is the account's.
    #[arg(long = "number", value_name = "ADDRESS[=URL]", value_parser = number)]
    numbers: Vec<Number>,
    /// Prints the settings that lead a service here as `export` lines, instead of one line of JSON.
    #[arg(long)]
    env: bool,
    /// Refuses form fields and filters that a resource does not have.
    #[arg(long)]
    strict: bool,
    /// Makes credentials, the chat service and faults repeatable.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Makes all other sids repeatable too; a service that keeps its store from run to run takes new
    /// messages for known ones then, and answers none.
    #[arg(long, requires = "seed")]
    repeat_sids: bool,
    /// Keeps the state in this file from run to run.
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// Makes a mistake on purpose, for tests that must notice it.
    #[arg(long, value_name = "NAME", value_parser = defect)]
    defect: Option<Defect>,
    /// Lets only configured addresses make conversations of incoming messages.
    #[arg(long)]
    configured_addresses_only: bool,
}

/// Says why a mistake cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("there is no such mistake; there are: {0}")]
struct NoSuchDefect(String);

/// Says why a host cannot be allowed.
#[derive(Debug, thiserror::Error)]
#[error("this is no host; write a name or an address, and a port if only that one is meant")]
struct NoHost;

fn host(text: &str) -> Result<String, NoHost> {
    Authority::parse(text).map(|host| host.as_str().to_owned()).ok_or(NoHost)
}

/// Says why a number cannot be the account's.
#[derive(Debug, thiserror::Error)]
#[error(
    "this is no number; write +15555550100, whatsapp:+15555550100 or rcs:agent, then perhaps =URL"
)]
struct NoNumber;

fn number(text: &str) -> Result<Number, NoNumber> {
    let (address, url) = text.split_once('=').map_or((text, None), |(a, url)| (a, Some(url)));
    Channel::of(address).ok_or(NoNumber)?;
    let url = url.map(str::to_owned);
    Ok(Number { address: Pii::new(address), url, ..Number::default() })
}

fn defect(name: &str) -> Result<Defect, NoSuchDefect> {
    let all = || Defect::ALL.iter().map(|defect| defect.as_str()).collect::<Vec<_>>().join(", ");
    Defect::from_word(name).ok_or_else(|| NoSuchDefect(all()))
}

impl Args {
    /// Where the emulator listens; none if another one is told something.
    pub(super) fn listens(&self) -> Option<SocketAddr> {
        self.command.is_none().then_some(self.listen)
    }
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Tells a running emulator what is to go wrong.
    Fault(fault::Args),
}

/// Says why the emulator did not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The runtime could not be started.
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    /// The emulator could not be started.
    #[error("cannot start the emulator")]
    Start(#[source] emulator::Error),
    /// The state could not be kept.
    #[error("cannot keep the state")]
    Save(#[source] emulator::SnapshotError),
    /// A running emulator could not be told.
    #[error(transparent)]
    Fault(#[from] fault::Error),
    /// The signals that end it cannot be heard.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
}

/// Runs until a signal asks for an end, or tells another emulator something.
pub(super) fn run(args: &Args) -> Result<ExitCode, Error> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::Runtime)?;
    match &args.command {
        None => runtime.block_on(serve(args)),
        Some(Command::Fault(args)) => {
            runtime.block_on(fault::run(args))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn serve(args: &Args) -> Result<ExitCode, Error> {
    let stop = super::signals::stop_signal().map_err(Error::Signals)?;
    let emulator = Emulator::start(options(args)).await.map_err(Error::Start)?;
    let is_watched = !args.env && io::stdout().is_terminal();
    if args.env {
        for (name, value) in emulator.variables() {
            line(format_args!("export {name}={value}"));
        }
    } else if is_watched {
        line(format_args!("{}", watch::banner(&emulator.info(), &emulator.variables())));
    } else {
        line(format_args!("{}", emulator.info()));
    }
    let watched = emulator.control().watch();
    tokio::select! {
        _signal = stop => {}
        () = watch::show(watched), if is_watched => {}
    }
    let control = emulator.control();
    emulator.shutdown().await;
    control.save().await.map_err(Error::Save)?;
    Ok(ExitCode::SUCCESS)
}

fn options(args: &Args) -> Options {
    Options {
        listen: args.listen,
        public_url: args.public_url.clone(),
        hosts: Hosts::new(args.allowed_hosts.iter().map(String::as_str)).unwrap_or_default(),
        webhook_url: args.webhook_url.clone(),
        numbers: args.numbers.clone(),
        strict: args.strict,
        seed: args.seed,
        repeat_sids: args.repeat_sids,
        snapshot: args.snapshot.clone(),
        defect: args.defect,
        autocreate_all: !args.configured_addresses_only,
        ..Options::default()
    }
}

//! `chimein setup`: sets a Twilio account up as the settings want it, and `--undo` puts it back.
//!
//! It reads what Twilio has, shows what it would change, field by field with old and new, asks, keeps the old values
//! in a file beside the store, writes call by call, reads each back, and lets the doctor look. What somebody else has
//! set is left, unless `--take-over`. A second run has nothing to do; one that broke off is gone on with by the next
//! or undone. Without a terminal it only shows, unless `--yes`.
//!
//! Exit code 0 if all is as wanted, 1 if something failed or was left, 2 for misuse, 3 if it was only shown.

mod account;
mod apply;
mod call;
mod kept;
mod plan;
mod seal;
mod show;
mod undo;
mod wanted;
mod watch;

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use self::call::SetupCall;
use self::kept::KeptSetups;
use self::plan::Plan;
use self::seal::Seal;
use self::wanted::{UnsaidWish, WantedSetup};
use super::outcome::{self, Confirmed, Outcome};
use super::progress::Progress;
use super::{doctor, signals};
use crate::agent::kinds;
use crate::app;
use crate::clock::Clock;
use crate::config::kinds::{Senders, Setting as _};
use crate::config::settings::Twilio;
use crate::config::{self, Environment, Settings};
use crate::console::plans::Plans;
use crate::net::tls;
use crate::pii::Pii;
use crate::text::printable;
use crate::twilio::rest;

/// The exit code if it was only shown.
const SHOWN: u8 = 3;

/// What `chimein setup` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file; without it the one that CHIMEIN_CONFIG names.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A number of yours that is to make conversations, besides those in the settings; may be repeated.
    #[arg(long = "address", value_name = "NUMBER", value_parser = address)]
    addresses: Vec<Pii>,
    /// Does it without asking.
    #[arg(long)]
    yes: bool,
    /// Replaces also what somebody else has set.
    #[arg(long)]
    take_over: bool,
    /// Puts back what the last setup changed.
    #[arg(long, conflicts_with = "addresses")]
    undo: bool,
    /// Prints the calls instead of making them.
    #[arg(long, value_name = "AS", conflicts_with_all = ["undo", "yes", "json"])]
    print: Option<PrintAs>,
    /// Prints JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// What calls are printed as.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum PrintAs {
    /// Commands of curl.
    Curl,
}

fn address(text: &str) -> Result<Pii, String> {
    let one = Senders::parse(text).and_then(|senders| match <[Pii; 1]>::try_from(senders.0) {
        Ok([one]) => Some(one),
        Err(_) => None,
    });
    one.ok_or_else(|| "wanted is a number such as +15555550100 or whatsapp:+15555550100".to_owned())
}

/// Says why the account was not set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It could not begin, or not say how it went.
    #[error(transparent)]
    Begin(#[from] outcome::Error),
    /// The settings are wrong.
    #[error("the settings are wrong; `chimein config` says what")]
    Settings(#[from] config::Error),
    /// It cannot be said what is wanted.
    #[error(transparent)]
    Unsaid(#[from] UnsaidWish),
    /// The TLS configuration could not be made.
    #[error("the TLS configuration could not be made")]
    Tls(#[from] tls::Error),
    /// The REST client could not be made.
    #[error("the client for twilio's REST API could not be made")]
    Rest(#[from] rest::BuildError),
    /// Twilio could not be asked what it has.
    #[error("the account could not be looked at, nothing was changed; `chimein doctor` says more")]
    Look(#[source] rest::Error),
    /// The old values are not kept or not there.
    #[error(transparent)]
    Kept(#[from] kept::Error),
    /// A call was not made.
    #[error(transparent)]
    Apply(#[from] apply::Error),
    /// Signals cannot be listened to.
    #[error("signals cannot be listened to")]
    Signals(#[source] std::io::Error),
    /// Somebody asked for an end.
    #[error("stopped by {0}: the old values are kept, run it again to go on, or --undo")]
    Stopped(&'static str),
    /// The doctor could not look.
    #[error("all calls were made, but the doctor could not look")]
    Doctor(#[from] doctor::Error),
}

/// Runs the command.
///
/// # Errors
///
/// See [`Error`].
pub fn run(args: &Args, environment: &Environment) -> Result<ExitCode, Error> {
    let say = |text: &str| outcome::line(format_args!("{}", printable(text)));
    outcome::run(set_up(args, environment, Desk { say: &say, ask: &outcome::confirm }))
}

/// Whoever looks on: is shown things as they come, and asked.
struct Desk<'d> {
    say: &'d dyn Fn(&str),
    ask: &'d dyn Fn(&str) -> Confirmed,
}

/// An account, and where its old values are kept.
struct SetupBench {
    settings: Settings,
    twilio: Twilio,
    rest: rest::Client,
    seal: Seal,
    path: PathBuf,
    kept: KeptSetups,
    clock: Clock,
}

async fn set_up(args: &Args, environment: &Environment, desk: Desk<'_>) -> Result<Outcome, Error> {
    let mut bench = SetupBench::open(args, environment)?;
    let (plan, run) = if args.undo {
        let Some((at, calls)) = bench.kept.last(bench.twilio.account.account_sid, &bench.seal)?
        else {
            let found = format!("{} has nothing to undo\n", bench.path.display());
            return Ok(Outcome::done(found));
        };
        (bench.way_back(&calls, args.take_over).await?, Some(at))
    } else {
        (bench.plan(args).await?, None)
    };
    if args.print == Some(PrintAs::Curl) {
        let place = |call: &SetupCall| bench.rest.settings_url(call.resource());
        let auth = bench.twilio.account.rest_auth;
        return Ok(finished(&plan, show::curl(&plan, auth, place)));
    }
    if !args.json {
        (desk.say)(&show::table(&plan));
    }
    if !plan.calls.is_empty()
        && !args.yes
        && let Some(end) = unless_wanted(&plan, args, desk.ask)
    {
        return Ok(end);
    }
    let written = bench.carry_out(&plan, run).await?;
    bench.told(&plan, written, (args, environment)).await
}

/// Asks whether the plan is wanted; the end if it is not.
fn unless_wanted(plan: &Plan, args: &Args, ask: &dyn Fn(&str) -> Confirmed) -> Option<Outcome> {
    let question = question(plan, args.undo);
    if args.json {
        let output = outcome::json(&json!({ "done": false, "plan": show::value(plan) }));
        let note = format!("{question}; nothing was changed, add --yes to do it");
        return Some(Outcome::done(output).with_code(SHOWN).with_note(&note));
    }
    let nothing = Outcome::done(String::new()).with_code(SHOWN);
    match ask(&question) {
        Confirmed::Yes => None,
        Confirmed::No => Some(nothing.with_note("nothing was changed")),
        Confirmed::Nobody => {
            let note = format!("{question}; nothing was changed, add --yes to do it");
            Some(nothing.with_note(&note))
        }
    }
}

impl SetupBench {
    fn open(args: &Args, environment: &Environment) -> Result<Self, Error> {
        let clock = Clock::start();
        let settings = kinds::load(args.config.as_deref(), environment).into_settings()?;
        let twilio = settings.twilio.clone().ok_or(UnsaidWish::Off)?;
        let rest = client(&settings, &twilio, clock)?;
        let path = kept::place(&settings.queue.path);
        let kept = KeptSetups::read(&path)?;
        let seal = Seal::of(&twilio.account.auth_token);
        Ok(Self { settings, twilio, rest, seal, path, kept, clock })
    }

    /// What is to be done for the account to be as wanted.
    async fn plan(&self, args: &Args) -> Result<Plan, Error> {
        let former = self.kept.former_urls();
        let wanted = WantedSetup::read(&self.settings, &args.addresses, args.take_over, former)?;
        let found = account::look(&self.rest, &wanted).await.map_err(Error::Look)?;
        Ok(plan::plan(&found, &wanted))
    }

    /// What is to be done for it to be as it was; the last call goes back first.
    async fn way_back(&self, calls: &[SetupCall], take_over: bool) -> Result<Plan, Error> {
        let mut plan = Plan::default();
        for call in calls.iter().rev() {
            let now = apply::fetched(&self.rest, call).await.map_err(Error::Look)?;
            undo::undo(call, now.as_ref(), take_over, &mut plan);
        }
        Ok(plan)
    }

    /// Keeps the old values, makes the calls, and notes that all were made.
    async fn carry_out(&mut self, plan: &Plan, undone: Option<usize>) -> Result<usize, Error> {
        let account = self.twilio.account.account_sid;
        if undone.is_none() && plan.calls.is_empty() {
            // What had broken off has come to its end, by its last call or by other hands.
            if self.kept.end(account) {
                self.kept.write(&self.path)?;
            }
            return Ok(0);
        }
        if undone.is_none() {
            let at = self.clock.wall().in_whole_seconds();
            self.kept.begin((account, at), &plan.calls, &self.seal)?;
            self.kept.write(&self.path)?;
        }
        let stop = signals::stop_signal().map_err(Error::Signals)?;
        let mut progress = Progress::start();
        let written = tokio::select! {
            written = apply::carry_out(&self.rest, &plan.calls, &mut progress) => written?,
            signal = stop => return Err(Error::Stopped(signal)),
        };
        drop(progress);
        match undone {
            None => {
                self.kept.end(account);
            }
            Some(at) if plan.left.is_empty() => {
                self.kept.runs.remove(at);
            }
            // Somebody may want to put back the rest.
            Some(_) => return Ok(written),
        }
        self.kept.write(&self.path)?;
        Ok(written)
    }

    /// Says what came of it, and what the doctor says.
    async fn told(
        &self,
        plan: &Plan,
        written: usize,
        (args, environment): (&Args, &Environment),
    ) -> Result<Outcome, Error> {
        if args.json {
            let value = json!({ "done": true, "written": written, "plan": show::value(plan) });
            return Ok(finished(plan, outcome::json(&value)));
        }
        if plan.calls.is_empty() {
            let nothing =
                if args.undo { "all is as it was\n" } else { "nothing is to be changed\n" };
            return Ok(finished(plan, nothing.to_owned()));
        }
        let mut output = format!("{written} of {} calls made and read back", plan.calls.len());
        if args.undo {
            output.push('\n');
            return Ok(finished(plan, output));
        }
        output += &format!("; the old values are in {}\n\n", self.path.display());
        let found = doctor::look(args.config.as_deref(), environment).await?;
        Ok(finished(plan, output + &found))
    }
}

/// Looks at what would be done without options, as often as the console wishes; writes nothing.
///
/// # Cancel safety
///
/// It can be dropped at any time.
pub(super) async fn watch(settings: &Settings, shown: &Plans, clock: Clock) -> Infallible {
    let look = async || -> Result<Plan, Error> {
        let twilio = settings.twilio.as_ref().ok_or(UnsaidWish::Off)?;
        let rest = client(settings, twilio, clock)?;
        let former = KeptSetups::read(&kept::place(&settings.queue.path))?.former_urls();
        let wanted = WantedSetup::read(settings, &[], false, former)?;
        let found = account::look(&rest, &wanted).await.map_err(Error::Look)?;
        Ok(plan::plan(&found, &wanted))
    };
    watch::look_again(shown, clock, look).await
}

/// The client that asks and writes.
fn client(settings: &Settings, twilio: &Twilio, clock: Clock) -> Result<rest::Client, Error> {
    let options = app::rest_options(twilio, settings.proxy.proxies());
    let (tls, _) = tls::client_config()?;
    Ok(rest::Client::new(options, tls, clock, None)?)
}

/// The end, by what was left.
fn finished(plan: &Plan, output: String) -> Outcome {
    Outcome::done(output).with_code(u8::from(!plan.left.is_empty()))
}

/// Says what would be done.
fn question(plan: &Plan, is_undo: bool) -> String {
    let calls = plan.calls.len();
    let calls = if calls == 1 { "1 call".to_owned() } else { format!("{calls} calls") };
    let what =
        if is_undo { "puts the account's settings back" } else { "changes the account's settings" };
    format!("{calls} to Twilio: that {what}")
}

#[cfg(test)]
mod tests;

//! `chimein doctor`: finds what would keep the service from working, before a user does.
//!
//! Looks at the settings, the store and its disk, the listeners, the public URL, the agent or its bus, the machine's clock, at
//! what the Twilio account says of itself by REST, and whether the socket opens; changes nothing there. A check that cannot be made
//! because an earlier one failed is left out. Exit code 0 if all is fine, 1 with warnings, 2 if something is broken, 3 if nothing is
//! known to be and somewhere nobody could look. No line holds a secret, a query or a user's name of a URL.

mod account;
mod addresses;
mod asking;
mod conversations;
mod disk;
mod local;
mod numbers;
mod probe;
mod queue;
mod remote;
mod seats;
mod socket;
mod told;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use url::Url;

use self::remote::Circumstances;
pub(super) use self::watch::watch;
use super::outcome::{self, Outcome};
use crate::agent::{kind, kinds};
use crate::clock::Clock;
use crate::config::Environment;
use crate::config::Settings;
use crate::config::routing::Route;
use crate::config::settings::Twilio;
use crate::finding::{Finding, Verdict};
use crate::net::tls;
use crate::telemetry::chain::Chain;
use crate::twilio::rest;

/// What `chimein doctor` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file; without it the one that CHIMEIN_CONFIG names.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Leaves out everything that needs the network.
    #[arg(long)]
    offline: bool,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Explains one check and looks at nothing.
    #[arg(long, value_name = "ID", conflicts_with_all = ["json", "offline"])]
    explain: Option<String>,
}

/// Says why the checks could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It could not begin, or not say how it went.
    #[error(transparent)]
    Run(#[from] outcome::Error),
    /// The TLS configuration could not be made.
    #[error("the TLS configuration could not be made")]
    Tls(#[from] tls::Error),
    /// The REST client could not be made.
    #[error("the client for twilio's REST API could not be made")]
    Rest(#[from] rest::BuildError),
    /// The HTTP client could not be made.
    #[error("the http client could not be made")]
    Client(#[source] reqwest::Error),
    /// The agent could not be looked at.
    #[error("the agent could not be looked at")]
    Agent(#[from] kind::Error),
}

/// Runs the command.
///
/// # Errors
///
/// See [`Error`]; what is found wrong is no error.
pub fn run(args: &Args, environment: &Environment) -> Result<ExitCode, Error> {
    outcome::run(examine(args, environment, None))
}

/// Looks, and tells in a table, for a command that ends with it.
pub(super) async fn look(
    config: Option<&Path>,
    environment: &Environment,
) -> Result<String, Error> {
    let args =
        Args { config: config.map(Path::to_owned), offline: false, json: false, explain: None };
    // All checks in one are too much for the stack of whoever asks for them beside something else.
    Box::pin(examine(&args, environment, None)).await.map(|outcome| outcome.output)
}

/// Looks and tells; `place` is where our public URL is for tests.
async fn examine(
    args: &Args,
    environment: &Environment,
    place: Option<&Url>,
) -> Result<Outcome, Error> {
    if let Some(id) = &args.explain {
        return Ok(told::explained(id));
    }
    let findings = found(args, environment, place).await?;
    let has_colours = environment.get("NO_COLOR").is_none_or(str::is_empty);
    Ok(told::told(&findings, args.json, has_colours))
}

/// Makes all checks that can be made.
async fn found(
    args: &Args,
    environment: &Environment,
    place: Option<&Url>,
) -> Result<Vec<Finding>, Error> {
    let clock = Clock::start();
    let report = kinds::load(args.config.as_deref(), environment);
    let mut findings: Vec<Finding> = report.problems().iter().map(local::setting).collect();
    if let Ok(settings) = report.into_settings() {
        let kinds = kinds::schema().keys().len();
        findings.push(Finding::ok("settings", format!("{kinds} keys, nothing wrong with them")));
        let (store, is_running) = queue::examine(&settings, args.offline).await?;
        findings.extend(store);
        findings.extend(local::listeners(&settings, is_running).await);
        match &settings.twilio {
            Some(twilio) => {
                let around = Circumstances { place, is_running, clock };
                findings.extend(of_twilio(&settings, twilio, (args.offline, &around)).await?);
            }
            None => findings.push(Finding::warn(
                "twilio",
                "switched off".to_owned(),
                "set TWILIO_ENABLED=true once the account is there",
            )),
        }
    }
    Ok(findings)
}

/// Looks at the way to Twilio and at what it says.
async fn of_twilio(
    settings: &Settings,
    twilio: &Twilio,
    (is_offline, around): (bool, &Circumstances<'_>),
) -> Result<Vec<Finding>, Error> {
    let mut findings = vec![local::public_url(&settings.webhook), local::rotation(&twilio.account)];
    findings.push(local::region(&twilio.account));
    if is_offline {
        return Ok(findings);
    }
    let proxies = local::proxies(settings, twilio).await;
    let is_open = proxies.verdict == Verdict::Ok;
    findings.push(proxies);
    let remote = async {
        match is_open {
            true => remote::examine(settings, twilio, around).await,
            false => Ok(Vec::new()),
        }
    };
    let socket = async {
        match &twilio.conversations {
            Some(_) if is_open => socket::examine(settings, twilio).await.map(Some),
            Some(_) | None => Ok(None),
        }
    };
    let (agents, remote, socket) = tokio::join!(agents(settings, around.clock), remote, socket);
    findings.extend(agents?);
    findings.extend(remote?);
    findings.extend(socket?);
    Ok(findings)
}

/// Looks at each agent; what is found of one by name is told by that.
async fn agents(settings: &Settings, clock: Clock) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for (name, own) in settings.of_agents() {
        let examined = kinds::of(&own).examine(&own, clock).await;
        let found = match examined {
            Ok(found) => found,
            Err(error) if name.is_plain() => return Err(error.into()),
            Err(error) => {
                let remedy = format!("put [agents.{name}] right, see `chimein manual routing`");
                vec![Finding::fail("agent", Chain(&error).to_string(), remedy)]
            }
        };
        findings.extend(found.into_iter().map(|found| match name.is_plain() {
            true => found,
            false => Finding { found: format!("{name}: {}", found.found), ..found },
        }));
    }
    let routing = &settings.routing;
    for named in &routing.agents {
        let gets = |route: &Route| {
            route.agent == named.name || route.fallback.as_ref() == Some(&named.name)
        };
        if !routing.routes.iter().any(gets) {
            let found = format!("{}: no route names it, so it gets no message", named.name);
            findings.push(Finding::warn("agent", found, "name it in one of [[routes]]"));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests;

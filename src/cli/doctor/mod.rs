//! `chimein doctor`: finds what would keep the service from working, before a user does.
//!
//! Looks at the settings, the store and its disk, the listeners, the public URL, the agent or its bus, the machine's clock, at
//! what the Twilio account says of itself by REST, and whether the socket opens; changes nothing there. A check that cannot be made
//! because an earlier one failed is left out. Exit code 0 if nothing failed (warnings do not count), 1
//! otherwise. No line holds a secret, a query or a user's name of a URL.

mod addresses;
mod disk;
mod local;
mod queue;
mod remote;
mod socket;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::outcome::{self, Outcome};
use crate::agent::{kind, kinds};
use crate::clock::Clock;
use crate::config::Environment;
use crate::config::Settings;
use crate::config::routing::Route;
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
    outcome::run(examine(args, environment))
}

/// Looks, and tells in a table, for a command that ends with it.
pub(super) async fn look(
    config: Option<&Path>,
    environment: &Environment,
) -> Result<String, Error> {
    let args = Args { config: config.map(Path::to_owned), offline: false, json: false };
    examine(&args, environment).await.map(|outcome| outcome.output)
}

async fn examine(args: &Args, environment: &Environment) -> Result<Outcome, Error> {
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
                findings.push(local::public_url(&settings.webhook));
                if !args.offline {
                    findings.extend(agents(&settings, clock).await?);
                    let examined = remote::examine(&settings, twilio, clock);
                    findings.extend(examined.await?);
                    if twilio.conversations.is_some() {
                        findings.push(socket::examine(&settings, twilio).await?);
                    }
                }
            }
            None => findings.push(Finding::warn(
                "twilio",
                "switched off".to_owned(),
                "set TWILIO_ENABLED=true once the account is there",
            )),
        }
    }
    Ok(told(&findings, args.json))
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

fn told(findings: &[Finding], as_json: bool) -> Outcome {
    let is_fit = findings.iter().all(|finding| finding.verdict != Verdict::Fail);
    let output = if as_json {
        outcome::json(&json!({ "fit": is_fit, "findings": findings }))
    } else {
        outcome::table(["verdict", "check", "found", "remedy"], findings.iter().map(Finding::row))
    };
    Outcome::done(output).with_code(u8::from(!is_fit))
}

#[cfg(test)]
mod tests;

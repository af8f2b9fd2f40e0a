//! `chimein config`: shows what the service would be told, and everything that is wrong with it.
//!
//! Prints each key's effective value, secrets masked, and where it came from: the manual's default,
//! the file, a variable, a secret's file. Exit code 0 if the settings are fit to start with, 2 if
//! not. `--defaults` prints the file of defaults instead.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::outcome::{MISUSE, Outcome, table};
use crate::agent::kinds;
use crate::config::{Effective, Environment, Problem};

/// What `chimein config` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file; without it the one that CHIMEIN_CONFIG names.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Prints the whole manual of settings with their defaults, as a file to start from.
    #[arg(long, conflicts_with_all = ["config", "json"])]
    defaults: bool,
}

/// Says why the settings could not be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Standard output did not take them.
    #[error("cannot write the settings")]
    Output(#[source] io::Error),
}

/// Runs the command.
///
/// # Errors
///
/// Fails if standard output cannot be written to; problems of the settings are part of the output.
pub fn run(args: &Args, environment: &Environment) -> Result<ExitCode, Error> {
    let outcome = if args.defaults {
        Outcome::done(kinds::schema().manual().text().to_owned())
    } else {
        show(args, environment)
    };
    outcome.tell().map_err(Error::Output)
}

fn show(args: &Args, environment: &Environment) -> Outcome {
    let report = kinds::load(args.config.as_deref(), environment);
    let problems = report.problems();
    let is_fit = problems.is_empty();
    let output =
        if args.json { as_json(&report.effective, problems) } else { as_table(&report.effective) };
    let is_told = is_fit || args.json;
    let complaint = if is_told { String::new() } else { as_list(problems) };
    let code = if is_fit { 0 } else { MISUSE };
    Outcome { complaint, ..Outcome::done(output) }.with_code(code)
}

fn as_table(effective: &[Effective]) -> String {
    let row = |one: &Effective| {
        let shown = one.shown.as_deref().unwrap_or("-");
        [one.key.clone().into_owned(), shown.to_owned(), one.origin.to_string()]
    };
    table(["key", "value", "from"], effective.iter().map(row))
}

fn as_list(problems: &[Problem]) -> String {
    let mut list = format!("\n{} to put right:\n", problems.len());
    for problem in problems {
        list.push_str(&format!("  {problem}\n"));
    }
    list
}

#[derive(Serialize)]
struct ConfigDocument<'a> {
    settings: Vec<ShownSetting<'a>>,
    problems: Vec<ShownProblem<'a>>,
}

#[derive(Serialize)]
struct ShownSetting<'a> {
    key: &'a str,
    value: Option<&'a str>,
    from: String,
}

#[derive(Serialize)]
struct ShownProblem<'a> {
    key: &'a str,
    from: String,
    reason: String,
    remedy: &'a str,
}

fn as_json(effective: &[Effective], problems: &[Problem]) -> String {
    let settings = effective
        .iter()
        .map(|Effective { key, shown, origin }| ShownSetting {
            key,
            value: shown.as_deref(),
            from: origin.to_string(),
        })
        .collect();
    let problems = problems
        .iter()
        .map(|problem| ShownProblem {
            key: &problem.key,
            from: problem.origin.to_string(),
            reason: problem.reason.to_string(),
            remedy: &problem.remedy,
        })
        .collect();
    let document = ConfigDocument { settings, problems };
    serde_json::to_string_pretty(&document).expect("text and lists are always JSON") + "\n"
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::MASK;

    #[test]
    fn the_table_shows_values_with_their_origin_and_masks_secrets() {
        let environment = Environment::from_pairs([
            ("TWILIO_AUTH_TOKEN", "planted-secret"),
            ("CHIMEIN_AGENT_TIMEOUT", "90s"),
        ]);
        let table = as_table(&kinds::load(None, &environment).effective);
        let row = |key: &str| -> Vec<String> {
            let row = table.lines().find(|line| line.starts_with(key)).unwrap();
            row.split_whitespace().map(str::to_owned).collect()
        };
        assert_eq!(
            row("agent.timeout"),
            ["agent.timeout", "90s", "environment", "CHIMEIN_AGENT_TIMEOUT"]
        );
        assert_eq!(row("agent.kind"), ["agent.kind", "echo", "default"]);
        assert_eq!(row("agent.url"), ["agent.url", "-", "not", "set"]);
        assert_eq!(row("twilio.auth_token")[1], MASK);
        assert!(!table.contains("planted"), "{table}");
    }

    #[test]
    fn json_holds_settings_and_problems() {
        let environment = Environment::from_pairs([("SERVICE_PORT", "planted")]);
        let report = kinds::load(None, &environment);
        let json = as_json(&report.effective, report.problems());
        assert!(!json.contains("planted"), "{json}");
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["settings"].as_array().unwrap().len(), kinds::schema().keys().len());
        let problems = json["problems"].as_array().unwrap();
        let port = problems.iter().find(|problem| problem["key"] == "server.port").unwrap();
        assert_eq!(port["from"], "environment SERVICE_PORT");
    }

    #[test]
    fn settings_that_are_not_fit_end_with_misuse() {
        let args = Args { config: None, json: false, defaults: false };
        let unfit = show(&args, &Environment::default());
        assert_eq!(unfit.code, 2);
        assert!(unfit.complaint.contains("TWILIO_IDENTITY"), "{}", unfit.complaint);
        let off = Environment::from_pairs([("TWILIO_ENABLED", "false")]);
        let fit = show(&args, &off);
        assert_eq!((fit.code, fit.complaint.as_str()), (0, ""));
    }
}

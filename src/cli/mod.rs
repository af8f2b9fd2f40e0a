//! The command line: one file a command.
//!
//! Decides which command runs and how its end is told: the exit code, and on standard error the
//! chain of what went wrong. Each command is an `Args` and a `run`. This is the only room that
//! prints. The process environment is read once, in [`main`], and handed on as a value.

mod admin_api;
mod backup;
mod completions;
mod config;
mod container;
mod dead_letters;
mod demo;
mod dev;
mod doctor;
mod doors;
mod emulator;
mod forget;
mod handoff;
mod health;
mod man;
mod manual;
mod needed;
mod outcome;
mod progress;
mod queues;
mod restore;
mod secret;
mod send;
mod serve;
mod setup;
mod signals;
mod signature;
mod store_file;
mod trace;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use self::outcome::chain;
use crate::config::Environment;
#[cfg(debug_assertions)]
use crate::fault_points;
use crate::text::printable;

#[derive(Debug, Parser)]
#[command(name = "chimein", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Copies the store into a file, while the service runs or not.
    Backup(backup::Args),
    /// Prints what a shell needs to complete this command line.
    Completions(completions::Args),
    /// Shows the effective settings with their origins, and everything that is wrong with them.
    Config(config::Args),
    /// Lists, shows, redrives and drops what could not be done.
    DeadLetters(dead_letters::Args),
    /// Runs a local Twilio, the service against it and an agent, on this machine alone.
    Demo(demo::Args),
    /// Runs a local Twilio and the service with your own agent, and shows what becomes of each message.
    Dev(dev::Args),
    /// Finds what would keep the service from working; changes nothing.
    Doctor(doctor::Args),
    /// Runs a Twilio for this machine: REST, webhooks, the realtime socket and a page with phones.
    Emulator(Box<emulator::Args>),
    /// Takes a person's texts and addresses out of the service.
    Forget(forget::Args),
    /// Gives a conversation to a person, or back to the bot.
    Handoff(handoff::Args),
    /// Asks the service on this machine whether it is well; the health check of containers.
    Health(health::Args),
    /// Prints the page of this command line for man.
    Man(man::Args),
    /// Prints a page of the manual, or the list of its pages.
    Manual(manual::Args),
    /// Counts what waits, what is worked on and what is dead.
    Queues(queues::Args),
    /// Puts the store of a backup in its place, while no service runs.
    Restore(restore::Args),
    /// Makes secrets.
    Secret(secret::Args),
    /// Says something in a conversation as the bot.
    Send(send::Args),
    /// Runs the service until it is told to stop.
    Serve(serve::Args),
    /// Sets the Twilio account up as the settings want it, and puts it back.
    Setup(setup::Args),
    /// Checks a webhook's signature by hand.
    Signature(signature::Args),
    /// Shows what happened to a message or in a thread, step by step.
    Trace(trace::Args),
}

/// Says why a command could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no backup.
    #[error(transparent)]
    Backup(#[from] backup::Error),
    /// The config command failed.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The dead-letters command failed.
    #[error(transparent)]
    DeadLetters(#[from] dead_letters::Error),
    /// The demo could not be run.
    #[error(transparent)]
    Demo(#[from] demo::Error),
    /// The doctor command failed.
    #[error(transparent)]
    Doctor(#[from] doctor::Error),
    /// A test asked for a fault point that there is not.
    #[cfg(debug_assertions)]
    #[error("the fault point could not be armed")]
    FaultPoint(#[from] crate::fault_points::Error),
    /// The emulator command failed.
    #[error(transparent)]
    Emulator(#[from] emulator::Error),
    /// Nobody was forgotten.
    #[error(transparent)]
    Forget(#[from] forget::Error),
    /// The handoff command failed.
    #[error(transparent)]
    Handoff(#[from] handoff::Error),
    /// The health command failed.
    #[error(transparent)]
    Health(#[from] health::Error),
    /// The page for man could not be printed.
    #[error(transparent)]
    Man(#[from] man::Error),
    /// What there was to say could not be printed.
    #[error(transparent)]
    Print(#[from] outcome::Error),
    /// As a container's first process it could not start the command below itself.
    #[error("cannot start or watch the process that does the work")]
    Reap(#[source] std::io::Error),
    /// Nothing was restored.
    #[error(transparent)]
    Restore(#[from] restore::Error),
    /// The send command failed.
    #[error(transparent)]
    Send(#[from] send::Error),
    /// The service could not be run.
    #[error(transparent)]
    Serve(#[from] serve::Error),
    /// The account was not set up.
    #[error(transparent)]
    Setup(#[from] setup::Error),
    /// The trace command failed.
    #[error(transparent)]
    Trace(#[from] trace::Error),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let environment = Environment::of_the_process();
    let command = Cli::parse().command;
    let ended = if runs_programs(&command) && container::must_reap() {
        container::reap().map_err(Error::Reap)
    } else {
        run(command, &environment)
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("chimein: {}", printable(&chain(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Whether a command may start an agent's program, and so bring about orphans.
const fn runs_programs(command: &Command) -> bool {
    matches!(command, Command::Serve(_) | Command::Dev(_) | Command::Demo(_))
}

/// Where a process of this command line has a local Twilio, if it has one.
fn emulator_of(command_line: Vec<String>) -> Option<SocketAddr> {
    match Cli::try_parse_from(command_line).ok()?.command {
        Command::Emulator(args) => args.listens(),
        Command::Demo(args) => Some(args.listen),
        Command::Dev(args) => Some(args.listen),
        _ => None,
    }
}

fn run(command: Command, environment: &Environment) -> Result<ExitCode, Error> {
    #[cfg(debug_assertions)]
    if let Some(order) = environment.get(fault_points::VARIABLE) {
        fault_points::arm(order)?;
    }
    match command {
        Command::Backup(args) => Ok(backup::run(&args, environment)?),
        Command::Completions(args) => Ok(completions::run(&args, Cli::command())?),
        Command::Config(args) => Ok(config::run(&args, environment)?),
        Command::DeadLetters(args) => Ok(dead_letters::run(&args, environment)?),
        Command::Demo(args) => Ok(demo::run(&args, environment)?),
        Command::Dev(args) => Ok(dev::run(&args, environment)?),
        Command::Doctor(args) => Ok(doctor::run(&args, environment)?),
        Command::Emulator(args) => Ok(emulator::run(&args)?),
        Command::Forget(args) => Ok(forget::run(&args, environment)?),
        Command::Handoff(args) => Ok(handoff::run(&args, environment)?),
        Command::Health(args) => {
            let emulator = container::command_line().and_then(emulator_of);
            Ok(health::run(&args, environment, emulator)?)
        }
        Command::Man(args) => Ok(man::run(&args, Cli::command())?),
        Command::Manual(args) => Ok(manual::run(&args)?),
        Command::Queues(args) => Ok(queues::run(&args, environment)?),
        Command::Restore(args) => Ok(restore::run(&args, environment)?),
        Command::Secret(args) => Ok(secret::run(&args)?),
        Command::Send(args) => Ok(send::run(&args, environment)?),
        Command::Serve(args) => Ok(serve::run(&args, environment)?),
        Command::Setup(args) => Ok(setup::run(&args, environment)?),
        Command::Signature(args) => Ok(signature::run(&args, environment)),
        Command::Trace(args) => Ok(trace::run(&args, environment)?),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;
    use crate::manual::PAGES;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_local_twilio_is_known_by_the_command_line_and_a_service_is_none() {
        for (words, found) in [
            (&["chimein", "emulator", "--listen", "0.0.0.0:8080"][..], Some("0.0.0.0:8080")),
            (&["/usr/local/bin/chimein", "emulator"], Some("127.0.0.1:0")),
            (&["/sbin/docker-init", "--", "chimein", "demo", "--listen=[::]:80"], Some("[::]:80")),
            (&["chimein", "dev", "--agent", "http://agent/"], Some("127.0.0.1:8017")),
            (&["chimein", "emulator", "fault", "--at", "http://twilio/", "list"], None),
            (&["chimein", "serve"], None),
            (&["chimein", "sing"], None),
            (&["/sbin/init"], None),
            (&["chimein"], None),
            (&[], None),
        ] {
            let line: String = words.iter().map(|word| format!("{word}\0")).collect();
            let address = container::ours(line.as_bytes()).and_then(emulator_of);
            let address = address.map(|address| address.to_string());
            assert_eq!(address.as_deref(), found, "{words:?}");
        }
    }

    #[test]
    fn every_command_of_the_manual_is_one() {
        let readme = include_str!("../../README.md");
        let pages = PAGES.iter().map(|page| page.text);
        let mut count = 0;
        for command in pages.chain([readme]).flat_map(commands) {
            let parsed = Cli::try_parse_from(words(&command));
            let shown = |error: &clap::Error| error.kind() == ErrorKind::DisplayHelp;
            assert!(parsed.as_ref().err().is_none_or(shown), "{command}: {parsed:?}");
            count += 1;
        }
        assert!(count >= 8, "only {count} commands were found");
    }

    #[test]
    fn every_command_in_a_sentence_is_one() {
        let papers = [
            include_str!("../../README.md"),
            include_str!("../../.github/CONTRIBUTING.md"),
            include_str!("../../.github/SECURITY.md"),
            include_str!("../../CHANGELOG.md"),
        ];
        let mut program = Cli::command();
        program.build();
        let mut count = 0;
        for page in PAGES.iter().map(|page| page.text).chain(papers) {
            for span in page.split('`').skip(1).step_by(2) {
                let Some(words) = mentioned(&program, span) else { continue };
                assert_eq!(unknown(&program, &words), None, "{span}");
                count += 1;
            }
        }
        assert!(count > 50, "only {count} were found");
        for wrong in [
            "chimein handof list",
            "chimein handoff list|lst",
            "chimein send --boddy x",
            "demo --ones x",
            "chimein manual chatwood",
        ] {
            let words = mentioned(&program, wrong).unwrap();
            assert!(unknown(&program, &words).is_some(), "{wrong}");
        }
    }

    #[test]
    fn the_manual_tells_of_every_command() {
        let page = crate::manual::page("operation").unwrap().text;
        for command in Cli::command().get_subcommands() {
            let row = format!("`chimein {}", command.get_name());
            assert!(page.contains(&row), "{} is not in the table", command.get_name());
        }
    }

    /// The words of a command that a sentence mentions, as usage notation or in short.
    fn mentioned<'t>(program: &clap::Command, span: &'t str) -> Option<Vec<&'t str>> {
        let words = span.split_whitespace().map(|word| word.trim_matches(['[', ']', '…']));
        let mut words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        let is_short = words.get(1).is_some_and(|word| word.starts_with("--"))
            && program.find_subcommand(words[0]).is_some();
        if words.first() == Some(&"chimein") {
            words.remove(0);
            return Some(words);
        }
        is_short.then_some(words)
    }

    /// The first word of a command that the command line does not know.
    fn unknown(program: &clap::Command, words: &[&str]) -> Option<String> {
        let mut at = program;
        for word in words {
            for word in word.split('|').map(|word| word.trim_end_matches('\\')) {
                let is_known = if let Some(flag) = word.strip_prefix("--") {
                    let flag = flag.split(['=', '[']).next();
                    at.get_arguments().any(|argument| argument.get_long() == flag)
                } else if at.has_subcommands() {
                    at.find_subcommand(word).is_some()
                } else {
                    let first = at.get_positionals().next();
                    let values = first.map_or_else(Vec::new, clap::Arg::get_possible_values);
                    // In capitals it stands for one of them.
                    let is_one = values.iter().any(|value| value.get_name() == word);
                    values.is_empty() || is_one || word == word.to_uppercase()
                };
                if !is_known {
                    return Some(word.to_owned());
                }
            }
            // What follows alternatives belongs to the last.
            let last = word.split('|').next_back().unwrap_or_default();
            at = at.find_subcommand(last).unwrap_or(at);
        }
        None
    }

    /// The commands of a page's shell blocks.
    fn commands(page: &str) -> Vec<String> {
        let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        let lines = blocks.flat_map(str::lines).map(str::trim);
        let ours = lines.filter_map(|line| {
            let line = line
                .split_once(" -- ")
                .filter(|(cargo, _)| cargo.starts_with("cargo run") && !cargo.contains("--example"))
                .map_or_else(
                    || line.starts_with("chimein ").then(|| line.to_owned()),
                    |(_, arguments)| Some(format!("chimein {arguments}")),
                )?;
            let end = [" #", " >", " |", " &", " \\"].iter().filter_map(|end| line.find(end)).min();
            let line = &line[..end.unwrap_or(line.len())];
            // What a variable stands for is some URL.
            Some(line.replace("$CONTROL_URL", "http://127.0.0.1:8080/control/"))
        });
        ours.collect()
    }

    /// A command's words, as a shell parts them.
    fn words(command: &str) -> Vec<String> {
        let (mut words, mut quote) = (vec![String::new()], None);
        for letter in command.chars() {
            match (letter, quote) {
                ('"' | '\'', None) => quote = Some(letter),
                (_, Some(open)) if letter == open => quote = None,
                (' ', None) => words.push(String::new()),
                _ => words.last_mut().unwrap().push(letter),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn the_version_is_the_package_version() {
        let error = Cli::try_parse_from(["chimein", "--version"]).unwrap_err();
        assert_eq!(error.to_string(), format!("chimein {}\n", env!("CARGO_PKG_VERSION")));
    }
}

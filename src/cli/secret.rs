//! `chimein secret new`: makes a secret for `CHIMEIN_AGENT_SECRET`.

use std::process::ExitCode;

use secrecy::ExposeSecret as _;

use super::outcome;
use crate::standard_webhooks::Secret;

/// What `chimein secret` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, clap::Subcommand)]
enum Command {
    /// Prints one that nobody has, by the Standard Webhooks scheme: for CHIMEIN_AGENT_SECRET, here and at the agent.
    New,
}

/// Runs the command.
///
/// # Errors
///
/// If standard output cannot be written to.
pub fn run(args: &Args) -> Result<ExitCode, outcome::Error> {
    let Command::New = args.command;
    let line = format!("{}\n", Secret::random().to_text().expose_secret());
    outcome::print(line.as_bytes())
}

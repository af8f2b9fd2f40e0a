//! `chimein secret new`: makes a secret for `CHIMEIN_AGENT_SECRET`.

use std::io;
use std::process::ExitCode;

use secrecy::ExposeSecret as _;

use super::outcome::write_out;
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

/// Says why there is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Standard output did not take it.
    #[error("cannot write the secret")]
    Output(#[source] io::Error),
}

/// Runs the command.
///
/// # Errors
///
/// If standard output cannot be written to.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let Command::New = args.command;
    let line = format!("{}\n", Secret::random().to_text().expose_secret());
    write_out(line.as_bytes()).map_err(Error::Output)?;
    Ok(ExitCode::SUCCESS)
}

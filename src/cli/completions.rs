//! `chimein completions`: prints what a shell needs to complete this command line.
//!
//! Of this version, made from the same description that reads the arguments.

use std::io;
use std::process::ExitCode;

use clap_complete::Shell;

use super::outcome::write_out;

/// What `chimein completions` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell, for example in `source <(chimein completions bash)`.
    shell: Shell,
}

/// Says why nothing was printed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Standard output did not take it.
    #[error("cannot write the completions")]
    Output(#[source] io::Error),
}

/// Runs the command.
///
/// # Errors
///
/// If standard output cannot be written to.
pub fn run(args: &Args, mut command: clap::Command) -> Result<ExitCode, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "chimein", &mut script);
    write_out(&script).map_err(Error::Output)?;
    Ok(ExitCode::SUCCESS)
}

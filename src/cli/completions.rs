//! `chimein completions`: prints what a shell needs to complete this command line.
//!
//! Of this version, made from the same description that reads the arguments.

use std::process::ExitCode;

use clap_complete::Shell;

use super::outcome;

/// What `chimein completions` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell, for example in `source <(chimein completions bash)`.
    shell: Shell,
}

/// Runs the command.
///
/// # Errors
///
/// If standard output cannot be written to.
pub fn run(args: &Args, mut command: clap::Command) -> Result<ExitCode, outcome::Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "chimein", &mut script);
    outcome::print(&script)
}

//! `chimein backup`: copies the store into a file, while the service runs or not.
//!
//! It reads the store's file itself, beside the service, which goes on. The file is whole, checked and on the disk
//! when this ends, and is for this user alone; one that is there is replaced with `--force` only. Queues on NATS
//! are backed up by NATS's own tools. Exit code 0 if there is a backup, 1 otherwise.

use std::path::PathBuf;
use std::process::ExitCode;

use super::outcome::{self, Outcome};
use super::store_file::{self, contents, place};
use crate::agent::kinds;
use crate::clock::{Clock, Moment};
use crate::config::Environment;
use crate::queue::{self, embedded};

/// What is said beside each backup.
const NOTE: &str =
    "it holds what people wrote and their numbers: keep it where nobody else reads it";

/// What `chimein backup` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the copy goes.
    file: PathBuf,
    /// Replaces a file that is there.
    #[arg(long)]
    force: bool,
    /// The configuration file; without it the one that CHIMEIN_CONFIG names.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Says why there is no backup.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings name no file to copy.
    #[error(transparent)]
    Place(#[from] store_file::Error),
    /// There is none to copy.
    #[error("there is no store at {path}: CHIMEIN_QUEUE_PATH says where the service has it")]
    Nowhere {
        /// Where the settings say that it is.
        path: PathBuf,
    },
    /// Something is there already.
    #[error("{path} is there already: name another file, or replace it with --force")]
    Exists {
        /// The file that was named.
        path: PathBuf,
    },
    /// It could not be copied.
    #[error("the store could not be backed up")]
    Store(#[from] queue::Error),
    /// It could not be told.
    #[error(transparent)]
    Print(#[from] outcome::Error),
}

/// Runs the command.
///
/// # Errors
///
/// See [`Error`].
pub fn run(args: &Args, environment: &Environment) -> Result<ExitCode, Error> {
    outcome::run(async { back_up(args, environment) })
}

fn back_up(args: &Args, environment: &Environment) -> Result<Outcome, Error> {
    let path = place(&kinds::load(args.config.as_deref(), environment))?;
    if !path.exists() {
        return Err(Error::Nowhere { path });
    }
    if args.file.exists() && !args.force {
        return Err(Error::Exists { path: args.file.clone() });
    }
    let clock = Clock::start();
    let copied = embedded::back_up(&path, &args.file, clock.wall())?;
    let took = clock.now().since(Moment::ORIGIN).as_secs_f64();
    let shown = format!("{}: {}, in {took:.1} s\n", args.file.display(), contents(&copied));
    Ok(Outcome::done(shown + &store_file::table(&copied)).with_note(NOTE))
}

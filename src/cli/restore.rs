//! `chimein restore`: puts the store of a backup in its place, while no service runs.
//!
//! The file is checked first, and what was there is kept beside it. Whatever was open in the backup is looked for
//! before it is done again, and what was answered since is not answered again; see `chimein manual operation`.
//! Exit code 0 if it is in its place, 1 otherwise, with all as it was.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use super::outcome::{self, Outcome};
use super::store_file::{self, contents, place};
use crate::agent::kinds;
use crate::app::resume_store;
use crate::clock::Clock;
use crate::config::Environment;
use crate::queue;
use crate::queue::embedded::Restoring;

/// What is said beside each restore.
const NOTE: &str = "the next start looks for every reply that was under way before it sends one, and answers what \
     nobody has answered since the backup. What this store alone knew since is lost: who had taken a thread of a \
     plain number over; see `chimein manual operation`";

/// What `chimein restore` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A backup, or a copy that was kept before the format changed.
    file: PathBuf,
    /// Where the store is to be, instead of the place in the settings.
    #[arg(long, value_name = "PATH")]
    to: Option<PathBuf>,
    /// The configuration file; without it the one that CHIMEIN_CONFIG names.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Says why nothing was restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings name no place.
    #[error(transparent)]
    Place(#[from] store_file::Error),
    /// There is no such backup.
    #[error("there is no file {path}: name a backup")]
    Missing {
        /// The file that was named.
        path: PathBuf,
    },
    /// It could not be restored.
    #[error("nothing was restored")]
    Store(#[from] queue::Error),
    /// What the sockets remember of a later time could not be removed.
    #[error(
        "nothing was restored: a file beside {path} cannot be removed, which says where a socket stopped"
    )]
    Places {
        /// The store's place.
        path: PathBuf,
        /// The system's own error.
        #[source]
        source: io::Error,
    },
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
    outcome::run(async { restore(args, environment) })
}

fn restore(args: &Args, environment: &Environment) -> Result<Outcome, Error> {
    let path = match &args.to {
        Some(path) => path.clone(),
        None => place(&kinds::load(args.config.as_deref(), environment))?,
    };
    if !args.file.is_file() {
        return Err(Error::Missing { path: args.file.clone() });
    }
    let restoring = Restoring::prepare(&args.file, &path)?;
    let restored = restoring.contents().clone();
    // They are of later than what is restored.
    resume_store::forget(&path).map_err(|source| Error::Places { path: path.clone(), source })?;
    let kept = restoring.replace(Clock::start().wall())?;
    let mut shown = format!("{}: {}\n", path.display(), contents(&restored));
    shown += &store_file::table(&restored);
    if let Some(kept) = kept {
        shown += &format!("what was there is kept as {}\n", kept.display());
    }
    Ok(Outcome::done(shown).with_note(NOTE))
}

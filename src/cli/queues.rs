//! `chimein queues`: what waits, what is worked on, and what is dead, queue by queue.
//!
//! A running service is asked; where none has the store open, the file is read and that is said. Exit code 0 if
//! it could be looked at.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use url::Url;

use super::dead_letters::{Error, LetterStore};
use super::outcome::{self, Outcome};
use crate::admin::dead_letters::QueueCounts;
use crate::agent::kinds;
use crate::config::Environment;

/// What `chimein queues` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file; without it the one that CHIMEIN_CONFIG names.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the service's admin listener is, instead of the place in the settings.
    #[arg(long)]
    url: Option<Url>,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// If nobody could be asked.
pub fn run(args: &Args, environment: &Environment) -> Result<ExitCode, Error> {
    outcome::run(look(args, environment))
}

async fn look(args: &Args, environment: &Environment) -> Result<Outcome, Error> {
    let report = kinds::load(args.config.as_deref(), environment);
    let count = async |place: &LetterStore| {
        let counts = place.queues().await?;
        let shown =
            if args.json { outcome::json(&json!({ "queues": counts })) } else { table(&counts) };
        Ok(Outcome::done(shown))
    };
    LetterStore::visit(&report, args.url.as_ref(), count).await
}

fn table(counts: &[QueueCounts]) -> String {
    let header = ["queue", "ready", "waiting", "worked on", "held", "dead", "oldest"];
    let rows = counts.iter().map(|queue| {
        [
            queue.queue.clone(),
            queue.ready.to_string(),
            queue.delayed.to_string(),
            queue.leased.to_string(),
            queue.held.to_string(),
            queue.dead.to_string(),
            queue.oldest_age_ms.map_or_else(|| "-".to_owned(), age),
        ]
    });
    outcome::table(header, rows)
}

/// An age in its two largest units.
fn age(millis: u64) -> String {
    let seconds = Duration::from_millis(millis).as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        (_, _, _) => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_its_two_largest_units() {
        for (seconds, told) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (3 * 3600 + 120, "3 h 2 min"),
            (86_400 * 2 + 3600, "2 d 1 h"),
        ] {
            assert_eq!(age(seconds * 1000), told);
        }
    }

    #[test]
    fn each_queue_has_a_row() {
        let counts = |queue: &str, oldest_age_ms| QueueCounts {
            queue: queue.to_owned(),
            ready: 2,
            delayed: 1,
            leased: 3,
            held: 5,
            dead: 4,
            oldest_age_ms,
        };
        let shown = table(&[counts("inbox", Some(61_000)), counts("outbox", None)]);
        let rows: Vec<Vec<&str>> =
            shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1], ["inbox", "2", "1", "3", "5", "4", "1", "min", "1", "s"]);
        assert_eq!(rows[2], ["outbox", "2", "1", "3", "5", "4", "-"]);
    }
}

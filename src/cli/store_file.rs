//! The store's file, for the commands that work on the file itself: where it is, and what is in a copy of it.

use std::path::PathBuf;

use super::needed::{MalformedSetting, setting};
use super::outcome;
use crate::config::Report;
use crate::config::kinds::QueueEngine;
use crate::queue::embedded::Contents;

/// Says why there is no file to work on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that is needed is malformed.
    #[error(transparent)]
    Setting(#[from] MalformedSetting),
    /// The queues are on NATS.
    #[error(
        "the queues are on NATS (queue.engine), whose own tools do this, stream by stream: `nats stream backup` \
         and `nats stream restore`, for {prefix}-jobs, {prefix}-dead, KV_{prefix}-marks and KV_{prefix}-recent; \
         see `chimein manual operation`"
    )]
    Nats {
        /// What their names begin with.
        prefix: String,
    },
}

/// Where the settings say that it is.
///
/// # Errors
///
/// See [`Error`].
pub(super) fn place(report: &Report) -> Result<PathBuf, Error> {
    match setting(report, "queue.engine")? {
        QueueEngine::Embedded => Ok(setting(report, "queue.path")?),
        QueueEngine::Nats => {
            let prefix =
                report.value("nats.prefix").ok_or(MalformedSetting { key: "nats.prefix" })?;
            Err(Error::Nats { prefix })
        }
    }
}

/// Says what a copy is in a few words.
pub(super) fn contents(copied: &Contents) -> String {
    let Contents { bytes, format, taken, .. } = copied;
    let size = if *bytes < 10 << 20 {
        format!("{} KiB", bytes.div_ceil(1 << 10))
    } else {
        format!("{} MiB", bytes.div_ceil(1 << 20))
    };
    format!("{size}, format {format}, as of {}", taken.in_whole_seconds())
}

/// Counts what is in it, queue by queue.
pub(super) fn table(copied: &Contents) -> String {
    let rows = copied.queues.iter().map(|of| {
        [of.queue.to_string(), of.open.to_string(), of.dead.to_string(), of.done.to_string()]
    });
    outcome::table(["queue", "open", "dead", "remembered"], rows)
}

//! What can go wrong in a queue, told by what the caller can do about it.
//!
//! Decides nothing and holds no payload, key or secret: paths, ids and the engine's own words only.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::names::{JobId, QueueName};

/// The engine's own error below ours. Shared, because one failed transaction answers many callers.
pub(super) type Source = Arc<dyn std::error::Error + Send + Sync>;

/// The process that has a file. Its number alone says nothing where each container begins with process 1.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileHolder {
    /// Its number, as its own machine or container counts.
    pub pid: u32,
    /// The name of that machine, or the id of that container; none where an older chimein wrote it.
    pub host: Option<String>,
}

impl fmt::Display for FileHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, host } = self;
        write!(f, "process {pid}")?;
        host.as_ref().map_or(Ok(()), |host| write!(f, " on {host}"))
    }
}

/// Says what failed. Whatever failed was not acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store is closed or closing, or its writer has died of a bug.
    #[error("the queue is closed")]
    Closed,
    /// The lease ran out or was given back before; nothing was changed.
    #[error("job {id} is no longer leased to this delivery")]
    LeaseLost {
        /// The job that will come again.
        id: JobId,
    },
    /// The caller passed something outside the documented bounds.
    #[error("invalid argument: {what}")]
    Invalid {
        /// The bound that was not kept.
        what: &'static str,
    },
    /// There is no dead letter of that id.
    #[error("no dead letter {id} in {queue}")]
    NoDeadLetter {
        /// The queue that was searched.
        queue: QueueName,
        /// The id that was asked for.
        id: JobId,
    },
    /// Others change the same document all the time; nothing was changed.
    #[error("a document is changed by others all the time: try again")]
    Contended,
    /// The disk or the configured size is used up.
    #[error("no room left for {path}: free disk space or raise the queue's size limit")]
    Full {
        /// The queue's file.
        path: PathBuf,
        /// The engine's own error.
        #[source]
        source: Source,
    },
    /// The file or its directory cannot be written or opened.
    #[error("cannot write {path}: check that file and directory belong to this user")]
    NotWritable {
        /// The queue's file.
        path: PathBuf,
        /// The engine's own error.
        #[source]
        source: Source,
    },
    /// The file is damaged or no queue.
    #[error("{path} is damaged or not a queue: move it away or restore it from a backup")]
    Corrupt {
        /// The queue's file.
        path: PathBuf,
        /// The engine's own error.
        #[source]
        source: Source,
    },
    /// Another chimein has the file open.
    #[error(
        "{path} is in use by {}: stop that first",
        holder.as_ref().map_or_else(|| "another process".to_owned(), FileHolder::to_string)
    )]
    InUse {
        /// The queue's file.
        path: PathBuf,
        /// The process that has it, if it left word.
        holder: Option<FileHolder>,
    },
    /// Another program holds a lock inside the file for too long.
    #[error("{path} is locked by another program, perhaps a sqlite3 shell: close it")]
    Locked {
        /// The queue's file.
        path: PathBuf,
        /// The engine's own error.
        #[source]
        source: Source,
    },
    /// The file holds too much to be written anew beside the work.
    #[error(
        "what was deleted may still be in {path}: its {table} are more than are written anew at once, so that \
         no gap keeps a copy; ask again once fewer are kept (jobs worked off, dead letters dropped, a shorter \
         queue.retention)"
    )]
    Crowded {
        /// The queue's file.
        path: PathBuf,
        /// What it holds too much of.
        table: &'static str,
    },
    /// A newer chimein wrote the file.
    #[error(
        "{path} has format {found}, which a newer chimein wrote; this one ({version}) knows up to {known}: run \
         the newer one, or {}",
        copy.as_ref().map_or_else(
            || "go back to a backup from before, by `chimein restore FILE`".to_owned(),
            |copy| format!(
                "go back to what was kept before the change, by `chimein restore {}`", copy.display()
            ),
        ),
        version = env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// The queue's file.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format known here.
        known: u32,
        /// The copy that the newer one kept before it changed the format, if there is one.
        copy: Option<PathBuf>,
    },
    /// The file has to be copied before it is changed, and the disk has no room for that.
    #[error(
        "{path} is to be copied beside itself before its format is changed; that needs {} MiB and {} MiB are \
         free: free disk space, or move the file to a larger disk (CHIMEIN_QUEUE_PATH)",
        needs.div_ceil(1 << 20),
        free >> 20
    )]
    NoRoom {
        /// The queue's file.
        path: PathBuf,
        /// How many bytes have to be free.
        needs: u64,
        /// How many are.
        free: u64,
    },
    /// The NATS server does not answer or refuses; what was asked may have been done or not.
    #[error("cannot {doing} {stream}: check that the NATS server runs and is reached")]
    Away {
        /// What was being done.
        doing: &'static str,
        /// The stream or bucket.
        stream: String,
        /// The client's own error.
        #[source]
        source: Source,
    },
    /// The NATS server or what it holds does not fit.
    #[error("cannot use {what}: {setting} is {found}, wanted {wanted}")]
    Unfit {
        /// The server, stream or bucket.
        what: String,
        /// What about it.
        setting: &'static str,
        /// As it is.
        found: String,
        /// As it has to be, and how to make it so.
        wanted: String,
    },
    /// Anything else that the storage reports.
    #[error("cannot {doing} {path}")]
    Storage {
        /// What was being done.
        doing: &'static str,
        /// The queue's file.
        path: PathBuf,
        /// The engine's own error.
        #[source]
        source: Source,
    },
}

/// Says whether the same call may work later.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retry {
    /// It will not.
    No,
    /// It may, after a while.
    Backoff,
}

impl Error {
    /// Answers whether the same call may work later.
    #[must_use]
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Away { .. }
            | Self::Contended
            | Self::Crowded { .. }
            | Self::Full { .. }
            | Self::Locked { .. }
            | Self::NoRoom { .. }
            | Self::NotWritable { .. }
            | Self::Storage { .. } => Retry::Backoff,
            Self::Closed
            | Self::LeaseLost { .. }
            | Self::Invalid { .. }
            | Self::NoDeadLetter { .. }
            | Self::Corrupt { .. }
            | Self::InUse { .. }
            | Self::Unfit { .. }
            | Self::Newer { .. } => Retry::No,
        }
    }
}

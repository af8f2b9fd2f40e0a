//! The one thread that brings the log into the file.
//!
//! SQLite would do that within a commit once the log is long, and everybody in that commit would wait
//! for it. Here a connection of its own does it beside the writer, whenever the writer says so. Under
//! load without a pause the log is never at its end when this is done, and so it is not begun anew;
//! then [`LOG_PAGES_MAX`](schema::LOG_PAGES_MAX) makes the writer finish the rest. Decides nothing and reads no clock.

use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags};

use super::fault::Fault;
use super::schema;
use crate::queue::Error;
use crate::telemetry::chain::Chain;

/// After how many calls written the log is brought into the file; each writes one to five pages.
const CALLS_BETWEEN: usize = 1000;

/// How often a pass is followed by another for what was committed meanwhile: the second has little to
/// do, so it mostly comes to the end.
const PASSES_MAX: u32 = 3;

/// The writer's handle. Dropping it ends the thread.
pub(super) struct Checkpoints {
    wanted: mpsc::SyncSender<()>,
    thread: JoinHandle<()>,
    calls: usize,
}

impl Checkpoints {
    /// Opens the connection and starts the thread.
    pub(super) fn start(path: &Path, fault: &Fault) -> Result<Self, Error> {
        let db = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .and_then(|db| schema::configure_checkpointer(&db).map(|()| db))
        .map_err(|error| fault.sqlite("open", error))?;
        let (wanted, receiver) = mpsc::sync_channel(1);
        let fault_of_thread = fault.clone();
        let thread = std::thread::Builder::new()
            .name("queue-checkpoint".into())
            .spawn(move || run(&db, &receiver, &fault_of_thread))
            .map_err(|error| fault.io("start the checkpointer of", error))?;
        Ok(Self { wanted, thread, calls: 0 })
    }

    /// Notes that calls were committed.
    pub(super) fn committed(&mut self, calls: usize) {
        self.calls += calls;
        if self.calls >= CALLS_BETWEEN {
            self.want();
        }
    }

    /// Has the log brought into the file now.
    pub(super) fn want(&mut self) {
        self.calls = 0;
        // One that is at it already, or wanted already, will do.
        let _ = self.wanted.try_send(());
    }

    /// Ends the thread and closes its connection.
    pub(super) fn stop(self) {
        drop(self.wanted);
        if self.thread.join().is_err() {
            tracing::error!("the checkpointer of the queue panicked");
        }
    }
}

fn run(db: &Connection, wanted: &mpsc::Receiver<()>, fault: &Fault) {
    while wanted.recv().is_ok() {
        for _ in 0..PASSES_MAX {
            match pass(db) {
                Ok(Reached::End) => break,
                Ok(Reached::Some) => {}
                Err(error) => {
                    let error = fault.sqlite("checkpoint", error);
                    tracing::warn!(error = %Chain(&error), "log not brought into the file, will try again");
                    break;
                }
            }
        }
    }
}

/// How far a pass came.
enum Reached {
    /// All that was committed is in the file; the next commit begins the log anew.
    End,
    /// More was committed meanwhile.
    Some,
}

/// Passive: waits for nobody and holds up nobody, and does as much as it can.
/// Source: SQLite, "PRAGMA wal_checkpoint", the three columns of its row, read 2026-11-21.
fn pass(db: &Connection) -> rusqlite::Result<Reached> {
    db.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |row| {
        let (pages, moved): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(if moved == pages { Reached::End } else { Reached::Some })
    })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_was_committed_is_brought_into_the_file_beside_the_writer() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("queue.db");
        let writer = Connection::open(&path).unwrap();
        schema::configure(&writer, 1_000_000).unwrap();
        let fault = Fault::new(&path);
        let mut checkpoints = Checkpoints::start(&path, &fault).unwrap();
        writer.execute_batch("CREATE TABLE t (n INTEGER)").unwrap();
        let before = std::fs::metadata(&path).unwrap().len();
        checkpoints.committed(CALLS_BETWEEN - 1);
        checkpoints.committed(1);
        checkpoints.stop();
        let after = std::fs::metadata(&path).unwrap().len();
        assert!(after > before, "{before} and then {after} bytes");
        assert_eq!(reached(&writer), (2, 2), "nothing is left to do");
    }

    /// Pages of the log, and how many of them are in the file.
    fn reached(db: &Connection) -> (i64, i64) {
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(1)?, row.get(2)?));
        db.query_row("PRAGMA wal_checkpoint(NOOP)", [], row).unwrap()
    }
}

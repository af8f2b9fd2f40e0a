//! The file's format and how older ones become it.
//!
//! Every migration is one numbered text, applied in one transaction and never changed afterwards;
//! `user_version` counts those applied. A file with a higher number is refused untouched.

use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::fault::Fault;
use crate::queue::Error;

/// Numbered from 1 by their place.
pub(super) const MIGRATIONS: [&str; 3] = [
    include_str!("0001_first.sql"),
    include_str!("0002_documents.sql"),
    include_str!("0003_passing.sql"),
];

/// At how many pages of the log the writer itself brings it into the file, within a commit.
pub(super) const LOG_PAGES_MAX: u32 = 16_000;

/// How long to wait for a `sqlite3` shell that holds the write lock.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Sets up a connection. Write-ahead log and `fsync` at each commit are what durability rests on; what
/// is deleted is written over.
///
/// `pages_max` bounds the file; an append that needs one more page is refused.
pub(super) fn configure(db: &Connection, pages_max: i64) -> rusqlite::Result<()> {
    prepare_once(db)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_prepared_statement_cache_capacity(64);
    db.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA secure_delete = ON;
         PRAGMA cache_size = -2048;
         PRAGMA temp_store = MEMORY;
         PRAGMA foreign_keys = OFF;",
    )?;
    db.pragma_update(None, "wal_autocheckpoint", LOG_PAGES_MAX)?;
    db.pragma_update(None, "max_page_count", pages_max)
}

/// Sets up a connection that brings the log into the file.
pub(super) fn configure_checkpointer(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -64;")
}

/// Sets up a connection that only reads.
pub(super) fn configure_reader(db: &Connection) -> rusqlite::Result<()> {
    prepare_once(db)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -512;")
}

/// Keeps SQLite from planning a statement anew whenever other values are bound, which the statistics
/// that it is built with would do. Source: SQLite, "The SQLite Query Planner Stability Guarantee",
/// read 2026-11-21.
fn prepare_once(db: &Connection) -> rusqlite::Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// Brings the file to the newest format.
pub(super) fn migrate(db: &mut Connection, fault: &Fault) -> Result<(), Error> {
    let wrap = |error| fault.sqlite("bring to the newest format", error);
    let found: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(wrap)?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(fault.newer(found, known));
    }
    let applied = usize::try_from(found).map_err(|_| fault.damaged("negative format number"))?;
    for (number, text) in (1_i64..).zip(MIGRATIONS).skip(applied) {
        let step = db.transaction().map_err(wrap)?;
        step.execute_batch(text).map_err(wrap)?;
        step.pragma_update(None, "user_version", number).map_err(wrap)?;
        step.commit().map_err(wrap)?;
    }
    Ok(())
}

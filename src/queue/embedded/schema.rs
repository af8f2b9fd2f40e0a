//! The file's format and how older ones become it.
//!
//! Every migration is one numbered text and never changed afterwards; `user_version` counts those applied.
//! What is kept of the file before, and what becomes of one with a higher number, is for `upgrade`.

use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

/// Numbered from 1 by their place.
const MIGRATIONS: [&str; 4] = [
    include_str!("0001_first.sql"),
    include_str!("0002_documents.sql"),
    include_str!("0003_passing.sql"),
    include_str!("0004_short_lived.sql"),
];

/// The format that this release writes.
pub(super) const NEWEST: u32 = 4;

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

/// The format of a file; 0 of one in which nothing is yet.
pub(super) fn format(db: &Connection) -> rusqlite::Result<u32> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Brings a file to the newest format within the caller's transaction.
pub(super) fn migrate(db: &Connection, found: u32) -> rusqlite::Result<()> {
    for (number, text) in (1..).zip(MIGRATIONS).filter(|(number, _)| *number > found) {
        db.execute_batch(text)?;
        db.pragma_update(None, "user_version", number)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_format_is_the_last_migrations() {
        let db = Connection::open_in_memory().unwrap();
        migrate(&db, 0).unwrap();
        assert_eq!(format(&db).unwrap(), NEWEST);
    }
}

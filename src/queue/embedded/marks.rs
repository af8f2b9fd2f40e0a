//! Raised marks on their way to the disk.
//!
//! A mark is visible as soon as it is raised and written with the next tick. Decides nothing and
//! reads no clock; the writer says when to flush.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::rows;

/// How many marks wait for the next tick; past it, whoever raises one more waits for a flush.
pub(super) const DIRTY_MAX: usize = 20_000;

/// Raised marks that are not on disk yet.
#[derive(Debug, Default)]
pub(super) struct DirtyMarks(Mutex<HashMap<String, u64>>);

impl DirtyMarks {
    /// Raises a mark and says how many wait.
    pub(super) fn raise(&self, name: String, value: u64) -> usize {
        let mut dirty = self.lock();
        let mark = dirty.entry(name).or_insert(value);
        *mark = value.max(*mark);
        dirty.len()
    }

    /// Reads a mark that is not on disk yet.
    pub(super) fn read(&self, name: &str) -> Option<u64> {
        self.lock().get(name).copied()
    }

    /// Writes what waits, in one transaction. Marks stay readable here until they are there.
    pub(super) fn flush(&self, db: &Connection) -> rusqlite::Result<()> {
        let written = self.lock().clone();
        if written.is_empty() {
            return Ok(());
        }
        let transaction = db.unchecked_transaction()?;
        for (name, value) in &written {
            rows::raise_mark(&transaction, name, *value)?;
        }
        transaction.commit()?;
        self.lock().retain(|name, value| written.get(name) != Some(value));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Notes in a copy that is opened as a store that it is one: what was done since it was taken is not known.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use super::copy::TAKEN;
use super::documents::{self, NewDocument};
use crate::clock::Timestamp;
use crate::queue::engine::Value;
use crate::queue::lost_times::{DOCUMENT, LostTimes};

/// Turns the mark of a copy into the beginning of a time that is lost. Of a store that was never a copy nothing
/// is changed. However the file came to its place, this is how it is known.
pub(super) fn note(db: &mut Connection, at: Timestamp) -> rusqlite::Result<()> {
    let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let taken: Option<i64> = step
        .query_row("SELECT value FROM marks WHERE name = ?1", [TAKEN], |row| row.get(0))
        .optional()?;
    let Some(taken) = taken else { return Ok(()) };
    let found = documents::read(&step, DOCUMENT)?;
    let known = found.as_ref().map(|found| LostTimes::read(&found.value)).unwrap_or_default();
    let bytes = known.begun(Timestamp::from_millis(taken)).written();
    let new = NewDocument {
        name: DOCUMENT.to_owned(),
        value: Value { bytes, is_passing: false },
        revision: found.map(|found| found.revision),
        at,
    };
    documents::write(&step, &new)?;
    step.execute("DELETE FROM marks WHERE name = ?1", [TAKEN])?;
    step.commit()?;
    tracing::info!(since = %Timestamp::from_millis(taken),
        "queue file was put back from a copy; what was answered since is looked for");
    Ok(())
}

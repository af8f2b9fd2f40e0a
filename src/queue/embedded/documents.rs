//! Documents in their table.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::clock::Timestamp;
use crate::queue::engine::Document;
use crate::queue::{DocumentCursor, DocumentPage, Documents, Listed};

/// How many documents are forgotten at once at most.
const FORGOTTEN_MAX: i64 = 256;

/// A document to write.
pub(super) struct NewDocument {
    pub(super) name: String,
    pub(super) value: Vec<u8>,
    /// What it must have been written as last; none if there must be none.
    pub(super) revision: Option<u64>,
    pub(super) at: Timestamp,
}

/// Reads a document.
pub(super) fn read(db: &Connection, name: &str) -> rusqlite::Result<Option<Document>> {
    db.prepare_cached("SELECT value, revision FROM documents WHERE name = ?1")?
        .query_row([name], |row| {
            let revision: i64 = row.get(1)?;
            Ok(Document { value: row.get(0)?, revision: revision.unsigned_abs() })
        })
        .optional()
}

/// Writes a document, unless another was written in between; says whether it did.
pub(super) fn write(db: &Connection, new: &NewDocument) -> rusqlite::Result<bool> {
    let NewDocument { name, value, revision, at } = new;
    let at = at.as_millis();
    let changed = match revision {
        None => db
            .prepare_cached(
                // One that was forgotten and comes again is no earlier one.
                "INSERT INTO documents (name, value, revision, changed_at) VALUES (?1, ?2, ?3, ?3)
                 ON CONFLICT (name) DO NOTHING",
            )?
            .execute(params![name, value, at])?,
        Some(revision) => db
            .prepare_cached(
                "UPDATE documents SET value = ?2, revision = revision + 1, changed_at = ?3
                 WHERE name = ?1 AND revision = ?4",
            )?
            .execute(params![name, value, at, i64::try_from(*revision).unwrap_or(i64::MAX)])?,
    };
    Ok(changed == 1)
}

/// Forgets a document, unless another was written in between; says whether it did.
pub(super) fn remove(db: &Connection, name: &str, revision: u64) -> rusqlite::Result<bool> {
    let removed = db
        .prepare_cached("DELETE FROM documents WHERE name = ?1 AND revision = ?2")?
        .execute(params![name, i64::try_from(revision).unwrap_or(i64::MAX)])?;
    Ok(removed == 1)
}

/// Lists some whose names begin so and come after another one.
pub(super) fn list(
    db: &Connection,
    beginning: &str,
    after: Option<&str>,
) -> rusqlite::Result<DocumentPage> {
    let from = after.filter(|after| *after > beginning).unwrap_or(beginning);
    // As wide as what begins with it: no name goes on with the last of all characters.
    let to = format!("{beginning}{}", char::MAX);
    let mut statement = db.prepare_cached(
        "SELECT name, value, revision, changed_at FROM documents
         WHERE name > ?1 AND name < ?2 ORDER BY name LIMIT ?3",
    )?;
    let rows = statement.query_map(params![from, to, Documents::PAGE_MAX], |row| {
        let revision: i64 = row.get(2)?;
        Ok(Listed {
            name: row.get(0)?,
            value: row.get(1)?,
            changed: Timestamp::from_millis(row.get(3)?),
            revision: revision.unsigned_abs(),
        })
    })?;
    let documents = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let is_full = u32::try_from(documents.len()).is_ok_and(|count| count >= Documents::PAGE_MAX);
    let next = documents.last().filter(|_| is_full).map(|last| DocumentCursor(last.name.clone()));
    Ok(DocumentPage { documents, next })
}

/// Forgets some of those whose time is over.
pub(super) fn forget(db: &Connection, before: Timestamp) -> rusqlite::Result<()> {
    db.prepare_cached(FORGET)?.execute(params![before.as_millis(), FORGOTTEN_MAX]).map(drop)
}

/// Finds them by their index, whose condition has to stand here word for word.
const FORGET: &str = "DELETE FROM documents WHERE name IN
     (SELECT name FROM documents WHERE substr(name, 1, 1) = '~' AND changed_at < ?1
      ORDER BY changed_at LIMIT ?2)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_is_found_by_its_age_and_not_by_looking_at_all() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(include_str!("0002_documents.sql")).unwrap();
        let plan: Vec<String> = db
            .prepare(&format!("EXPLAIN QUERY PLAN {FORGET}"))
            .unwrap()
            .query_map([0, 1], |row| row.get(3))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert!(plan.iter().any(|step| step.contains("documents_short_lived")), "{plan:?}");
        assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{plan:?}");
        assert!(FORGET.contains(&format!("= '{}'", Documents::SHORT_LIVED)));
    }
}

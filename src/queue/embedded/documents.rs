//! Documents in their table.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::clock::Timestamp;
use crate::queue::engine::{StoredDocument, Value};
use crate::queue::{DocumentCursor, DocumentPage, Documents, Listed};

/// How many documents are forgotten at once at most.
const FORGOTTEN_MAX: i64 = 256;

/// A document to write.
pub(super) struct NewDocument {
    pub(super) name: String,
    pub(super) value: Value,
    /// What it must have been written as last; none if there must be none.
    pub(super) revision: Option<u64>,
    pub(super) at: Timestamp,
}

/// Reads a document.
pub(super) fn read(db: &Connection, name: &str) -> rusqlite::Result<Option<StoredDocument>> {
    db.prepare_cached(
        "SELECT value, revision FROM documents WHERE name = ?1
         UNION ALL SELECT value, revision FROM passing WHERE name = ?1",
    )?
    .query_row([name], |row| {
        let revision: i64 = row.get(1)?;
        Ok(StoredDocument { value: row.get(0)?, revision: revision.unsigned_abs() })
    })
    .optional()
}

/// Writes a document, unless another was written in between; says whether it did.
pub(super) fn write(db: &Connection, new: &NewDocument) -> rusqlite::Result<bool> {
    let NewDocument { name, value: Value { bytes, is_passing }, revision, at } = new;
    let at = at.as_millis();
    // One that was forgotten and comes again is no earlier one.
    let mut next = at;
    if let Some(before) = *revision {
        if update(db, new, before)? {
            return Ok(true);
        }
        // It may stand in the other table.
        if !remove(db, name, before)? {
            return Ok(false);
        }
        next = revision_of(before).saturating_add(1);
    }
    let (table, other) = tables(*is_passing);
    let insert = format!(
        "INSERT INTO {table} (name, value, revision, changed_at) SELECT ?1, ?2, ?3, ?4
         WHERE NOT EXISTS (SELECT 1 FROM {other} WHERE name = ?1) ON CONFLICT (name) DO NOTHING"
    );
    Ok(db.prepare_cached(&insert)?.execute(params![name, bytes, next, at])? == 1)
}

/// Writes one where it stands already.
fn update(db: &Connection, new: &NewDocument, before: u64) -> rusqlite::Result<bool> {
    let NewDocument { name, value: Value { bytes, is_passing }, at, .. } = new;
    let (table, _) = tables(*is_passing);
    let update = format!(
        "UPDATE {table} SET value = ?2, revision = revision + 1, changed_at = ?3
         WHERE name = ?1 AND revision = ?4"
    );
    let values = params![name, bytes, at.as_millis(), revision_of(before)];
    Ok(db.prepare_cached(&update)?.execute(values)? == 1)
}

/// The table of a document, and the one in which it does not stand.
const fn tables(is_passing: bool) -> (&'static str, &'static str) {
    if is_passing { ("passing", "documents") } else { ("documents", "passing") }
}

/// Forgets a document, unless another was written in between; says whether it did.
pub(super) fn remove(db: &Connection, name: &str, revision: u64) -> rusqlite::Result<bool> {
    let values = params![name, revision_of(revision)];
    let remove = "DELETE FROM documents WHERE name = ?1 AND revision = ?2";
    let remove_passing = "DELETE FROM passing WHERE name = ?1 AND revision = ?2";
    Ok(db.prepare_cached(remove)?.execute(values)? == 1
        || db.prepare_cached(remove_passing)?.execute(values)? == 1)
}

fn revision_of(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

/// Lists some short-lived ones whose names begin so and come after another one, whether or not they hold what
/// somebody wrote.
pub(super) fn list_short_lived(
    db: &Connection,
    beginning: &str,
    after: Option<&str>,
) -> rusqlite::Result<DocumentPage> {
    let (from, to) = span(beginning, after);
    let mut statement = db.prepare_cached(
        "SELECT name, value, revision, changed_at FROM documents WHERE name > ?1 AND name < ?2
         UNION ALL
         SELECT name, value, revision, changed_at FROM passing WHERE name > ?1 AND name < ?2
         ORDER BY name LIMIT ?3",
    )?;
    let values = params![from, to, Documents::PAGE_MAX];
    let documents = statement.query_map(values, listed)?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(page(documents))
}

/// Lists some whose names begin so and come after another one.
pub(super) fn list(
    db: &Connection,
    beginning: &str,
    after: Option<&str>,
) -> rusqlite::Result<DocumentPage> {
    let (from, to) = span(beginning, after);
    let mut statement = db.prepare_cached(
        "SELECT name, value, revision, changed_at FROM documents
         WHERE name > ?1 AND name < ?2 AND substr(name, 1, 1) <> '~' ORDER BY name LIMIT ?3",
    )?;
    let values = params![from, to, Documents::PAGE_MAX];
    let documents = statement.query_map(values, listed)?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(page(documents))
}

/// Between which names those are that begin so and come after another one.
fn span<'a>(beginning: &'a str, after: Option<&'a str>) -> (&'a str, String) {
    let from = after.filter(|after| *after > beginning).unwrap_or(beginning);
    // As wide as what begins with it: no name goes on with the last of all characters.
    (from, format!("{beginning}{}", char::MAX))
}

fn listed(row: &Row<'_>) -> rusqlite::Result<Listed> {
    let revision: i64 = row.get(2)?;
    Ok(Listed {
        name: row.get(0)?,
        value: row.get(1)?,
        changed: Timestamp::from_millis(row.get(3)?),
        revision: revision.unsigned_abs(),
    })
}

fn page(documents: Vec<Listed>) -> DocumentPage {
    let is_full = u32::try_from(documents.len()).is_ok_and(|count| count >= Documents::PAGE_MAX);
    let next = documents.last().filter(|_| is_full).map(|last| DocumentCursor(last.name.clone()));
    DocumentPage { documents, next }
}

/// Forgets some of those whose time is over.
pub(super) fn forget(db: &Connection, before: Timestamp) -> rusqlite::Result<()> {
    for forget in [FORGET, FORGET_PASSING] {
        db.prepare_cached(forget)?.execute(params![before.as_millis(), FORGOTTEN_MAX])?;
    }
    Ok(())
}

/// Finds them by their index, whose condition has to stand here word for word.
const FORGET: &str = "DELETE FROM documents WHERE name IN
     (SELECT name FROM documents WHERE substr(name, 1, 1) = '~' AND changed_at < ?1
      ORDER BY changed_at LIMIT ?2)";

/// The same of those that hold what somebody wrote.
const FORGET_PASSING: &str = "DELETE FROM passing WHERE seq IN
     (SELECT seq FROM passing WHERE changed_at < ?1 ORDER BY changed_at LIMIT ?2)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_is_found_by_its_age_and_not_by_looking_at_all() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(include_str!("0002_documents.sql")).unwrap();
        db.execute_batch(include_str!("0003_passing.sql")).unwrap();
        for (forget, index) in [(FORGET, "documents_short_lived"), (FORGET_PASSING, "passing_age")]
        {
            let plan: Vec<String> = db
                .prepare(&format!("EXPLAIN QUERY PLAN {forget}"))
                .unwrap()
                .query_map([0, 1], |row| row.get(3))
                .unwrap()
                .map(Result::unwrap)
                .collect();
            assert!(plan.iter().any(|step| step.contains(index)), "{plan:?}");
            assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{plan:?}");
        }
        assert!(FORGET.contains(&format!("= '{}'", Documents::SHORT_LIVED)));
    }
}

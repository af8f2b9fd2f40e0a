//! Every statement that reads or writes rows of jobs, each in a function named by what it does.
//!
//! Decides nothing about delivery and reads no clock. Callers bring the transaction.

use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use crate::clock::Timestamp;
use crate::queue::engine::Fits;
use crate::queue::{
    Append, Attempt, Cause, Cursor, DeadCause, DeadCauses, DeadLetter, DeadLetters, DeadSummary,
    Filter, JobId, JobState, JobStatus, Key, Page, QueueName,
};

/// What a row says of its job.
const OPEN: i64 = 0;
const DONE: i64 = 1;
const DEAD: i64 = 2;

/// How much of a long history is kept: how it began and how it went lately.
const ATTEMPTS_FIRST: i64 = 5;
const ATTEMPTS_LAST: i64 = 45;

/// The number that stands for a queue in the file.
pub(super) const fn queue_number(queue: QueueName) -> i64 {
    match queue {
        QueueName::Joins => 0,
        QueueName::Inbox => 1,
        QueueName::Outbox => 2,
        QueueName::Reports => 3,
    }
}

/// The row of an open job without its payload.
pub(super) struct OpenRow {
    pub(super) seq: i64,
    pub(super) queue: i64,
    pub(super) key: String,
    pub(super) position: Option<i64>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) attempts: u32,
}

/// What is read when a job is delivered.
pub(super) struct Loaded {
    pub(super) id: JobId,
    pub(super) position: Option<u64>,
    pub(super) appended_at: Timestamp,
    pub(super) payload: Vec<u8>,
}

/// What a duplicate finds.
pub(super) struct Known {
    pub(super) seq: i64,
    /// The lane it was appended to, which a duplicate may name differently.
    pub(super) key: Key,
    pub(super) is_open: bool,
    pub(super) not_before: Option<Timestamp>,
}

/// Stores a job; false if the id is known.
pub(super) fn insert(
    db: &Connection,
    seq: i64,
    (queue, job): (QueueName, &Append),
    at: Timestamp,
) -> rusqlite::Result<bool> {
    let added = db
        .prepare_cached(
            "INSERT INTO jobs (seq, queue, id, key, position, state, attempts, not_before, created_at, changed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6, ?7, ?7) ON CONFLICT (id, queue) DO NOTHING",
        )?
        .execute(params![
            seq,
            queue_number(queue),
            job.id.as_bytes(),
            job.key.as_str(),
            job.position.and_then(|position| i64::try_from(position).ok()),
            job.not_before.map(Timestamp::as_millis),
            at.as_millis(),
        ])?;
    if added == 0 {
        return Ok(false);
    }
    db.prepare_cached("INSERT INTO payloads (seq, payload) VALUES (?1, ?2)")?
        .execute(params![seq, job.payload])?;
    Ok(true)
}

/// Finds a job by its id.
pub(super) fn find(
    db: &Connection,
    queue: QueueName,
    id: JobId,
) -> rusqlite::Result<Option<Known>> {
    db.prepare_cached("SELECT seq, state, not_before, key FROM jobs WHERE id = ?1 AND queue = ?2")?
        .query_row(params![id.as_bytes(), queue_number(queue)], |row| {
            Ok(Known {
                seq: row.get(0)?,
                key: key(row, 3)?,
                is_open: row.get::<_, i64>(1)? == OPEN,
                not_before: row.get::<_, Option<i64>>(2)?.map(Timestamp::from_millis),
            })
        })
        .optional()
}

/// Lets a job that was never delivered go out earlier; false if it had been.
pub(super) fn bring_forward(
    db: &Connection,
    seq: i64,
    not_before: Option<Timestamp>,
) -> rusqlite::Result<bool> {
    let changed = db
        .prepare_cached("UPDATE jobs SET not_before = ?2 WHERE seq = ?1 AND attempts = 0")?
        .execute(params![seq, not_before.map(Timestamp::as_millis)])?;
    Ok(changed == 1)
}

/// Settles a job for good; its id stays.
pub(super) fn finish(
    db: &Connection,
    seq: i64,
    at: Timestamp,
    has_history: bool,
) -> rusqlite::Result<()> {
    set_state(db, seq, DONE, at)?;
    db.prepare_cached("DELETE FROM payloads WHERE seq = ?1")?.execute([seq])?;
    if has_history {
        db.prepare_cached("DELETE FROM attempts WHERE seq = ?1")?.execute([seq])?;
    }
    Ok(())
}

/// Notes that a job is to be tried again.
pub(super) fn postpone(
    db: &Connection,
    seq: i64,
    attempts: u32,
    not_before: Timestamp,
) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE jobs SET attempts = ?2, not_before = ?3 WHERE seq = ?1")?
        .execute(params![seq, attempts, not_before.as_millis()])?;
    Ok(())
}

/// Makes a job a dead letter.
pub(super) fn bury(
    db: &Connection,
    seq: i64,
    queue: QueueName,
    at: Timestamp,
) -> rusqlite::Result<()> {
    set_state(db, seq, DEAD, at)?;
    db.prepare_cached("INSERT INTO dead (seq, queue) VALUES (?1, ?2)")?
        .execute(params![seq, queue_number(queue)])?;
    Ok(())
}

/// Adds to a job's history and forgets the middle of a long one.
pub(super) fn record_attempt(
    db: &Connection,
    seq: i64,
    at: Timestamp,
    cause: &Cause,
) -> rusqlite::Result<()> {
    let last: i64 = db
        .prepare_cached("SELECT coalesce(max(number), 0) FROM attempts WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))?;
    let number = last.saturating_add(1);
    db.prepare_cached(
        "INSERT INTO attempts (seq, number, at, class, code, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        seq,
        number,
        at.as_millis(),
        cause.class,
        cause.code,
        cause.bounded_detail()
    ])?;
    let stale = number - ATTEMPTS_LAST;
    if stale > ATTEMPTS_FIRST {
        db.prepare_cached("DELETE FROM attempts WHERE seq = ?1 AND number = ?2")?
            .execute(params![seq, stale])?;
    }
    Ok(())
}

/// Takes a dead letter out of the dead; `None` if it is not there.
pub(super) fn exhume(
    db: &Connection,
    queue: QueueName,
    id: JobId,
) -> rusqlite::Result<Option<(i64, Key, Option<u64>)>> {
    let found = db
        .prepare_cached(
            "SELECT seq, key, position FROM jobs WHERE id = ?1 AND queue = ?2 AND state = 2",
        )?
        .query_row(params![id.as_bytes(), queue_number(queue)], |row| {
            Ok((row.get(0)?, key(row, 1)?, position(row, 2)?))
        })
        .optional()?;
    if let Some((seq, ..)) = &found {
        db.prepare_cached("DELETE FROM dead WHERE seq = ?1")?.execute([seq])?;
    }
    Ok(found)
}

/// Makes an exhumed job an open one, its attempts not counted.
pub(super) fn reopen(db: &Connection, seq: i64, at: Timestamp) -> rusqlite::Result<()> {
    set_state(db, seq, OPEN, at)?;
    db.prepare_cached("UPDATE jobs SET attempts = 0, not_before = NULL WHERE seq = ?1")?
        .execute([seq])?;
    Ok(())
}

/// Reads what a consumer gets.
pub(super) fn load(db: &Connection, seq: i64) -> rusqlite::Result<Option<Loaded>> {
    db.prepare_cached(
        "SELECT id, position, created_at, payload FROM jobs JOIN payloads USING (seq)
         WHERE seq = ?1",
    )?
    .query_row([seq], |row| {
        Ok(Loaded {
            id: JobId::from_bytes(row.get(0)?),
            position: position(row, 1)?,
            appended_at: Timestamp::from_millis(row.get(2)?),
            payload: row.get(3)?,
        })
    })
    .optional()
}

/// Walks all open jobs in the order of their appends.
pub(super) fn for_each_open(
    db: &Connection,
    mut visit: impl FnMut(OpenRow),
) -> rusqlite::Result<()> {
    let mut statement = db.prepare(
        "SELECT seq, queue, key, position, not_before, attempts FROM jobs
         WHERE state = 0 ORDER BY seq",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        visit(OpenRow {
            seq: row.get(0)?,
            queue: row.get(1)?,
            key: row.get(2)?,
            position: row.get(3)?,
            not_before: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_millis),
            attempts: row.get(5)?,
        });
    }
    Ok(())
}

/// The highest `seq` in use.
pub(super) fn last_seq(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("SELECT coalesce(max(seq), 0) FROM jobs", [], |row| row.get(0))
}

/// What is remembered of a job.
pub(super) fn status(
    db: &Connection,
    (queue, id): (QueueName, JobId),
    key: &Key,
) -> rusqlite::Result<Option<JobStatus>> {
    let found = "SELECT state, created_at FROM jobs WHERE id = ?1 AND queue = ?2 AND key = ?3";
    db.prepare_cached(found)?
        .query_row(params![id.as_bytes(), queue_number(queue), key.as_str()], |row| {
            let state = match row.get::<_, i64>(0)? {
                OPEN => JobState::Open,
                DONE => JobState::Done,
                _ => JobState::Dead,
            };
            Ok(JobStatus { appended_at: Timestamp::from_millis(row.get(1)?), state })
        })
        .optional()
}

/// What an open or dead job of a key holds.
pub(super) fn payload(
    db: &Connection,
    (queue, id): (QueueName, JobId),
    key: &Key,
) -> rusqlite::Result<Option<Vec<u8>>> {
    let found = "SELECT p.payload FROM jobs j JOIN payloads p ON p.seq = j.seq
        WHERE j.id = ?1 AND j.queue = ?2 AND j.key = ?3 AND j.state <> ?4";
    db.prepare_cached(found)?
        .query_row(params![id.as_bytes(), queue_number(queue), key.as_str(), DONE], |row| {
            row.get(0)
        })
        .optional()
}

/// Counts the jobs of each queue: open, done and dead ones.
pub(super) fn counts(db: &Connection) -> rusqlite::Result<Vec<(QueueName, [u64; 3])>> {
    let mut statement = db.prepare("SELECT count(*) FROM jobs WHERE queue = ?1 AND state = ?2")?;
    let mut found = Vec::new();
    for queue in QueueName::ALL {
        let mut counts = [0; 3];
        for (count, state) in counts.iter_mut().zip([OPEN, DONE, DEAD]) {
            let jobs: i64 = statement.query_row([queue_number(queue), state], |row| row.get(0))?;
            *count = jobs.unsigned_abs();
        }
        found.push((queue, counts));
    }
    Ok(found)
}

/// Counts the dead letters of a queue.
pub(super) fn count_dead(db: &Connection, queue: QueueName) -> rusqlite::Result<u64> {
    let count: i64 = db
        .prepare_cached("SELECT count(*) FROM dead WHERE queue = ?1")?
        .query_row([queue_number(queue)], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// When a job was appended.
pub(super) fn appended_at(db: &Connection, seq: i64) -> rusqlite::Result<Option<Timestamp>> {
    db.prepare_cached("SELECT created_at FROM jobs WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0).map(Timestamp::from_millis))
        .optional()
}

/// How many payloads are looked at in one go, while other reads wait.
const HELD_PER_READ: i64 = 64;

/// What a dead letter's line is made of; the last attempt holds the cause of death.
const SUMMARY: &str = "SELECT j.seq, j.id, j.key, j.created_at, j.changed_at,
        a.number, a.class, a.code, a.detail
    FROM dead d JOIN jobs j ON j.seq = d.seq
    JOIN attempts a ON a.seq = d.seq
        AND a.number = (SELECT max(number) FROM attempts WHERE seq = d.seq)";

/// What a filter asks of a line.
const FILTER: &str = "(:keys IS NULL OR j.key IN (SELECT value FROM json_each(:keys)))
            AND (:class IS NULL OR a.class = :class)
            AND (:code IS NULL OR a.code = :code)
            AND (:since IS NULL OR j.changed_at >= :since)
            AND (:before IS NULL OR j.changed_at < :before)";

/// The keys of a filter, as a list that SQLite reads.
fn keys(filter: &Filter) -> Option<String> {
    let keys = filter.keys.as_ref()?;
    let keys: Vec<_> = keys.iter().map(Key::as_str).collect();
    Some(serde_json::Value::from(keys).to_string())
}

/// Reads some open and dead jobs of a queue whose keys begin so, from after another one; gives the keys of
/// those whose payload fits, and where to go on.
pub(super) fn keys_holding(
    db: &Connection,
    (queue, beginning, after): (QueueName, &str, i64),
    fits: &Fits,
) -> rusqlite::Result<(Vec<String>, Option<i64>)> {
    let mut statement = db.prepare_cached(
        "SELECT j.seq, j.key, p.payload FROM payloads p JOIN jobs j ON j.seq = p.seq
         WHERE p.seq > ?1 AND j.queue = ?2 AND substr(j.key, 1, length(?3)) = ?3
         ORDER BY p.seq LIMIT ?4",
    )?;
    let mut rows =
        statement.query(params![after, queue_number(queue), beginning, HELD_PER_READ])?;
    let (mut found, mut count, mut last) = (Vec::new(), 0, None);
    while let Some(row) = rows.next()? {
        (count, last) = (count + 1, row.get(0)?);
        if fits(row.get_ref(2)?.as_blob()?) {
            found.push(row.get(1)?);
        }
    }
    Ok((found, last.filter(|_| count == HELD_PER_READ)))
}

/// Lists a page of dead letters.
pub(super) fn dead_letters(
    db: &Connection,
    queue: QueueName,
    filter: &Filter,
    page: Page,
) -> rusqlite::Result<DeadLetters> {
    let mut statement = db.prepare_cached(&format!(
        "{SUMMARY} WHERE d.queue = :queue AND d.seq > :after AND {FILTER}
        ORDER BY d.seq LIMIT :limit"
    ))?;
    let mut rows = statement.query(named_params! {
        ":queue": queue_number(queue),
        ":after": page.after.map_or(0, |Cursor(seq)| seq),
        ":keys": keys(filter),
        ":class": filter.class,
        ":code": filter.code,
        ":since": filter.since.map(Timestamp::as_millis),
        ":before": filter.before.map(Timestamp::as_millis),
        ":limit": i64::from(page.limit) + 1,
    })?;
    let (mut letters, mut next, mut last) = (Vec::new(), None, 0);
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    while let Some(row) = rows.next()? {
        if letters.len() == limit {
            next = Some(Cursor(last));
            break;
        }
        last = row.get(0)?;
        letters.push(summary(row)?);
    }
    Ok(DeadLetters { letters, next })
}

/// Counts dead letters by cause.
pub(super) fn dead_causes(
    db: &Connection,
    queue: QueueName,
    filter: &Filter,
    letters_max: u32,
) -> rusqlite::Result<DeadCauses> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT class, code, count(*), min(changed_at), max(changed_at)
        FROM ({SUMMARY} WHERE d.queue = :queue AND {FILTER} ORDER BY d.seq LIMIT :limit)
        GROUP BY class, code ORDER BY count(*) DESC, class, code"
    ))?;
    let values = named_params! {
        ":queue": queue_number(queue),
        ":keys": keys(filter),
        ":class": filter.class,
        ":code": filter.code,
        ":since": filter.since.map(Timestamp::as_millis),
        ":before": filter.before.map(Timestamp::as_millis),
        ":limit": i64::from(letters_max) + 1,
    };
    let causes = statement
        .query_map(values, |row| {
            Ok(DeadCause {
                class: row.get(0)?,
                code: row.get(1)?,
                count: row.get::<_, i64>(2)?.unsigned_abs(),
                oldest: Timestamp::from_millis(row.get(3)?),
                newest: Timestamp::from_millis(row.get(4)?),
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let total: u64 = causes.iter().map(|cause| cause.count).sum();
    Ok(DeadCauses { causes, is_whole: total <= u64::from(letters_max) })
}

/// Reads one dead letter with all that is kept of it.
pub(super) fn dead_letter(
    db: &Connection,
    queue: QueueName,
    id: JobId,
) -> rusqlite::Result<Option<DeadLetter>> {
    let found = db
        .prepare_cached(&format!("{SUMMARY} WHERE j.id = ?1 AND j.queue = ?2"))?
        .query_row(params![id.as_bytes(), queue_number(queue)], |row| {
            Ok((row.get::<_, i64>(0)?, summary(row)?))
        })
        .optional()?;
    let Some((seq, summary)) = found else { return Ok(None) };
    let payload = db
        .prepare_cached("SELECT payload FROM payloads WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))?;
    let attempts = db
        .prepare_cached(
            "SELECT number, at, class, code, detail FROM attempts WHERE seq = ?1 ORDER BY number",
        )?
        .query_map([seq], |row| {
            Ok(Attempt {
                number: row.get(0)?,
                at: Timestamp::from_millis(row.get(1)?),
                cause: cause(row, 2)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(DeadLetter { summary, payload, attempts }))
}

/// Reads a mark.
pub(super) fn mark(db: &Connection, name: &str) -> rusqlite::Result<Option<u64>> {
    db.prepare_cached("SELECT value FROM marks WHERE name = ?1")?
        .query_row([name], |row| row.get::<_, i64>(0))
        .optional()
        .map(|value| value.and_then(|value| u64::try_from(value).ok()))
}

/// Raises a mark.
pub(super) fn raise_mark(db: &Connection, name: &str, value: u64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO marks (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
    )?
    .execute(params![name, i64::try_from(value).unwrap_or(i64::MAX)])?;
    Ok(())
}

fn set_state(db: &Connection, seq: i64, state: i64, at: Timestamp) -> rusqlite::Result<()> {
    let changed = db
        .prepare_cached("UPDATE jobs SET state = ?2, changed_at = ?3 WHERE seq = ?1")?
        .execute(params![seq, state, at.as_millis()])?;
    // An open job without its row would be settled in memory alone.
    if changed == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(changed)) }
}

fn summary(row: &Row<'_>) -> rusqlite::Result<DeadSummary> {
    Ok(DeadSummary {
        id: JobId::from_bytes(row.get(1)?),
        key: key(row, 2)?,
        appended_at: Timestamp::from_millis(row.get(3)?),
        died_at: Timestamp::from_millis(row.get(4)?),
        attempts: row.get(5)?,
        cause: cause(row, 6)?,
    })
}

/// Reads class, code and detail from three columns in a row.
fn cause(row: &Row<'_>, first: usize) -> rusqlite::Result<Cause> {
    Ok(Cause {
        class: row.get::<_, String>(first)?.into(),
        code: row.get(first + 1)?,
        detail: row.get(first + 2)?,
    })
}

fn key(row: &Row<'_>, column: usize) -> rusqlite::Result<Key> {
    Key::new(row.get::<_, String>(column)?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            Box::new(error),
        )
    })
}

fn position(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    let position: Option<i64> = row.get(column)?;
    Ok(position.and_then(|position| u64::try_from(position).ok()))
}

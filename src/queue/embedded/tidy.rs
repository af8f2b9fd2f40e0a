//! Takes what was deleted out of the files, so that whoever gets the disk does not find it there.
//!
//! SQLite marks what is deleted as free and leaves the bytes. Three things take them away: each
//! deletion writes zeros over its row (`secure_delete`); where rows were moved between pages, and
//! copies stayed in the gaps, [`scrub`] writes the open payloads anew and the documents that hold what
//! somebody wrote; and the log, which holds the
//! pages as they were, is emptied. The last two follow what was written within [`TICKS_BETWEEN`], at a
//! clean stop too. Who asks for it, having forgotten somebody, has all documents written anew besides
//! ([`WritingOver`]), which hold addresses: one table at a time, between other work. What the disk itself keeps below the file system is beyond this.
//!
//! Payloads encrypted with keys that are dropped with them would leave less to do here, but cost each
//! append and each acknowledgement a row more, about a third of the processor's time; zeros cost
//! nothing that can be measured. Decides when; reads no clock, ticks bring the time.

use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, TransactionBehavior, params_from_iter};

use super::schema::BUSY_TIMEOUT;

/// How many ticks pass between two rounds when something was written: ten seconds.
const TICKS_BETWEEN: u32 = 20;

/// How much the payloads may be that are written anew beside the work; everybody waits for it.
pub(super) const BESIDE_WORK: Most = Most { rows: 2048, bytes: 2 << 20 };

/// As [`BESIDE_WORK`], when nobody waits: at the start and at the stop.
pub(super) const ALONE: Most = Most { rows: 65_536, bytes: 64 << 20 };

/// As [`ALONE`], for who has forgotten somebody and waits; a table at a time. There is a document for each reply
/// of the retention time, of some hundred bytes.
pub(super) const BY_WISH: Most = Most { rows: 400_000, bytes: 64 << 20 };

/// For how many ticks the log is tried to be emptied that somebody reads: five seconds. Reads take
/// milliseconds, a backup's steps not much more.
const EMPTY_TICKS_MAX: u32 = 10;

/// Says in the file that nothing was deleted from it without zeros: "chmn".
const ZEROED: i32 = 0x6368_6d6e;

/// How many bytes of free pages are written over at once.
const ZEROS_PER_STEP: i64 = 256 * 1024;

/// Bounds what is written anew. A backlog beyond it waits until it is worked off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    rows: i64,
    bytes: i64,
}

/// Knows when it is time.
#[derive(Debug)]
pub(super) struct Tidy {
    state: State,
    /// The connection's count of changes when all was tidy; none before the first round, because
    /// whoever had the file before may have been killed.
    changes_seen: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Resting {
        ticks_left: u32,
    },
    /// The log was asked into the file, beside the work.
    Asked,
    /// The payloads are written anew; the log is still to be emptied.
    Scrubbed {
        /// The count of changes then. What is written until the log is empty is for the next round.
        changes: u64,
    },
}

/// What the writer does next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Nothing,
    /// Ask for the log to be brought into the file, so that emptying it is quick.
    AskForLog,
    /// Write the payloads anew, then empty the log.
    Scrub,
    /// Empty the log, which somebody was reading.
    EmptyLog,
}

impl Tidy {
    pub(super) const fn new() -> Self {
        Self { state: State::Resting { ticks_left: 0 }, changes_seen: None }
    }

    /// Says what to do at this tick, `changes` being all that this connection ever changed.
    pub(super) fn tick(&mut self, changes: u64) -> Step {
        match self.state {
            State::Resting { ticks_left: 0 } if self.changes_seen == Some(changes) => Step::Nothing,
            State::Resting { ticks_left: 0 } => {
                self.state = State::Asked;
                Step::AskForLog
            }
            State::Resting { ticks_left } => {
                self.state = State::Resting { ticks_left: ticks_left - 1 };
                Step::Nothing
            }
            State::Asked => Step::Scrub,
            State::Scrubbed { .. } => Step::EmptyLog,
        }
    }

    /// Notes that the payloads are written anew, which counts as changes too.
    pub(super) const fn scrubbed(&mut self, changes: u64) {
        self.state = State::Scrubbed { changes };
    }

    /// Notes that the log is empty.
    pub(super) const fn emptied(&mut self) {
        if let State::Scrubbed { changes } = self.state {
            self.changes_seen = Some(changes);
        }
        self.rest();
    }

    /// Ends the round; the next one starts over.
    pub(super) const fn rest(&mut self) {
        self.state = State::Resting { ticks_left: TICKS_BETWEEN };
    }
}

/// What is written anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ScrubPart {
    /// Of open jobs and dead letters.
    Payloads,
    /// Documents that hold what somebody wrote.
    Passing,
    /// All other documents, which may hold addresses.
    Documents,
}

impl ScrubPart {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Payloads, Self::Passing, Self::Documents];

    /// Its table, what its rows hold, and in which order they stand.
    const fn table(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Payloads => ("payloads", "payload", "seq"),
            Self::Passing => ("passing", "value", "seq"),
            Self::Documents => ("documents", "value", "name"),
        }
    }

    /// What it is called.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Payloads => "payloads",
            Self::Passing => "private documents",
            Self::Documents => "documents",
        }
    }
}

/// What is taken out of the files by wish: each part anew, then the log emptied, a step at a time. Pure.
#[derive(Debug)]
pub(super) struct WritingOver {
    parts_done: usize,
    ticks_left: u32,
}

impl WritingOver {
    pub(super) const fn new() -> Self {
        Self { parts_done: 0, ticks_left: EMPTY_TICKS_MAX }
    }

    /// The part that is next; none once the log is to be emptied.
    pub(super) fn part(&self) -> Option<ScrubPart> {
        ScrubPart::ALL.get(self.parts_done).copied()
    }

    /// Notes that a part is done.
    pub(super) const fn done(&mut self) {
        self.parts_done += 1;
    }

    /// Notes that time has passed in which the log was read; says whether that goes on for too long.
    pub(super) fn is_over_late(&mut self) -> bool {
        if self.part().is_none() {
            self.ticks_left = self.ticks_left.saturating_sub(1);
        }
        self.ticks_left == 0
    }
}

/// Writes anew what somebody wrote, each page with nothing between its rows; nothing if it is too much.
pub(super) fn scrub(db: &Connection, most: Most) -> rusqlite::Result<()> {
    // Each has its own bound: many replies that are never told of do not keep the payloads from it.
    for part in [ScrubPart::Payloads, ScrubPart::Passing] {
        let _is_too_much = !scrub_part(db, part, most)?;
    }
    Ok(())
}

/// Writes a part anew; false if it is too much, and nothing was.
///
/// Deleting all rows of a table at once clears its pages as a whole, and rows that are added in their
/// order are not moved. Source: SQLite, "DELETE", "The Truncate Optimization", and "PRAGMA
/// `secure_delete`", read 2026-11-29.
pub(super) fn scrub_part(db: &Connection, part: ScrubPart, most: Most) -> rusqlite::Result<bool> {
    let (table, column, order) = part.table();
    let (rows, bytes): (i64, i64) = db
        .prepare_cached(&format!(
            "SELECT count(*), coalesce(sum(bytes), 0)
             FROM (SELECT length({column}) AS bytes FROM {table} LIMIT ?1)"
        ))?
        .query_row([most.rows + 1], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if rows > most.rows || bytes > most.bytes {
        return Ok(false);
    }
    let transaction = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
    write_anew(&transaction, (table, order))?;
    transaction.commit()?;
    Ok(true)
}

/// Writes all rows of a table anew, in their order.
fn write_anew(db: &Connection, (table, order): (&str, &str)) -> rusqlite::Result<()> {
    let mut read = db.prepare_cached(&format!("SELECT * FROM {table} ORDER BY {order}"))?;
    let columns = read.column_count();
    let kept: Vec<Vec<Value>> = read
        .query_map([], |row| (0..columns).map(|column| row.get(column)).collect())?
        .collect::<rusqlite::Result<_>>()?;
    db.execute(&format!("DELETE FROM {table}"), [])?;
    let places = vec!["?"; columns].join(", ");
    let mut insert = db.prepare_cached(&format!("INSERT INTO {table} VALUES ({places})"))?;
    for row in kept {
        insert.execute(params_from_iter(row))?;
    }
    Ok(())
}

/// Brings the log into the file and cuts it to nothing; false if somebody reads it or is at it. Waits
/// for nobody. Source: SQLite, "PRAGMA `wal_checkpoint`", read 2026-11-21.
pub(super) fn empty_log(db: &Connection) -> rusqlite::Result<bool> {
    db.busy_timeout(std::time::Duration::ZERO)?;
    let is_busy = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    db.busy_timeout(BUSY_TIMEOUT)?;
    match is_busy {
        Ok(is_busy) => Ok(is_busy == 0),
        Err(error) if is_taken(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_taken(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked))
}

/// Writes over what was deleted while deleting left the bytes, once in a file's life.
///
/// A program from before that writes to the file later is not noticed.
pub(super) fn zero_once(db: &Connection) -> rusqlite::Result<()> {
    let mark: i32 = db.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if mark == ZEROED {
        return Ok(());
    }
    db.execute_batch("CREATE TABLE IF NOT EXISTS zeros (bytes BLOB)")?;
    loop {
        let free: i64 = db.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
        if free == 0 {
            break;
        }
        // A row takes a page less what its chain and its leaf cost, so this never needs one more.
        let bytes = (free * 4000).clamp(1, ZEROS_PER_STEP);
        db.execute("INSERT INTO zeros VALUES (zeroblob(?1))", [bytes])?;
    }
    db.execute_batch("DROP TABLE zeros")?;
    scrub(db, ALONE)?;
    db.pragma_update(None, "application_id", ZEROED)
}

#[cfg(test)]
mod tests {
    use rusqlite::params;

    use super::*;
    use crate::clock::Timestamp;
    use crate::queue::embedded::documents::{self, NewDocument};
    use crate::queue::embedded::schema;
    use crate::queue::engine;

    #[test]
    fn a_round_asks_for_the_log_scrubs_and_empties_until_that_is_done() {
        let mut tidy = Tidy::new();
        assert_eq!(tidy.tick(0), Step::AskForLog, "nobody knows what was before");
        assert_eq!(tidy.tick(0), Step::Scrub);
        tidy.scrubbed(9);
        assert_eq!(tidy.tick(9), Step::EmptyLog, "somebody was reading");
        tidy.emptied();
        for _ in 0..TICKS_BETWEEN + 5 {
            assert_eq!(tidy.tick(9), Step::Nothing, "nothing was written");
        }
        assert_eq!(tidy.tick(10), Step::AskForLog);
        tidy.rest();
        let waited = (0..=TICKS_BETWEEN).map(|_| tidy.tick(10)).collect::<Vec<_>>();
        assert!(waited[..20].iter().all(|step| *step == Step::Nothing), "a failure rests");
        assert_eq!(waited[20], Step::AskForLog);
    }

    #[test]
    fn what_is_written_while_the_log_is_read_is_for_the_next_round() {
        let mut tidy = Tidy::new();
        assert_eq!([tidy.tick(0), tidy.tick(0)], [Step::AskForLog, Step::Scrub]);
        tidy.scrubbed(9);
        assert_eq!(tidy.tick(12), Step::EmptyLog, "somebody was reading, and rows were moved");
        tidy.emptied();
        let round = |_| tidy.tick(12);
        assert_eq!((0..=TICKS_BETWEEN).map(round).last(), Some(Step::AskForLog));
    }

    #[test]
    fn rows_that_were_moved_leave_nothing_after_a_scrub() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("queue.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA secure_delete = ON;
             CREATE TABLE payloads (seq INTEGER PRIMARY KEY, payload BLOB NOT NULL) STRICT;",
        )
        .unwrap();
        db.execute_batch(include_str!("0003_passing.sql")).unwrap();
        let mut dice = dice(11);
        let (mut open, mut ever) = (Vec::new(), 0);
        while ever < 6000 {
            db.execute_batch("BEGIN").unwrap();
            for _ in 0..20 {
                let text = format!("<{ever:04}>").repeat([16, 50, 110, 250, 830][dice(5)]);
                db.execute("INSERT INTO payloads VALUES (?1, ?2)", params![ever, text.as_bytes()])
                    .unwrap();
                open.push(ever);
                ever += 1;
            }
            while open.len() > [0, 50, 200][dice(3)] {
                let seq = open.swap_remove(dice(open.len()));
                db.execute("DELETE FROM payloads WHERE seq = ?1", [seq]).unwrap();
            }
            db.execute_batch("COMMIT").unwrap();
        }
        let left = || {
            assert!(empty_log(&db).unwrap());
            let bytes = std::fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            let found: std::collections::HashSet<_> = text
                .split('<')
                .filter_map(|part| part.get(..5))
                .filter(|p| p.ends_with('>'))
                .collect();
            found.len()
        };
        assert!(left() > open.len(), "zeros alone are enough here, and this test shows nothing");
        assert!(!scrub_part(&db, ScrubPart::Payloads, Most { rows: 9, bytes: i64::MAX }).unwrap());
        assert!(left() > open.len(), "too many rows are left alone");
        scrub(&db, ALONE).unwrap();
        assert_eq!(left(), open.len());
    }

    /// Throws the same numbers at each run.
    fn dice(mut seed: usize) -> impl FnMut(usize) -> usize {
        move |below| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
            (seed >> 33) % below
        }
    }

    #[test]
    fn a_private_document_leaves_nothing_of_what_it_no_longer_says() {
        let beside_work = &ScrubPart::ALL[..2];
        assert!(
            left_of_documents(false, beside_work) > 1,
            "any document leaves nothing, this test shows nothing"
        );
        assert_eq!(left_of_documents(true, beside_work), 1, "the one that has not arrived");
    }

    #[test]
    fn no_document_leaves_anything_once_all_are_written_anew() {
        assert_eq!(left_of_documents(false, &ScrubPart::ALL), 1, "the one that has not arrived");
    }

    #[test]
    fn who_reads_the_log_for_long_ends_a_wish_to_write_over() {
        let mut over = WritingOver::new();
        for part in ScrubPart::ALL {
            assert_eq!(over.part(), Some(part));
            assert!(!over.is_over_late(), "a part takes the time it needs");
            over.done();
        }
        assert_eq!(over.part(), None);
        let late = (1..=EMPTY_TICKS_MAX).map(|_| over.is_over_late()).collect::<Vec<_>>();
        assert_eq!(late.iter().filter(|late| **late).count(), 1);
        assert_eq!(late.last(), Some(&true));
    }

    /// Of how many texts something is in the file when all but one have been taken out of their documents.
    fn left_of_documents(is_private: bool, parts: &[ScrubPart]) -> usize {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("queue.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA secure_delete = ON;",
        )
        .unwrap();
        schema::migrate(&db, 0).unwrap();
        // As ids, which come in no order.
        let name =
            |n: u64| format!("~receipts/IM{0:016x}{0:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let write = |n: u64, text: &str, revision: Option<u64>| {
            let is_passing = is_private && text.contains('<');
            let value = engine::Value { bytes: text.into(), is_passing };
            let at = Timestamp::from_millis(1);
            let new = NewDocument { name: name(n), value, revision, at };
            assert!(documents::write(&db, &new).unwrap());
        };
        let (mut open, mut dice) = (Vec::new(), dice(0));
        db.execute_batch("BEGIN").unwrap();
        for n in 0..2000 {
            let text = format!("<{n:04}>").repeat([1, 2, 3, 10, 50, 110, 250][dice(7)]);
            write(n, &format!("what it says: {text}"), None);
            open.push(n);
            while open.len() > [5, 40, 80][dice(3)] {
                write(
                    open.swap_remove(dice(open.len())),
                    "it has arrived, and nothing is left",
                    Some(1),
                );
            }
        }
        while open.len() > 1 {
            write(
                open.swap_remove(dice(open.len())),
                "it has arrived, and nothing is left",
                Some(1),
            );
        }
        db.execute_batch("COMMIT").unwrap();
        let arrived = if open == [0] { 1 } else { 0 };
        let found = documents::read(&db, &name(arrived)).unwrap().unwrap();
        assert_eq!(
            (found.value.as_slice(), found.revision),
            (&b"it has arrived, and nothing is left"[..], 2)
        );
        for &part in parts {
            assert!(scrub_part(&db, part, ALONE).unwrap());
        }
        assert!(empty_log(&db).unwrap());
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        (0..2000).filter(|n| text.contains(&format!("<{n:04}>"))).count()
    }

    #[test]
    fn a_file_from_before_is_written_over_once() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("old.db");
        let db = Connection::open(&path).unwrap();
        let text = "a text of somebody ".repeat(60);
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA secure_delete = OFF;
             CREATE TABLE payloads (seq INTEGER PRIMARY KEY, payload BLOB NOT NULL) STRICT;",
        )
        .unwrap();
        db.execute_batch(include_str!("0003_passing.sql")).unwrap();
        for seq in 0..500 {
            db.execute("INSERT INTO payloads VALUES (?1, ?2)", params![seq, text.as_bytes()])
                .unwrap();
        }
        db.execute("DELETE FROM payloads WHERE seq != 250", []).unwrap();
        db.execute_batch("PRAGMA secure_delete = ON").unwrap();
        let count = || {
            assert!(empty_log(&db).unwrap());
            let bytes = std::fs::read(&path).unwrap();
            String::from_utf8_lossy(&bytes).matches("somebody").count()
        };
        assert!(count() > 10_000, "{} are there before", count());
        let pages = || db.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0)).unwrap();
        let before = pages();
        zero_once(&db).unwrap();
        assert_eq!(count(), 60, "the open one is left");
        assert!(pages() <= before + 2, "{before} and then {} pages", pages());
        db.execute_batch("DROP TABLE payloads").unwrap();
        zero_once(&db).unwrap(); // It would fail without the table.
    }
}

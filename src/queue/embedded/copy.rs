//! Copies a whole store into a file of its own, as it is at one moment, whoever works on it meanwhile.
//!
//! SQLite writes the copy from one snapshot (`VACUUM INTO`): what is committed before it begins is in it, what
//! comes later is not, and nothing that was deleted comes along. Nobody who works on the store waits: a
//! snapshot is read beside the log. The copy says when it was taken, is checked from end to end, is on the disk
//! with its name when this returns, and before that has a name that nobody reads. It is for this user alone.
//! Source: SQLite, "VACUUM", "VACUUM with an INTO clause", read 2026-11-30.
//!
//! I/O; the time is the caller's.

use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::fault::Fault;
use super::schema;
use crate::clock::Timestamp;
use crate::fault_points::{self, Point};
use crate::files;
use crate::queue::Error;

/// The mark of a copy: when it was taken, in milliseconds since 1970. Marks are what every format has.
pub(super) const TAKEN: &str = "copy/taken";

/// What a copy is called until it is whole.
const PART: &str = ".part";

/// After how many of SQLite's steps a copy pauses that is made beside the work: some hundred rows.
const STEPS_BETWEEN: i32 = 2000;

/// For how long it pauses: so that a copy leaves half of a slow disk to the work.
const PAUSE: Duration = Duration::from_micros(500);

/// How fast a copy is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CopyPace {
    /// As fast as it goes: nobody works meanwhile.
    Full,
    /// With pauses: a service works, and goes first.
    BesideWork,
}

/// Copies the store at `from` to `to`, over a file that is there.
///
/// # Errors
///
/// [`Error::Full`] and [`Error::NotWritable`] of the copy; of the store what reading it may give. Then there is
/// no copy, and what was at `to` is as it was.
pub(super) fn copy(
    from: &Path,
    to: &Path,
    (taken, pace): (Timestamp, CopyPace),
) -> Result<(), Error> {
    let part = files::with_ending(to, PART);
    let copied = write(from, &part, taken, pace).and_then(|()| {
        fault_points::hit(Point::CopyWritten);
        let fault = Fault::new(to);
        let name = || {
            std::fs::rename(&part, to)?;
            files::keep_names(files::folder_of(to))
        };
        name().map_err(|error| fault.io("write", error))
    });
    if copied.is_err() {
        // What is left of it is written over by the next one.
        let _ = std::fs::remove_file(&part);
    }
    copied
}

fn write(from: &Path, part: &Path, taken: Timestamp, pace: CopyPace) -> Result<(), Error> {
    let (source, copy) = (Fault::new(from), Fault::new(part));
    let target = part.to_str().ok_or_else(|| copy.unspeakable())?;
    empty(part).map_err(|error| copy.io("make", error))?;
    let mut db = read_only(from).map_err(|error| source.sqlite("open", error))?;
    if pace == CopyPace::BesideWork {
        let pause = || {
            std::thread::sleep(PAUSE);
            false
        };
        db.progress_handler(STEPS_BETWEEN, Some(pause))
            .map_err(|error| source.sqlite("read", error))?;
    }
    db.execute("VACUUM INTO ?1", [target]).map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
            copy.sqlite("write", error)
        }
        _ => source.sqlite("read", error),
    })?;
    finish(part, taken).map_err(|error| copy.sqlite("check", error))?;
    check(part)?;
    sync(part).map_err(|error| copy.io("write", error))
}

/// Opens a store for reading alone.
pub(super) fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(schema::BUSY_TIMEOUT)?;
    Ok(db)
}

/// Makes an empty file for this user alone.
fn empty(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    files::private().write(true).create_new(true).open(path).map(drop)
}

/// Writes into the copy when it was taken; one of a copy keeps the earlier time.
fn finish(part: &Path, taken: Timestamp) -> rusqlite::Result<()> {
    let db = Connection::open_with_flags(part, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.execute(
        "INSERT INTO marks (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING",
        (TAKEN, taken.as_millis()),
    )?;
    db.close().map_err(|(_, error)| error)
}

/// Reads a file from end to end and holds its indexes against its rows.
///
/// # Errors
///
/// [`Error::Corrupt`] if they do not fit, or it is no database.
pub(super) fn check(path: &Path) -> Result<(), Error> {
    let fault = Fault::new(path);
    let found: String = read_only(path)
        .and_then(|db| db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)))
        .map_err(|error| fault.sqlite("check", error))?;
    // What SQLite says names tables and pages, and could quote a key.
    if found == "ok" { Ok(()) } else { Err(fault.damaged("its parts do not fit together")) }
}

fn sync(path: &Path) -> io::Result<()> {
    std::fs::OpenOptions::new().write(true).open(path)?.sync_all()
}

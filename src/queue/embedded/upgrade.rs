//! What becomes of a file of another format.
//!
//! | found | what happens |
//! | --- | --- |
//! | nothing, or the newest format | it is used |
//! | an earlier format | it is copied beside itself, then brought forward in one transaction |
//! | a later format | it is refused untouched |
//!
//! The copy is called as the file with `.format-3` behind it, the number being its format. If the power goes,
//! or anything fails, the file has its earlier format or the newest one, whole; the next start begins anew. Of
//! copies the two of the latest formats are kept, none longer than dead letters are, since they hold what
//! people wrote.
//!
//! I/O; the time is the caller's.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::copy::{self, CopyPace};
use super::fault::Fault;
use super::schema::{self, NEWEST};
use crate::clock::Timestamp;
use crate::fault_points::{self, Point};
use crate::files;
use crate::queue::Error;
use crate::telemetry::chain::Chain;

/// How many copies are kept.
const COPIES_MAX: usize = 2;

/// What stands between the file's name and a copy's format.
const FORMAT: &str = ".format-";

/// What is left free beside a copy, for the work of bringing the file forward.
const SPARE_BYTES: u64 = 16 << 20;

/// Refuses a file that a later release wrote; reads alone.
///
/// # Errors
///
/// [`Error::Newer`] with what to do.
pub(super) fn refuse_newer(db: &Connection, path: &Path) -> Result<u32, Error> {
    let fault = Fault::new(path);
    let found = schema::format(db).map_err(|error| fault.sqlite("open", error))?;
    if found > NEWEST {
        let copies = copies(path).unwrap_or_default();
        let copy = copies.into_iter().rfind(|(format, _)| *format <= NEWEST);
        return Err(fault.newer(found, copy.map(|(_, path)| path)));
    }
    Ok(found)
}

/// Brings a file of an earlier format forward, after a copy of it.
///
/// # Errors
///
/// [`Error::NoRoom`] if the disk has no room for the copy, or what copying and writing may give; then the file
/// is as it was.
pub(super) fn bring_forward(db: &mut Connection, path: &Path, at: Timestamp) -> Result<(), Error> {
    let found = refuse_newer(db, path)?;
    if found == NEWEST {
        return Ok(());
    }
    if found > 0 {
        keep_copy(path, found, at)?;
    }
    let fault = Fault::new(path);
    let wrap = |error| fault.sqlite("bring to the newest format", error);
    let step = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(wrap)?;
    schema::migrate(&step, found).map_err(wrap)?;
    fault_points::hit(Point::FormatChanged);
    step.commit().map_err(wrap)?;
    if found > 0 {
        tracing::info!(path = %copy_of(path, found).display(), format = NEWEST,
            "queue file has the newest format now; this is a copy of what it was");
    }
    Ok(())
}

/// Removes the copies that are too old, and those beyond the latest.
pub(super) fn forget_copies(path: &Path, kept: Duration, now: Timestamp) {
    let copies = copies(path).unwrap_or_default();
    let beyond = copies.len().saturating_sub(COPIES_MAX);
    for (n, (_, copy)) in copies.iter().enumerate() {
        if n < beyond || is_older(copy, now.before(kept)) {
            match std::fs::remove_file(copy) {
                Ok(()) => {
                    tracing::info!(path = %copy.display(), "old copy of the queue file is removed")
                }
                Err(error) => tracing::warn!(path = %copy.display(), error = %Chain(&error),
                    "old copy of the queue file cannot be removed, and what people wrote is in it"),
            }
        }
    }
}

/// Copies the file, if there is room.
fn keep_copy(path: &Path, format: u32, at: Timestamp) -> Result<(), Error> {
    let fault = Fault::new(path);
    let needs = bytes_of(path) + bytes_of(&files::with_ending(path, "-wal"));
    let free = files::free_bytes(files::folder_of(path));
    let free = free.map_err(|error| fault.io("look for room beside", error))?;
    check_room(&fault, needs, free)?;
    copy::copy(path, &copy_of(path, format), (at, CopyPace::Full))?;
    fault_points::hit(Point::CopyKept);
    Ok(())
}

fn check_room(fault: &Fault, needs: u64, free: u64) -> Result<(), Error> {
    let needs = needs.saturating_add(SPARE_BYTES);
    if free < needs { Err(fault.no_room(needs, free)) } else { Ok(()) }
}

fn bytes_of(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

fn copy_of(path: &Path, format: u32) -> PathBuf {
    files::with_ending(path, &format!("{FORMAT}{format}"))
}

/// The copies beside a file with their formats, the latest last.
fn copies(path: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let found = files::beside(path, FORMAT)?.into_iter().filter_map(|copy| {
        let format = copy.to_str()?.rsplit_once(FORMAT)?.1.parse().ok()?;
        Some((format, copy))
    });
    let mut copies: Vec<_> = found.collect();
    copies.sort();
    Ok(copies)
}

fn is_older(path: &Path, than: Timestamp) -> bool {
    let modified = path.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| {
        let age = modified.duration_since(std::time::UNIX_EPOCH);
        age.is_ok_and(|age| i64::try_from(age.as_millis()).is_ok_and(|at| at < than.as_millis()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_has_no_room_is_refused_with_what_it_needs() {
        let fault = Fault::new(Path::new("/var/queue.db"));
        assert!(check_room(&fault, 10, 10 + SPARE_BYTES).is_ok());
        let error = check_room(&fault, 10, 9 + SPARE_BYTES).unwrap_err().to_string();
        assert!(error.contains("/var/queue.db") && error.contains("17 MiB"), "{error}");
        assert!(check_room(&fault, u64::MAX, 1).is_err());
    }

    #[test]
    fn the_two_latest_copies_stay_for_as_long_as_dead_letters_do() {
        const DAY: Duration = Duration::from_secs(86_400);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.db");
        for name in ["queue.db.format-9", "queue.db.format-10", "queue.db.format-2"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        for other in ["queue.db.format-1.part", "other.db.format-1", "queue.db.format-x"] {
            std::fs::write(folder.path().join(other), "").unwrap();
        }
        let formats = || copies(&path).unwrap().into_iter().map(|(format, _)| format);
        let now = crate::clock::Clock::start().wall();
        forget_copies(&path, DAY, now);
        assert_eq!(formats().collect::<Vec<_>>(), [9, 10]);
        forget_copies(&path, DAY, now + 2 * DAY);
        assert_eq!(formats().count(), 0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "nothing else");
    }
}

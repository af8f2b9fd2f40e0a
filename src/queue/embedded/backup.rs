//! Backups: a store's copy taken beside the work, and a store put back from one.
//!
//! A copy taken by [`back_up`] is the store as it was at one moment. Put back by [`Restoring`] it is the store
//! of that moment again, and says so: what was done since it was taken is a time that it does not know
//! ([`LostTimes`](crate::queue::LostTimes)). Whatever was open in it comes again as redelivered.
//!
//! I/O; the time is the caller's.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::copy::{self, CopyPace, TAKEN};
use super::fault::Fault;
use super::lock::Lock;
use super::{rows, upgrade};
use crate::clock::Timestamp;
use crate::fault_points::{self, Point};
use crate::files;
use crate::queue::{Error, QueueName};

/// What is called until it takes the store's place.
const NEW: &str = ".restoring";

/// What is in a copy of a store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Contents {
    /// Its size.
    pub bytes: u64,
    /// Its format.
    pub format: u32,
    /// When it was taken; of a file that does not say, when something last happened in it.
    pub taken: Timestamp,
    /// Its jobs, queue by queue.
    pub queues: Vec<QueueContents>,
}

/// How many jobs of a queue are in a copy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueueContents {
    /// Which queue.
    pub queue: QueueName,
    /// Those that wait or were worked on.
    pub open: u64,
    /// Those whose ids are remembered.
    pub done: u64,
    /// Dead letters.
    pub dead: u64,
}

/// Copies the store at `path` to `to`, over a file that is there; whoever works on the store goes on.
///
/// # Errors
///
/// [`Error::Invalid`] if `to` is the store itself or a folder, [`Error::Newer`] if the store is not this
/// release's to read, [`Error::Corrupt`] if it is damaged, or what writing the copy may give.
pub fn back_up(path: &Path, to: &Path, at: Timestamp) -> Result<Contents, Error> {
    if to.is_dir() {
        return Err(Error::Invalid { what: "a backup goes to a file, and this is a folder" });
    }
    if is_same(path, to) {
        return Err(Error::Invalid { what: "a backup goes to another file than the store's" });
    }
    readable(path)?;
    copy::copy(path, to, (at, CopyPace::BesideWork))?;
    contents(to)
}

/// A store that is about to be put back: its copy is whole and checked, and waits beside its place. Dropped,
/// all is as it was.
#[derive(Debug)]
pub struct Restoring {
    place: PathBuf,
    contents: Contents,
    is_placed: bool,
    _lock: Lock,
}

impl Restoring {
    /// Takes the place at `to`, which no service may have open, and copies `from` beside it.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] if a service has the place open; [`Error::Newer`], [`Error::Corrupt`] if `from` is not
    /// to be used; or what copying may give.
    pub fn prepare(from: &Path, to: &Path) -> Result<Self, Error> {
        if is_same(from, to) {
            return Err(Error::Invalid {
                what: "a store is restored from another file than itself",
            });
        }
        let fault = Fault::new(to);
        files::make_folder(files::folder_of(to))
            .map_err(|error| fault.io("make the directory of", error))?;
        let lock = Lock::take(to, &fault)?;
        readable(from)?;
        let taken = contents(from)?.taken;
        let new = files::with_ending(to, NEW);
        copy::copy(from, &new, (taken, CopyPace::Full))?;
        let contents = contents(&new)?;
        Ok(Self { place: to.to_owned(), contents, is_placed: false, _lock: lock })
    }

    /// What is about to be put back.
    #[must_use]
    pub const fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Puts it in its place; gives where that is which was there before. `at` is for its name.
    ///
    /// # Errors
    ///
    /// If the files cannot be renamed; what was there is in its place then, or beside it.
    pub fn replace(mut self, at: Timestamp) -> Result<Option<PathBuf>, Error> {
        let fault = Fault::new(&self.place);
        let kept = keep(&self.place, at).map_err(|error| fault.io("keep", error))?;
        fault_points::hit(Point::ReplacedKept);
        let name = || {
            std::fs::rename(files::with_ending(&self.place, NEW), &self.place)?;
            fault_points::hit(Point::RestoredPlaced);
            files::keep_names(files::folder_of(&self.place))
        };
        name().map_err(|error| fault.io("put in its place", error))?;
        self.is_placed = true;
        Ok(kept)
    }
}

impl Drop for Restoring {
    fn drop(&mut self) {
        if !self.is_placed {
            // What is left of it is written over by the next one.
            let _ = std::fs::remove_file(files::with_ending(&self.place, NEW));
        }
    }
}

/// Gives what is in a place a second name, by which it stays when the place is taken.
fn keep(place: &Path, at: Timestamp) -> io::Result<Option<PathBuf>> {
    if !place.exists() {
        return Ok(None);
    }
    empty_log(place);
    let kept = (0..)
        .map(|nth| match nth {
            0 => format!(".before-restore-{}", at.as_secs()),
            _ => format!(".before-restore-{}-{nth}", at.as_secs()),
        })
        .map(|ending| files::with_ending(place, &ending))
        .find(|kept| !kept.exists())
        .expect("there are more numbers than files");
    // Where a file can have no second name the place is empty for a moment.
    std::fs::hard_link(place, &kept).or_else(|_| std::fs::rename(place, &kept))?;
    // A log that could not be brought into its file belongs to it, and must not be taken for the new one's.
    for ending in ["-wal", "-shm"] {
        let beside = files::with_ending(place, ending);
        match std::fs::rename(&beside, files::with_ending(&kept, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    files::keep_names(files::folder_of(place))?;
    Ok(Some(kept))
}

/// Brings the log of a store that was killed into its file, if that can still be done.
fn empty_log(place: &Path) {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if let Ok(db) = Connection::open_with_flags(place, flags) {
        // What is damaged is kept as it is, with its log.
        let _ = super::tidy::empty_log(&db);
    }
}

/// Refuses what is no store of this release's.
fn readable(path: &Path) -> Result<(), Error> {
    let fault = Fault::new(path);
    let db = copy::read_only(path).map_err(|error| fault.sqlite("open", error))?;
    match upgrade::refuse_newer(&db, path)? {
        0 => Err(fault.damaged("nothing of a queue is in it")),
        _ => Ok(()),
    }
}

/// Looks at what is in a copy.
fn contents(path: &Path) -> Result<Contents, Error> {
    let fault = Fault::new(path);
    let bytes = path.metadata().map_err(|error| fault.io("look at", error))?.len();
    let look = || {
        let db = copy::read_only(path)?;
        Ok(Contents {
            bytes,
            format: super::schema::format(&db)?,
            taken: taken(&db)?,
            queues: rows::counts(&db)?
                .into_iter()
                .map(|(queue, [open, done, dead])| QueueContents { queue, open, done, dead })
                .collect(),
        })
    };
    look().map_err(|error| fault.sqlite("look at", error))
}

/// When a copy was taken; else when something last happened, which is before all that it does not know.
fn taken(db: &Connection) -> rusqlite::Result<Timestamp> {
    let stamp = db
        .query_row("SELECT value FROM marks WHERE name = ?1", [TAKEN], |row| row.get(0))
        .optional()?;
    let taken = match stamp {
        Some(stamp) => stamp,
        None => {
            db.query_row("SELECT coalesce(max(changed_at), 0) FROM jobs", [], |row| row.get(0))?
        }
    };
    Ok(Timestamp::from_millis(taken))
}

/// Whether two paths lead to one file.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| {
        path.canonicalize().or_else(|_| {
            let folder = files::folder_of(path).canonicalize()?;
            Ok::<_, io::Error>(folder.join(path.file_name().unwrap_or_default()))
        })
    };
    matches!((real(one), real(other)), (Ok(one), Ok(other)) if one == other)
}

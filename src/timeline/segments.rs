//! The timeline in files beside the embedded queue: lines of JSON in segments, of which the oldest goes first.
//!
//! A segment is appended to, never changed but by erasing, which writes blanks over its lines. Once it is
//! written to no more it has an `index` beside it, by which a search reads the lines of a thread or
//! message alone; the newest segment is read as a whole. Nothing is flushed to the disk by hand: a power
//! cut takes the last seconds, and a line that it cut in two is left out when it is read.
//!
//! I/O, on threads where that may block: one at a time that writes, few that read, so that a disk that
//! hangs costs a bounded number of threads. What a write could not put whole is cut off again, so that a
//! full disk leaves no files behind.

mod find;
mod index;
mod name;
mod raw;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::Semaphore;

use self::find::SegmentSearch;
use self::name::{SegmentName, SegmentPlace};
use self::raw::{bytes, file, text_of};
use super::{Error, Found, Line, Timeline, TimelineEngine, TimelineQuery};
use crate::clock::{Clock, Timestamp};
use crate::files;
use crate::telemetry::chain::Chain;
use crate::thread::ThreadId;

/// Into how many segments the largest size and the longest time are cut: how exactly both are kept.
const SEGMENTS: u32 = 16;

/// The largest segment: what a search holds in memory of one that has no index.
const SEGMENT_BYTES_MAX: u64 = 8 << 20;

/// How many searches read at once; others wait.
const READERS_MAX: usize = 2;

/// How long a search may take, with its wait.
const FIND_WITHIN: Duration = Duration::from_secs(10);

/// How long erasing may take, with its wait.
const ERASE_WITHIN: Duration = Duration::from_secs(60);

/// What the folder's name has behind that of the queue's file.
const FOLDER: &str = "-timeline";

/// Where the timeline is kept, how long and how large.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder; it is made with the first record.
    pub folder: PathBuf,
    /// How long a record is kept; some go up to a sixteenth of it later, and are not shown then.
    pub retention: Duration,
    /// The largest size of all records together.
    pub bytes_max: u64,
    /// Reads the time.
    pub clock: Clock,
}

/// The folder of a queue's file.
#[must_use]
pub fn folder_beside(queue: &Path) -> PathBuf {
    files::with_ending(queue, FOLDER)
}

/// Uses the folder. Nothing is opened before there is something to do.
#[must_use]
pub fn open(options: Options) -> Timeline {
    Timeline::on(Segments::new(Shared {
        options,
        state: Mutex::default(),
        #[cfg(test)]
        disk: tests::HeldDisk::default(),
    }))
}

struct Segments {
    shared: Arc<Shared>,
    /// The one place for whoever writes.
    writing: Arc<Semaphore>,
    /// The places for those who read.
    reading: Arc<Semaphore>,
}

struct Shared {
    options: Options,
    state: Mutex<Current>,
    /// A disk that a test has in its hands.
    #[cfg(test)]
    disk: tests::HeldDisk,
}

/// The segment that is written to, if one is.
#[derive(Default)]
struct Current {
    open: Option<OpenSegment>,
}

struct OpenSegment {
    file: File,
    name: SegmentName,
    bytes: u64,
}

impl TimelineEngine for Segments {
    fn write(&self, lines: Vec<Line>) -> BoxFuture<'_, Result<(), Error>> {
        blocking(&self.writing, &self.shared, move |shared| shared.write(&lines)).boxed()
    }

    fn find(&self, ask: TimelineQuery) -> BoxFuture<'_, Result<Found, Error>> {
        let found = blocking(&self.reading, &self.shared, move |shared| shared.find(&ask));
        within(FIND_WITHIN, found).boxed()
    }

    fn erase(&self, threads: Vec<ThreadId>, act: bool) -> BoxFuture<'_, Result<Vec<u64>, Error>> {
        let erased =
            blocking(&self.writing, &self.shared, move |shared| shared.erase(&threads, act));
        within(ERASE_WITHIN, erased).boxed()
    }

    fn tidy(&self) -> BoxFuture<'_, Result<(), Error>> {
        let tidied =
            blocking(&self.writing, &self.shared, |shared| shared.tidy(&mut shared.lock()));
        tidied.boxed()
    }
}

impl Segments {
    fn new(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
            writing: Arc::new(Semaphore::new(1)),
            reading: Arc::new(Semaphore::new(READERS_MAX)),
        }
    }
}

/// Does work that may block once there is a place for it. The place is free when the work has ended, also
/// if nobody waits for it any more; who waits for a place has no thread.
fn blocking<T: Send + 'static>(
    places: &Arc<Semaphore>,
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) -> Result<T, Error> + Send + 'static,
) -> impl Future<Output = Result<T, Error>> + Send + 'static {
    let (places, shared) = (Arc::clone(places), Arc::clone(shared));
    async move {
        let place = places.acquire_owned().await.map_err(|_| Error::Ended)?;
        let work = move || {
            let done = work(&shared);
            drop(place);
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Error::Ended)?
    }
}

async fn within<T>(
    time: Duration,
    done: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(time, done).await.unwrap_or(Err(Error::Late))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Current> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn segment_bytes(&self) -> u64 {
        (self.options.bytes_max / u64::from(SEGMENTS)).clamp(1, SEGMENT_BYTES_MAX)
    }

    fn write(&self, lines: &[Line]) -> Result<(), Error> {
        let mut state = self.lock();
        let mut at = 0;
        while at < lines.len() {
            self.turn_over(&mut state)?;
            let room = state.open.as_ref().map_or(0, |open| open.bytes);
            let room = self.segment_bytes().saturating_sub(room);
            let mut text = String::new();
            while let Some(line) = lines.get(at)
                && (text.is_empty() || bytes(&text) < room)
            {
                text.push_str(&line.text);
                text.push('\n');
                at += 1;
            }
            self.append(&mut state, text.as_bytes())?;
        }
        Ok(())
    }

    fn append(&self, state: &mut Current, text: &[u8]) -> Result<(), Error> {
        let Some(open) = state.open.as_mut() else { return Err(Error::Ended) };
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let Err(source) = self.put(&mut open.file, text) else {
            open.bytes = open.bytes.saturating_add(length);
            return Ok(());
        };
        let path = open.name.path(&self.options.folder);
        // A full disk takes no line but may take part of one, and many an empty file.
        let is_kept = if open.bytes == 0 {
            let _ = fs::remove_file(&path);
            false
        } else {
            open.file.set_len(open.bytes).is_ok()
        };
        if !is_kept {
            state.open = None;
        }
        Err(file("write to", &path, source))
    }

    fn put(&self, to: &mut File, text: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        let text = {
            let taken = self.disk.takes(text.len());
            let (first, rest) = text.split_at(taken);
            if !rest.is_empty() {
                to.write_all(first)?;
                return Err(io::ErrorKind::StorageFull.into());
            }
            text
        };
        to.write_all(text)
    }

    /// Sees to it that there is a segment with room, and that the whole stays within its bounds.
    fn turn_over(&self, state: &mut Current) -> Result<(), Error> {
        let now = self.options.clock.wall();
        let is_good = state.open.as_ref().is_some_and(|open| {
            let age = now.since(Timestamp::from_millis(open.name.begun));
            open.bytes < self.segment_bytes() && age < self.options.retention / SEGMENTS
        });
        if is_good {
            return Ok(());
        }
        state.open = None;
        let folder = &self.options.folder;
        files::make_folder(folder).map_err(|error| file("make", folder, error))?;
        self.tidy(state)?;
        let names = self.names()?;
        for name in &names {
            self.index(*name);
        }
        let last = names.last().map_or(0, |name| name.number);
        let name = SegmentName { number: last.saturating_add(1), begun: now.as_millis() };
        let path = name.path(folder);
        let made = files::private().append(true).create_new(true).open(&path);
        let file = made.map_err(|error| self::file("make", &path, error))?;
        state.open = Some(OpenSegment { file, name, bytes: 0 });
        Ok(())
    }

    /// Makes the index of a segment that is written to no more, if it has none. Without one it is read as
    /// a whole.
    fn index(&self, name: SegmentName) {
        let folder = &self.options.folder;
        let path = name.index_path(folder);
        if path.exists() {
            return;
        }
        let made = self.read(name).map(|text| index::write(&path, &text));
        match made {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(error = %Chain(&error), "a segment of the timeline has no index");
            }
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "a segment of the timeline has no index");
            }
        }
    }

    /// Takes out segments that are too old, and the oldest of those that are too many together.
    fn tidy(&self, state: &mut Current) -> Result<(), Error> {
        let (folder, now) = (&self.options.folder, self.options.clock.wall());
        let too_old = |begun: i64| {
            now.since(Timestamp::from_millis(begun)) >= self.options.retention / SEGMENTS
        };
        if state.open.as_ref().is_some_and(|open| too_old(open.name.begun)) {
            state.open = None;
        }
        let names = self.names()?;
        let oldest = now.before(self.options.retention).as_millis();
        let size = |path: PathBuf| fs::metadata(path).map_or(0, |of| of.len());
        let size = |name: &SegmentName| size(name.path(folder)) + size(name.index_path(folder));
        let sizes: Vec<u64> = names.iter().map(size).collect();
        let mut total: u64 = sizes.iter().sum();
        // What is about to be written is to have room too, and the index of what was written.
        let coming = self.segment_bytes().saturating_add(self.segment_bytes() / 2);
        let most = self.options.bytes_max.saturating_sub(coming);
        for (at, name) in names.iter().enumerate() {
            let path = name.path(folder);
            let ended = names.get(at + 1).map_or_else(|| changed(&path), |next| next.begun);
            let is_open = state.open.as_ref().is_some_and(|open| open.name == *name);
            if is_open || (ended > oldest && total <= most) {
                break;
            }
            self.remove_index(*name)?;
            fs::remove_file(&path).map_err(|error| file("remove", &path, error))?;
            total = total.saturating_sub(sizes.get(at).copied().unwrap_or(0));
        }
        Ok(())
    }

    fn remove_index(&self, name: SegmentName) -> Result<bool, Error> {
        let path = name.index_path(&self.options.folder);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(file("remove", &path, error)),
        }
    }

    /// The segments, oldest first.
    fn names(&self) -> Result<Vec<SegmentName>, Error> {
        let folder = &self.options.folder;
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(file("list", folder, error)),
        };
        let names =
            entries.filter_map(|entry| SegmentName::of_file(entry.ok()?.file_name().to_str()?));
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        Ok(names)
    }

    fn find(&self, ask: &TimelineQuery) -> Result<Found, Error> {
        let after = ask.after.as_deref().map(|text| SegmentPlace::parse(text).ok_or(Error::Cursor));
        let after = after.transpose()?;
        let names = self.names()?;
        let oldest = self.options.clock.wall().before(self.options.retention).as_millis();
        let search = SegmentSearch::new(&self.options.folder, ask, oldest);
        match after {
            Some(after) => search.first_after(after, &names),
            None => search.last(&names),
        }
    }

    /// What is in a segment; nothing if it is gone.
    fn read(&self, name: SegmentName) -> Result<String, Error> {
        let path = name.path(&self.options.folder);
        let mut text = Vec::new();
        match File::open(&path).and_then(|mut file| file.read_to_end(&mut text)) {
            Ok(_) => Ok(text_of(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(file("read", &path, error)),
        }
    }

    fn erase(&self, threads: &[ThreadId], act: bool) -> Result<Vec<u64>, Error> {
        let state = self.lock();
        let places: HashMap<String, usize> =
            threads.iter().enumerate().map(|(place, thread)| (thread.to_string(), place)).collect();
        let mut erased = vec![0; threads.len()];
        for name in self.names()? {
            let text = self.read(name)?;
            let lines = lines_of((&places, &mut erased), &text);
            if lines.is_empty() || !act {
                continue;
            }
            // It tells of whom the segment was.
            let had_index = self.remove_index(name)?;
            let path = name.path(&self.options.folder);
            blank(&path, &lines).map_err(|error| file("erase from", &path, error))?;
            if had_index {
                self.index(name);
            }
        }
        drop(state);
        Ok(erased)
    }
}

/// The lines of some threads, where each begins, and how long it is; they are counted at their threads' places.
fn lines_of(
    (places, counts): (&HashMap<String, usize>, &mut [u64]),
    text: &str,
) -> Vec<(u64, usize)> {
    let (mut lines, mut at) = (Vec::new(), 0_u64);
    for line in text.split_inclusive('\n') {
        let mut sids = find::sids(line);
        if let Some(place) = sids.find_map(|sid| places.get(sid)) {
            counts[*place] += 1;
            lines.push((at, line.trim_end_matches('\n').len()));
        }
        at = at.saturating_add(bytes(line));
    }
    lines
}

/// Writes blanks over parts of a file; on disk when it returns.
fn blank(path: &Path, parts: &[(u64, usize)]) -> io::Result<()> {
    let mut file = files::private().write(true).open(path)?;
    for (at, length) in parts {
        file.seek(SeekFrom::Start(*at))?;
        file.write_all(&vec![b' '; *length])?;
    }
    file.sync_all()
}

/// When a file was last written, in milliseconds; now and for ever if the system does not say.
fn changed(path: &Path) -> i64 {
    let since = fs::metadata(path).and_then(|of| of.modified()).ok();
    let since = since.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;

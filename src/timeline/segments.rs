//! The timeline in files beside the embedded queue: lines of JSON in segments, of which the oldest goes first.
//!
//! A segment is appended to, never changed but by erasing, which writes blanks over its lines. There is no index:
//! a search reads the segments, newest first, some hundred megabytes in a fraction of a second. Nothing is
//! flushed to the disk by hand: a power cut takes the last seconds, and a line that it cut in two is left
//! out when it is read. I/O, on threads where that may block.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{Error, Found, Line, Subject, Timeline, TimelineEngine, TimelineQuery, story};
use crate::clock::{Clock, Timestamp};
use crate::files;
use crate::json;
use crate::thread::ThreadId;

/// Into how many segments the largest size and the longest time are cut: how exactly both are kept.
const SEGMENTS: u32 = 16;

/// The largest segment: what a search holds in memory.
const SEGMENT_BYTES_MAX: u64 = 8 << 20;

/// How a segment's name ends.
const ENDING: &str = ".jsonl";

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
    let state = Mutex::new(Current::default());
    Timeline::on(Segments(Arc::new(Shared { options, state })))
}

struct Segments(Arc<Shared>);

struct Shared {
    options: Options,
    state: Mutex<Current>,
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

/// What a segment's file name says.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct SegmentName {
    /// Counts the segments.
    number: u64,
    /// When it was begun, in milliseconds.
    begun: i64,
}

impl SegmentName {
    fn path(self, folder: &Path) -> PathBuf {
        folder.join(format!("{:010}-{}{ENDING}", self.number, self.begun))
    }

    fn parse(name: &str) -> Option<Self> {
        let (number, begun) = name.strip_suffix(ENDING)?.split_once('-')?;
        Some(Self { number: number.parse().ok()?, begun: begun.parse().ok()? })
    }
}

impl TimelineEngine for Segments {
    fn write(&self, lines: Vec<Line>) -> BoxFuture<'_, Result<(), Error>> {
        self.blocking(move |shared| shared.write(&lines))
    }

    fn find(&self, ask: TimelineQuery) -> BoxFuture<'_, Result<Found, Error>> {
        self.blocking(move |shared| shared.find(&ask))
    }

    fn erase(&self, thread: ThreadId) -> BoxFuture<'_, Result<u64, Error>> {
        self.blocking(move |shared| shared.erase(thread))
    }

    fn tidy(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.blocking(|shared| shared.tidy(&mut shared.lock()))
    }
}

impl Segments {
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, Error> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, Error>> {
        let shared = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&shared));
        async move { done.await.map_err(|_| Error::Ended)? }.boxed()
    }
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
        match open.file.write_all(text) {
            Ok(()) => {
                open.bytes = open.bytes.saturating_add(length);
                Ok(())
            }
            Err(source) => {
                // Whatever was written of it is behind us in another segment.
                let path = open.name.path(&self.options.folder);
                state.open = None;
                Err(Error::File { doing: "write to", path, source })
            }
        }
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
        let last = self.names()?.last().map_or(0, |name| name.number);
        let name = SegmentName { number: last.saturating_add(1), begun: now.as_millis() };
        let path = name.path(folder);
        let made = files::private().append(true).create_new(true).open(&path);
        let file = made.map_err(|error| self::file("make", &path, error))?;
        state.open = Some(OpenSegment { file, name, bytes: 0 });
        Ok(())
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
        let sizes: Vec<u64> = names
            .iter()
            .map(|name| fs::metadata(name.path(folder)).map_or(0, |of| of.len()))
            .collect();
        let mut total: u64 = sizes.iter().sum();
        // What is about to be written is to have room too.
        let most = self.options.bytes_max.saturating_sub(self.segment_bytes());
        for (at, name) in names.iter().enumerate() {
            let path = name.path(folder);
            let ended = names.get(at + 1).map_or_else(|| changed(&path), |next| next.begun);
            let is_open = state.open.as_ref().is_some_and(|open| open.name == *name);
            if is_open || (ended > oldest && total <= most) {
                break;
            }
            fs::remove_file(&path).map_err(|error| file("remove", &path, error))?;
            total = total.saturating_sub(sizes.get(at).copied().unwrap_or(0));
        }
        Ok(())
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
            entries.filter_map(|entry| SegmentName::parse(entry.ok()?.file_name().to_str()?));
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        Ok(names)
    }

    /// What is written to, and what goes before it, must not be looked at while it is erased or removed.
    fn find(&self, ask: &TimelineQuery) -> Result<Found, Error> {
        let after = ask.after.as_deref().map(|text| SegmentPlace::parse(text).ok_or(Error::Cursor));
        let after = after.transpose()?;
        let names = self.names()?;
        let search = SegmentSearch {
            wanted: needle(ask.subject),
            oldest: self.options.clock.wall().before(self.options.retention).as_millis(),
            limit: ask.limit,
        };
        match after {
            Some(after) => self.first_after(after, &names, &search),
            None => self.last(&names, &search),
        }
    }

    fn first_after(
        &self,
        after: SegmentPlace,
        names: &[SegmentName],
        search: &SegmentSearch,
    ) -> Result<Found, Error> {
        let (mut found, mut place) = (Found::default(), after);
        for name in names.iter().filter(|name| name.number >= after.number) {
            let from = if name.number == after.number { after.offset } else { 0 };
            let text = self.read(*name, from)?;
            let mut offset = from;
            for line in whole_lines(&text) {
                if found.lines.len() == search.limit {
                    found.more = true;
                    found.next = Some(place.to_string());
                    return Ok(found);
                }
                offset = offset.saturating_add(bytes(line));
                place = SegmentPlace { number: name.number, offset };
                if search.wants(line) {
                    found.lines.push(line.trim_end().to_owned());
                }
            }
        }
        found.next = Some(place.to_string());
        Ok(found)
    }

    fn last(&self, names: &[SegmentName], search: &SegmentSearch) -> Result<Found, Error> {
        let mut found = Found::default();
        for name in names.iter().rev() {
            let text = self.read(*name, 0)?;
            if found.next.is_none() {
                let offset = whole_lines(&text).map(bytes).sum();
                found.next = Some(SegmentPlace { number: name.number, offset }.to_string());
            }
            let lines = whole_lines(&text).filter(|line| search.wants(line));
            let mut lines: Vec<_> = lines.map(|line| line.trim_end().to_owned()).collect();
            lines.append(&mut found.lines);
            found.lines = lines;
            if found.lines.len() > search.limit {
                found.lines.drain(..found.lines.len() - search.limit);
                found.more = true;
                break;
            }
        }
        Ok(found)
    }

    /// What is in a segment; nothing if it is gone.
    fn read(&self, name: SegmentName, from: u64) -> Result<String, Error> {
        let path = name.path(&self.options.folder);
        let read = || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(from))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            Ok::<_, io::Error>(text)
        };
        match read() {
            // It is JSON without letters beyond ASCII; a damaged line is left out as such.
            Ok(text) => {
                Ok(String::from_utf8(text).unwrap_or_else(|broken| ascii(broken.into_bytes())))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(file("read", &path, error)),
        }
    }

    fn erase(&self, thread: ThreadId) -> Result<u64, Error> {
        let state = self.lock();
        let wanted = needle(Subject::Thread(thread));
        let mut erased = 0_u64;
        for name in self.names()? {
            let text = self.read(name, 0)?;
            let path = name.path(&self.options.folder);
            let failed = |error| file("erase from", &path, error);
            let mut writing = None;
            let mut offset = 0;
            for line in text.split_inclusive('\n') {
                if line.contains(&wanted) {
                    let file = match &mut writing {
                        Some(file) => file,
                        None => writing
                            .insert(files::private().write(true).open(&path).map_err(failed)?),
                    };
                    let blank = " ".repeat(line.trim_end_matches('\n').len());
                    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
                    file.write_all(blank.as_bytes()).map_err(failed)?;
                    erased += 1;
                }
                offset = offset.saturating_add(bytes(line));
            }
            if let Some(file) = writing {
                file.sync_all().map_err(failed)?;
            }
        }
        drop(state);
        Ok(erased)
    }
}

/// Where a page ends: a segment, and how many of its bytes were read.
#[derive(Clone, Copy, Debug)]
struct SegmentPlace {
    number: u64,
    offset: u64,
}

impl SegmentPlace {
    fn parse(text: &str) -> Option<Self> {
        let (number, offset) = text.split_once('.')?;
        Some(Self { number: number.parse().ok()?, offset: offset.parse().ok()? })
    }
}

impl std::fmt::Display for SegmentPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.number, self.offset)
    }
}

/// What a search looks for.
struct SegmentSearch {
    wanted: String,
    oldest: i64,
    limit: usize,
}

impl SegmentSearch {
    fn wants(&self, line: &str) -> bool {
        line.contains(&self.wanted)
            && json::from_slice(line.as_bytes())
                .is_ok_and(|record| story::at(&record) > self.oldest)
    }
}

/// What the lines hold that are asked for.
fn needle(subject: Subject) -> String {
    match subject {
        Subject::Thread(thread) => format!("\"conversation\":\"{thread}\""),
        Subject::Message(message) => format!("\":\"{message}\""),
    }
}

/// The lines that have an end.
fn whole_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').filter(|line| line.ends_with('\n'))
}

fn bytes(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// Damaged text of the same length.
fn ascii(mut text: Vec<u8>) -> String {
    for byte in text.iter_mut().filter(|byte| !byte.is_ascii()) {
        *byte = b'?';
    }
    String::from_utf8(text).unwrap_or_default()
}

/// When a file was last written, in milliseconds; now and for ever if the system does not say.
fn changed(path: &Path) -> i64 {
    let since = fs::metadata(path).and_then(|of| of.modified()).ok();
    let since = since.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(i64::MAX)
}

fn file(doing: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File { doing, path: path.to_owned(), source }
}

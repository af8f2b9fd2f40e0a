//! Finds lines in segments, newest or next ones, with their index where they have one. I/O.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::index::{self, SegmentIndex};
use super::name::{SegmentName, SegmentPlace};
use super::raw::{bytes, file, text_of};
use crate::json;
use crate::timeline::{Error, Found, Subject, TimelineQuery, story};

/// What is read at once where a line is.
const LINE_BUFFER_BYTES: usize = 1024;

/// The longest line that is looked at; one is a few hundred bytes.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// A search in a folder's segments.
pub(super) struct SegmentSearch<'a> {
    folder: &'a Path,
    /// What a line has that is searched for.
    needle: String,
    /// What it has besides, which rules it out.
    never: Option<&'static str>,
    /// How an index knows what is searched for, where it does.
    digest: Option<u64>,
    oldest: i64,
    limit: usize,
}

/// A line, and where it ends.
struct FoundLine {
    text: String,
    end: u64,
}

impl<'a> SegmentSearch<'a> {
    /// A search in a folder for what was told since a time, in milliseconds.
    pub(super) fn new(folder: &'a Path, ask: &TimelineQuery, oldest: i64) -> Self {
        let (sid, never) = match ask.subject {
            Subject::Thread(thread) => (thread.to_string(), None),
            Subject::ThreadAlone(thread) => (thread.to_string(), Some("\"message\":\"")),
            Subject::Message(message) => (message.to_string(), None),
            // Neither is in an index, which has sids alone.
            Subject::Reply(reply) => {
                return Self::unindexed(folder, ask, oldest, needle(&reply.to_string()));
            }
            Subject::Everything => return Self::unindexed(folder, ask, oldest, String::new()),
        };
        let (needle, digest) = (needle(&sid), Some(index::digest(&sid)));
        Self { folder, needle, never, digest, oldest, limit: ask.limit }
    }

    fn unindexed(folder: &'a Path, ask: &TimelineQuery, oldest: i64, needle: String) -> Self {
        Self { folder, needle, never: None, digest: None, oldest, limit: ask.limit }
    }

    /// The first lines after a place.
    pub(super) fn first_after(
        &self,
        after: SegmentPlace,
        names: &[SegmentName],
    ) -> Result<Found, Error> {
        let mut found = Found::default();
        let mut place = after;
        for name in names {
            let from = if *name == after.name {
                self.check(after)?;
                after.offset
            } else if name.is_after(after.name) {
                0
            } else {
                continue;
            };
            let (lines, end) = self.lines(*name, from)?;
            for line in lines {
                let FoundLine { text, end } = line?;
                if found.lines.len() == self.limit {
                    found.more = true;
                    found.next = Some(place.to_string());
                    return Ok(found);
                }
                found.lines.push(text);
                place = SegmentPlace { name: *name, offset: end };
            }
            place = SegmentPlace { name: *name, offset: end.max(from) };
        }
        found.next = Some(place.to_string());
        Ok(found)
    }

    /// Refuses a place that is beyond its segment, or within a line: it is of another file.
    fn check(&self, place: SegmentPlace) -> Result<(), Error> {
        let Some(before) = place.offset.checked_sub(1) else { return Ok(()) };
        let path = place.name.path(self.folder);
        let mut last = [0];
        let read = File::open(&path).and_then(|mut file| {
            file.seek(SeekFrom::Start(before))?;
            file.read_exact(&mut last)
        });
        match read {
            Ok(()) if last == *b"\n" => Ok(()),
            Ok(()) => Err(Error::Cursor),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Error::Cursor),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(file("read", &path, error)),
        }
    }

    /// The newest lines.
    pub(super) fn last(&self, names: &[SegmentName]) -> Result<Found, Error> {
        let mut found = Found::default();
        for name in names.iter().rev() {
            let (lines, end) = self.lines(*name, 0)?;
            if found.next.is_none() {
                found.next = Some(SegmentPlace { name: *name, offset: end }.to_string());
            }
            // Newest first, until there is one too many.
            for line in lines.rev() {
                found.lines.push(line?.text);
                if found.lines.len() > self.limit {
                    found.lines.pop();
                    found.more = true;
                    found.lines.reverse();
                    return Ok(found);
                }
            }
        }
        found.lines.reverse();
        Ok(found)
    }

    /// The wanted lines of a segment behind so many bytes, and where its last whole line ends.
    fn lines<'s>(&'s self, name: SegmentName, from: u64) -> Result<(WantedLines<'s>, u64), Error> {
        let path = name.path(self.folder);
        let failed = |error| file("read", &path, error);
        let index = self.digest.and_then(|digest| {
            let index = SegmentIndex::open(&name.index_path(self.folder), &path)?;
            Some((index, digest))
        });
        if let Some((mut index, digest)) = index {
            let mut places = index.places(digest).map_err(failed)?;
            places.retain(|place| *place >= from);
            let Some(opened) = opened(&path).map_err(failed)? else { return Ok(none(from)) };
            let end = index.end;
            let reader = BufReader::with_capacity(LINE_BUFFER_BYTES, opened);
            return Ok((
                WantedLines::At { search: self, reader, places: places.into(), path },
                end,
            ));
        }
        let Some(mut opened) = opened(&path).map_err(failed)? else { return Ok(none(from)) };
        let mut read = Vec::new();
        opened.seek(SeekFrom::Start(from)).map_err(failed)?;
        opened.read_to_end(&mut read).map_err(failed)?;
        let text = text_of(read);
        let (mut lines, mut at) = (Vec::new(), from);
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            at = at.saturating_add(bytes(line));
            if self.wants(line) {
                lines.push(FoundLine { text: line.trim_end().to_owned(), end: at });
            }
        }
        Ok((WantedLines::All(lines.into()), at))
    }

    fn wants(&self, line: &str) -> bool {
        line.contains(&self.needle)
            && self.never.is_none_or(|never| !line.contains(never))
            && json::from_slice(line.as_bytes())
                .is_ok_and(|record| story::at(&record) > self.oldest)
    }
}

/// What a line holds that has a sid.
pub(super) fn needle(sid: &str) -> String {
    format!("\":\"{sid}\"")
}

/// What a line may hold as [`needle`]s: its texts that are values.
pub(super) fn sids(line: &str) -> impl Iterator<Item = &str> {
    const BEFORE: &str = "\":\"";
    line.match_indices(BEFORE).filter_map(|(at, _)| line[at + BEFORE.len()..].split('"').next())
}

/// The wanted lines of a segment.
enum WantedLines<'a> {
    /// All, as they were read.
    All(std::collections::VecDeque<FoundLine>),
    /// Those at places that an index has told, which are read as they are asked for.
    At {
        search: &'a SegmentSearch<'a>,
        reader: BufReader<File>,
        places: std::collections::VecDeque<u64>,
        path: std::path::PathBuf,
    },
}

impl WantedLines<'_> {
    /// The next one, of the newest ones or of the oldest.
    fn take(&mut self, newest: bool) -> Option<Result<FoundLine, Error>> {
        match self {
            Self::All(lines) => if newest { lines.pop_back() } else { lines.pop_front() }.map(Ok),
            Self::At { search, reader, places, path } => loop {
                let place = if newest { places.pop_back() } else { places.pop_front() }?;
                match line_at(reader, place) {
                    Ok(line) if line.ends_with('\n') && search.wants(&line) => {
                        let end = place.saturating_add(bytes(&line));
                        return Some(Ok(FoundLine { text: line.trim_end().to_owned(), end }));
                    }
                    Ok(_) => {}
                    Err(error) => return Some(Err(file("read", path, error))),
                }
            },
        }
    }
}

impl Iterator for WantedLines<'_> {
    type Item = Result<FoundLine, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.take(false)
    }
}

impl DoubleEndedIterator for WantedLines<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.take(true)
    }
}

fn none<'a>(at: u64) -> (WantedLines<'a>, u64) {
    (WantedLines::All(std::collections::VecDeque::new()), at)
}

/// Opens a segment; nothing if it is gone.
fn opened(path: &Path) -> io::Result<Option<fs::File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn line_at(reader: &mut BufReader<File>, place: u64) -> io::Result<String> {
    reader.seek(SeekFrom::Start(place))?;
    let mut line = Vec::new();
    reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    Ok(text_of(line))
}

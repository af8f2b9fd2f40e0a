//! Says where in a segment the lines of a thread or message are, so that a search reads those alone.
//!
//! A segment that is written to no more gets a file beside it: how long the segment is, where its last whole
//! line ends, then a number of eight bytes for each sid of each line, sorted: 40 bits of the sid's digest and the line's place. A search
//! finds its lines by halving, and reads a few hundred bytes of each index. What it finds is looked at, so
//! that two sids of one digest are told apart. A segment without an index, or with one that does not fit
//! it, is read as a whole: an index that is missing costs time alone. I/O.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use crate::files;

/// What an index begins with.
const MAGIC: [u8; 8] = *b"chmnids1";

/// How long the beginning is: what it is, and two lengths.
const HEADER_BYTES: u64 = 24;

/// How long one number is.
const ENTRY_BYTES: u64 = 8;

/// How many bits of a number are the line's place: more than the largest segment needs.
const PLACE_BITS: u32 = 24;

/// How many letters a sid has.
const SID_LETTERS: usize = 34;

/// The bits of a sid's digest that an index has, by which it is found: FNV-1a, which is quick and is not to
/// keep anything secret.
pub(super) fn digest(sid: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    sid.bytes().fold(0xcbf2_9ce4_8422_2325, step) >> PLACE_BITS
}

/// Makes the index of a segment's text.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut entries = entries(text);
    entries.sort_unstable();
    entries.dedup();
    let mut bytes = Vec::with_capacity(MAGIC.len() + (entries.len() + 2) * MAGIC.len());
    bytes.extend(MAGIC);
    bytes.extend(length(text).to_be_bytes());
    let whole = text.rfind('\n').map_or("", |last| text.get(..=last).unwrap_or_default());
    bytes.extend(length(whole).to_be_bytes());
    bytes.extend(entries.into_iter().flat_map(u64::to_be_bytes));
    files::replace_durably(path, &bytes)
}

fn entries(text: &str) -> Vec<u64> {
    let (mut entries, mut at) = (Vec::new(), 0);
    for line in text.split_inclusive('\n') {
        // The place has room in its bits, or the line is not found by the index; none is that far.
        if at < 1 << PLACE_BITS {
            entries.extend(sids(line).map(|sid| digest(sid) << PLACE_BITS | at));
        }
        at += length(line);
    }
    entries
}

/// The sids that a line has as values.
fn sids(line: &str) -> impl Iterator<Item = &str> {
    const BEFORE: &str = "\":\"";
    line.match_indices(BEFORE).filter_map(|(at, _)| {
        let value = line.get(at + BEFORE.len()..)?;
        let sid = value.get(..SID_LETTERS)?;
        let is_sid = sid.bytes().all(|letter| letter.is_ascii_alphanumeric());
        (is_sid && value.as_bytes().get(SID_LETTERS) == Some(&b'"')).then_some(sid)
    })
}

/// The index of one segment.
pub(super) struct SegmentIndex {
    file: File,
    count: u64,
    /// Where the segment's last whole line ends.
    pub(super) end: u64,
}

impl SegmentIndex {
    /// Opens the index of a segment; nothing if there is none that fits it.
    pub(super) fn open(path: &Path, segment: &Path) -> Option<Self> {
        let mut file = File::open(path).ok()?;
        let bytes = file.metadata().ok()?.len().checked_sub(HEADER_BYTES)?;
        let (mut magic, mut length, mut end) = ([0; 8], [0; 8], [0; 8]);
        for part in [&mut magic, &mut length, &mut end] {
            file.read_exact(part).ok()?;
        }
        let is_whole = bytes % ENTRY_BYTES == 0 && magic == MAGIC;
        let fits = fs::metadata(segment).ok()?.len() == u64::from_be_bytes(length);
        let (count, end) = (bytes / ENTRY_BYTES, u64::from_be_bytes(end));
        (is_whole && fits).then_some(Self { file, count, end })
    }

    /// Where the lines begin that have a sid of this digest, in their order.
    pub(super) fn places(&mut self, digest: u64) -> io::Result<Vec<u64>> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if self.entry(middle)? >> PLACE_BITS < digest {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let mut places = Vec::new();
        let mut buffer = io::BufReader::with_capacity(4096, &self.file);
        buffer.seek(SeekFrom::Start(HEADER_BYTES + low * ENTRY_BYTES))?;
        for _ in low..self.count {
            let mut bytes = [0; 8];
            buffer.read_exact(&mut bytes)?;
            let entry = u64::from_be_bytes(bytes);
            if entry >> PLACE_BITS != digest {
                break;
            }
            places.push(entry & ((1 << PLACE_BITS) - 1));
        }
        Ok(places)
    }

    fn entry(&mut self, at: u64) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.file.seek(SeekFrom::Start(HEADER_BYTES + at * ENTRY_BYTES))?;
        self.file.read_exact(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }
}

fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "CH01010101010101010101010101010101";
    const OTHER: &str = "IM02020202020202020202020202020202";

    #[test]
    fn each_line_of_a_sid_is_found_and_no_other() {
        let place = tempfile::tempdir().unwrap();
        let (index, segment) = (place.path().join("1.ids"), place.path().join("1.jsonl"));
        let line = |sid: &str| format!("{{\"at\":1,\"conversation\":\"{sid}\"}}\n");
        let text = [line(ONE), line(OTHER), line(ONE)].concat();
        fs::write(&segment, &text).unwrap();
        write(&index, &text).unwrap();
        let mut opened = SegmentIndex::open(&index, &segment).unwrap();
        let each = length(&line(ONE));
        assert_eq!(opened.places(digest(ONE)).unwrap(), [0, 2 * each]);
        assert_eq!(opened.places(digest(OTHER)).unwrap(), [each]);
        assert!(opened.places(digest("CH")).unwrap().is_empty());
    }

    #[test]
    fn an_index_that_does_not_fit_is_none() {
        let place = tempfile::tempdir().unwrap();
        let (index, segment) = (place.path().join("1.ids"), place.path().join("1.jsonl"));
        fs::write(&segment, "{}\n").unwrap();
        assert!(SegmentIndex::open(&index, &segment).is_none(), "there is none");
        write(&index, "{}\n").unwrap();
        assert!(SegmentIndex::open(&index, &segment).is_some());
        fs::write(&segment, "{}\n{}\n").unwrap();
        assert!(SegmentIndex::open(&index, &segment).is_none(), "something was added");
        fs::write(&segment, "{}\n").unwrap();
        for bytes in [&b"chmnids1"[..], &[0; 16], b""] {
            fs::write(&index, bytes).unwrap();
            assert!(SegmentIndex::open(&index, &segment).is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn only_values_that_may_be_sids_are_taken_in() {
        let line = format!(
            "{{\"at\":1,\"conversation\":\"{ONE}\",\"turn\":\"{OTHER}\",\"stage\":\"held\"}}\n"
        );
        assert_eq!(sids(&line).collect::<Vec<_>>(), [ONE, OTHER]);
        assert_eq!(sids("{\"a\":\"b").count(), 0);
    }
}

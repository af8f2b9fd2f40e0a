//! How a segment is called, and a place in one. Pure.

use std::fmt;
use std::path::{Path, PathBuf};

/// How a segment's name ends.
const ENDING: &str = ".jsonl";

/// How the name of its index ends.
const INDEX_ENDING: &str = ".ids";

/// What a segment's file name says.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct SegmentName {
    /// Counts the segments, from 1 again once all are gone.
    pub(super) number: u64,
    /// When it was begun, in milliseconds.
    pub(super) begun: i64,
}

impl SegmentName {
    /// The segment's file.
    pub(super) fn path(self, folder: &Path) -> PathBuf {
        folder.join(format!("{self}{ENDING}"))
    }

    /// The file of its index.
    pub(super) fn index_path(self, folder: &Path) -> PathBuf {
        folder.join(format!("{self}{INDEX_ENDING}"))
    }

    /// Reads a segment's file name; nothing if it is another file.
    pub(super) fn of_file(name: &str) -> Option<Self> {
        Self::parse(name.strip_suffix(ENDING)?)
    }

    /// Whether it was begun after another one. Numbers begin anew once all segments are gone, and a clock
    /// may be set back: one of both tells.
    pub(super) const fn is_after(self, other: Self) -> bool {
        self.number > other.number || self.begun > other.begun
    }

    fn parse(text: &str) -> Option<Self> {
        let (number, begun) = text.split_once('-')?;
        Some(Self { number: number.parse().ok()?, begun: begun.parse().ok()? })
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}-{}", self.number, self.begun)
    }
}

/// Where a page ends: a segment, and how many of its bytes were read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct SegmentPlace {
    /// The segment, by its whole name: another one of the same number is not taken for it.
    pub(super) name: SegmentName,
    /// The bytes.
    pub(super) offset: u64,
}

impl SegmentPlace {
    /// Reads a cursor; nothing if it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, offset) = text.split_once('.')?;
        Some(Self { name: SegmentName::parse(name)?, offset: offset.parse().ok()? })
    }
}

impl fmt::Display for SegmentPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_after_another_by_its_number_or_its_time() {
        let name = |number, begun| SegmentName { number, begun };
        for (one, other, is_after) in [
            (name(2, 5), name(1, 4), true),
            (name(2, 3), name(1, 4), true),
            (name(1, 9), name(7, 4), true),
            (name(7, 4), name(7, 4), false),
            (name(6, 3), name(7, 4), false),
        ] {
            assert_eq!(one.is_after(other), is_after, "{one} {other}");
        }
    }

    #[test]
    fn names_and_places_are_read_as_they_are_written() {
        let name = SegmentName { number: 7, begun: 1_795_000_000_000 };
        let place = SegmentPlace { name, offset: 12 };
        assert_eq!(place.to_string(), "0000000007-1795000000000.12");
        assert_eq!(SegmentPlace::parse(&place.to_string()), Some(place));
        assert_eq!(SegmentName::of_file("0000000007-1795000000000.jsonl"), Some(name));
        assert_eq!(SegmentName::of_file("0000000007-1795000000000.ids"), None);
        for text in ["", "7.12", "planted", "7-5", "7-5.x", "x-5.1"] {
            assert_eq!(SegmentPlace::parse(text), None, "{text}");
        }
    }
}

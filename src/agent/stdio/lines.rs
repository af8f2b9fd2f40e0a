//! Bytes into lines, each within a bound. Pure.

use std::fmt;

/// What a piece of bytes gives.
#[derive(Clone, Eq, PartialEq)]
pub(super) enum Cut {
    /// A whole line, without its end.
    Line(Vec<u8>),
    /// A line that is longer than the bound; what was beyond it is gone.
    TooLong,
}

impl fmt::Debug for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "Line({} bytes)", line.len()),
            Self::TooLong => f.write_str("TooLong"),
        }
    }
}

/// Cuts a stream of bytes; holds no more of it than one line.
#[derive(Clone)]
pub(super) struct Cutter {
    bytes_max: usize,
    begun: Vec<u8>,
    is_over: bool,
}

impl fmt::Debug for Cutter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cutter").field("bytes", &self.begun.len()).finish_non_exhaustive()
    }
}

impl Cutter {
    /// Starts at the beginning of a line.
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self { bytes_max, begun: Vec::new(), is_over: false }
    }

    /// Takes what was read next; gives the lines that end in it, and a word of each that became too long.
    pub(super) fn take(&mut self, mut read: &[u8]) -> Vec<Cut> {
        let mut cuts = Vec::new();
        while let Some(end) = read.iter().position(|byte| *byte == b'\n') {
            self.hold(&read[..end], &mut cuts);
            read = &read[end + 1..];
            let line = std::mem::take(&mut self.begun);
            if !std::mem::take(&mut self.is_over) {
                cuts.push(Cut::Line(line));
            }
        }
        self.hold(read, &mut cuts);
        cuts
    }

    /// Gives what was begun when the stream ended.
    pub(super) fn rest(&mut self) -> Option<Cut> {
        let line = std::mem::take(&mut self.begun);
        (!line.is_empty()).then_some(Cut::Line(line))
    }

    fn hold(&mut self, part: &[u8], cuts: &mut Vec<Cut>) {
        if self.is_over {
            return;
        }
        if self.begun.len().saturating_add(part.len()) > self.bytes_max {
            (self.begun, self.is_over) = (Vec::new(), true);
            cuts.push(Cut::TooLong);
        } else {
            self.begun.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(text: &str) -> Cut {
        Cut::Line(text.into())
    }

    #[test]
    fn lines_are_whole_and_the_long_ones_told_of_once() {
        let mut cutter = Cutter::new(4);
        assert_eq!(cutter.take(b"one\ntwo\n123"), [line("one"), line("two")]);
        assert_eq!(
            cutter.take(b"45\n\n12345678\n5\n"),
            [Cut::TooLong, line(""), Cut::TooLong, line("5")]
        );
        for _ in 0..64 {
            let _told_once = cutter.take(&[b'x'; 1 << 20]);
            assert!(cutter.begun.capacity() < 1 << 10);
        }
        assert_eq!(cutter.take(b"\nend"), []);
        assert_eq!((cutter.rest(), cutter.rest()), (Some(line("end")), None));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_come(bytes in "[ab\n]{0,60}", size in 1_usize..20) {
            let mut whole = Cutter::new(5);
            let expected = whole.take(bytes.as_bytes());
            let mut cutter = Cutter::new(5);
            let pieces = bytes.as_bytes().chunks(size);
            let found: Vec<Cut> = pieces.flat_map(|piece| cutter.take(piece)).collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(cutter.rest(), whole.rest());
        }
    }
}

//! Lines of text that fit a terminal: longer ones go on below, indented, and lose nothing.
//!
//! [`wrapped`] is pure; [`Narrow`] puts it before a writer. Colours take no room.

use std::io;

/// How many columns a line has at most.
const COLUMNS_MAX: usize = 160;

/// How far a line is indented that goes on.
const INDENT: &str = "    ";

/// Wraps what is written to it, an event at a time as the layer writes them.
pub(super) struct Narrow<W>(pub(super) W);

impl<W: io::Write> io::Write for Narrow<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let lines: String = text.split_inclusive('\n').map(wrapped).collect();
        self.0.write_all(lines.as_bytes()).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A line in as many as it needs, parted at blanks where there are some.
fn wrapped(line: &str) -> String {
    let (mut shown, mut column, mut is_escape) = (String::with_capacity(line.len()), 0, false);
    for word in line.split_inclusive(' ') {
        let go_on = |shown: &mut String| {
            shown.truncate(shown.trim_end_matches(' ').len());
            shown.push('\n');
            shown.push_str(INDENT);
            INDENT.len()
        };
        if column > INDENT.len() && column + width(word.trim_end()) > COLUMNS_MAX {
            column = go_on(&mut shown);
        }
        for letter in word.chars() {
            is_escape |= letter == '\u{1b}';
            if !is_escape && letter != '\n' {
                if column == COLUMNS_MAX {
                    column = go_on(&mut shown);
                }
                column += 1;
            }
            shown.push(letter);
            is_escape &= letter != 'm';
        }
    }
    shown
}

/// How many columns a word takes, without its colours.
fn width(word: &str) -> usize {
    let (mut count, mut is_escape) = (0, false);
    for letter in word.chars() {
        is_escape |= letter == '\u{1b}';
        count += usize::from(!is_escape);
        is_escape &= letter != 'm';
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_line_stays_as_it_is() {
        let line = "12:00 \u{1b}[32m INFO\u{1b}[0m service is up\n";
        assert_eq!(wrapped(line), line);
    }

    #[test]
    fn a_long_line_goes_on_below_and_loses_nothing() {
        let words = "word \u{1b}[2mfield\u{1b}[0m=value ".repeat(40);
        let one = "x".repeat(500);
        for line in [words.as_str(), &one, &format!("{words}{one}")] {
            let shown = wrapped(&format!("{line}\n"));
            assert!(shown.lines().count() > 2);
            assert!(shown.lines().all(|line| width(line) <= COLUMNS_MAX), "{shown}");
            let bare = |text: &str| text.replace([' ', '\n'], "");
            assert_eq!(bare(&shown), bare(line));
        }
    }
}

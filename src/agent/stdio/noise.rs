//! What a program writes to its standard error, made fit for our log. Pure.
//!
//! A line keeps the level that it names at its start, loses what could be a telephone number, and is cut. What a
//! program says last is told also where it was too loud before: it may be why it died.

use super::lines::{Cut, Cutter};

/// How much of a line is kept.
pub(super) const LINE_BYTES_MAX: usize = 1_024;

/// How many digits in a row may be part of a number that is nobody's.
const DIGITS_MAX: usize = 6;

/// The level that a line names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NoiseLevel {
    /// Somebody must act.
    Error,
    /// Something was lost or late.
    Warn,
    /// What is neither.
    Info,
    /// For whoever looks for a fault.
    Debug,
}

impl NoiseLevel {
    /// Finds the level among the first words; what names none is information.
    pub(super) fn of(line: &str) -> Self {
        const WORDS: [(&str, NoiseLevel); 9] = [
            ("error", NoiseLevel::Error),
            ("critical", NoiseLevel::Error),
            ("fatal", NoiseLevel::Error),
            ("panic", NoiseLevel::Error),
            ("warn", NoiseLevel::Warn),
            ("warning", NoiseLevel::Warn),
            ("info", NoiseLevel::Info),
            ("debug", NoiseLevel::Debug),
            ("trace", NoiseLevel::Debug),
        ];
        let words = line.split(|letter: char| !letter.is_ascii_alphabetic());
        let words = words.filter(|word| !word.is_empty()).take(6);
        let level = words
            .filter_map(|word| WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)))
            .map(|(_, level)| *level)
            .next();
        level.unwrap_or(Self::Info)
    }
}

/// A line for the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct NoiseLine {
    /// Its level.
    pub(super) level: NoiseLevel,
    /// How many were left out before it.
    pub(super) left_out: u64,
    /// What it says, masked.
    pub(super) line: String,
}

impl NoiseLine {
    fn of(line: &[u8], left_out: u64) -> Self {
        let line = masked(line);
        Self { level: NoiseLevel::of(&line), left_out, line }
    }
}

/// The standard error of one run of a program.
#[derive(Debug)]
pub(super) struct Noise {
    cutter: Cutter,
    /// The last line, if it was left out.
    last: Option<Vec<u8>>,
}

impl Noise {
    /// Begins with a program that has just been started.
    pub(super) const fn new() -> Self {
        Self { cutter: Cutter::new(LINE_BYTES_MAX), last: None }
    }

    /// Takes what was read next; gives the lines of it that are told. `admit` says whether one is, and then
    /// how many were left out before.
    pub(super) fn hear(
        &mut self,
        bytes: &[u8],
        mut admit: impl FnMut() -> Option<u64>,
    ) -> Vec<NoiseLine> {
        let mut told = Vec::new();
        for cut in self.cutter.take(bytes) {
            told.extend(self.tell(cut, &mut admit));
        }
        told
    }

    /// Gives the last words, the beginning of a line among them; what was left out last has a bound of its own.
    pub(super) fn end(
        mut self,
        mut admit: impl FnMut() -> Option<u64>,
        mut admit_last: impl FnMut() -> Option<u64>,
    ) -> Vec<NoiseLine> {
        let rest = self.cutter.rest();
        let mut told: Vec<_> =
            rest.and_then(|cut| self.tell(cut, &mut admit)).into_iter().collect();
        let last = self.last.filter(|line| !line.is_empty());
        told.extend(last.and_then(|line| Some(NoiseLine::of(&line, admit_last()?))));
        told
    }

    fn tell(&mut self, cut: Cut, admit: &mut impl FnMut() -> Option<u64>) -> Option<NoiseLine> {
        // What is too long is mostly no line at all.
        let Cut::Line(line) = cut else { return None };
        if let Some(left_out) = admit() {
            self.last = None;
            Some(NoiseLine::of(&line, left_out))
        } else {
            self.last = Some(line);
            None
        }
    }
}

/// Gives a line without control characters and without what could be somebody's number.
pub(super) fn masked(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut masked = String::with_capacity(text.len());
    let mut digits = 0;
    for letter in text.chars() {
        digits = match letter {
            '0'..='9' => digits + 1,
            // As people write numbers.
            ' ' | '-' | '.' | '(' | ')' if digits > 0 => digits,
            _ => 0,
        };
        masked.push(match letter {
            '0'..='9' if digits > DIGITS_MAX => '*',
            letter if letter.is_control() => ' ',
            letter => letter,
        });
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_level_that_it_names() {
        for (line, level) in [
            ("ERROR: cannot", NoiseLevel::Error),
            ("2026-11-30T01:00:00Z [warn] slow", NoiseLevel::Warn),
            ("WARNING:root:slow", NoiseLevel::Warn),
            (r#"{"level":"debug","msg":"x"}"#, NoiseLevel::Debug),
            ("started", NoiseLevel::Info),
            ("a b c d e f g error", NoiseLevel::Info),
            ("", NoiseLevel::Info),
        ] {
            assert_eq!(NoiseLevel::of(line), level, "{line}");
        }
    }

    #[test]
    fn the_last_words_are_told_however_loud_it_was_and_whether_or_not_their_line_ends() {
        let said = |told: Vec<NoiseLine>| told.into_iter().map(|one| one.line).collect::<Vec<_>>();
        let mut noise = Noise::new();
        assert_eq!(said(noise.hear(b"one\ntwo\nERROR: no ", || Some(0))), ["one", "two"]);
        assert_eq!(said(noise.end(|| Some(0), || Some(0))), ["ERROR: no "]);
        let mut noise = Noise::new();
        assert_eq!(said(noise.hear(b"loud\nTraceback\n", || None)), [""; 0]);
        let told = noise.end(|| None, || Some(0));
        assert_eq!(said(told), ["Traceback"]);
        let mut noise = Noise::new();
        assert_eq!(said(noise.hear(b"loud\nKeyError", || None)), [""; 0]);
        assert_eq!(said(noise.end(|| None, || Some(0))), ["KeyError"]);
        let mut noise = Noise::new();
        assert_eq!(said(noise.hear(b"told\n", || Some(0))), ["told"]);
        assert_eq!(said(noise.end(|| Some(0), || Some(0))), [""; 0], "nothing is told twice");
    }

    #[test]
    fn numbers_of_people_and_control_characters_do_not_get_into_the_log() {
        assert_eq!(masked(b"from +15555550123\x1b[0m"), "from +155555***** [0m");
        assert_eq!(masked(b"(555) 555-0123 said"), "(555) 555-**** said");
        assert_eq!(masked(b"took 1234 ms, port 65535"), "took 1234 ms, port 65535");
        assert_eq!(masked(&[0xff, b'a']), "\u{fffd}a");
    }
}

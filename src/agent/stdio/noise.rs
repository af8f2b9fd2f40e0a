//! What a program writes to its standard error, made fit for our log. Pure.
//!
//! A line keeps the level that it names at its start, loses what could be a telephone number, and is cut.

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
    fn numbers_of_people_and_control_characters_do_not_get_into_the_log() {
        assert_eq!(masked(b"from +15555550123\x1b[0m"), "from +155555***** [0m");
        assert_eq!(masked(b"(555) 555-0123 said"), "(555) 555-**** said");
        assert_eq!(masked(b"took 1234 ms, port 65535"), "took 1234 ms, port 65535");
        assert_eq!(masked(&[0xff, b'a']), "\u{fffd}a");
    }
}

//! Text as others write it: UTF-8 that begins with a byte order mark, or UTF-16, or for a terminal to obey.
//!
//! Decides what of it is read: a mark at the start is no part of the text, and UTF-16 is not guessed
//! at but named, so that whoever saved it can save it again; and which known name a mistyped one meant.
//! Pure.

use std::borrow::Cow;
use std::fmt::Write as _;

/// What UTF-8 begins with in files that some editors save.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Says why bytes are no text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotUtf8 {
    /// They are UTF-16, with or without a byte order mark.
    #[error("is UTF-16, not UTF-8")]
    Utf16,
    /// They are UTF-32 with a byte order mark.
    #[error("is UTF-32, not UTF-8")]
    Utf32,
    /// They are in no encoding that can be told.
    #[error("is not UTF-8")]
    Unknown,
}

/// Takes the byte order mark off the start.
#[must_use]
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK).unwrap_or(bytes)
}

/// Reads bytes as UTF-8, without the byte order mark at their start.
///
/// # Errors
///
/// [`NotUtf8`], with the encoding where it can be told.
pub fn read(bytes: &[u8]) -> Result<&str, NotUtf8> {
    // UTF-16 of plain English is valid UTF-8, every other character of it being NUL.
    if let Some(other) = other_encoding(bytes) {
        return Err(other);
    }
    std::str::from_utf8(without_mark(bytes)).map_err(|_| NotUtf8::Unknown)
}

/// Names an encoding that is certainly not UTF-8.
#[must_use]
pub fn other_encoding(bytes: &[u8]) -> Option<NotUtf8> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some(NotUtf8::Utf32),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some(NotUtf8::Utf16),
        _ => is_half_nul(bytes).then_some(NotUtf8::Utf16),
    }
}

/// Whether of each pair of bytes the same one is NUL: UTF-16 of ASCII without a mark.
fn is_half_nul(bytes: &[u8]) -> bool {
    let pairs = || bytes.chunks_exact(2);
    let is_even = !bytes.is_empty() && bytes.len().is_multiple_of(2);
    let all = |wanted: fn(&[u8]) -> bool| pairs().all(wanted);
    is_even
        && (all(|pair| pair[0] == 0 && pair[1] != 0) || all(|pair| pair[0] != 0 && pair[1] == 0))
}

/// Whether a text has more than so many UTF-16 units.
#[must_use]
pub fn is_longer_than(text: &str, units_max: usize) -> bool {
    // No character has more units than bytes.
    text.len() > units_max && text.encode_utf16().count() > units_max
}

/// Gives the known name that a mistyped one most likely meant: the one with the smallest edit distance, if
/// that is at most a third of the name.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = name.len().div_ceil(3);
    known
        .into_iter()
        .map(|known| (strsim::levenshtein(name, known), known))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Writes a text of others as a terminal may show it: lines stay, whatever else would move the cursor,
/// colour, turn around or break what is shown is written as JSON escapes it, so that JSON stays what it is.
///
/// Source: Unicode 16, `Bidi_Control`, and categories Cc, Zl and Zp, read 2026-11-29.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unfit) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\t' => shown.push_str("\\t"),
            '\r' => shown.push_str("\\r"),
            letter if is_unfit(letter) => {
                let _ = write!(shown, "\\u{:04x}", u32::from(letter));
            }
            letter => shown.push(letter),
        }
    }
    Cow::Owned(shown)
}

/// Whether a character is for the terminal and not for the reader. None of them is beyond U+FFFF.
fn is_unfit(letter: char) -> bool {
    letter.is_control() && letter != '\n'
        || matches!(
            letter,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_names_are_offered() {
        let known = ["agent.url", "agent.kind", "queue.path"];
        assert_eq!(nearest("agent.ulr", known), Some("agent.url"));
        assert_eq!(nearest("agent.kinds", known), Some("agent.kind"));
        assert_eq!(nearest("weather", known), None);
    }

    #[test]
    fn nothing_of_a_text_reaches_the_terminal_but_letters_and_lines() {
        for (text, shown) in [
            ("plain\nwith lines, \u{fc} and \u{1f468}\u{200d}\u{1f467}", None),
            ("a\u{1b}[31mb", Some("a\\u001b[31mb")),
            ("a\u{9b}31mb\u{7f}\u{85}\0", Some("a\\u009b31mb\\u007f\\u0085\\u0000")),
            ("a\tb\r\nc", Some("a\\tb\\r\nc")),
            ("\u{202e}txt.exe\u{2066}\u{61c}\u{200f}", Some("\\u202etxt.exe\\u2066\\u061c\\u200f")),
            ("one\u{2028}two\u{2029}", Some("one\\u2028two\\u2029")),
        ] {
            assert_eq!(printable(text), shown.unwrap_or(text));
        }
        let text = "\u{9b}\u{202e}\u{2028}\u{7f}\t\"";
        let json = serde_json::to_string(text).unwrap();
        assert_eq!(serde_json::from_str::<String>(&printable(&json)).unwrap(), text);
    }

    #[test]
    fn a_mark_at_the_start_is_no_part_of_the_text_and_utf_16_is_named() {
        let wide = |mark: &[u8], swap: bool| -> Vec<u8> {
            let units = "token".encode_utf16();
            let bytes =
                units.flat_map(|unit| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() });
            mark.iter().copied().chain(bytes).collect()
        };
        for (bytes, wanted) in [
            (b"token".to_vec(), Ok("token")),
            (b"\xef\xbb\xbftoken".to_vec(), Ok("token")),
            // Only the first one is a mark.
            (b"\xef\xbb\xbf\xef\xbb\xbft".to_vec(), Ok("\u{feff}t")),
            (b"\xef\xbb\xbf".to_vec(), Ok("")),
            (Vec::new(), Ok("")),
            ("Ассистент".as_bytes().to_vec(), Ok("Ассистент")),
            (wide(b"\xff\xfe", false), Err(NotUtf8::Utf16)),
            (wide(b"\xfe\xff", true), Err(NotUtf8::Utf16)),
            (wide(b"", false), Err(NotUtf8::Utf16)),
            (wide(b"", true), Err(NotUtf8::Utf16)),
            (b"\xff\xfe\0\0t\0\0\0".to_vec(), Err(NotUtf8::Utf32)),
            (b"\0\0\xfe\xff\0\0\0t".to_vec(), Err(NotUtf8::Utf32)),
            (b"t\xf6ken".to_vec(), Err(NotUtf8::Unknown)),
            (b"\xef\xbb".to_vec(), Err(NotUtf8::Unknown)),
        ] {
            assert_eq!(read(&bytes), wanted, "{bytes:?}");
        }
    }
}

//! Halves of surrogate pairs, made into U+FFFD.
//!
//! JavaScript cuts texts between the halves of an emoji and writes what is left as `\ud83d`; others
//! write the half itself, as three bytes that are no UTF-8. Neither is a character. A repair keeps the
//! length, so that places in the text stay what they are. Pure.

/// What stands for a half that was written as an escape.
const ESCAPED: &[u8; 4] = b"fffd";

/// What stands for a half that was written as three bytes.
const BYTES: &[u8; 3] = b"\xef\xbf\xbd";

/// How long an escape such as `\ud83d` is.
const ESCAPE_BYTES: usize = 6;

/// Gives the JSON with each half of a surrogate pair as U+FFFD; `None` if it has none.
///
/// Assumes that backslashes stand in strings only, as they do in all JSON; what is no JSON before is
/// none after.
#[must_use]
pub fn repaired(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut repaired = None;
    let mut mend = |at: usize, with: &[u8]| {
        let copy: &mut Vec<u8> = repaired.get_or_insert_with(|| bytes.to_vec());
        copy[at..at + with.len()].copy_from_slice(with);
    };
    let mut at = 0;
    while at < bytes.len() {
        at += match &bytes[at..] {
            rest @ [b'\\', b'u', ..] => match escape(rest) {
                Some(0xd800..=0xdbff) if is_second_half(&rest[ESCAPE_BYTES..]) => 2 * ESCAPE_BYTES,
                Some(0xd800..=0xdfff) => {
                    mend(at + 2, ESCAPED);
                    ESCAPE_BYTES
                }
                Some(_) | None => 2,
            },
            [b'\\', ..] => 2,
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] => {
                mend(at, BYTES);
                BYTES.len()
            }
            _ => 1,
        };
    }
    repaired
}

/// The code unit of the escape at the start.
fn escape(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    let text = std::str::from_utf8(digits).ok()?;
    let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
    is_hex.then(|| u16::from_str_radix(text, 16).ok()).flatten()
}

fn is_second_half(bytes: &[u8]) -> bool {
    matches!(escape(bytes), Some(0xdc00..=0xdfff))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_are_replaced_and_pairs_and_all_else_left_alone() {
        for (text, wanted) in [
            (r#""\ud83d""#, Some(r#""\ufffd""#)),
            (r#""\uDE00""#, Some(r#""\ufffd""#)),
            (r#""\ud83d\ude00""#, None),
            (r#""\ud83d\ud83d\ude00""#, Some(r#""\ufffd\ud83d\ude00""#)),
            (r#""\ude00\ud83d""#, Some(r#""\ufffd\ufffd""#)),
            (r#""\ud83d\n""#, Some(r#""\ufffd\n""#)),
            (r#""\ud83dx""#, Some(r#""\ufffdx""#)),
            // A backslash and the letters ud83d: what JSON in JSON looks like.
            (r#""\\ud83d""#, None),
            (r#""\\\ud83d""#, Some(r#""\\\ufffd""#)),
            (r#""\u+83d\ud8""#, None),
            (r#""\u00e9 é""#, None),
            (r"\", None),
            ("", None),
        ] {
            let got = repaired(text.as_bytes());
            assert_eq!(got.as_deref(), wanted.map(str::as_bytes), "{text}");
        }
        assert_eq!(repaired(b"\"a\xed\xa0\xbd\"").unwrap(), "\"a\u{fffd}\"".as_bytes());
        assert_eq!(repaired("\u{d7ff}".as_bytes()), None);
    }

    proptest! {
        #[test]
        fn every_json_text_of_any_code_units_can_be_read(
            units in proptest::collection::vec(any::<u16>(), 0..16),
        ) {
            let escapes: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let read: String = crate::json::from_str(&format!("\"{escapes}\"")).unwrap();
            prop_assert_eq!(read, String::from_utf16_lossy(&units));
        }

        #[test]
        fn nothing_panics_and_the_length_stays(bytes: Vec<u8>) {
            let got = repaired(&bytes);
            prop_assert!(got.is_none_or(|got| got.len() == bytes.len()));
        }
    }
}

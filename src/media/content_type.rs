//! Which type a file is said to be of. Pure.
//!
//! Twilio says what the sender said. It is passed on if it is of a plain shape and of a kind that messages
//! have, and is otherwise that of bytes of which nothing is known.

/// The type of bytes of which nothing is known.
pub const UNKNOWN: &str = "application/octet-stream";

/// The kinds of files that messages have. Source: accepted MIME types for media, read 2026-11-29.
const KINDS: [&str; 5] = ["application", "audio", "image", "text", "video"];

/// The longest name within a kind. Source: RFC 6838, section 4.2, read 2026-11-29.
const NAME_BYTES_MAX: usize = 127;

/// Gives the type without its parameters, in lower case, or [`UNKNOWN`].
#[must_use]
pub fn plain(said: Option<&str>) -> String {
    let whole = said.and_then(|said| said.split(';').next()).unwrap_or_default();
    let whole = whole.trim().to_ascii_lowercase();
    let is_plain = whole.split_once('/').is_some_and(|(kind, name)| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte);
        let is_name = name.bytes().all(is_letter) && name.starts_with(char::is_alphanumeric);
        KINDS.contains(&kind) && is_name && name.len() <= NAME_BYTES_MAX
    });
    if is_plain { whole } else { UNKNOWN.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_types_of_known_kinds_are_passed_on() {
        let long = format!("image/{}", "x".repeat(NAME_BYTES_MAX + 1));
        for (said, expected) in [
            (Some("image/png"), "image/png"),
            (Some(" Image/JPEG ; charset=x"), "image/jpeg"),
            (Some("text/vcard; charset=utf-8"), "text/vcard"),
            (Some("application/vnd.ms-excel+zip"), "application/vnd.ms-excel+zip"),
            (Some("image/"), UNKNOWN),
            (Some("image"), UNKNOWN),
            (Some("multipart/x-mixed-replace"), UNKNOWN),
            (Some("message/rfc822"), UNKNOWN),
            (Some("image/png\r\nset-cookie: a"), UNKNOWN),
            (Some("image/p ng"), UNKNOWN),
            (Some("image/png/x"), UNKNOWN),
            (Some(long.as_str()), UNKNOWN),
            (Some(""), UNKNOWN),
            (None, UNKNOWN),
        ] {
            assert_eq!(plain(said), expected, "{said:?}");
        }
    }
}

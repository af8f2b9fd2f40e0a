//! What is read and written as it lies on the disk.

use std::io;
use std::path::Path;

use crate::timeline::Error;

/// What was read as text. It is JSON without letters beyond ASCII; what is damaged stays as long as it is,
/// and is left out as such.
pub(super) fn text_of(read: Vec<u8>) -> String {
    String::from_utf8(read).unwrap_or_else(|broken| ascii(broken.into_bytes()))
}

pub(super) fn bytes(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// Damaged text of the same length.
fn ascii(mut text: Vec<u8>) -> String {
    for byte in text.iter_mut().filter(|byte| !byte.is_ascii()) {
        *byte = b'?';
    }
    String::from_utf8(text).unwrap_or_default()
}

pub(super) fn file(doing: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File { doing, path: path.to_owned(), source }
}

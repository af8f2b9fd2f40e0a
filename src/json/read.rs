//! Reads JSON plainly, and what cannot be read so once more in repaired form.
//!
//! Pure.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::repair::repaired;

/// Reads JSON.
///
/// # Errors
///
/// Where it is not of the form wanted; only the place is fit for a log, for the text can quote.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(bytes).or_else(|error| {
        let repaired = repaired(bytes).ok_or(error)?;
        serde_json::from_slice(&repaired)
    })
}

/// Reads JSON text.
///
/// # Errors
///
/// As [`from_slice`].
pub fn from_str<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    serde_json::from_str(text).or_else(|error| {
        let repaired = repaired(text.as_bytes()).ok_or(error)?;
        serde_json::from_slice(&repaired)
    })
}

/// Reads JSON into something that borrows from it, or from `room` where it had to be repaired.
///
/// # Errors
///
/// As [`from_slice`].
pub fn lend<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    room: &'a mut Vec<u8>,
) -> serde_json::Result<T> {
    match serde_json::from_slice(bytes) {
        Ok(read) => Ok(read),
        Err(error) => {
            *room = repaired(bytes).ok_or(error)?;
            serde_json::from_slice(room)
        }
    }
}

/// Reads `null` as what a missing field is read as; for `#[serde(deserialize_with)]`.
///
/// # Errors
///
/// Where there is a value of another form.
pub fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

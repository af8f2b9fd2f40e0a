//! Attributes of conversations and messages, which are whatever somebody put there. Pure.

use serde_json::{Map, Value};

use crate::json;
use crate::pii::Pii;

/// Reads attributes, which travel as JSON text, as far as they can be read; anything but an object
/// counts as none.
pub fn attributes(text: Option<&Pii>) -> Map<String, Value> {
    text.and_then(|text| json::object(text.reveal().as_bytes()).ok()).unwrap_or_default()
}

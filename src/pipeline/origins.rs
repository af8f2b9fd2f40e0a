//! What an agent wants back with what is told of its reply, as a channel keeps it meanwhile. Pure.

use crate::agent::Origin;
use crate::channels::Note;

/// What a channel keeps of an origin, to give it back with what is told of the reply.
#[must_use]
pub fn note(origin: &Origin) -> Option<Note> {
    serde_json::to_string(origin).ok().map(|text| Note(text.into()))
}

/// Reads that again.
#[must_use]
pub fn read(note: &Note) -> Option<Origin> {
    serde_json::from_str(note.0.reveal()).ok()
}

//! What a listing of documents gives. Pure values.

use std::fmt;

use crate::clock::Timestamp;

/// One of a listing.
#[derive(Clone, Eq, PartialEq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: Vec<u8>,
    /// When it was written last.
    pub changed: Timestamp,
    pub(super) revision: u64,
}

/// Where a listing goes on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DocumentCursor(pub(super) String);

impl DocumentCursor {
    /// Takes a text that an earlier cursor was written as; a listing refuses one that is none of its.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Writes it for who asks again later. It may hold a document's name.
    #[must_use]
    pub fn as_text(&self) -> &str {
        &self.0
    }
}

/// A part of a listing, in no order that means anything.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DocumentPage {
    /// The documents; maybe none, though more follow.
    pub documents: Vec<Listed>,
    /// Where it goes on; none at its end.
    pub next: Option<DocumentCursor>,
}

/// A value is somebody's, and is not shown.
impl fmt::Debug for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listed")
            .field("name", &self.name)
            .field("changed", &self.changed)
            .finish_non_exhaustive()
    }
}

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

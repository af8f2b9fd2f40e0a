//! What the doctor found at its last look from within the service, and the wish for another one.
//!
//! Whoever looks writes here, and waits here for a wish; the console shows it and wishes. Who looks keeps the
//! pace: a wish is at most one look more.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::clock::Timestamp;
use crate::finding::Finding;

/// The last look; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Findings(Arc<FindingsParts>);

#[derive(Debug, Default)]
struct FindingsParts {
    last: Mutex<Option<DoctorLook>>,
    wish: Notify,
}

/// A look.
#[derive(Clone, Debug)]
pub struct DoctorLook {
    /// When.
    pub at: Timestamp,
    /// What was found, what is well included.
    pub findings: Vec<Finding>,
}

impl Findings {
    /// Notes a look.
    pub fn note(&self, at: Timestamp, findings: Vec<Finding>) {
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(DoctorLook { at, findings });
    }

    /// Gives the last look, if there was one.
    #[must_use]
    pub fn last(&self) -> Option<DoctorLook> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wishes for another.
    pub fn wish(&self) {
        self.0.wish.notify_one();
    }

    /// Waits for a wish.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses no wish.
    pub async fn wished(&self) {
        self.0.wish.notified().await;
    }
}

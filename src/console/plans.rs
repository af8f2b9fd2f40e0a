//! What `chimein setup` would change at Twilio, as of a look from within the service, and the wish for another one.
//!
//! Whoever looks writes here, and waits here for a wish; the console shows it and wishes, since what nobody asks
//! to see costs Twilio no call. Who looks keeps the pace. Nothing here writes to Twilio.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::clock::Timestamp;

/// The last look; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Plans(Arc<PlansParts>);

#[derive(Debug, Default)]
struct PlansParts {
    last: Mutex<Option<PlanLook>>,
    wish: Notify,
}

/// A look.
#[derive(Clone, Debug)]
pub struct PlanLook {
    /// When.
    pub at: Timestamp,
    /// The plan, or a sentence for the operator that says why there is none.
    pub seen: Result<ShownPlan, String>,
}

/// A plan, fit for people to see: no number of a phone, no secret.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ShownPlan {
    /// The calls, in their order.
    pub calls: Vec<ShownCall>,
    /// What is left as it is.
    pub left: Vec<ShownLeft>,
}

/// One call to Twilio.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShownCall {
    /// What is written, in a few words.
    pub what: String,
    /// Its method and path.
    pub request: String,
    /// Why.
    pub why: String,
    /// Each field that changes: its name, what it has, what it is to have.
    pub fields: Vec<[String; 3]>,
}

/// Something that is left as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShownLeft {
    /// What it is about.
    pub what: String,
    /// How it is.
    pub found: String,
    /// What can be done about it.
    pub remedy: String,
}

impl Plans {
    /// Notes a look.
    pub fn note(&self, at: Timestamp, seen: Result<ShownPlan, String>) {
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(PlanLook { at, seen });
    }

    /// Gives the last look, if there was one.
    #[must_use]
    pub fn last(&self) -> Option<PlanLook> {
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

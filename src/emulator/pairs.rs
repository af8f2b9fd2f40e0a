//! One lock for each pair of addresses, so that their messages come in one after the other.
//!
//! The locks are dropped with their last user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::state::Inbound;

type PairLock = Arc<tokio::sync::Mutex<()>>;

/// One lock for each pair that a message is under way on.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    locks: Mutex<HashMap<String, PairLock>>,
}

impl Pairs {
    /// The lock of a message's pair.
    pub(super) fn of(&self, inbound: &Inbound) -> PairLock {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        // Every member of a group writes to the same one, so the order of addresses is no part.
        let key = inbound.addresses().into_iter().collect::<Vec<_>>().join(" ");
        Arc::clone(locks.entry(key).or_default())
    }
}

//! With how many others the limits of the account are shared.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many instances share the limits of the service: one, unless told otherwise.
#[derive(Clone, Debug, Default)]
pub struct Instances(Arc<AtomicUsize>);

impl Instances {
    /// Takes note of how many there are.
    pub fn set(&self, count: usize) {
        self.0.store(count, Ordering::Relaxed);
    }

    /// How many there are, one at least.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed).max(1)
    }

    /// This instance's part of a limit, one at least.
    pub(crate) fn part_of(&self, limit: u32) -> u32 {
        let count = u32::try_from(self.count()).unwrap_or(u32::MAX);
        (limit / count).max(1)
    }
}

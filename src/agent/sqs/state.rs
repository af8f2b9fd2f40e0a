//! What is known of the queues while the service runs, and what the operator has been told of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::error::Error;
use super::facts::{Facts, Role};
use crate::agent::matter::Matter;
use crate::telemetry::chain::Chain;

/// The largest `maxReceiveCount` up to which what cannot be read is brought again at once, so that it does not
/// hold up its group; with more it would be read in a circle.
const RECEIVES_SOON_MAX: u64 = 10;

/// What is known of the queues.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Why replies cannot be received, as the operator was told; none where they can.
    told: Mutex<Option<&'static str>>,
    redrives_soon: AtomicBool,
    /// How large a turn may be; zero until it is known.
    bytes_max: AtomicU64,
}

impl State {
    /// Notes that replies can be received.
    pub(super) fn worked(&self) {
        if self.replace(None).is_some() {
            tracing::info!("queue of replies can be read again");
        }
    }

    /// Notes that they cannot.
    pub(super) fn failed(&self, error: &Error) {
        let word = match error.matter() {
            Matter::Configuration(remedy) => remedy,
            Matter::Pace => "it asks for a slower pace",
            Matter::Message | Matter::Passing => "it is away",
        };
        if self.replace(Some(word)) == Some(word) {
            return;
        }
        if matches!(error.matter(), Matter::Configuration(_)) {
            tracing::error!(error = %Chain(error), reason = word,
                "queue of replies refuses us; trying again");
        } else {
            tracing::warn!(error = %Chain(error), reason = word,
                "queue of replies cannot be read; trying again");
        }
    }

    /// Whether replies can be received, as far as is known.
    pub(super) fn is_well(&self) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Notes what a queue is.
    pub(super) fn learned(&self, role: Role, facts: &Facts) {
        match role {
            Role::Turns => {
                let bytes_max = u64::try_from(facts.bytes_max).unwrap_or(u64::MAX);
                self.bytes_max.store(bytes_max, Ordering::Relaxed);
            }
            Role::Replies => {
                let few = |receives_max| receives_max <= RECEIVES_SOON_MAX;
                let soon = facts.redrive.as_ref().is_some_and(|to| few(to.receives_max));
                self.redrives_soon.store(soon, Ordering::Relaxed);
            }
        }
    }

    /// How large a turn may be, once that is known.
    pub(super) fn bytes_max(&self) -> Option<usize> {
        let known = self.bytes_max.load(Ordering::Relaxed);
        (known > 0).then(|| usize::try_from(known).unwrap_or(usize::MAX))
    }

    /// Whether a message that is brought again a few times is then put aside.
    pub(super) fn redrives_soon(&self) -> bool {
        self.redrives_soon.load(Ordering::Relaxed)
    }

    fn replace(&self, with: Option<&'static str>) -> Option<&'static str> {
        std::mem::replace(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner), with)
    }
}

//! Lines that strangers cause, each kind within the bound of [`Flood`].
//!
//! One for each kind of line, shared by all requests. Time enters through the [`Clock`].

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::flood::Flood;
use crate::clock::Clock;

/// How long a text of a stranger may be in a line.
const TEXT_BYTES_MAX: usize = 200;

/// Decides which of a stranger's lines are logged. Clones count together.
#[derive(Clone, Debug)]
pub struct Refusals {
    flood: Arc<Mutex<Flood>>,
    clock: Clock,
}

impl Refusals {
    /// Starts without a line.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { flood: Arc::default(), clock }
    }

    /// Whether a line is logged now; if it is, how many were left out since the last one.
    #[must_use]
    pub fn admit(&self, address: Option<IpAddr>) -> Option<u64> {
        let mut flood = self.flood.lock().unwrap_or_else(PoisonError::into_inner);
        flood.admit(address, self.clock.now())
    }
}

/// Cuts a text of a stranger to what a line may hold.
#[must_use]
pub fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"é".repeat(200)).len(), TEXT_BYTES_MAX);
        assert_eq!(cut(&format!("a{}", "é".repeat(200))).len(), TEXT_BYTES_MAX - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn clones_count_together() {
        let refusals = Refusals::new(Clock::start());
        let other = refusals.clone();
        while refusals.admit(None).is_some() {}
        assert_eq!(other.admit(None), None);
    }
}

//! Delays between attempts: doubling, capped, jittered, raised by what the server asks for.
//!
//! Decides how long to wait; never waits. Pure: chance comes in as a seed, so that a test can replay
//! every delay. It is no source of secrets.

use std::time::Duration;

/// A small deterministic generator for jitter and for ids that need not be secret.
#[derive(Clone, Debug)]
pub struct Random(fastrand::Rng);

impl Random {
    /// Starts the sequence that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Gives the next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// Gives the next 128 bits.
    pub fn next_u128(&mut self) -> u128 {
        self.0.u128(..)
    }

    /// Spreads a delay by up to 20 % either way, as the official client does.
    /// Source: Twilsock protocol notes 3, reconnect backoff, read 2026-11-21.
    pub fn spread(&mut self, delay: Duration) -> Duration {
        delay.saturating_mul(self.0.u32(800..=1200)) / 1000
    }
}

/// Doubling delays from `base` up to `cap`.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    floor: Duration,
    attempt: u32,
}

impl Backoff {
    /// Starts at `base`.
    #[must_use]
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, floor: Duration::ZERO, attempt: 0 }
    }

    /// Gives the next delay and counts the attempt.
    pub fn next_delay(&mut self, random: &mut Random) -> Duration {
        let doubled = self.base.saturating_mul(1 << self.attempt.min(20)).min(self.cap);
        self.attempt = self.attempt.saturating_add(1);
        random.spread(doubled.max(self.floor))
    }

    /// Takes over the least delay that the server asked for, bounded by four times the cap.
    pub fn raise_floor(&mut self, least: Duration) {
        self.floor = least.min(self.cap.saturating_mul(4));
    }

    /// Counts attempts that were made elsewhere.
    pub fn skip(&mut self, attempts: u32) {
        self.attempt = self.attempt.saturating_add(attempts);
    }

    /// How many delays were given since the last reset.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempt
    }

    /// Starts again at `base`, without floor.
    pub fn reset(&mut self) {
        self.attempt = 0;
        self.floor = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_the_cap_within_a_fifth() {
        let mut random = Random::new(7);
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        for wanted in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let delay = backoff.next_delay(&mut random).as_millis();
            assert!((wanted * 800..=wanted * 1200).contains(&delay), "{wanted}: {delay}");
        }
        backoff.reset();
        assert!(backoff.next_delay(&mut random) <= Duration::from_millis(1200));
    }

    #[test]
    fn the_servers_wish_is_a_floor_until_the_reset() {
        let mut random = Random::new(7);
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        backoff.raise_floor(Duration::from_secs(10));
        assert!(backoff.next_delay(&mut random) >= Duration::from_secs(8));
        backoff.raise_floor(Duration::from_secs(1_000_000));
        assert!(backoff.next_delay(&mut random) <= Duration::from_secs(288));
        backoff.reset();
        assert!(backoff.next_delay(&mut random) <= Duration::from_millis(1200));
    }
}

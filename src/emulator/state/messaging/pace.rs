//! How fast a sender may send, and when a text's turn comes.
//!
//! Pure: the time is an argument. Each sender has a queue that empties at its own pace; a text may wait
//! so long and no longer. Source: REST notes 4 and channel notes 2, "Rate", read 2026-11-29: a long
//! code one segment a second, a short code 100 and more, WhatsApp 80 messages; a toll-free number's
//! three, and that RCS is like WhatsApp, is assumed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::emulator::state::limits::Limits;

/// Senders whose queues are remembered; empty ones are forgotten beyond it.
const SENDERS_MAX: usize = 10_000;

/// The area codes of toll-free numbers in North America.
const TOLL_FREE: [&str; 7] = ["800", "833", "844", "855", "866", "877", "888"];

/// A kind of sender.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    LongCode,
    TollFree,
    ShortCode,
    Whatsapp,
    Rcs,
}

impl Kind {
    fn of(address: &str) -> Self {
        if address.starts_with("whatsapp:") {
            return Self::Whatsapp;
        }
        if address.starts_with("rcs:") {
            return Self::Rcs;
        }
        match address.strip_prefix('+') {
            None => Self::ShortCode,
            Some(number) => match number.strip_prefix('1').and_then(|rest| rest.get(..3)) {
                Some(area) if TOLL_FREE.contains(&area) => Self::TollFree,
                Some(_) | None => Self::LongCode,
            },
        }
    }
}

/// What a text takes of its sender's time: parts, and parts a second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Load {
    parts: u32,
    rate: u32,
}

impl Load {
    /// WhatsApp and RCS count messages, the others segments.
    pub(super) fn of(address: &str, segments: u32, own: Option<u32>, limits: &Limits) -> Self {
        let (parts, rate) = match Kind::of(address) {
            Kind::LongCode => (segments, limits.long_code_rate),
            Kind::TollFree => (segments, limits.toll_free_rate),
            Kind::ShortCode => (segments, limits.short_code_rate),
            Kind::Whatsapp => (1, limits.whatsapp_rate),
            Kind::Rcs => (1, limits.rcs_rate),
        };
        Self { parts, rate: own.unwrap_or(rate).max(1) }
    }

    fn micros(self) -> i64 {
        i64::from(self.parts).saturating_mul(1_000_000) / i64::from(self.rate)
    }
}

/// When each sender is free again.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Queues {
    free_at_us: BTreeMap<String, i64>,
}

impl Queues {
    /// Gives the moment of a text's turn; nothing if it had to wait longer than `wait_max`.
    pub(super) fn take(
        &mut self,
        at: Timestamp,
        sender: &str,
        load: Load,
        wait_max: Duration,
    ) -> Option<Timestamp> {
        let now = at.as_millis().saturating_mul(1000);
        let turn = self.free_at_us.get(sender).map_or(now, |free| now.max(*free));
        if i64::try_from(wait_max.as_micros()).is_ok_and(|wait| turn - now > wait) {
            return None;
        }
        if self.free_at_us.len() >= SENDERS_MAX {
            self.free_at_us.retain(|_, free| *free > now);
        }
        self.free_at_us.insert(sender.to_owned(), turn.saturating_add(load.micros()));
        Some(Timestamp::from_millis(turn.saturating_add(999).div_euclid(1000)))
    }

    /// When a sender is free, for who chooses among several.
    pub(super) fn free_at(&self, sender: &str) -> i64 {
        self.free_at_us.get(sender).copied().unwrap_or(i64::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_sender_has_its_pace() {
        let limits = Limits::default();
        for (address, segments, micros) in [
            ("+15555550100", 1, 1_000_000),
            ("+15555550100", 3, 3_000_000),
            ("+18005550100", 3, 1_000_000),
            ("+448005550100", 1, 1_000_000),
            ("12345", 1, 10_000),
            ("whatsapp:+15555550100", 3, 12_500),
            ("rcs:brand_agent", 3, 12_500),
        ] {
            let load = Load::of(address, segments, None, &limits);
            assert_eq!(load.micros(), micros, "{address} {segments}");
        }
        assert_eq!(Load::of("+15555550100", 1, Some(10), &limits).micros(), 100_000);
    }

    #[test]
    fn turns_follow_each_other_until_the_queue_is_too_long() {
        let mut queues = Queues::default();
        let load = Load { parts: 1, rate: 80 };
        let at = Timestamp::from_millis(0);
        let mut turn = || queues.take(at, "a", load, Duration::from_millis(25));
        let turns: Vec<_> = (0..4).map(|_| turn().map(Timestamp::as_millis)).collect();
        assert_eq!(turns, [Some(0), Some(13), Some(25), None]);
        let other = queues.take(at, "b", load, Duration::ZERO);
        assert_eq!(other, Some(at), "another sender has a queue of its own");
        let later = Timestamp::from_millis(1000);
        assert_eq!(queues.take(later, "a", load, Duration::ZERO), Some(later));
    }
}

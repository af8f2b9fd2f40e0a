//! The row of what leaves by one of our addresses: so many segments a second, and slower for a while after
//! Twilio has said that it is too fast. Pure.
//!
//! | what happens | the pace |
//! | --- | --- |
//! | a message of n segments goes | the next one goes n places later |
//! | too fast (21611, 30001, 429) | half, a 64th at least, and a pause of 10 s |
//! | five minutes without that | twice, up to its own |
//!
//! There is no burst: a long code takes one segment a second, and what is sent faster is queued by Twilio
//! for hours and refused past that. Source: error dictionary 21611 and 30001, read 2026-11-29.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::clock::Moment;

/// How much slower it becomes at most, as a power of two.
const SLOWER_MAX: u32 = 6;
/// How long nothing goes after a refusal.
const PAUSE: Duration = Duration::from_secs(10);
/// How long it takes without a refusal until the pace doubles.
const RECOVERS_AFTER: Duration = Duration::from_secs(300);

/// One address's row.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Row {
    due: Moment,
    slower: u32,
    changed: Moment,
}

impl Row {
    /// Takes as many places as a message has segments; gives the moment at which it may go.
    pub fn reserve(&mut self, rate: NonZeroU32, segments: u32, now: Moment) -> Moment {
        self.recover(now);
        let place = Duration::from_secs(1) / rate.get() * 2_u32.pow(self.slower);
        let due = self.due.max(now);
        self.due = due + place * segments.max(1);
        due
    }

    /// Hears that it was too fast.
    pub fn refused(&mut self, now: Moment) {
        self.recover(now);
        // Of several that were on their way together the first one counts.
        if self.slower == 0 || now.since(self.changed) >= PAUSE {
            self.slower = (self.slower + 1).min(SLOWER_MAX);
            self.changed = now;
        }
        self.due = self.due.max(now + PAUSE);
    }

    fn recover(&mut self, now: Moment) {
        while self.slower > 0 && now.since(self.changed) >= RECOVERS_AFTER {
            self.slower -= 1;
            self.changed = self.changed + RECOVERS_AFTER;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    #[test]
    fn segments_take_their_places_one_after_the_other() {
        let mut row = Row::default();
        let mut due = |segments, now| seconds(row.reserve(ONE, segments, at(now)));
        assert_eq!([due(1, 0), due(3, 0), due(1, 0), due(1, 100)], [0, 1, 4, 100]);
        let mut row = Row::default();
        let rate = NonZeroU32::new(80).unwrap();
        let last = (0..800).map(|_| row.reserve(rate, 1, at(0))).last().unwrap();
        assert_eq!(seconds(last), 9, "eighty a second");
    }

    #[test]
    fn whoever_is_refused_slows_down_and_recovers() {
        let mut row = Row::default();
        row.refused(at(0));
        row.refused(at(1));
        assert_eq!(seconds(row.reserve(ONE, 1, at(1))), 11, "both count as one");
        assert_eq!(seconds(row.reserve(ONE, 1, at(1))), 13, "half the pace");
        row.refused(at(20));
        assert_eq!(seconds(row.reserve(ONE, 1, at(20))), 30);
        assert_eq!(seconds(row.reserve(ONE, 1, at(20))), 34);
        assert_eq!(seconds(row.reserve(ONE, 1, at(1000))), 1000);
        assert_eq!(seconds(row.reserve(ONE, 1, at(1000))), 1001, "its own pace again");
        for n in 0..100 {
            row.refused(at(2000 + n * 10));
        }
        assert_eq!(row.slower, SLOWER_MAX);
    }

    #[test]
    fn an_hour_at_the_limit_is_never_ahead_of_it() {
        // A long code, a toll-free number, a short code, and WhatsApp, which counts messages.
        for (rate, segments) in [(1, 2), (3, 2), (100, 1), (100, 3), (80, 1)] {
            let pace = NonZeroU32::new(rate).unwrap();
            let (mut row, mut now, mut sent) = (Row::default(), Moment::ORIGIN, 0_u64);
            while now < at(3600) {
                now = row.reserve(pace, segments, now);
                let most = now.since(Moment::ORIGIN).as_millis() * u128::from(rate) / 1000;
                assert!(u128::from(sent) <= most + 1, "{rate}: {sent} segments at {now:?}");
                sent += u64::from(segments);
            }
            let hour = u64::from(rate) * 3600;
            let fits = (hour - 10..=hour + u64::from(segments) * 2).contains(&sent);
            assert!(fits, "{rate}: {sent} segments in an hour");
        }
    }

    fn at(seconds: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(seconds)
    }

    fn seconds(moment: Moment) -> u64 {
        moment.since(Moment::ORIGIN).as_secs()
    }
}

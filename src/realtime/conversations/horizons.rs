//! The read horizons that are to be written: gathered, and only ever raised.
//!
//! Decides when which one is written, and whether again; never which are worth it. Pure: what is to
//! be written comes out of [`Horizons::next_write`]. Bounded by the conversations that have a seat.
//! Source: conversations protocol notes 4, read 2026-11-21.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Moment;
use crate::realtime::event::Outcome;
use crate::twilio::sid::ConversationSid;

/// Writes of read horizons under way at the same time.
const IN_FLIGHT_MAX: usize = 16;

/// The read horizons that are to be written.
#[derive(Debug, Default)]
pub(super) struct Horizons {
    dirty: BTreeMap<ConversationSid, u64>,
    flush_at: Option<Moment>,
    interval: Duration,
    in_flight: usize,
}

impl Horizons {
    /// Takes the longer of the owner's and the server's interval; the server writes `PT1S`.
    pub fn set_interval(&mut self, own: Duration, server: Option<&str>) {
        let seconds = server
            .and_then(|text| text.strip_prefix("PT")?.strip_suffix('S')?.parse::<f64>().ok())
            .filter(|seconds| (0.0..=60.0).contains(seconds));
        self.interval = own.max(Duration::from_secs_f64(seconds.unwrap_or(0.0)));
    }

    /// Wants a horizon to be at least `index`.
    pub fn raise(&mut self, now: Moment, conversation: ConversationSid, index: u64) {
        let wanted = self.dirty.entry(conversation).or_insert(index);
        *wanted = (*wanted).max(index);
        self.flush_at.get_or_insert(now + self.interval);
    }

    /// Gives the next horizon to write; what comes of it must come back through
    /// [`Horizons::written`].
    pub fn next_write(&mut self, now: Moment) -> Option<(ConversationSid, u64)> {
        self.deadline().filter(|at| *at <= now)?;
        let next = self.dirty.pop_first()?;
        if self.dirty.is_empty() {
            self.flush_at = None;
        }
        self.in_flight += 1;
        Some(next)
    }

    /// Takes in what came of a write; says whether the horizon stands at the server now. One that
    /// failed is written again if it is still wanted.
    pub fn written(
        &mut self,
        now: Moment,
        (conversation, index): (ConversationSid, u64),
        outcome: &Outcome<()>,
        is_wanted: bool,
    ) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
        match outcome {
            Outcome::Done(()) => true,
            // Repeating it does no harm: it is the same index, or a higher one by then.
            Outcome::Refused { status: 429, .. }
            | Outcome::NotSent { .. }
            | Outcome::Unknown { .. } => {
                if is_wanted {
                    self.raise(now, conversation, index);
                }
                false
            }
            Outcome::Refused { status, .. } => {
                tracing::debug!(conversation_sid = %conversation, status, "read horizon was refused");
                false
            }
        }
    }

    /// When [`Horizons::next_write`] has something.
    pub fn deadline(&self) -> Option<Moment> {
        self.flush_at.filter(|_| !self.dirty.is_empty() && self.in_flight < IN_FLIGHT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::event::UnknownReason;

    #[test]
    fn horizons_are_gathered_raised_and_written_again_if_nobody_knows() {
        let mut horizons = Horizons::default();
        horizons.set_interval(Duration::from_millis(500), Some("PT2S"));
        let (first, second) = (sid(1), sid(2));
        let at = |millis| Moment::ORIGIN + Duration::from_millis(millis);
        horizons.raise(at(0), first, 3);
        horizons.raise(at(100), second, 1);
        horizons.raise(at(200), first, 2);
        assert_eq!(horizons.next_write(at(1999)), None);
        assert_eq!(horizons.next_write(at(2000)), Some((first, 3)), "never lowered");
        assert_eq!(horizons.next_write(at(2000)), Some((second, 1)));
        assert_eq!((horizons.next_write(at(2000)), horizons.deadline()), (None, None));

        let lost = Outcome::Unknown { reason: UnknownReason::Lost };
        assert!(!horizons.written(at(3000), (first, 3), &lost, true));
        assert!(!horizons.written(at(3000), (second, 1), &lost, false));
        horizons.raise(at(3000), first, 4);
        assert_eq!(horizons.next_write(at(5000)), Some((first, 4)));
        assert!(horizons.written(at(5100), (first, 4), &Outcome::Done(()), true));
        assert_eq!(horizons.deadline(), None, "the seat that is gone needs none");
    }

    #[test]
    fn only_so_many_are_written_at_once() {
        let mut horizons = Horizons::default();
        for number in 0..20 {
            horizons.raise(Moment::ORIGIN, sid(number), 1);
        }
        let written = std::iter::from_fn(|| horizons.next_write(Moment::ORIGIN));
        assert_eq!(written.count(), IN_FLIGHT_MAX);
        horizons.written(Moment::ORIGIN, (sid(0), 1), &Outcome::Done(()), true);
        assert_eq!(horizons.next_write(Moment::ORIGIN), Some((sid(16), 1)));
    }

    fn sid(number: u8) -> ConversationSid {
        ConversationSid::from_bytes([number; 16])
    }
}

//! Cuts a loop between two bots: too many turns in one conversation in a minute. Pure.
//!
//! A person does not send thirty messages a minute; another bot does, and Twilio itself stops a chain
//! of replies between two numbers (error 14107: over 15 replies, each within 30 s of the one before).
//! Source: error notes 6.3, 14107, read 2026-11-21. The guard counts the turns of one conversation in
//! two neighbouring minutes and weighs the older one by how much of it is still within the last
//! minute (a sliding window counter), so its state is two numbers.

use std::time::Duration;

use crate::clock::Moment;

/// How long the window is.
pub const WINDOW: Duration = Duration::from_secs(60);

/// One conversation's turns of late.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Guard {
    window_start: Moment,
    current: u32,
    previous: u32,
}

/// What the guard says to one more turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is within the limit, and counted.
    Pass,
    /// It would be more than the limit.
    Stop,
}

impl Guard {
    /// Counts one more turn, unless it would be more than `turns_max` in a minute.
    pub fn admit(&mut self, turns_max: u32, now: Moment) -> Verdict {
        self.advance(now);
        if self.weighed(now) + 1.0 > f64::from(turns_max) {
            return Verdict::Stop;
        }
        self.current += 1;
        Verdict::Pass
    }

    /// Whether forgetting it would change nothing.
    #[must_use]
    pub fn is_idle(&self, now: Moment) -> bool {
        now.since(self.window_start) >= WINDOW * 2
    }

    fn advance(&mut self, now: Moment) {
        let passed = now.since(self.window_start);
        if passed >= WINDOW * 2 {
            *self = Self { window_start: now, current: 0, previous: 0 };
        } else if passed >= WINDOW {
            *self = Self {
                window_start: self.window_start + WINDOW,
                current: 0,
                previous: self.current,
            };
        }
    }

    fn weighed(&self, now: Moment) -> f64 {
        let share = now.since(self.window_start).as_secs_f64() / WINDOW.as_secs_f64();
        f64::from(self.current) + f64::from(self.previous) * (1.0 - share).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(secs)
    }

    #[test]
    fn the_turn_over_the_limit_is_stopped() {
        let mut guard = Guard::default();
        let verdicts: Vec<_> = (0..5).map(|second| guard.admit(4, at(second))).collect();
        assert_eq!(verdicts[..4], [Verdict::Pass; 4]);
        assert_eq!(verdicts[4], Verdict::Stop);
    }

    #[test]
    fn a_steady_pace_below_the_limit_is_never_stopped() {
        let mut guard = Guard::default();
        for turn in 0..1000 {
            assert_eq!(guard.admit(20, at(turn * 4)), Verdict::Pass, "turn {turn}");
        }
    }

    #[test]
    fn a_loop_is_stopped_for_as_long_as_it_goes_on() {
        let mut guard = Guard::default();
        let passed =
            (0..600).filter(|second| guard.admit(20, at(*second)) == Verdict::Pass).count();
        // Ten minutes at one a second: never more than about the limit each minute.
        assert!((190..=220).contains(&passed), "{passed}");
    }

    #[test]
    fn after_two_quiet_minutes_all_is_forgotten() {
        let mut guard = Guard::default();
        assert_eq!(guard.admit(1, at(0)), Verdict::Pass);
        assert_eq!(guard.admit(1, at(1)), Verdict::Stop);
        assert!(guard.is_idle(at(120)));
        assert_eq!(guard.admit(1, at(120)), Verdict::Pass);
    }
}

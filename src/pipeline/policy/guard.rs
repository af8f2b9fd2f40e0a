//! Cuts a loop between two bots: too many turns in one conversation in a minute. Pure.
//!
//! A person does not send thirty messages a minute; another bot does, and Twilio itself stops a chain
//! of replies between two numbers (error 14107: over 15 replies, each within 30 s of the one before).
//! Source: error notes 6.3, 14107, read 2026-11-21.
//!
//! While a conversation is open the guard counts its turns in two neighbouring minutes and weighs the
//! older one by how much of it is still within the last minute (a sliding window counter). The turn
//! that would be one too many cuts the conversation. From then on it counts what comes, minute by
//! minute, and lets nothing pass until a whole minute brought at most half of the limit, rounded up:
//! a loop that goes on stays cut, and one whose pace wavers about the limit is not cut anew each
//! minute.

use std::time::Duration;

use crate::clock::Moment;

/// How long the window is.
pub const WINDOW: Duration = Duration::from_secs(60);

/// One conversation's turns of late.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Guard {
    /// Turns pass, and are counted.
    Open {
        /// When the current minute began.
        since: Moment,
        /// Turns of this minute.
        current: u32,
        /// Turns of the minute before.
        previous: u32,
    },
    /// Nothing passes; what comes is counted all the same.
    Cut {
        /// When the minute began that is being watched.
        since: Moment,
        /// What came in it.
        came: u32,
    },
}

/// What the guard says to one more turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is within the limit.
    Pass,
    /// It is the first one over the limit: the conversation is cut.
    Cut,
    /// It comes while the conversation is cut.
    Stop,
}

impl Default for Guard {
    /// Has seen nothing yet.
    fn default() -> Self {
        Self::starting(Moment::ORIGIN)
    }
}

impl Guard {
    /// Counts one more turn and decides about it; `turns_max` a minute pass.
    pub fn admit(&mut self, turns_max: u32, now: Moment) -> Verdict {
        self.advance(turns_max, now);
        match self {
            Self::Open { since, current, previous } => {
                let share = now.since(*since).as_secs_f64() / WINDOW.as_secs_f64();
                let before = f64::from(*previous) * (1.0 - share).clamp(0.0, 1.0);
                if f64::from(*current) + before + 1.0 > f64::from(turns_max) {
                    *self = Self::Cut { since: now, came: 1 };
                    return Verdict::Cut;
                }
                *current += 1;
                Verdict::Pass
            }
            Self::Cut { came, .. } => {
                *came = came.saturating_add(1);
                Verdict::Stop
            }
        }
    }

    /// Whether forgetting it would change nothing.
    #[must_use]
    pub fn is_idle(&self, now: Moment) -> bool {
        let (Self::Open { since, .. } | Self::Cut { since, .. }) = self;
        now.since(*since) >= WINDOW * 2
    }

    const fn starting(since: Moment) -> Self {
        Self::Open { since, current: 0, previous: 0 }
    }

    /// Closes the minute that is over, if one is.
    fn advance(&mut self, turns_max: u32, now: Moment) {
        if self.is_idle(now) {
            // The minute after the one that was counted brought nothing.
            *self = Self::starting(now);
            return;
        }
        let (Self::Open { since, .. } | Self::Cut { since, .. }) = *self;
        if now.since(since) < WINDOW {
            return;
        }
        let since = since + WINDOW;
        *self = match *self {
            Self::Open { current, .. } => Self::Open { since, current: 0, previous: current },
            Self::Cut { came, .. } if came > turns_max.div_ceil(2) => Self::Cut { since, came: 0 },
            Self::Cut { came, .. } => Self::Open { since, current: 0, previous: came },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Moment {
        at_millis(secs * 1000)
    }

    fn at_millis(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    /// What is said to turns at these times, as (how many passed, how many cuts).
    fn count(turns_max: u32, times: impl IntoIterator<Item = Moment>) -> (usize, usize) {
        let mut guard = Guard::default();
        times.into_iter().fold((0, 0), |(passed, cuts), now| match guard.admit(turns_max, now) {
            Verdict::Pass => (passed + 1, cuts),
            Verdict::Cut => (passed, cuts + 1),
            Verdict::Stop => (passed, cuts),
        })
    }

    #[test]
    fn the_turn_over_the_limit_cuts_the_conversation() {
        let mut guard = Guard::default();
        let verdicts: Vec<_> = (0..6).map(|second| guard.admit(4, at(second))).collect();
        assert_eq!(verdicts[..4], [Verdict::Pass; 4]);
        assert_eq!(verdicts[4..], [Verdict::Cut, Verdict::Stop]);
    }

    #[test]
    fn a_steady_pace_below_the_limit_is_never_cut() {
        assert_eq!(count(20, (0..1000).map(|turn| at(turn * 4))), (1000, 0));
    }

    #[test]
    fn a_loop_is_cut_once_however_long_it_goes_on() {
        // An hour at one a second.
        assert_eq!(count(20, (0..3600).map(at)), (20, 1));
        // An hour at a little more than the limit: it passes for a while, and is cut once.
        let (passed, cuts) = count(20, (0..1260).map(|turn| at_millis(turn * 2_850)));
        assert!((20..=42).contains(&passed), "{passed}");
        assert_eq!(cuts, 1);
    }

    #[test]
    fn a_pace_that_wavers_about_the_limit_is_cut_once() {
        // By turns a minute at 25 and one at 15.
        let times = (0..60).flat_map(|minute| {
            let turns = if minute % 2 == 0 { 25 } else { 15 };
            (0..turns).map(move |turn| at_millis(minute * 60_000 + turn * 60_000 / turns))
        });
        let (passed, cuts) = count(20, times);
        assert_eq!(cuts, 1);
        assert!(passed <= 60, "{passed}");
    }

    #[test]
    fn a_minute_at_half_the_limit_opens_again_and_one_above_does_not() {
        for (turns, opens) in [(10, true), (11, false)] {
            let mut guard = Guard::default();
            for _ in 0..=20 {
                guard.admit(20, at(0));
            }
            // The cut itself is one of the first minute's.
            for turn in 1..turns {
                assert_eq!(guard.admit(20, at(turn * 5)), Verdict::Stop, "turn {turn}");
            }
            let opened = guard.admit(20, at(60)) == Verdict::Pass;
            assert_eq!(opened, opens, "{turns} turns");
        }
    }

    #[test]
    fn a_limit_of_one_opens_again_below_it() {
        let mut guard = Guard::default();
        assert_eq!(guard.admit(1, at(0)), Verdict::Pass);
        assert_eq!(guard.admit(1, at(10)), Verdict::Cut);
        assert_eq!(guard.admit(1, at(20)), Verdict::Stop);
        assert_eq!(guard.admit(1, at(75)), Verdict::Stop, "two came in the minute before");
        assert_eq!(guard.admit(1, at(195)), Verdict::Pass, "a minute went by in silence");
    }

    #[test]
    fn after_two_quiet_minutes_all_is_forgotten() {
        let mut guard = Guard::default();
        assert_eq!(guard.admit(1, at(0)), Verdict::Pass);
        assert_eq!(guard.admit(1, at(1)), Verdict::Cut);
        assert!(!guard.is_idle(at(120)));
        assert!(guard.is_idle(at(121)));
        assert_eq!(guard.admit(1, at(121)), Verdict::Pass);
    }
}

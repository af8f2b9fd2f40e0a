//! Pauses all requests while Twilio is down, instead of letting every job find out by itself. Pure.
//!
//! | state | a request succeeds | a request fails | time |
//! | --- | --- | --- | --- |
//! | closed | forgets the failures | counts; the fifth in a row opens it | |
//! | open | closes | stays | after the pause one probe may go |
//! | probing | closes | opens for twice as long, half a minute at most | after another pause the probe counts as lost, and one more may go |
//!
//! A success is any answer that shows Twilio at work, a refusal too; a failure is no answer or a 5xx.

use std::time::Duration;

use crate::clock::Moment;

/// Failures in a row that open it.
const FAILURES_MAX: u32 = 5;
/// The first pause.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Whether requests may go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Breaker {
    /// They may.
    Closed {
        /// Failures in a row.
        failures: u32,
    },
    /// They wait.
    Open {
        /// Until when.
        until: Moment,
        /// How long the pause is.
        pause: Duration,
    },
    /// One is out to see whether Twilio is back.
    Probing {
        /// When the probe counts as lost.
        lost_at: Moment,
        /// How long the last pause was.
        pause: Duration,
    },
}

/// What a request may do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pass {
    /// Go.
    Go,
    /// Ask again then.
    Wait(Moment),
}

/// What changed for those who watch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// Nothing.
    None,
    /// Requests are paused now.
    Opened,
    /// Requests go again.
    Closed,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Decides about one more request.
    pub fn pass(&mut self, now: Moment) -> Pass {
        match *self {
            Self::Closed { .. } => Pass::Go,
            Self::Open { until, pause } | Self::Probing { lost_at: until, pause } => {
                if now < until {
                    return Pass::Wait(until);
                }
                *self = Self::Probing { lost_at: now + pause, pause };
                Pass::Go
            }
        }
    }

    /// Notes an answer that shows Twilio at work.
    pub const fn succeeded(&mut self) -> Change {
        let change = match *self {
            Self::Closed { .. } => Change::None,
            Self::Open { .. } | Self::Probing { .. } => Change::Closed,
        };
        *self = Self::Closed { failures: 0 };
        change
    }

    /// Notes that no answer came, or one that shows Twilio down.
    pub fn failed(&mut self, now: Moment) -> Change {
        match *self {
            Self::Closed { failures } if failures + 1 < FAILURES_MAX => {
                *self = Self::Closed { failures: failures + 1 };
                Change::None
            }
            Self::Closed { .. } => {
                *self = Self::Open { until: now + PAUSE_MIN, pause: PAUSE_MIN };
                Change::Opened
            }
            // Requests that were out before it opened.
            Self::Open { .. } => Change::None,
            Self::Probing { pause, .. } => {
                let pause = (pause * 2).min(PAUSE_MAX);
                *self = Self::Open { until: now + pause, pause };
                Change::None
            }
        }
    }

    /// Whether requests are paused.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        match self {
            Self::Closed { .. } => false,
            Self::Open { .. } | Self::Probing { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(secs)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        let changes: Vec<_> = (0..FAILURES_MAX).map(|_| breaker.failed(at(0))).collect();
        assert_eq!(changes.last(), Some(&Change::Opened));
        assert!(changes[..changes.len() - 1].iter().all(|change| *change == Change::None));
        breaker
    }

    #[test]
    fn failures_that_are_not_in_a_row_change_nothing() {
        let mut breaker = Breaker::default();
        for _ in 0..100 {
            assert_eq!(breaker.failed(at(0)), Change::None);
            assert_eq!(breaker.succeeded(), Change::None);
            assert_eq!(breaker.pass(at(0)), Pass::Go);
        }
    }

    #[test]
    fn while_it_is_open_one_probe_goes_after_each_pause() {
        let mut breaker = opened();
        assert!(breaker.is_open());
        assert_eq!(breaker.pass(at(0)), Pass::Wait(at(1)));
        assert_eq!(breaker.pass(at(1)), Pass::Go, "the probe");
        assert_eq!(breaker.pass(at(1)), Pass::Wait(at(2)), "and nobody else");
        assert_eq!(breaker.failed(at(1)), Change::None);
        assert_eq!(breaker.pass(at(2)), Pass::Wait(at(3)), "the pause doubles");
    }

    #[test]
    fn a_probe_that_never_ends_does_not_keep_it_open_for_ever() {
        let mut breaker = opened();
        assert_eq!(breaker.pass(at(1)), Pass::Go);
        assert_eq!(breaker.pass(at(2)), Pass::Go);
    }

    #[test]
    fn an_answer_closes_it_in_every_state() {
        let mut breaker = opened();
        assert_eq!(breaker.succeeded(), Change::Closed, "by a request that was out before");
        let mut breaker = opened();
        assert_eq!(breaker.pass(at(5)), Pass::Go);
        assert_eq!(breaker.succeeded(), Change::Closed);
        assert!(!breaker.is_open());
        assert_eq!(breaker.pass(at(5)), Pass::Go);
    }

    #[test]
    fn the_pause_is_never_longer_than_half_a_minute() {
        let (mut breaker, mut now) = (opened(), at(0));
        for _ in 0..20 {
            while let Pass::Wait(until) = breaker.pass(now) {
                assert!(until.since(now) <= PAUSE_MAX);
                now = until;
            }
            assert_eq!(breaker.failed(now), Change::None);
            assert_eq!(breaker.failed(now), Change::None, "others that were out");
        }
    }
}

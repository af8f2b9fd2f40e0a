//! What becomes of a message, or of the turn that it makes, once that is decided. Pure.

use std::time::Duration;

use crate::thread::{CauseClass, SkipReason};

/// What becomes of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TurnFate {
    /// It gets no turn.
    Skip(SkipReason),
    /// A person has the thread: it is skipped or held.
    KeepSilent,
    /// It waits for something that is away.
    Park(Duration),
    /// It is looked at again; no attempt is counted.
    PutOff(Duration),
    /// It is tried again; an attempt is counted.
    Retry(Duration, CauseClass),
    /// It is a dead letter.
    Dead(CauseClass),
    /// There is nothing left to do.
    Done,
    /// The queue has it back, or keeps it.
    Left,
}

impl TurnFate {
    /// Whether a turn that was being answered is over with it: nothing of it comes again as it was.
    #[must_use]
    pub const fn ends_turn(self) -> bool {
        match self {
            Self::Skip(_) | Self::KeepSilent | Self::Dead(_) | Self::Done => true,
            Self::Park(_) | Self::PutOff(_) | Self::Retry(..) | Self::Left => false,
        }
    }
}

/// An answer that did not come, and what the job could do about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unsaid {
    /// How long the job is to be parked, if what is asked is away.
    pub parked: Option<Duration>,
    /// When it is to be tried again; none after the last attempt.
    pub retry: Option<Duration>,
}

impl Unsaid {
    /// What the job does about it; nothing once no attempt is left.
    #[must_use]
    pub fn fate(self, class: CauseClass) -> Option<TurnFate> {
        self.parked
            .map(TurnFate::Park)
            .or_else(|| self.retry.map(|delay| TurnFate::Retry(delay, class)))
    }

    /// What a job does about it that must not end without an answer: the longest delay follows the last
    /// attempt again and again.
    #[must_use]
    pub fn fate_without_end(self, longest: Duration, class: CauseClass) -> TurnFate {
        self.fate(class).unwrap_or(TurnFate::Retry(longest, class))
    }
}

/// What the tables of tests are made of.
#[cfg(test)]
pub(super) mod cases {
    use super::*;

    pub const SECOND: Duration = Duration::from_secs(1);
    pub const LONGEST: Duration = Duration::from_secs(900);
    /// What is asked is away.
    pub const AWAY: Unsaid = Unsaid { parked: Some(SECOND), retry: Some(LONGEST) };
    /// It can be tried again.
    pub const AGAIN: Unsaid = Unsaid { parked: None, retry: Some(SECOND) };
    /// No try is left.
    pub const SPENT: Unsaid = Unsaid { parked: None, retry: None };
}

//! Which conversations the bot leaves to free its seats, and to which it returns. Pure: facts and the
//! time in, a verdict out.
//!
//! An idle conversation is one whose date of change and whose newest message are both old: the first
//! comes with every listing and spares asking for the second, which is the one that counts.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::telemetry::journal::LeaveReason;
use crate::twilio::SKEW_MAX;
use crate::twilio::events::ConversationState;

/// What the operator wishes; the default is to leave nothing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Leaving {
    /// Whether closed conversations are left.
    pub closed: bool,
    /// How long a conversation must have been without a message to be left; never without.
    pub idle_after: Option<Duration>,
}

/// What is known of a conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Facts {
    /// Where it stands.
    pub state: Option<ConversationState>,
    /// When Twilio changed it last. Assumed: a message changes it.
    pub updated: Option<Timestamp>,
    /// Its newest message.
    pub newest: Newest,
}

/// What is known of the newest message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Newest {
    /// Nobody has asked.
    Unknown,
    /// There is none, or it has no date.
    Undated,
    /// It is of this time.
    At(Timestamp),
}

/// What becomes of a seat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seat {
    /// The bot keeps it.
    Keep,
    /// The bot leaves it.
    Leave(LeaveReason),
    /// The newest message decides.
    Look,
}

/// What becomes of a conversation that was left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Absence {
    /// The bot stays away.
    Stay,
    /// The bot returns.
    Return,
    /// The newest message decides.
    Look,
}

impl Leaving {
    /// Whether anything is left at all.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        !self.closed && self.idle_after.is_none()
    }

    /// Decides about a seat that the bot has.
    #[must_use]
    pub fn judge(&self, facts: &Facts, now: Timestamp) -> Seat {
        if self.closed && facts.state == Some(ConversationState::Closed) {
            return Seat::Leave(LeaveReason::Closed);
        }
        let Some(idle_after) = self.idle_after else { return Seat::Keep };
        if facts.state == Some(ConversationState::Initializing) {
            return Seat::Keep;
        }
        let is_old = |at: Timestamp| now.since(at) >= idle_after;
        match (facts.updated, facts.newest) {
            (Some(updated), _) if !is_old(updated) => Seat::Keep,
            (_, Newest::Unknown) => Seat::Look,
            (_, Newest::At(at)) if is_old(at) => Seat::Leave(LeaveReason::Idle),
            (Some(_), Newest::Undated) => Seat::Leave(LeaveReason::Idle),
            (None, Newest::Undated) | (_, Newest::At(_)) => Seat::Keep,
        }
    }

    /// Decides about an open conversation that the bot left at a time.
    ///
    /// One that nothing has happened in since is left alone; else one with a message young enough to
    /// have kept the seat is returned to. Without the wish to leave idle ones, an open conversation
    /// was closed when it was left.
    #[must_use]
    pub fn judge_absence(&self, left: Timestamp, facts: &Facts, now: Timestamp) -> Absence {
        let Some(idle_after) = self.idle_after else { return Absence::Return };
        if facts.updated.is_some_and(|updated| updated < left.before(SKEW_MAX)) {
            return Absence::Stay;
        }
        match facts.newest {
            Newest::Unknown => Absence::Look,
            Newest::At(at) if now.since(at) < idle_after => Absence::Return,
            Newest::At(_) | Newest::Undated => Absence::Stay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);
    const DAY: Duration = Duration::from_secs(86_400);
    const OFF: Leaving = Leaving { closed: false, idle_after: None };
    const CLOSED: Leaving = Leaving { closed: true, idle_after: None };
    const IDLE: Leaving = Leaving { closed: false, idle_after: Some(DAY) };
    const BOTH: Leaving = Leaving { closed: true, idle_after: Some(DAY) };

    #[test]
    fn a_seat_is_left_only_by_a_wish_that_is_met() {
        use ConversationState::{Active, Closed, Inactive, Initializing};
        let (old, young) = (Some(NOW.before(DAY)), Some(NOW.before(DAY / 2)));
        let (old_at, young_at) = (Newest::At(NOW.before(DAY)), Newest::At(NOW.before(DAY / 2)));
        let (closed, idle) = (Seat::Leave(LeaveReason::Closed), Seat::Leave(LeaveReason::Idle));
        for (leaving, state, updated, newest, seat) in [
            (OFF, Some(Closed), old, old_at, Seat::Keep),
            (OFF, Some(Active), old, old_at, Seat::Keep),
            (CLOSED, Some(Closed), young, Newest::Unknown, closed),
            (CLOSED, Some(Closed), None, Newest::Unknown, closed),
            (CLOSED, Some(Inactive), old, old_at, Seat::Keep),
            (CLOSED, None, old, old_at, Seat::Keep),
            (IDLE, Some(Closed), young, Newest::Unknown, Seat::Keep),
            (IDLE, Some(Closed), old, old_at, idle),
            (IDLE, Some(Active), young, Newest::Unknown, Seat::Keep),
            (IDLE, Some(Active), young, old_at, Seat::Keep),
            (IDLE, Some(Active), old, Newest::Unknown, Seat::Look),
            (IDLE, Some(Active), None, Newest::Unknown, Seat::Look),
            (IDLE, Some(Inactive), old, old_at, idle),
            (IDLE, Some(Active), old, young_at, Seat::Keep),
            (IDLE, Some(Active), None, old_at, idle),
            (IDLE, Some(Active), None, young_at, Seat::Keep),
            (IDLE, Some(Active), old, Newest::Undated, idle),
            (IDLE, Some(Active), None, Newest::Undated, Seat::Keep),
            (IDLE, Some(Initializing), old, old_at, Seat::Keep),
            (IDLE, None, old, old_at, idle),
            (BOTH, Some(Closed), young, Newest::Unknown, closed),
            (BOTH, Some(Active), old, old_at, idle),
        ] {
            let facts = Facts { state, updated, newest };
            assert_eq!(leaving.judge(&facts, NOW), seat, "{leaving:?} {facts:?}");
        }
    }

    #[test]
    fn what_was_left_is_returned_to_for_a_young_message_only() {
        let left = NOW.before(DAY / 4);
        let (before, after) = (Some(left.before(SKEW_MAX * 2)), Some(left));
        let (old, young) = (Newest::At(NOW.before(DAY)), Newest::At(NOW.before(DAY / 8)));
        for (leaving, updated, newest, absence) in [
            (CLOSED, before, Newest::Unknown, Absence::Return),
            (IDLE, before, Newest::Unknown, Absence::Stay),
            (IDLE, after, Newest::Unknown, Absence::Look),
            (IDLE, None, Newest::Unknown, Absence::Look),
            (IDLE, after, old, Absence::Stay),
            (IDLE, after, Newest::Undated, Absence::Stay),
            (IDLE, after, young, Absence::Return),
            (IDLE, None, young, Absence::Return),
        ] {
            let facts = Facts { state: Some(ConversationState::Active), updated, newest };
            let verdict = leaving.judge_absence(left, &facts, NOW);
            assert_eq!(verdict, absence, "{leaving:?} {facts:?}");
        }
    }

    #[test]
    fn nothing_is_left_by_default() {
        assert!(Leaving::default().is_off());
        assert!(!CLOSED.is_off() && !IDLE.is_off());
    }
}

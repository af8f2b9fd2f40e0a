//! What follows once a message may have its turn: from how the turn ended to what becomes of it. Pure.
//!
//! The driver says how it ended, with what could be done about it; here it is decided what is done, what is
//! counted, and whether the agent is busy with the thread no longer (what comes while it is gets no turn
//! under the strategy `drop`). A turn that failed and is tried again goes on until it ends.

use std::time::Duration;

use super::turn_fate::{TurnFate, Unsaid};
use crate::thread::{CauseClass, SkipReason};

/// How it ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EndOfTurn {
    /// It has not begun: so much was decided before it.
    NotBegun(TurnFate),
    /// The guard lets no turn of the thread pass.
    Guarded(SkipReason),
    /// The guard has just cut the thread, as a loop.
    Looped,
    /// More of the burst may come within so long.
    BurstGoesOn(Duration),
    /// None of its messages is to be answered any more.
    NothingLeft,
    /// Something that the turn needs was not told; it is never asked without it, so the longest delay
    /// follows the last attempt again and again.
    Untold(Unsaid, Duration, CauseClass),
    /// The agent was not asked, since it is away for so long at least.
    AgentAway(Duration),
    /// The agent was not asked, since it has no room; it is looked at again in so long.
    NoRoom(Duration),
    /// The agent gave no answer.
    Failed(Unsaid, CauseClass),
    /// A person took the thread over while the agent thought.
    TakenOver,
    /// Nobody said who reads along, which a long reply has to know.
    ReadersUntold(Unsaid, CauseClass),
    /// The answer is larger than what the outbox takes.
    TooLarge,
    /// The service stops.
    Stopped,
    /// The delivery is somebody else's, or the store failed.
    Lost,
}

/// What is counted of a turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TurnCount {
    /// Nothing: it is none yet, or was counted where it ended.
    Nothing,
    /// That it is tried again.
    Retried,
}

/// What follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Consequence {
    /// What becomes of it; nothing if it goes on with what is known.
    pub fate: Option<TurnFate>,
    /// What is counted beside what its end counts.
    pub counted: TurnCount,
    /// Whether the agent is busy with the thread no longer.
    pub is_over: bool,
}

/// Says what follows from how it ended.
#[must_use]
pub fn consequence(ending: EndOfTurn) -> Consequence {
    use TurnCount::{Nothing, Retried};
    let (fate, counted, is_over) = match ending {
        EndOfTurn::NotBegun(fate) => (Some(fate), Nothing, fate.ends_turn()),
        EndOfTurn::Guarded(reason) => (Some(TurnFate::Skip(reason)), Nothing, false),
        EndOfTurn::Looped => (Some(TurnFate::Dead(CauseClass::Loop)), Nothing, true),
        EndOfTurn::BurstGoesOn(time) => (Some(TurnFate::PutOff(time)), Nothing, false),
        EndOfTurn::NothingLeft => (Some(TurnFate::Done), Nothing, true),
        EndOfTurn::Untold(unsaid, longest, class) => {
            (Some(unsaid.fate_without_end(longest, class)), Retried, true)
        }
        EndOfTurn::AgentAway(pause) => (Some(TurnFate::Park(pause)), Nothing, true),
        EndOfTurn::NoRoom(time) => (Some(TurnFate::PutOff(time)), Nothing, true),
        EndOfTurn::Failed(unsaid, class) => match unsaid.fate(class) {
            Some(fate) => (Some(fate), Retried, false),
            None => (Some(TurnFate::Dead(class)), Nothing, true),
        },
        EndOfTurn::TakenOver => (Some(TurnFate::KeepSilent), Nothing, true),
        // To wait for Twilio would be to ask the agent again, and nobody has to redrive it: in parts a
        // reply reaches everybody.
        EndOfTurn::ReadersUntold(Unsaid { parked: None, retry: Some(delay) }, class) => {
            (Some(TurnFate::Retry(delay, class)), Retried, false)
        }
        EndOfTurn::ReadersUntold(..) => (None, Nothing, false),
        EndOfTurn::TooLarge => {
            (Some(TurnFate::Dead(CauseClass::AgentAnswerTooLarge)), Nothing, true)
        }
        EndOfTurn::Stopped => (Some(TurnFate::Left), Nothing, false),
        EndOfTurn::Lost => (Some(TurnFate::Left), Nothing, true),
    };
    Consequence { fate, counted, is_over }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::policy::turn_fate::cases::{AGAIN, AWAY, LONGEST, SECOND, SPENT};

    #[test]
    fn each_ending_leads_where_the_table_says() {
        use CauseClass::{AgentAnswerTooLarge, AgentTimeout, CatchUp, Loop, Participants};
        use TurnCount::{Nothing, Retried};
        let untold = |unsaid| EndOfTurn::Untold(unsaid, LONGEST, CatchUp);
        let failed = |unsaid| EndOfTurn::Failed(unsaid, AgentTimeout);
        let readers = |unsaid| EndOfTurn::ReadersUntold(unsaid, Participants);
        let stale = SkipReason::Stale;
        let (park, silent) = (TurnFate::Park(SECOND), TurnFate::KeepSilent);
        for (ending, fate, counted, is_over) in [
            (EndOfTurn::NotBegun(park), Some(park), Nothing, false),
            (EndOfTurn::NotBegun(silent), Some(silent), Nothing, true),
            (EndOfTurn::Guarded(stale), Some(TurnFate::Skip(stale)), Nothing, false),
            (EndOfTurn::Looped, Some(TurnFate::Dead(Loop)), Nothing, true),
            (EndOfTurn::BurstGoesOn(SECOND), Some(TurnFate::PutOff(SECOND)), Nothing, false),
            (EndOfTurn::NothingLeft, Some(TurnFate::Done), Nothing, true),
            (untold(AWAY), Some(TurnFate::Park(SECOND)), Retried, true),
            (untold(AGAIN), Some(TurnFate::Retry(SECOND, CatchUp)), Retried, true),
            (untold(SPENT), Some(TurnFate::Retry(LONGEST, CatchUp)), Retried, true),
            (EndOfTurn::AgentAway(SECOND), Some(TurnFate::Park(SECOND)), Nothing, true),
            (failed(AWAY), Some(TurnFate::Park(SECOND)), Retried, false),
            (failed(AGAIN), Some(TurnFate::Retry(SECOND, AgentTimeout)), Retried, false),
            (failed(SPENT), Some(TurnFate::Dead(AgentTimeout)), Nothing, true),
            (EndOfTurn::TakenOver, Some(TurnFate::KeepSilent), Nothing, true),
            (readers(AWAY), None, Nothing, false),
            (readers(AGAIN), Some(TurnFate::Retry(SECOND, Participants)), Retried, false),
            (readers(SPENT), None, Nothing, false),
            (EndOfTurn::TooLarge, Some(TurnFate::Dead(AgentAnswerTooLarge)), Nothing, true),
            (EndOfTurn::Stopped, Some(TurnFate::Left), Nothing, false),
            (EndOfTurn::Lost, Some(TurnFate::Left), Nothing, true),
        ] {
            let expected = Consequence { fate, counted, is_over };
            assert_eq!(consequence(ending), expected, "{ending:?}");
        }
    }
}

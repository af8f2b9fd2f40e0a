//! What follows when the time is over that an agent may be silent about a turn that it has taken. Pure.
//!
//! Who has the thread by then counts first: while a person has it the agent is asked nothing, however its
//! turns are asked, and its silence is no failure.

use std::time::Duration;

/// Who has the thread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HandsNow {
    /// The bot.
    Bot,
    /// A person; `is_held` if what was said waits until it is given back.
    Person {
        /// Whether it waits.
        is_held: bool,
    },
    /// Nobody said.
    Unsaid,
}

/// What is known of the turn, of which the agent has said nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Silence {
    /// Who has the thread.
    pub hands: HandsNow,
    /// Whether it is to be asked anew.
    pub asks: bool,
    /// Whether it is a dead letter once it is not asked anew.
    pub buries: bool,
    /// How long the agent may be silent.
    pub within: Duration,
}

/// What follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AfterSilence {
    /// It is a person's now: the turn is over.
    LeaveToPerson,
    /// It is looked at again after so long.
    LookAgain(Duration),
    /// The agent is asked once more.
    AskAnew,
    /// It is a dead letter.
    Bury,
    /// The operator is told.
    Tell,
}

/// The longest time until it is looked again who has the thread, since nobody tells of it.
pub const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Says what follows.
#[must_use]
pub fn after_silence(silence: Silence) -> AfterSilence {
    let Silence { hands, asks, buries, within } = silence;
    match hands {
        HandsNow::Person { is_held: false } => AfterSilence::LeaveToPerson,
        HandsNow::Person { is_held: true } | HandsNow::Unsaid => {
            AfterSilence::LookAgain(within.min(LOOK_EVERY))
        }
        HandsNow::Bot if asks => AfterSilence::AskAnew,
        HandsNow::Bot if buries => AfterSilence::Bury,
        HandsNow::Bot => AfterSilence::Tell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_and_nothing_fails_while_a_person_has_the_thread() {
        let second = Duration::from_secs(1);
        for (asks, buries) in [(false, false), (true, false), (false, true), (true, true)] {
            let after = |hands, within| after_silence(Silence { hands, asks, buries, within });
            let person = |is_held| HandsNow::Person { is_held };
            let hour = Duration::from_secs(3600);
            assert_eq!(after(person(false), second), AfterSilence::LeaveToPerson);
            assert_eq!(after(person(true), second), AfterSilence::LookAgain(second));
            assert_eq!(after(HandsNow::Unsaid, hour), AfterSilence::LookAgain(LOOK_EVERY));
            let of_bot = match (asks, buries) {
                (true, _) => AfterSilence::AskAnew,
                (false, true) => AfterSilence::Bury,
                (false, false) => AfterSilence::Tell,
            };
            assert_eq!(after(HandsNow::Bot, second), of_bot);
        }
    }
}

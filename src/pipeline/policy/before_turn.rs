//! What has to be known before a message gets its turn, in which order it is asked, and what follows.
//! Pure.
//!
//! Nothing is asked that the answers before make needless: most messages are skipped, held or taken
//! without a request. Each question has its own word for an answer that did not come, since what is to
//! be done then differs: the bot must not speak where it may be unwelcome, but somebody who writes is not
//! to wait for ever because nobody can say whether a person reads along.

use std::time::Duration;

use super::turn_fate::{TurnFate, Unsaid};
use crate::thread::{CauseClass, SkipReason};

/// What is asked before a turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Question {
    /// Whether the bot is to speak in the thread at all.
    Welcome,
    /// Whether every message before this one is known.
    Known,
    /// Whether an earlier message goes first.
    Order,
    /// Until when messages of the thread were held.
    Held,
    /// Who has the thread.
    Hands,
    /// Whether the message itself is one that nobody answers.
    Message,
    /// Whether it was answered before the service was there, or is by another road.
    Before,
}

/// Whether the bot is to speak in a thread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Welcome {
    /// It is.
    Yes,
    /// It is not.
    No(SkipReason),
    /// Nobody said; a thread that may be another's is never spoken in, so the longest delay follows the
    /// last attempt again and again.
    Unsaid(Unsaid, Duration),
}

/// Whether every message before is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Known {
    /// They are.
    Yes,
    /// They could not be read.
    Unsaid(Unsaid),
}

/// Whether an earlier message goes first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TurnOrder {
    /// None does.
    First,
    /// One does, and the queue has the delivery back.
    Overtaken,
    /// That cannot be said yet.
    Unknown,
}

/// Who has a thread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hands {
    /// The bot.
    Bot,
    /// A person.
    Person,
    /// Nobody said. `waits`: it is waited for without end, since messages are held.
    Unsaid {
        /// What the job could do.
        unsaid: Unsaid,
        /// How long it is put off where it is waited for without end.
        waits: Option<Duration>,
        /// Whether a person had it when that was last said.
        was_person: bool,
    },
}

/// Whether a message was answered before the service was there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Before {
    /// It was not.
    Open,
    /// It was.
    Over(SkipReason),
    /// That is told in a moment.
    Unknown,
    /// Nobody said.
    Unsaid(Unsaid),
}

/// What is known so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Facts {
    /// The answer to [`Question::Welcome`].
    pub welcome: Option<Welcome>,
    /// The answer to [`Question::Known`].
    pub known: Option<Known>,
    /// The answer to [`Question::Order`].
    pub order: Option<TurnOrder>,
    /// The answer to [`Question::Held`]: whether they ever were.
    pub was_held: Option<bool>,
    /// The answer to [`Question::Hands`].
    pub hands: Option<Hands>,
    /// The answer to [`Question::Message`].
    pub message: Option<Answerable>,
    /// The answer to [`Question::Before`].
    pub before: Option<Before>,
}

/// Whether a message is to be answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answerable {
    /// It is.
    Yes,
    /// It is not.
    No(SkipReason),
}

/// What follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Something has to be asked first.
    Ask(Question),
    /// It gets its turn.
    Go,
    /// It gets none now.
    End(TurnFate),
}

/// How long a message waits of which it cannot be said whether an earlier one goes first.
const ORDER_UNKNOWN: Duration = Duration::from_secs(1);
/// How long one waits of which it cannot be said whether it was answered before; it is woken when it can.
const BEFORE_UNKNOWN: Duration = Duration::from_secs(1);

/// Says what follows from what is known.
#[must_use]
pub fn step(facts: &Facts) -> Step {
    let by_thread = welcome(facts).or_else(|| known(facts)).or_else(|| order(facts));
    if let Some(step) = by_thread {
        return step;
    }
    let Some(was_held) = facts.was_held else { return Step::Ask(Question::Held) };
    // What was held may be so still, however old it grew while the service was away.
    let rest = if was_held {
        hands(facts).or_else(|| message(facts)).or_else(|| before(facts))
    } else {
        message(facts).or_else(|| before(facts)).or_else(|| hands(facts))
    };
    rest.unwrap_or(Step::Go)
}

fn welcome(facts: &Facts) -> Option<Step> {
    match facts.welcome {
        None => Some(Step::Ask(Question::Welcome)),
        Some(Welcome::Yes) => None,
        Some(Welcome::No(reason)) => Some(Step::End(TurnFate::Skip(reason))),
        Some(Welcome::Unsaid(unsaid, longest)) => {
            Some(Step::End(unsaid.fate_without_end(longest, CauseClass::Choice)))
        }
    }
}

fn known(facts: &Facts) -> Option<Step> {
    match facts.known {
        None => Some(Step::Ask(Question::Known)),
        Some(Known::Yes) => None,
        Some(Known::Unsaid(unsaid)) => unsaid.fate(CauseClass::CatchUp).map(Step::End),
    }
}

const fn order(facts: &Facts) -> Option<Step> {
    match facts.order {
        None => Some(Step::Ask(Question::Order)),
        Some(TurnOrder::First) => None,
        Some(TurnOrder::Overtaken) => Some(Step::End(TurnFate::Left)),
        Some(TurnOrder::Unknown) => Some(Step::End(TurnFate::PutOff(ORDER_UNKNOWN))),
    }
}

fn hands(facts: &Facts) -> Option<Step> {
    let fate = match facts.hands {
        None => return Some(Step::Ask(Question::Hands)),
        Some(Hands::Bot) => None,
        Some(Hands::Person) => Some(TurnFate::KeepSilent),
        Some(Hands::Unsaid { unsaid: Unsaid { parked: Some(pause), .. }, .. }) => {
            Some(TurnFate::Park(pause))
        }
        Some(Hands::Unsaid { waits: Some(pause), .. }) => Some(TurnFate::PutOff(pause)),
        // After the last try the bot speaks, unless a person had the thread when that was last said: a
        // person who reads is better than nobody.
        Some(Hands::Unsaid { unsaid, was_person, .. }) => {
            unsaid.fate(CauseClass::Handoff).or_else(|| was_person.then_some(TurnFate::KeepSilent))
        }
    };
    fate.map(Step::End)
}

const fn message(facts: &Facts) -> Option<Step> {
    match facts.message {
        None => Some(Step::Ask(Question::Message)),
        Some(Answerable::Yes) => None,
        Some(Answerable::No(reason)) => Some(Step::End(TurnFate::Skip(reason))),
    }
}

fn before(facts: &Facts) -> Option<Step> {
    let fate = match facts.before {
        None => return Some(Step::Ask(Question::Before)),
        Some(Before::Open) => None,
        Some(Before::Over(reason)) => Some(TurnFate::Skip(reason)),
        Some(Before::Unknown) => Some(TurnFate::PutOff(BEFORE_UNKNOWN)),
        // After the last try it is answered: twice is better than never.
        Some(Before::Unsaid(unsaid)) => unsaid.fate(CauseClass::CatchUp),
    };
    fate.map(Step::End)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::policy::turn_fate::cases::{AGAIN, AWAY, LONGEST, SECOND, SPENT};

    /// A message that gets its turn.
    const GOOD: Facts = Facts {
        welcome: Some(Welcome::Yes),
        known: Some(Known::Yes),
        order: Some(TurnOrder::First),
        was_held: Some(false),
        hands: Some(Hands::Bot),
        message: Some(Answerable::Yes),
        before: Some(Before::Open),
    };

    const fn unsaid(unsaid: Unsaid, waits: Option<Duration>, was_person: bool) -> Option<Hands> {
        Some(Hands::Unsaid { unsaid, waits, was_person })
    }

    #[test]
    fn everything_is_asked_once_and_in_order() {
        let mut facts = Facts::default();
        let mut asked = Vec::new();
        while let Step::Ask(question) = step(&facts) {
            asked.push(question);
            match question {
                Question::Welcome => facts.welcome = GOOD.welcome,
                Question::Known => facts.known = GOOD.known,
                Question::Order => facts.order = GOOD.order,
                Question::Held => facts.was_held = GOOD.was_held,
                Question::Hands => facts.hands = GOOD.hands,
                Question::Message => facts.message = GOOD.message,
                Question::Before => facts.before = GOOD.before,
            }
        }
        let order = [Question::Welcome, Question::Known, Question::Order, Question::Held];
        assert_eq!(asked[..4], order);
        assert_eq!(asked[4..], [Question::Message, Question::Before, Question::Hands]);
        assert_eq!(step(&facts), Step::Go);
        let held = Facts { was_held: Some(true), hands: None, message: None, ..GOOD };
        assert_eq!(step(&held), Step::Ask(Question::Hands), "it may be held still");
    }

    #[test]
    fn each_answer_leads_where_the_table_says() {
        use CauseClass::{CatchUp, Choice, Handoff};
        use TurnFate::{KeepSilent, Left, Park, PutOff, Retry, Skip};
        let stale = SkipReason::Stale;
        let removed = SkipReason::Removed;
        let no = Some(Answerable::No(stale));
        for (facts, expected) in [
            (GOOD, None),
            (Facts { welcome: Some(Welcome::No(removed)), ..GOOD }, Some(Skip(removed))),
            (Facts { welcome: Some(Welcome::Unsaid(AWAY, LONGEST)), ..GOOD }, Some(Park(SECOND))),
            (
                Facts { welcome: Some(Welcome::Unsaid(AGAIN, LONGEST)), ..GOOD },
                Some(Retry(SECOND, Choice)),
            ),
            (
                Facts { welcome: Some(Welcome::Unsaid(SPENT, LONGEST)), ..GOOD },
                Some(Retry(LONGEST, Choice)),
            ),
            (Facts { known: Some(Known::Unsaid(AWAY)), ..GOOD }, Some(Park(SECOND))),
            (Facts { known: Some(Known::Unsaid(AGAIN)), ..GOOD }, Some(Retry(SECOND, CatchUp))),
            (Facts { known: Some(Known::Unsaid(SPENT)), ..GOOD }, None),
            (Facts { order: Some(TurnOrder::Overtaken), ..GOOD }, Some(Left)),
            (Facts { order: Some(TurnOrder::Unknown), ..GOOD }, Some(PutOff(SECOND))),
            (Facts { message: no, ..GOOD }, Some(Skip(stale))),
            (Facts { message: no, before: None, ..GOOD }, Some(Skip(stale))),
            (Facts { before: Some(Before::Over(stale)), ..GOOD }, Some(Skip(stale))),
            (Facts { before: Some(Before::Unknown), ..GOOD }, Some(PutOff(SECOND))),
            (Facts { before: Some(Before::Unsaid(AWAY)), ..GOOD }, Some(Park(SECOND))),
            (Facts { before: Some(Before::Unsaid(AGAIN)), ..GOOD }, Some(Retry(SECOND, CatchUp))),
            (Facts { before: Some(Before::Unsaid(SPENT)), ..GOOD }, None),
            (Facts { hands: Some(Hands::Person), ..GOOD }, Some(KeepSilent)),
            (Facts { hands: Some(Hands::Person), message: no, ..GOOD }, Some(Skip(stale))),
            (
                Facts { was_held: Some(true), hands: Some(Hands::Person), message: no, ..GOOD },
                Some(KeepSilent),
            ),
            (Facts { was_held: Some(true), message: no, ..GOOD }, Some(Skip(stale))),
            (Facts { hands: unsaid(AWAY, Some(LONGEST), true), ..GOOD }, Some(Park(SECOND))),
            (Facts { hands: unsaid(AGAIN, Some(LONGEST), true), ..GOOD }, Some(PutOff(LONGEST))),
            (Facts { hands: unsaid(AGAIN, None, true), ..GOOD }, Some(Retry(SECOND, Handoff))),
            (Facts { hands: unsaid(SPENT, None, true), ..GOOD }, Some(KeepSilent)),
            (Facts { hands: unsaid(SPENT, None, false), ..GOOD }, None),
        ] {
            let expected = expected.map_or(Step::Go, Step::End);
            assert_eq!(step(&facts), expected, "{facts:?}");
        }
    }
}

//! What was answered before this service was there. Pure.
//!
//! The bot may have spoken before by another program under the same identity, and may do so again while
//! this service is switched off. What is then said under one of the bot's identities answers whatever
//! stands before it: nobody can tell what else it would be for.
//!
//! | what is said under an identity of ours | written | it answers what stands before it |
//! | --- | --- | --- |
//! | bears no mark of ours | before this process began, or in that second | yes |
//! | bears no mark of ours | later | no: a message beside the bot's, such as a note of another program |
//! | bears our mark | before this store was first used, in a conversation that the store does not know | yes: the store before was lost |
//! | bears our mark | else | no: it is a reply of this service |
//!
//! Twilio's REST API dates to the second (source: Conversations API definition, message, `date_created`,
//! read 2026-11-29). In the second in which this process began the other program
//! may have been switched off, so that its word counts as one from before; in the one in which the store
//! was first used no store was lost, so that our own reply counts as ours.
//!
//! A message that this service took in before that was written is its own to answer. And what is to be
//! known of a message that came while nobody was there is known only once its conversation has been
//! read to its end.

use crate::clock::Timestamp;
use crate::thread::SkipReason;

/// From where on messages are answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Begin {
    /// Those that nobody has answered.
    Unanswered,
    /// Of those the ones that were written since the service was first started.
    Now,
    /// All that this service has not answered itself.
    All,
}

/// When the service began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Start {
    /// This process.
    pub process: Timestamp,
    /// The first one that used this store.
    pub store: Timestamp,
}

/// Whose word something is that was said under one of our identities.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Whose {
    /// This service's, or one that is no answer.
    Ours,
    /// Somebody's who spoke as the bot before.
    Before,
    /// The same, unless the store knows the conversation.
    BeforeIfUnknown,
}

impl Start {
    /// Decides whose word it is, by when it was written and whether it bears our mark.
    #[must_use]
    pub fn whose(&self, written: Option<Timestamp>, is_marked: bool) -> Whose {
        match written {
            Some(at) if is_marked && at.as_secs() < self.store.as_secs() => Whose::BeforeIfUnknown,
            Some(at) if !is_marked && at <= self.process => Whose::Before,
            Some(_) | None => Whose::Ours,
        }
    }

    /// Whether something was written before this process began.
    #[must_use]
    pub fn is_before(&self, created: Option<Timestamp>) -> bool {
        created.is_some_and(|created| created <= self.process)
    }
}

/// The last word of who spoke as the bot before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answered {
    /// Its place in the conversation.
    pub index: u64,
    /// When it was written.
    pub at: Timestamp,
}

impl Answered {
    /// The one of two that stands later.
    #[must_use]
    pub const fn later(self, other: Self) -> Self {
        if other.index > self.index { other } else { self }
    }
}

/// What is known of a message that waits for its turn.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Its place in its conversation.
    pub index: u64,
    /// When it was written.
    pub created: Option<Timestamp>,
    /// When this service took it in.
    pub stored: Timestamp,
    /// The last word of who spoke as the bot before.
    pub answered: Option<Answered>,
    /// Whether the conversation was read to its end since this process began.
    pub is_whole: bool,
}

/// Whether a message is still to be answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It is.
    Open,
    /// It is not.
    Over(SkipReason),
    /// That is known once its conversation was read.
    Unread,
}

/// Decides about one message.
#[must_use]
pub fn judge(begin: Begin, start: &Start, facts: &Facts) -> Standing {
    let Some(created) = facts.created.filter(|_| start.is_before(facts.created)) else {
        return Standing::Open;
    };
    match begin {
        Begin::All => return Standing::Open,
        Begin::Now if created.as_secs() < start.store.as_secs() => {
            return Standing::Over(SkipReason::BeforeBegin);
        }
        Begin::Now | Begin::Unanswered => {}
    }
    let is_answered = facts
        .answered
        .is_some_and(|answered| answered.index > facts.index && answered.at <= facts.stored);
    if is_answered {
        Standing::Over(SkipReason::Answered)
    } else if facts.stored >= start.process && !facts.is_whole {
        Standing::Unread
    } else {
        Standing::Open
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The store was first used at 100, this process began at 200.
    const START: Start = Start { process: at(200), store: at(100) };

    #[test]
    fn only_words_from_before_answer_anything() {
        for (written, is_marked, whose) in [
            (Some(at(50)), false, Whose::Before),
            (Some(at(150)), false, Whose::Before),
            (Some(at(200)), false, Whose::Before),
            (Some(at(201)), false, Whose::Ours),
            (Some(at(50)), true, Whose::BeforeIfUnknown),
            (Some(at(99)), true, Whose::BeforeIfUnknown),
            (Some(at(100)), true, Whose::Ours),
            (Some(at(150)), true, Whose::Ours),
            (None, false, Whose::Ours),
            (None, true, Whose::Ours),
        ] {
            assert_eq!(START.whose(written, is_marked), whose, "{written:?} {is_marked}");
        }
    }

    #[test]
    fn what_somebody_answered_before_it_came_in_is_over() {
        use Begin::{All, Now, Unanswered};
        let (answered, before) = (SkipReason::Answered, SkipReason::BeforeBegin);
        let reply = Some(Answered { index: 5, at: at(150) });
        for (begin, facts, standing) in [
            // It came while nobody was there, and the conversation was read.
            (Unanswered, facts(4, 140, 210, reply), Standing::Over(answered)),
            (Unanswered, facts(6, 140, 210, reply), Standing::Open),
            (Unanswered, facts(4, 140, 210, None), Standing::Open),
            // It was not read yet.
            (Unanswered, unread(facts(4, 140, 210, None)), Standing::Unread),
            (Unanswered, unread(facts(4, 140, 210, reply)), Standing::Over(answered)),
            // It was taken in before: by this service while it was there, or with what was answered.
            (Unanswered, unread(facts(4, 140, 145, reply)), Standing::Open),
            (Unanswered, unread(facts(4, 140, 160, reply)), Standing::Over(answered)),
            // It is younger than this process, whatever was said beside the bot.
            (Unanswered, unread(facts(4, 201, 202, reply)), Standing::Open),
            // Younger than the store, to the second in which it was first used.
            (Now, facts(6, 99, 210, reply), Standing::Over(before)),
            (Now, facts(6, 100, 210, reply), Standing::Open),
            (Now, facts(4, 140, 210, reply), Standing::Over(answered)),
            (All, facts(4, 50, 210, reply), Standing::Open),
            (All, unread(facts(4, 50, 210, reply)), Standing::Open),
        ] {
            assert_eq!(judge(begin, &START, &facts), standing, "{begin:?} {facts:?}");
        }
        // Within the second in which the store was first used nothing was before.
        let inside = Start { process: at(201), store: at(200) + Duration::from_millis(900) };
        assert_eq!(inside.whose(Some(at(200)), true), Whose::Ours);
        assert_eq!(judge(Now, &inside, &facts(6, 200, 201, None)), Standing::Open);
        let undated = Facts { created: None, ..facts(4, 140, 210, reply) };
        assert_eq!(judge(Unanswered, &START, &undated), Standing::Open);
    }

    const fn facts(index: u64, created: i64, stored: i64, answered: Option<Answered>) -> Facts {
        let (created, stored) = (Some(at(created)), at(stored));
        Facts { index, created, stored, answered, is_whole: true }
    }

    const fn unread(facts: Facts) -> Facts {
        Facts { is_whole: false, ..facts }
    }

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000 + seconds * 1000)
    }
}

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
//! | bears our mark | in a time that the store does not know, having been restored from a backup | yes: this service said it and does not know |
//! | bears our mark | else | no: it is a reply of this service |
//!
//! Twilio's REST API dates to the second (source: Conversations API definition, message, `date_created`,
//! read 2026-11-29). In the second in which this process began the other program
//! may have been switched off, so that its word counts as one from before; in the one in which the store
//! was first used no store was lost, so that our own reply counts as ours.
//!
//! A message that this service took in before that was written is its own to answer, unless what became of it
//! is not known, the store being restored. And what is to be
//! known of a message that came while nobody was there is known only once its conversation has been
//! read to its end.

use crate::clock::Timestamp;
use crate::queue::LostTimes;
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
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Start {
    /// This process.
    pub process: Timestamp,
    /// The first one that used this store.
    pub store: Timestamp,
    /// The times that the store does not know.
    pub lost: LostTimes,
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
            Some(at) if is_marked && self.lost.covers(at) => Whose::Before,
            Some(at) if is_marked && at.as_secs() < self.store.as_secs() => Whose::BeforeIfUnknown,
            Some(at) if !is_marked && at <= self.process => Whose::Before,
            Some(_) | None => Whose::Ours,
        }
    }

    /// Whether there are times that the store does not know.
    #[must_use]
    pub const fn is_restored(&self) -> bool {
        !self.lost.is_empty()
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
    let is_restored = start.lost.follow(created);
    match begin {
        Begin::All if !is_restored => return Standing::Open,
        Begin::Now if created.as_secs() < start.store.as_secs() => {
            return Standing::Over(SkipReason::BeforeBegin);
        }
        Begin::All | Begin::Now | Begin::Unanswered => {}
    }
    let is_answered = facts.answered.is_some_and(|answered| {
        let is_ours = start.lost.covers(answered.at);
        let is_before = answered.at <= facts.stored && begin != Begin::All;
        answered.index > facts.index && (is_ours || is_before)
    });
    // What is in a restored store may have been answered since.
    let is_new = facts.stored >= start.process || start.lost.follow(facts.stored);
    if is_answered {
        Standing::Over(SkipReason::Answered)
    } else if is_new && !facts.is_whole {
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
    fn start() -> Start {
        Start { process: at(200), store: at(100), lost: LostTimes::default() }
    }

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
            assert_eq!(start().whose(written, is_marked), whose, "{written:?} {is_marked}");
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
            assert_eq!(judge(begin, &start(), &facts), standing, "{begin:?} {facts:?}");
        }
        // Within the second in which the store was first used nothing was before.
        let store = at(200) + Duration::from_millis(900);
        let inside = Start { process: at(201), store, ..start() };
        assert_eq!(inside.whose(Some(at(200)), true), Whose::Ours);
        assert_eq!(judge(Now, &inside, &facts(6, 200, 201, None)), Standing::Open);
        let undated = Facts { created: None, ..facts(4, 140, 210, reply) };
        assert_eq!(judge(Unanswered, &start(), &undated), Standing::Open);
    }

    #[test]
    fn what_was_said_since_the_backup_answers_what_stands_before_it() {
        use Begin::{All, Now, Unanswered};
        // The backup was taken at 150, the first start on it was at 200, and this process is a later one.
        let start = Start { process: at(300), lost: LostTimes::one(at(150), at(200)), ..start() };
        for (written, is_marked, whose) in [
            (149, true, Whose::Ours),
            (150, true, Whose::Before),
            (200, true, Whose::Before),
            (201, true, Whose::Ours),
            (160, false, Whose::Before),
        ] {
            assert_eq!(start.whose(Some(at(written)), is_marked), whose, "{written} {is_marked}");
        }
        let reply = Some(Answered { index: 5, at: at(160) });
        let over = Standing::Over(SkipReason::Answered);
        for begin in [All, Now, Unanswered] {
            for (facts, standing) in [
                // It was open in the backup, or came in since.
                (facts(4, 140, 145, reply), over),
                (facts(4, 155, 210, reply), over),
                (facts(6, 155, 210, reply), Standing::Open),
                (facts(4, 140, 145, None), Standing::Open),
                // The conversation was not read yet.
                (unread(facts(4, 140, 145, None)), Standing::Unread),
                (unread(facts(4, 155, 310, None)), Standing::Unread),
                (unread(facts(4, 140, 145, reply)), over),
                // It came in after the restore, to a service that was there.
                (unread(facts(4, 210, 211, None)), Standing::Open),
            ] {
                assert_eq!(judge(begin, &start, &facts), standing, "{begin:?} {facts:?}");
            }
        }
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

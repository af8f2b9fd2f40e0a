//! What was said in a thread before a turn, newest first into a budget. Pure.

use std::collections::HashSet;

use super::{MessageId, TurnMessage};
use crate::clock::Timestamp;
use crate::pii::Pii;

/// The most messages that a budget may have: one page of them.
pub const HISTORY_MESSAGES_MAX: usize = 100;
/// The most characters that a budget may have.
pub const HISTORY_CHARS_MAX: usize = 200_000;

/// How much of what was said before somebody wants to know.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Budget {
    /// So many messages.
    pub messages: usize,
    /// So many characters in all.
    pub chars: usize,
}

impl Budget {
    /// Whether nothing is wanted.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.messages == 0 || self.chars == 0
    }
}

/// One thing that was said before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Past {
    /// Its sid.
    pub sid: MessageId,
    /// Whether the bot said it.
    pub is_own: bool,
    /// Who said it: an identity or an address.
    pub author: Pii,
    /// The text; absent for a message of files alone.
    pub body: Option<Pii>,
    /// The MIME type of each file, where it is known.
    pub files: Vec<Option<String>>,
    /// When it was said.
    pub created: Option<Timestamp>,
}

/// Gathers what was said before a turn, from listings that give the newest first.
#[derive(Debug)]
pub struct Gathered {
    budget: Budget,
    turn: HashSet<MessageId>,
    past: Vec<Past>,
    chars: usize,
    is_full: bool,
}

impl Gathered {
    /// Begins with nothing; the turn's own messages are no history.
    #[must_use]
    pub fn new(budget: Budget, turn: &[TurnMessage]) -> Self {
        let turn = turn.iter().map(|message| message.sid).collect();
        Self { budget, turn, past: Vec::new(), chars: 0, is_full: budget.is_nothing() }
    }

    /// Whether a message is one of the turn's.
    #[must_use]
    pub fn is_of_turn(&self, sid: MessageId) -> bool {
        self.turn.contains(&sid)
    }

    /// Whether no more is wanted.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// Takes the next older message, if there is room; what does not fit whole ends the history.
    pub fn take(&mut self, past: Past) {
        if self.is_full || self.turn.contains(&past.sid) {
            return;
        }
        if self.past.iter().any(|known| known.sid == past.sid) {
            return;
        }
        let chars = past.body.as_ref().map_or(0, |body| body.reveal().chars().count());
        let all = self.chars.saturating_add(chars);
        if self.past.len() >= self.budget.messages || all > self.budget.chars {
            self.is_full = true;
            return;
        }
        self.chars = all;
        self.past.push(past);
        self.is_full = self.past.len() >= self.budget.messages;
    }

    /// Gives what was gathered, oldest first.
    #[must_use]
    pub fn end(mut self) -> Vec<Past> {
        self.past.reverse();
        self.past
    }
}

/// Puts the messages of two listings, each with its newest first, into one; what has no time stays where
/// its listing has it.
#[must_use]
pub fn merged(one: Vec<Past>, other: Vec<Past>) -> Vec<Past> {
    let (mut one, mut other) = (one.into_iter().peekable(), other.into_iter().peekable());
    let mut all = Vec::new();
    loop {
        let next = match (one.peek(), other.peek()) {
            (Some(left), Some(right)) if right.created > left.created => other.next(),
            (Some(_), _) => one.next(),
            (None, _) => other.next(),
        };
        match next {
            Some(past) => all.push(past),
            None => return all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::sid::MessageSid;

    #[test]
    fn the_newest_fill_the_budget_and_come_out_in_order() {
        for (budget, expected) in [
            (Budget { messages: 2, chars: 100 }, vec!["cc", "d"]),
            (Budget { messages: 9, chars: 3 }, vec!["cc", "d"]),
            (Budget { messages: 9, chars: 2 }, vec!["d"]),
            (Budget { messages: 9, chars: 100 }, vec!["a", "bbb", "cc", "d"]),
            (Budget { messages: 0, chars: 100 }, vec![]),
            (Budget { messages: 9, chars: 0 }, vec![]),
        ] {
            let mut gathered = Gathered::new(budget, &[]);
            for (at, text) in ["d", "cc", "bbb", "a"].into_iter().enumerate() {
                gathered.take(past(at, text, 0));
                gathered.take(past(at, text, 0));
            }
            let texts: Vec<_> = gathered.end().into_iter().map(|past| past.body.unwrap()).collect();
            let texts: Vec<_> = texts.iter().map(Pii::reveal).collect();
            assert_eq!(texts, expected, "{budget:?}");
        }
    }

    #[test]
    fn two_listings_become_one_by_their_times() {
        let one = vec![past(1, "e", 5), past(2, "c", 3), past(3, "a", 1)];
        let other = vec![past(4, "d", 4), past(5, "b", 2)];
        let all: Vec<_> = merged(one, other).into_iter().map(|past| past.body.unwrap()).collect();
        assert_eq!(all, ["e", "d", "c", "b", "a"].map(Pii::from));
        assert_eq!(merged(Vec::new(), vec![past(1, "a", 1)]).len(), 1);
    }

    fn past(number: usize, text: &str, second: i64) -> Past {
        let byte = u8::try_from(number).unwrap();
        Past {
            sid: MessageSid::from_bytes([byte; 16]).into(),
            is_own: false,
            author: "ann".into(),
            body: Some(text.into()),
            files: Vec::new(),
            created: Some(Timestamp::from_millis(second * 1000)),
        }
    }
}

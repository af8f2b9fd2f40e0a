//! Who wrote a message: us, Twilio itself, or somebody to answer. Pure.
//!
//! The author alone decides. Twilio vouches for it: a participant writes under their own identity or
//! address, and only the account's credentials can name another (API definition, message create, `Author`,
//! read 2026-11-29). Attributes are what the writer chose, so a mark of ours in them counts where the author
//! is one of ours and nowhere else; else whoever writes one into a message of their own would be taken for
//! the bot's reply.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::channels::conversations::record::reply_key;

/// The author that Twilio gives to messages nobody signed.
/// Source: Conversations API definition, message create, `Author` default, read 2026-11-21.
pub const SYSTEM: &str = "system";

/// The identities that the bot speaks under.
#[derive(Clone, Debug)]
pub struct Authors {
    identities: Vec<String>,
}

/// Whose message it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Author {
    /// Written under one of our identities.
    Ours,
    /// Written by Twilio.
    System,
    /// Anybody else: to be answered.
    Theirs,
}

impl Author {
    /// Whether the message is to be answered.
    #[must_use]
    pub const fn is_theirs(self) -> bool {
        match self {
            Self::Theirs => true,
            Self::Ours | Self::System => false,
        }
    }
}

impl Authors {
    /// Takes all identities of the pool.
    #[must_use]
    pub const fn new(identities: Vec<String>) -> Self {
        Self { identities }
    }

    /// Decides whose message it is. Identities are compared to the letter, as Twilio does.
    #[must_use]
    pub fn judge(&self, author: &str) -> Author {
        if self.identities.iter().any(|identity| identity == author) {
            Author::Ours
        } else if author == SYSTEM {
            Author::System
        } else {
            Author::Theirs
        }
    }

    /// Gives the id of the reply that a message of ours is.
    #[must_use]
    pub fn reply(&self, author: &str, attributes: &Map<String, Value>) -> Option<Uuid> {
        match self.judge(author) {
            Author::Ours => reply_key(attributes),
            Author::System | Author::Theirs => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_others_are_answered_and_only_our_marks_count() {
        let authors = Authors::new(vec!["bot".into(), "bot-2".into()]);
        let id = Uuid::from_u128(7);
        let keyed = json!({"chimein": {"reply": id.to_string()}});
        let foreign = json!({"chimein": {"reply": 7}, "k": "bot"});
        for (author, attributes, expected, reply) in [
            ("bot", &json!({}), Author::Ours, None),
            ("bot", &keyed, Author::Ours, Some(id)),
            ("bot", &foreign, Author::Ours, None),
            ("bot-2", &keyed, Author::Ours, Some(id)),
            ("Bot", &keyed, Author::Theirs, None),
            ("system", &keyed, Author::System, None),
            ("+15555550123", &json!({}), Author::Theirs, None),
            ("+15555550123", &keyed, Author::Theirs, None),
            ("", &keyed, Author::Theirs, None),
        ] {
            assert_eq!(authors.judge(author), expected, "{author}");
            let found = authors.reply(author, attributes.as_object().unwrap());
            assert_eq!(found, reply, "{author} {attributes}");
        }
    }
}

//! Who wrote a message: us, Twilio itself, or somebody to answer. Pure.

use serde_json::{Map, Value};

use crate::pipeline::record::reply_key;

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
    /// Written under one of our identities, or carrying one of our reply keys.
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

    /// Decides whose message it is.
    ///
    /// Identities are compared to the letter, as Twilio does. The reply key counts too: a reply that
    /// Twilio shows under another author is still ours, and answering it would be a loop.
    #[must_use]
    pub fn judge(&self, author: &str, attributes: &Map<String, Value>) -> Author {
        if self.identities.iter().any(|identity| identity == author)
            || reply_key(attributes).is_some()
        {
            Author::Ours
        } else if author == SYSTEM {
            Author::System
        } else {
            Author::Theirs
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_others_are_answered() {
        let authors = Authors::new(vec!["bot".into(), "bot-2".into()]);
        let none = Map::new();
        let keyed = json!({"chimein": {"reply": "01890a5d-ac96-774b-bcce-b302099a8057"}});
        let foreign = json!({"chimein": {"reply": 7}, "k": "bot"});
        for (author, attributes, expected) in [
            ("bot", &none, Author::Ours),
            ("bot-2", &none, Author::Ours),
            ("Bot", &none, Author::Theirs),
            ("system", &none, Author::System),
            ("+15555550123", &none, Author::Theirs),
            ("", &none, Author::Theirs),
            ("+15555550123", keyed.as_object().unwrap(), Author::Ours),
            ("+15555550123", foreign.as_object().unwrap(), Author::Theirs),
        ] {
            assert_eq!(authors.judge(author, attributes), expected, "{author}");
        }
    }
}

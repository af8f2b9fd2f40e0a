//! What jobs and queues are called.
//!
//! Decides what a valid id is, and how one is derived. Pure.

use std::fmt;
use std::str::FromStr;

use crate::bytes16;

/// Names a job: 16 bytes, unique within its queue.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct JobId([u8; 16]);

impl JobId {
    /// Takes an id that is 16 bytes already, such as a message sid's.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Gives the 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Derives an id: the first 16 bytes of the SHA-256 over `domain` and `parts`.
    ///
    /// Every part is preceded by its length, so no two lists of parts meet by concatenation.
    #[must_use]
    pub fn digest(domain: &str, parts: &[&[u8]]) -> Self {
        let domain = std::iter::once(domain.as_bytes());
        Self(bytes16::digest(domain.chain(parts.iter().copied())))
    }
}

impl fmt::Display for JobId {
    /// 32 hexadecimal digits in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bytes16::write(f, &self.0)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Says that a text is no job id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a job id: wanted 32 hexadecimal digits")]
pub struct ParseJobIdError;

impl FromStr for JobId {
    type Err = ParseJobIdError;

    fn from_str(text: &str) -> Result<Self, ParseJobIdError> {
        bytes16::parse(text).map(Self).ok_or(ParseJobIdError)
    }
}

/// Says which of the store's queues is meant.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum QueueName {
    /// Conversations that the bot has to become a participant of.
    Joins,
    /// Messages that wait for the agent.
    Inbox,
    /// Replies that wait to be sent.
    Outbox,
    /// What became of replies, for the agent that wants to know.
    Reports,
}

impl QueueName {
    /// Every queue of a store.
    pub const ALL: [Self; 4] = [Self::Joins, Self::Inbox, Self::Outbox, Self::Reports];

    /// Gives the name used in logs, metrics and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Joins => "joins",
            Self::Inbox => "inbox",
            Self::Outbox => "outbox",
            Self::Reports => "reports",
        }
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_as_they_parse() {
        let id = JobId::digest("test", &[b"one"]);
        assert_eq!(id.to_string().parse::<JobId>().unwrap(), id);
        assert_eq!(id.to_string().to_uppercase().parse::<JobId>().unwrap(), id);
        for text in ["", "0", &"g".repeat(32), &"0".repeat(31), &"0".repeat(33), &"é".repeat(16)] {
            assert_eq!(text.parse::<JobId>(), Err(ParseJobIdError), "{text}");
        }
    }

    #[test]
    fn digests_tell_parts_and_domains_apart() {
        let ids = [
            JobId::digest("a", &[b"bc"]),
            JobId::digest("ab", &[b"c"]),
            JobId::digest("a", &[b"b", b"c"]),
            JobId::digest("a", &[b"bc", b""]),
        ];
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[at + 1..].contains(id));
        }
        assert_eq!(ids[0], JobId::digest("a", &[b"bc"]), "the same parts give the same id");
    }

    #[test]
    fn a_stored_digest_never_changes() {
        // Ids live in files: another digest would answer old messages a second time.
        let id = JobId::digest("reply", &[b"IM0123", b"0"]);
        assert_eq!(id.to_string(), "5b9ef340c0227817947b7125b44b715c");
    }
}

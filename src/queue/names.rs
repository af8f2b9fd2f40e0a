//! What jobs and queues are called.
//!
//! Decides what a valid id is, and how one is derived. Pure.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

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
        let mut hash = Sha256::new();
        for part in std::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        Self(id)
    }
}

impl fmt::Display for JobId {
    /// 32 hexadecimal digits in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ParseJobIdError);
        }
        let mut id = [0; 16];
        for (at, byte) in id.iter_mut().enumerate() {
            *byte =
                u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| ParseJobIdError)?;
        }
        Ok(Self(id))
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

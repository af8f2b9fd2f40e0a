//! What is put into a queue, as values.
//!
//! Decides what a valid key, payload and cause are; stores nothing. Pure: no time, no I/O. Keys
//! and payloads may be personal, so their `Debug` prints lengths only.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::error::Error;
use super::names::{JobId, QueueName};
use crate::clock::Timestamp;
use crate::thread::CauseClass;

/// Names a lane: order holds among jobs of one key. Cheap to clone.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key(Arc<str>);

impl Key {
    /// The longest key in bytes.
    pub const BYTES_MAX: usize = 255;

    /// Takes a text of 1 to 255 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is empty or longer.
    pub fn new(text: impl AsRef<str>) -> Result<Self, Error> {
        let text = text.as_ref();
        if text.is_empty() || text.len() > Self::BYTES_MAX {
            return Err(Error::Invalid { what: "a key has 1 to 255 bytes" });
        }
        Ok(Self(text.into()))
    }

    /// Gives the text. It may be personal: a key can hold an address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// One job to append.
#[derive(Clone, Eq, PartialEq)]
pub struct Append {
    /// Names the job; a second append of it is a duplicate.
    pub id: JobId,
    /// Names the lane.
    pub key: Key,
    /// Places the job within its lane: lower goes first. At most `i64::MAX`.
    pub position: Option<u64>,
    /// Holds the job back until then; `None` is at once.
    pub not_before: Option<Timestamp>,
    /// What the consumer gets, at most [`Append::PAYLOAD_BYTES_MAX`].
    pub payload: Vec<u8>,
}

impl Append {
    /// The largest payload. A Twilio message body has at most 1,600 characters for SMS and 32 KiB in
    /// chat with as much again in attributes; a mebibyte leaves room for any envelope around it.
    pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

    /// Checks the bounds that the types do not hold.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.payload.len() > Self::PAYLOAD_BYTES_MAX {
            return Err(Error::Invalid { what: "a payload has at most 1 MiB" });
        }
        if self.position.is_some_and(|position| i64::try_from(position).is_err()) {
            return Err(Error::Invalid { what: "a position is at most 2^63 - 1" });
        }
        Ok(())
    }
}

impl fmt::Debug for Append {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Append")
            .field("id", &self.id)
            .field("key", &self.key)
            .field("position", &self.position)
            .field("not_before", &self.not_before)
            .field("payload_bytes", &self.payload.len())
            .finish()
    }
}

/// Says what an append did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Appended {
    /// The job is stored and will be delivered.
    Added,
    /// The id is known: the job waits, is out, is done or is dead.
    Duplicate,
}

/// Says why an attempt failed. Never holds message text, addresses or secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cause {
    /// A word from the caller's closed list, such as `rate_limited`.
    pub class: Cow<'static, str>,
    /// The other side's error code, if it gave one.
    pub code: Option<u32>,
    /// A sentence for the operator, at most [`Cause::DETAIL_BYTES_MAX`] are kept.
    pub detail: String,
}

impl Cause {
    /// The longest detail that is stored; the rest is cut off.
    pub const DETAIL_BYTES_MAX: usize = 500;

    /// Names a class of those that the service knows.
    #[must_use]
    pub const fn of(class: CauseClass) -> Self {
        Self::new(class.as_str())
    }

    /// Names the class alone.
    #[must_use]
    pub const fn new(class: &'static str) -> Self {
        Self { class: Cow::Borrowed(class), code: None, detail: String::new() }
    }

    /// Adds the other side's error code.
    #[must_use]
    pub const fn with_code(mut self, code: u32) -> Self {
        self.code = Some(code);
        self
    }

    /// Adds a sentence for the operator.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self.detail.truncate(self.bounded_detail().len());
        self
    }

    /// As much of the detail as is stored, cut between characters.
    pub(super) fn bounded_detail(&self) -> &str {
        let mut end = self.detail.len().min(Self::DETAIL_BYTES_MAX);
        while !self.detail.is_char_boundary(end) {
            end -= 1;
        }
        &self.detail[..end]
    }
}

/// Jobs that one append takes at most.
pub(super) const APPEND_JOBS_MAX: usize = 1000;

/// Checks the bounds of one append.
pub(super) fn check(jobs: &[(QueueName, Append)]) -> Result<(), Error> {
    if jobs.len() > APPEND_JOBS_MAX {
        return Err(Error::Invalid { what: "an append has at most 1000 jobs" });
    }
    jobs.iter().try_for_each(|(_, job)| job.check())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bounded_and_never_printed() {
        assert!(Key::new("").is_err());
        assert!(Key::new("k".repeat(256)).is_err());
        let key = Key::new("k".repeat(255)).unwrap();
        assert_eq!(key.as_str().len(), 255);
        let append = Append {
            id: JobId::from_bytes([7; 16]),
            key: Key::new("whatsapp:+15555550123").unwrap(),
            position: None,
            not_before: None,
            payload: b"call me".to_vec(),
        };
        let shown = format!("{append:?}");
        assert!(!shown.contains("+1555") && !shown.contains("call"), "{shown}");
    }

    #[test]
    fn oversized_jobs_are_refused() {
        let append = |payload: usize, position| Append {
            id: JobId::from_bytes([7; 16]),
            key: Key::new("k").unwrap(),
            position,
            not_before: None,
            payload: vec![0; payload],
        };
        assert!(append(Append::PAYLOAD_BYTES_MAX, Some(1)).check().is_ok());
        assert!(append(Append::PAYLOAD_BYTES_MAX + 1, None).check().is_err());
        assert!(append(0, Some(u64::MAX)).check().is_err());
    }

    #[test]
    fn details_are_cut_between_characters() {
        let cause = Cause::new("odd").with_detail("é".repeat(400));
        assert_eq!(cause.detail.len(), 500);
        let cause = Cause::new("odd").with_detail(format!("x{}", "é".repeat(400)));
        assert_eq!(cause.detail.len(), 499);
    }
}

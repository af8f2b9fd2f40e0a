//! Who of several instances holds what: membership, and leases on names.
//!
//! Every instance is a member. Members beat in one key-value bucket of NATS, see each other there, and
//! share out names of several kinds (the queue's partitions, the bot's identities): evenly, and so that
//! joining and leaving moves few. A lease is one record that names a member's life; the member's one
//! beat renews all its leases, so the cost does not grow with their number.
//!
//! What it promises: two instances never both hold a name, whoever is killed, stopped, slow or cut off
//! ([`Claim::is_held`] is false before anybody else can take over); a name whose holder has died is
//! held again after `patience` and a little, one whose holder has left at once; every holder has a
//! higher [`epoch`](Claim::epoch) than the one before. What it does not promise: a machine whose clock
//! stands still while it sleeps, or a bucket that is deleted while members live, can make two believe
//! for `patience`; what must not happen then must be fenced where it happens.
//!
//! Decides in pure files: `assignment` who should hold what, `peers` who is silent, `core` what this
//! member does. The driver owns bucket, clock and channels. Each start of an instance leaves one record
//! of some 60 bytes in the bucket.

mod assignment;
mod bucket;
mod claims;
mod core;
mod driver;
mod membership;
mod peers;
mod records;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use crate::clock::Clock;

pub use self::bucket::Error;
pub use self::claims::{Change, Claim, Claims};
pub use self::membership::Membership;

/// The name of one instance: 1 to 64 letters, digits, hyphens and underscores.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct InstanceId(String);

impl InstanceId {
    /// Takes a name; `None` if it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_name = (1..=64).contains(&text.len()) && text.bytes().all(is_name_byte);
        is_name.then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How to take part.
#[derive(Clone, Debug)]
pub struct Options {
    /// The own name; two processes of one name are two members.
    pub instance: InstanceId,
    /// The bucket that all members share.
    pub bucket: String,
    /// How many servers keep the bucket, where it is made here.
    pub replicas: usize,
    /// Between two beats.
    pub heartbeat: Duration,
    /// How long a member must be silent before others take over.
    pub patience: Duration,
    /// Reads the time.
    pub clock: Clock,
}

impl Options {
    /// Beats every 1.5 s and waits 6 s, so that a takeover is over within 10 s of a death.
    #[must_use]
    pub fn new(instance: InstanceId, bucket: impl Into<String>) -> Self {
        Self {
            instance,
            bucket: bucket.into(),
            replicas: 1,
            heartbeat: Duration::from_millis(1500),
            patience: Duration::from_secs(6),
            clock: Clock::start(),
        }
    }
}

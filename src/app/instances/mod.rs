//! With whom this instance shares the work: with others over NATS, or with nobody.
//!
//! The rest of the composition root asks for a [`Cluster`] and never whether NATS is built in.

#[cfg(not(feature = "nats"))]
mod alone;
#[cfg(feature = "nats")]
mod cluster;

#[cfg(not(feature = "nats"))]
pub use self::alone::{Cluster, Error, open};
#[cfg(feature = "nats")]
pub use self::cluster::{Cluster, Error, open};

/// Work that one instance of several does at a time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SharedDuty {
    /// Listening for each of these identities.
    Identities(Vec<String>),
    /// The sweep over conversations.
    Sweep,
    /// The sweep of plain numbers.
    TextSweep,
}

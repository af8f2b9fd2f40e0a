//! What can go wrong on the bus, told with its remedy. Holds no text and no address.

use std::time::Duration;

use super::names::STREAM;

/// Why the bus did not do what was asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There was no connection yet.
    #[error("there is no connection to the message bus yet")]
    NotConnected,
    /// No stream takes the subject, and none may be made.
    #[error(
        "no JetStream stream takes {subject}: make one, or set BUS_PREFIX as the platform's other \
         services have it and {STREAM} is made of it"
    )]
    NoStream {
        /// The subject.
        subject: String,
    },
    /// The stream of the platform is there and does not take the subject.
    #[error(
        "the stream {STREAM} is there and does not take {subject}: check BUS_PREFIX, or add the \
         subject to the stream"
    )]
    OtherStream {
        /// The subject.
        subject: String,
    },
    /// The stream's server did not answer in time.
    #[error("JetStream did not take a message for {subject} within {} s", limit.as_secs())]
    Silent {
        /// The subject.
        subject: String,
        /// How long was waited.
        limit: Duration,
    },
    /// A message was not stored.
    #[error("JetStream did not store a message for {subject}")]
    Publish {
        /// The subject.
        subject: String,
        /// What the client says.
        #[source]
        source: async_nats::jetstream::context::PublishError,
    },
    /// The consumer's name is taken by one of another kind.
    #[error(
        "the durable consumer {durable} is there and pushes, ours pulls: remove it, or set \
         bitbrat.service to another name"
    )]
    OtherConsumer {
        /// Its name.
        durable: String,
    },
    /// The streams could not be read or made.
    #[error("the stream for {subject} could not be found or made")]
    Stream {
        /// The subject.
        subject: String,
        /// What the client says.
        #[source]
        source: async_nats::Error,
    },
    /// The consumer could not be read, made or used.
    #[error("the durable consumer {durable} could not be used")]
    Consumer {
        /// Its name.
        durable: String,
        /// What the client says.
        #[source]
        source: async_nats::Error,
    },
    /// A message was not acknowledged.
    #[error("an egress event could not be acknowledged; it comes again")]
    Acknowledge(#[source] async_nats::Error),
}

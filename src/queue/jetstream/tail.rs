//! Reads the records of one partition as they come.
//!
//! An ephemeral consumer of the server that needs no acknowledgements. What it brings is checked to be
//! without gaps; any doubt (a gap, silence, a new connection) ends the reading with an error, and the
//! caller starts again behind the last record it has. I/O only.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream::consumer::push::Config;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_nats::jetstream::{Context, Message};
use async_nats::{StatusCode, Subscriber};
use bytes::Bytes;
use futures::StreamExt as _;

use super::log::{Log, away};
use crate::clock::{Clock, Moment};
use crate::queue::Error;
use crate::telemetry::chain::Chain;

/// How often the server says that there is nothing new.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// The silence after which the consumer is taken for dead.
const SILENCE: Duration = Duration::from_secs(5);

/// How often a new connection is looked for: consumers of this kind do not survive their server.
const LOOK: Duration = Duration::from_millis(250);

/// After how long without a reader the server forgets the consumer.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// One reading of a stream.
pub(super) struct Tail {
    context: Context,
    stream: String,
    consumer: String,
    subscriber: Subscriber,
    delivered: u64,
    connects: u64,
    clock: Clock,
    heard: Moment,
    /// How many messages waited when the reading began.
    pub(super) pending: u64,
}

/// One message read.
pub(super) struct Read {
    pub(super) rev: u64,
    pub(super) subject: String,
    pub(super) payload: Bytes,
    /// How many more are there.
    pub(super) pending: u64,
}

/// Why a reading ended.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum TailBroken {
    #[error("the connection was made anew")]
    Reconnected,
    #[error("the server fell silent")]
    Silent,
    #[error("messages are missing")]
    Gap,
    #[error("the subscription ended")]
    Ended,
    #[error("a message is not one of a stream")]
    Foreign,
}

impl Tail {
    /// Starts to read what matches `filter`, from sequence `from` on.
    pub(super) async fn open(
        log: &Log,
        (stream, filter): (String, String),
        from: u64,
        clock: Clock,
    ) -> Result<Self, Error> {
        let context = log.context().clone();
        let client = context.client();
        let connects = client.statistics().connects.load(Ordering::Relaxed);
        let inbox = client.new_inbox();
        let failed = |error: async_nats::Error| Error::Away {
            doing: "read",
            stream: stream.clone(),
            source: error.into(),
        };
        let subscriber =
            client.subscribe(inbox.clone()).await.map_err(|error| failed(error.into()))?;
        let config = Config {
            deliver_subject: inbox,
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from.max(1) },
            ack_policy: AckPolicy::None,
            filter_subject: filter,
            flow_control: true,
            idle_heartbeat: HEARTBEAT,
            inactive_threshold: FORGOTTEN,
            num_replicas: 1,
            memory_storage: true,
            ..Config::default()
        };
        let consumer = context
            .create_consumer_on_stream(config, stream.as_str())
            .await
            .map_err(|error| failed(error.into()))?;
        let info = consumer.cached_info();
        Ok(Self {
            consumer: info.name.clone(),
            pending: info.num_pending,
            context,
            stream,
            subscriber,
            delivered: 0,
            connects,
            clock,
            heard: clock.now(),
        })
    }

    /// Waits for the next message. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`Error::Away`] if the reading has to start again.
    pub(super) async fn next(&mut self) -> Result<Read, Error> {
        loop {
            let look = self.clock.now() + LOOK;
            let message = tokio::select! {
                message = self.subscriber.next() => message.ok_or_else(|| self.broken(TailBroken::Ended))?,
                () = self.clock.sleep_until(look) => {
                    self.check()?;
                    continue;
                }
            };
            self.heard = self.clock.now();
            if message.status.is_some() {
                self.answer(message).await?;
                continue;
            }
            return self.take(message);
        }
    }

    /// Ends the reading.
    pub(super) async fn close(self) {
        // What is not deleted is forgotten by the server soon after.
        let delete = self.context.delete_consumer_from_stream(&self.consumer, &self.stream);
        if let Err(error) = delete.await {
            tracing::debug!(error = %Chain(&error), "a consumer was left to the server");
        }
    }

    fn check(&self) -> Result<(), Error> {
        let statistics = self.context.client().statistics();
        if statistics.connects.load(Ordering::Relaxed) != self.connects {
            return Err(self.broken(TailBroken::Reconnected));
        }
        if self.clock.now().since(self.heard) > SILENCE {
            return Err(self.broken(TailBroken::Silent));
        }
        Ok(())
    }

    /// Answers flow control and checks heartbeats. Source: NATS ADR-3 "JetStream consumer protocol" and
    /// async-nats' own ordered consumer, read 2026-11-21.
    async fn answer(&self, message: async_nats::Message) -> Result<(), Error> {
        if message.status != Some(StatusCode::IDLE_HEARTBEAT) {
            return Ok(());
        }
        if let Some(reply) = message.reply {
            let sent = self.context.client().publish(reply, Bytes::new()).await;
            return sent.map_err(|error| away("read", &self.stream, error));
        }
        let headers = message.headers.as_ref();
        let last = headers.and_then(|headers| headers.get_last("Nats-Last-Consumer"));
        let last = last.and_then(|last| last.as_str().parse::<u64>().ok());
        if last.is_some_and(|last| last != self.delivered) {
            return Err(self.broken(TailBroken::Gap));
        }
        Ok(())
    }

    fn take(&mut self, message: async_nats::Message) -> Result<Read, Error> {
        let message = Message { message, context: self.context.clone() };
        let (rev, number, pending) = match message.info() {
            Ok(info) => (info.stream_sequence, info.consumer_sequence, info.pending),
            Err(_) => return Err(self.broken(TailBroken::Foreign)),
        };
        if number != self.delivered + 1 {
            return Err(self.broken(TailBroken::Gap));
        }
        self.delivered = number;
        let async_nats::Message { subject, payload, .. } = message.message;
        Ok(Read { rev, subject: subject.to_string(), payload, pending })
    }

    fn broken(&self, broken: TailBroken) -> Error {
        away("read", &self.stream, broken)
    }
}

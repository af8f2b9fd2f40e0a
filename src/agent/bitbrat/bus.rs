//! The bus itself: NATS JetStream as `BitBrat` uses it.
//!
//! Publishes and waits for the stream's word; finds the stream of a subject, and makes `BITBRAT` of
//! the prefix if there is none; finds or makes the durable consumers. A stream that is there is left
//! as it is. Decides nothing about events.
//! Source: `BitBrat` 0.33.3, `src/services/message-bus/nats-driver.ts`, read 2026-11-21.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use async_nats::jetstream::context::{
    ConsumerInfoErrorKind, GetStreamByNameErrorKind, PublishErrorKind,
};
use async_nats::jetstream::message::PublishMessage;

use async_nats::jetstream::{self, Context};
use async_nats::{Client, HeaderMap, HeaderValue};

use super::Error;
use super::names::{DEAD_LETTER, EGRESS, INGRESS, Names, SNAPSHOT, STREAM};
use crate::clock::Clock;
use crate::nats;
use crate::telemetry::chain::Chain;

/// How long to rest between two tries to connect or to find the streams.
const REST: Duration = Duration::from_secs(2);

/// Makes what a connection is made of.
pub type Dial = Box<dyn Fn() -> nats::Options + Send + Sync>;

/// The connection, which is made again by itself.
pub(super) struct Bus {
    names: Names,
    client: Client,
    clock: Clock,
}

/// One message to publish.
pub(super) struct Publication<'a> {
    /// The topic, without prefix.
    pub(super) topic: &'a str,
    /// The attributes, as headers.
    pub(super) attributes: Vec<(&'static str, String)>,
    /// What the stream knows a second publication by.
    pub(super) id: &'a str,
    /// The event as JSON.
    pub(super) body: Vec<u8>,
}

impl Bus {
    /// Connects, or takes note that nobody answers yet.
    pub(super) async fn connect(
        names: Names,
        dial: Dial,
        clock: Clock,
    ) -> Result<Self, nats::Error> {
        let client = match nats::connect(dial()).await {
            Ok(client) => client,
            Err(error @ nats::Error::Unreachable { .. }) => {
                tracing::warn!(error = %Chain(&error), "message bus cannot be reached; trying again");
                nats::connect_later(dial()).await?
            }
            Err(error) => return Err(error),
        };
        Ok(Self { names, client, clock })
    }

    pub(super) const fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn is_connected(&self) -> bool {
        nats::is_connected(&self.client)
    }

    /// Waits until there is a connection and every subject has its stream.
    pub(super) async fn await_ready(&self) {
        while !self.was_connected() {
            self.clock.sleep(REST).await;
            if !self.was_connected() {
                tracing::warn!("message bus cannot be reached; trying again");
            }
        }
        while let Err(error) = self.find_streams().await {
            tracing::error!(error = %Chain(&error), "message bus cannot be used; trying again");
            self.clock.sleep(REST).await;
        }
        tracing::info!(state = "ready", "message bus is ready");
    }

    async fn find_streams(&self) -> Result<(), Error> {
        for topic in [INGRESS, EGRESS, &self.names.own_egress(), SNAPSHOT, DEAD_LETTER] {
            self.stream_of(&self.names.subject(topic)).await?;
        }
        Ok(())
    }

    /// The stream that takes a subject; made if there is none and there is a prefix to make it of.
    async fn stream_of(&self, subject: &str) -> Result<String, Error> {
        let context = self.context()?;
        let wrap = |source| Error::Stream { subject: subject.to_owned(), source };
        match context.stream_by_subject(subject).await {
            Ok(name) => return Ok(name),
            Err(error) if matches!(error.kind(), GetStreamByNameErrorKind::NotFound) => {}
            Err(error) => return Err(wrap(error.into())),
        }
        let Some(all) = self.names.stream_subject() else {
            return Err(Error::NoStream { subject: subject.to_owned() });
        };
        if context.get_stream(STREAM).await.is_ok() {
            return Err(Error::OtherStream { subject: subject.to_owned() });
        }
        let config = jetstream::stream::Config {
            name: STREAM.to_owned(),
            subjects: vec![all],
            ..jetstream::stream::Config::default()
        };
        context.create_stream(config).await.map_err(|error| wrap(error.into()))?;
        tracing::info!("stream of the message bus is made");
        Ok(STREAM.to_owned())
    }

    /// Publishes and waits until the stream has it.
    pub(super) async fn publish(&self, publication: Publication<'_>) -> Result<(), Error> {
        let Publication { topic, attributes, id, body } = publication;
        let subject = self.names.subject(topic);
        let mut headers = HeaderMap::new();
        for (name, value) in &attributes {
            headers.insert(*name, header(value));
        }
        headers.insert(async_nats::header::NATS_MESSAGE_ID, header(id));
        let message = PublishMessage::build().headers(headers).payload(body.into());
        let sent = self.context()?.send_publish(subject.clone(), message).await;
        let stored = match sent {
            Ok(acknowledged) => acknowledged.await,
            Err(error) => Err(error),
        };
        stored.map(drop).map_err(|source| match source.kind() {
            PublishErrorKind::StreamNotFound => Error::NoStream { subject },
            PublishErrorKind::WrongLastMessageId
            | PublishErrorKind::WrongLastSequence
            | PublishErrorKind::TimedOut
            | PublishErrorKind::BrokenPipe
            | PublishErrorKind::MaxAckPending
            | PublishErrorKind::MaxPayloadExceeded
            | PublishErrorKind::Other => Error::Publish { subject, source },
        })
    }

    /// Finds the durable consumer of a topic, or makes it to begin with what comes new: a first
    /// deployment must not answer what others answered long ago.
    pub(super) async fn consumer(
        &self,
        topic: &str,
        ack_wait: Duration,
    ) -> Result<Consumer<pull::Config>, Error> {
        let (subject, durable) = (self.names.subject(topic), self.names.durable(topic));
        let wrap = |source| Error::Consumer { durable: durable.clone(), source };
        let stream = self.stream_of(&subject).await?;
        let stream =
            self.context()?.get_stream(stream).await.map_err(|error| wrap(error.into()))?;
        match stream.consumer_info(&durable).await {
            Ok(info) if info.config.deliver_subject.is_some() => {
                return Err(Error::OtherConsumer { durable });
            }
            Ok(_) => return stream.get_consumer(&durable).await.map_err(wrap),
            Err(error) if matches!(error.kind(), ConsumerInfoErrorKind::NotFound) => {}
            Err(error) => return Err(wrap(error.into())),
        }
        let config = pull::Config {
            durable_name: Some(durable.clone()),
            filter_subject: subject,
            deliver_policy: DeliverPolicy::New,
            ack_policy: AckPolicy::Explicit,
            ack_wait,
            ..pull::Config::default()
        };
        stream.create_consumer(config).await.map_err(|error| wrap(error.into()))
    }

    /// Before that whatever is asked would wait for nothing.
    fn was_connected(&self) -> bool {
        self.client.statistics().connects.load(Ordering::Relaxed) > 0
    }

    fn context(&self) -> Result<Context, Error> {
        if !self.was_connected() {
            return Err(Error::NotConnected);
        }
        Ok(jetstream::new(self.client.clone()))
    }
}

/// A text as a header's value; what would end the line is left out.
fn header(text: &str) -> HeaderValue {
    let clean: String = text.chars().filter(|one| !one.is_control()).collect();
    HeaderValue::from(clean)
}

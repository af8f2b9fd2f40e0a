//! The agent that is BitBrat: turns go out on its bus, replies come back by it.
//!
//! A turn is published as an `InternalEventV2` and is done when JetStream has it; what the platform's
//! services make of it comes back as egress events, minutes later or never, and enters the outbox by
//! [`later`](super::later). An egress event is acknowledged once its reply is on disk, never before. When a
//! reply is settled the bus is told: a final snapshot, and a dead letter if it failed.
//!
//! [`envelope`], [`selection`], [`target`], [`wanted`], [`snapshot`], [`dead_letter`] and [`status`]
//! decide, and are pure; `bus` alone speaks NATS. Time enters through the clock. Text and addresses
//! go onto the bus, that is what it is for, and never into the log. No secret enters: the connection
//! is made by [`nats`].
//!
//! Replies leave by REST from any instance, so all instances share one topic for replies and one
//! durable consumer on it; no reply is lost with an instance.

mod bus;
pub mod dead_letter;
mod egress;
pub mod envelope;
mod error;
pub mod event;
pub mod names;
pub mod selection;
pub mod snapshot;
pub mod status;
pub mod target;
pub mod wanted;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::bus::{Bus, Publication};
pub use self::error::Error;
use self::event::Event;
use self::names::{DEAD_LETTER, EGRESS, INGRESS, SNAPSHOT};
use self::snapshot::{Delivered, Ending, Failure};
use super::later::Outbox;
use super::{Agent, Answer, Error as AgentError, Fate, Origin, Report, Turn};
use crate::clock::Clock;
use crate::nats;
use crate::telemetry::chain::Chain;

/// How long the bus may take to store an event.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the state of the connection to Twilio is looked at.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// The longest event that is kept with a reply, for its snapshot and dead letter.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// What the agent needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// What events say beside their turns.
    pub sender: envelope::Sender,
    /// Which snapshots are written.
    pub policy: snapshot::Policy,
    /// How long the bus waits for our word on an egress event before it delivers it again.
    pub ack_wait: Duration,
}

/// Knows how the connection to Twilio is.
pub trait Watched: Send + Sync {
    /// Says it; none while there is nothing to say yet.
    fn source(&self) -> Option<status::Source>;
}

/// Makes what a connection is made of, once for each try.
pub type Dial = Box<dyn Fn() -> nats::Options + Send + Sync>;

/// The platform as an agent.
pub struct BitBrat {
    options: Options,
    bus: Bus,
    clock: Clock,
    /// Set once the bus keeps replies for us: nobody is asked before.
    listening: OnceCell<()>,
}

/// What is kept with a reply: where it came from, and the event.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "v")]
enum Note {
    /// The first form.
    #[serde(rename = "1")]
    V1 {
        /// The topic that the event came by, without prefix.
        topic: String,
        /// The event, cut if it was very long.
        event: Event,
    },
}

impl BitBrat {
    /// Connects to the bus. A server that does not answer yet is tried again in [`BitBrat::run`].
    ///
    /// # Errors
    ///
    /// [`nats::Error`] if the server refuses us, or what signs in is malformed.
    pub async fn connect(options: Options, dial: Dial, clock: Clock) -> Result<Self, nats::Error> {
        let bus = Bus::connect(options.sender.names.clone(), dial).await?;
        Ok(Self { options, bus, clock, listening: OnceCell::new() })
    }

    /// Whether the bus can be reached now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.bus.is_connected()
    }

    /// Takes replies off the bus and tells it how the connection to Twilio is, until stopped.
    ///
    /// # Cancel safety
    ///
    /// What was taken and is not on disk is delivered again.
    pub async fn run(
        self: Arc<Self>,
        outbox: Arc<dyn Outbox>,
        watched: Arc<dyn Watched>,
        stop: CancellationToken,
    ) {
        let work = async {
            self.bus.await_ready().await;
            while let Err(error) = self.listen().await {
                tracing::warn!(error = %Chain(&error), "replies cannot be waited for; trying again");
                tokio::time::sleep(STATUS_EVERY).await;
            }
            let own = self.options.sender.names.own_egress();
            tokio::join!(
                egress::consume(&self, egress::Topic { name: own, is_own: true }, &*outbox),
                egress::consume(&self, egress::Topic::shared(), &*outbox),
                self.tell_status(&*watched),
            )
        };
        tokio::select! {
            () = stop.cancelled() => {}
            _never = work => {}
        }
    }

    /// Tells each change of the connection to Twilio; what could not be told is told a little later.
    async fn tell_status(&self, watched: &dyn Watched) {
        let mut changes = status::Changes::default();
        loop {
            if let Some(source) = watched.source().filter(|source| changes.is_new(source)) {
                let event = status::of(&source, Uuid::new_v4(), self.clock.wall());
                let attributes = status::attributes(&event, &self.options.sender.names.service);
                let told = self.publish(INGRESS, attributes, event.correlation_id(), &event).await;
                match told {
                    Ok(()) => changes.told(&source),
                    Err(error) => tracing::warn!(error = %Chain(&error), state = source.state,
                        "state of the connection to twilio could not be told; trying again"),
                }
            }
            tokio::time::sleep(STATUS_EVERY).await;
        }
    }

    /// Tells the bus that a reply could not be delivered.
    async fn tell_failure(
        &self,
        delivered: Delivered<'_>,
        failure: &Failure,
        id: &str,
    ) -> Result<(), Error> {
        self.tell_ending(delivered, &Ending::Failed(failure)).await?;
        let letter = dead_letter::of(delivered.event, failure, delivered.at);
        let attributes = dead_letter::attributes(&letter, delivered.service);
        self.publish(DEAD_LETTER, attributes, &format!("{id}:deadletter"), &letter).await
    }

    async fn tell_ending(
        &self,
        delivered: Delivered<'_>,
        ending: &Ending<'_>,
    ) -> Result<(), Error> {
        let Some(record) = snapshot::of(delivered, ending, self.options.policy) else {
            tracing::debug!("snapshot is switched off or too long; it is not written");
            return Ok(());
        };
        let id = record["idempotencyKey"].as_str().unwrap_or_default().to_owned();
        let attributes = snapshot::attributes(delivered.event);
        self.publish(SNAPSHOT, attributes, &id, &record).await
    }

    /// Publishes under an id that the stream knows a second publication by.
    async fn publish(
        &self,
        topic: &str,
        attributes: Vec<(&'static str, String)>,
        id: &str,
        body: &impl Serialize,
    ) -> Result<(), Error> {
        let body = serde_json::to_vec(body).expect("an event is made of maps with text keys");
        let published = self.bus.publish(Publication { topic, attributes, id, body });
        self.in_time(topic, published).await
    }

    async fn in_time(
        &self,
        topic: &str,
        work: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Error> {
        let limit = PUBLISH_TIMEOUT;
        match tokio::time::timeout(limit, work).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Silent { subject: self.bus.names().subject(topic), limit }),
        }
    }

    /// Makes sure that the bus keeps replies for us. The consumers begin with what comes new, so a
    /// reply that came before they were made would be lost.
    async fn listen(&self) -> Result<(), Error> {
        let names = self.bus.names();
        let made = self.listening.get_or_try_init(async || {
            for topic in [&*names.own_egress(), EGRESS] {
                self.bus.consumer(topic, self.options.ack_wait).await?;
            }
            Ok(())
        });
        made.await.map(drop)
    }

    async fn ask(&self, turn: &Turn) -> Result<(), Error> {
        self.in_time(EGRESS, self.listen()).await?;
        let event = envelope::of_turn(turn, &self.options.sender, self.clock.wall());
        let attributes = envelope::attributes(&event);
        let id = format!("{}:{INGRESS}", event.correlation_id());
        self.publish(INGRESS, attributes, &id, &event).await
    }

    async fn tell(&self, report: &Report, topic: &str, event: &Event) -> Result<(), Error> {
        let service = self.options.sender.names.service.as_str();
        let delivered = Delivered { service, topic, event, at: report.at };
        match &report.fate {
            Fate::Sent { message } => self.tell_ending(delivered, &Ending::Sent(*message)).await,
            Fate::Silenced => {
                let message = "a person has the conversation".to_owned();
                let failure = Failure { code: "paused".to_owned(), message };
                self.tell_ending(delivered, &Ending::Failed(&failure)).await
            }
            Fate::Dead { class, code, detail } => {
                let code = code.map(|code| format!(" (twilio error {code})")).unwrap_or_default();
                let message = format!("{class}: {detail}{code}");
                let failure = Failure { code: "send_error".to_owned(), message };
                self.tell_failure(delivered, &failure, &report.reply.to_string()).await
            }
        }
    }
}

impl fmt::Debug for BitBrat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BitBrat").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Agent for BitBrat {
    fn kind(&self) -> &'static str {
        "bitbrat"
    }

    fn take<'a>(&'a self, turn: &'a Turn) -> BoxFuture<'a, Result<Answer, AgentError>> {
        Box::pin(async move {
            let asked = self.ask(turn).await;
            let about = || format!("turn {}", turn.id);
            asked.map(|()| Answer::Later).map_err(|error| failed(about(), error))
        })
    }

    fn report<'a>(&'a self, report: &'a Report) -> BoxFuture<'a, Result<(), AgentError>> {
        Box::pin(async move {
            let about = || format!("what became of reply {}", report.reply);
            let is_sent = matches!(report.fate, Fate::Sent { .. });
            if is_sent && !report.origin.is_last() {
                // The reply is delivered when its last part is.
                return Ok(());
            }
            let note = Note::deserialize(&report.origin.note);
            let Note::V1 { topic, event } = note.map_err(|_| AgentError::Malformed {
                turn: report.reply.to_string(),
                reason: "its origin was written by another release".to_owned(),
            })?;
            self.tell(report, &topic, &event).await.map_err(|error| failed(about(), error))
        })
    }
}

fn failed(about: String, error: Error) -> AgentError {
    AgentError::Bus { about, source: Box::new(error) }
}

impl Note {
    /// Keeps an event with its reply.
    fn origin(topic: &str, event: Event) -> Origin {
        let correlation_id = event.correlation_id().to_owned();
        let event = event.trimmed(KEPT_BYTES_MAX).map_or_else(
            || {
                let id = ("correlationId".to_owned(), correlation_id.into());
                Event::new([id].into_iter().collect())
            },
            |(event, _)| event,
        );
        let note = Self::V1 { topic: topic.to_owned(), event };
        Origin::new(serde_json::to_value(note).expect("a note is made of maps with text keys"))
    }
}

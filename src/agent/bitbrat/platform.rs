//! The platform as an agent: takes turns, tells what became of replies.
//!
//! Decides what is kept with a reply; what an event says is decided beside. Time enters through the
//! clock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::bus::{Bus, Dial, Publication};
use super::event::Event;
use super::names::{DEAD_LETTER, EGRESS, INGRESS, SNAPSHOT};
use super::snapshot::{Delivered, DeliveryEnding, Failure};
use super::words::ProgressWords;
use super::{Error, dead_letter, envelope, progress, snapshot};
use crate::agent::{
    Agent, Answer, Beside, Error as AgentError, Fate, Origin, Patience, Report, Turn,
};
use crate::clock::Clock;
use crate::nats;

/// How long the bus may take to store an event.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest event that is kept with a reply, for its snapshot and dead letter.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// What the agent needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// What events say beside their turns.
    pub sender: envelope::EventSender,
    /// Which snapshots are written.
    pub policy: snapshot::Policy,
    /// To whom words of progress are sent.
    pub progress: progress::ProgressWish,
    /// How long the bus waits for our word on an egress event before it delivers it again.
    pub ack_wait: Duration,
    /// How long the platform may be silent about a turn, if that is watched.
    pub patience: Option<Patience>,
}

/// The platform as an agent.
pub struct BitBrat {
    pub(super) options: Options,
    pub(super) bus: Bus,
    pub(super) clock: Clock,
    /// Keeps words of progress before their answers.
    pub(super) words: ProgressWords,
    /// Set once the bus keeps replies for us: nobody is asked before.
    listening: OnceCell<()>,
}

/// What is kept with a reply: where it came from, and the event.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "v")]
pub(super) enum ReplyNote {
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
    /// Connects to the bus. A server that does not answer yet is tried again in [`Agent::run`].
    ///
    /// # Errors
    ///
    /// [`nats::Error`] if the server refuses us, or what signs in is malformed.
    pub async fn connect(options: Options, dial: Dial, clock: Clock) -> Result<Self, nats::Error> {
        let bus = Bus::connect(options.sender.names.clone(), dial, clock).await?;
        Ok(Self { options, bus, clock, words: ProgressWords::new(), listening: OnceCell::new() })
    }

    /// Tells the bus that a reply could not be delivered.
    pub(super) async fn tell_failure(
        &self,
        delivered: Delivered<'_>,
        failure: &Failure,
    ) -> Result<(), Error> {
        self.tell_ending(delivered, &DeliveryEnding::Failed(failure)).await?;
        let letter = dead_letter::of(delivered, failure);
        let attributes = dead_letter::attributes(&letter, delivered.service);
        self.publish(DEAD_LETTER, attributes, dead_letter::key(&letter), &letter).await
    }

    async fn tell_ending(
        &self,
        delivered: Delivered<'_>,
        ending: &DeliveryEnding<'_>,
    ) -> Result<(), Error> {
        let Some(record) = snapshot::of(delivered, ending, self.options.policy) else {
            tracing::debug!("snapshot is switched off or too long; it is not written");
            return Ok(());
        };
        let id = record["idempotencyKey"].as_str().unwrap_or_default().to_owned();
        let attributes = snapshot::attributes(&record);
        self.publish(SNAPSHOT, attributes, &id, &record).await
    }

    /// Publishes under an id that the stream knows a second publication by.
    pub(super) async fn publish(
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
    pub(super) async fn listen(&self) -> Result<(), Error> {
        let names = self.bus.names();
        let made = self.listening.get_or_try_init(async || {
            for topic in [&*names.own_egress(), EGRESS] {
                self.bus.consumer(topic, self.options.ack_wait).await?;
            }
            Ok(())
        });
        made.await.map(drop)
    }

    /// Asks a turn; `asked` counts how often that was done under another key.
    async fn ask(&self, turn: &Turn, asked: u32) -> Result<(), Error> {
        self.in_time(EGRESS, self.listen()).await?;
        let event = envelope::of_turn(turn, &self.options.sender, self.clock.wall());
        let key = envelope::key(&event, asked);
        let attributes = envelope::attributes(&event, &key);
        let id = format!("{key}:{INGRESS}");
        self.publish(INGRESS, attributes, &id, &event).await
    }

    async fn tell(&self, report: &Report, topic: &str, event: &Event) -> Result<(), Error> {
        let service = self.options.sender.names.service.as_str();
        let settlement = format!("{}:{}", report.reply, report.at.as_millis());
        let at = report.at;
        let delivered = Delivered { service, topic, event, at, settlement: &settlement };
        match &report.fate {
            Fate::Sent { message } => {
                self.tell_ending(delivered, &DeliveryEnding::Sent(*message)).await
            }
            // The platform has no word for what comes after that, and is not asked about.
            Fate::Fares { .. } => Ok(()),
            Fate::Silenced => {
                let message = "a person has the conversation".to_owned();
                let failure = Failure { code: "paused".to_owned(), message };
                self.tell_ending(delivered, &DeliveryEnding::Failed(&failure)).await
            }
            Fate::Dead { class, code, detail } => {
                let code = code.map(|code| format!(" (twilio error {code})")).unwrap_or_default();
                let message = format!("{class}: {detail}{code}");
                let failure = Failure { code: "send_error".to_owned(), message };
                self.tell_failure(delivered, &failure).await
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
        Box::pin(async move { self.take_anew(turn, 0).await })
    }

    fn take_anew<'a>(
        &'a self,
        turn: &'a Turn,
        asked: u32,
    ) -> BoxFuture<'a, Result<Answer, AgentError>> {
        Box::pin(async move {
            let taken = self.ask(turn, asked).await;
            let about = || format!("turn {}", turn.id);
            taken.map(|()| Answer::Later).map_err(|error| failed(about(), error))
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
            let note = ReplyNote::deserialize(&report.origin.note);
            let ReplyNote::V1 { topic, event } = note.map_err(|_| AgentError::Malformed {
                turn: report.reply.to_string(),
                reason: "its origin was written by another release".to_owned(),
            })?;
            self.tell(report, &topic, &event).await.map_err(|error| failed(about(), error))
        })
    }

    fn run(self: Arc<Self>, beside: Beside) -> BoxFuture<'static, ()> {
        Box::pin(self.work_beside(beside))
    }

    fn lacks(&self) -> Option<&'static str> {
        (!self.bus.is_connected()).then_some("bus_down")
    }

    fn patience(&self) -> Option<Patience> {
        self.options.patience
    }
}

fn failed(about: String, error: Error) -> AgentError {
    AgentError::Bus { about, source: Box::new(error) }
}

impl ReplyNote {
    /// Keeps an event with its reply.
    pub(super) fn origin(topic: &str, event: Event) -> Origin {
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

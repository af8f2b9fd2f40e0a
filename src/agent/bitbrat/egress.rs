//! Takes egress events off a topic, one after the other, and brings their replies into the outbox.
//!
//! An event is acknowledged when its reply is on disk, or when it asks for nothing; while the store
//! takes its time the bus is told that work goes on. What could not be stored is given back. What is
//! no event at all is ended, since it would never become one. Decisions are [`super::wanted`]'s.

use std::convert::Infallible;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::{AckKind, Message};
use futures::StreamExt as _;

use super::Error;
use super::event::Event;
use super::names::EGRESS;
use super::platform::{BitBrat, ReplyNote};
use super::snapshot::{Delivered, Failure};
use super::target::Missing;
use super::wanted::{self, Ignored, Wanted, WantedReply};
use crate::agent::later::{Batch, Outbox, OutboxError};
use crate::clock::Timestamp;
use crate::json;
use crate::telemetry::chain::Chain;
use crate::text;
use crate::thread::{Reply as Said, ThreadId};

/// How many events are fetched at once.
const BATCH: usize = 64;
/// How long to rest before a broken consumer is set up again.
const REST: Duration = Duration::from_secs(1);
/// How long the bus keeps an event that could not be stored before it brings it again.
const GIVEN_BACK_FOR: Duration = Duration::from_secs(5);

/// A topic that replies come by.
pub(super) struct Topic {
    /// Its name, without prefix.
    pub(super) name: String,
    /// Whether it is ours alone.
    pub(super) is_own: bool,
}

impl Topic {
    /// The topic that all connectors share.
    pub(super) fn shared() -> Self {
        Self { name: EGRESS.to_owned(), is_own: false }
    }
}

/// Consumes a topic for ever; a consumer that breaks is set up again.
pub(super) async fn consume(agent: &BitBrat, topic: Topic, outbox: &dyn Outbox) -> Infallible {
    loop {
        if let Err(error) = drain(agent, &topic, outbox).await {
            tracing::warn!(error = %Chain(&error), "replies cannot be taken off the bus; trying again");
        }
        agent.clock.sleep(REST).await;
    }
}

async fn drain(agent: &BitBrat, topic: &Topic, outbox: &dyn Outbox) -> Result<(), Error> {
    let ack_wait = agent.options.ack_wait;
    let consumer = agent.bus.consumer(&topic.name, ack_wait).await?;
    let durable = agent.bus.names().durable(&topic.name);
    let wrap = |source| Error::Consumer { durable: durable.clone(), source };
    let messages = consumer.stream().max_messages_per_batch(BATCH).messages().await;
    let mut messages = messages.map_err(|error| wrap(error.into()))?;
    while let Some(message) = messages.next().await {
        let message = message.map_err(|error| wrap(error.into()))?;
        let kind = {
            let handled = handle(agent, topic, &message, outbox);
            tokio::pin!(handled);
            loop {
                tokio::select! {
                    kind = &mut handled => break kind,
                    () = agent.clock.sleep(ack_wait / 2) => {
                        message.ack_with(AckKind::Progress).await.map_err(Error::Acknowledge)?;
                    }
                }
            }
        };
        message.ack_with(kind).await.map_err(Error::Acknowledge)?;
    }
    Ok(())
}

/// Does what an event asks for and says how it is to be acknowledged.
async fn handle(agent: &BitBrat, topic: &Topic, message: &Message, outbox: &dyn Outbox) -> AckKind {
    let place = message.info().map_or(0, |info| info.stream_sequence);
    let published = message.info().ok().map(|info| info.published.unix_timestamp_nanos());
    let event = match json::object(text::without_mark(&message.payload)) {
        Ok(fields) => Event::new(fields),
        Err(_) => {
            tracing::warn!(
                seq = place,
                "what came by the bus is no event; it is not asked for again"
            );
            return AckKind::Term;
        }
    };
    let named = attribute(message.headers.as_ref(), "correlationId");
    let fallback = named.unwrap_or_else(|| format!("stream:{place}"));
    match wanted::judge(&event, topic.is_own, &fallback, agent.options.progress) {
        Wanted::Nothing(reason) => {
            tracing::debug!(seq = place, reason = reason.as_str(), "egress event asks for nothing");
            // That there is nothing to say is a word too.
            match wanted::turn(&event).filter(|_| reason == Ignored::NoText) {
                Some(turn) => kept(outbox.heard(turn).await),
                None => AckKind::Ack,
            }
        }
        Wanted::Undeliverable(missing) => {
            let came = BusMessage { topic, event, place, published };
            undeliverable(agent, &came, missing.code(), &missing).await
        }
        Wanted::Reply(reply) => {
            store(agent, BusMessage { topic, event, place, published }, reply, outbox).await
        }
    }
}

/// Finds an attribute whatever the case of its name: the platform's services write it in lower case.
fn attribute(headers: Option<&HeaderMap>, name: &str) -> Option<String> {
    let mut pairs = headers?.iter();
    let (_, values) = pairs.find(|(given, _)| given.to_string().eq_ignore_ascii_case(name))?;
    values.first().map(|value| value.as_str().to_owned()).filter(|value| !value.is_empty())
}

/// An event as it came.
struct BusMessage<'a> {
    topic: &'a Topic,
    event: Event,
    /// Its number in the stream.
    place: u64,
    /// When the stream took it, in nanoseconds since the epoch, if that is known.
    published: Option<i128>,
}

impl BusMessage<'_> {
    /// When the stream took it; now if that is not known.
    fn published(&self, now: Timestamp) -> Timestamp {
        let millis = self.published.and_then(|nanos| i64::try_from(nanos / 1_000_000).ok());
        millis.map_or(now, Timestamp::from_millis)
    }
}

async fn store(
    agent: &BitBrat,
    came: BusMessage<'_>,
    reply: WantedReply,
    outbox: &dyn Outbox,
) -> AckKind {
    let WantedReply { thread, chosen, key, turn, is_phone, progress } = reply;
    let now = agent.clock.wall();
    let age = now.since(came.published(now));
    let _before_its_answer = match &progress {
        Some(progress) => match agent.words.admit(progress.request.as_deref(), age).await {
            Some(first) => Some(first),
            None => {
                tracing::debug!(conversation_sid = %thread, seq = came.place,
                    "word of progress comes too late; it is not sent");
                return AckKind::Ack;
            }
        },
        None => {
            agent.words.answer(came.event.correlation_id()).await;
            None
        }
    };
    if let Some(turn) = turn.filter(|_| progress.is_none())
        && let Err(error) = outbox.heard(turn).await
    {
        return kept(Err(error));
    }
    let place = match outbox.thread(thread).await {
        Ok(Some(place)) => place,
        Ok(None) => {
            let missing = Missing::UnknownThread;
            return undeliverable(agent, &came, missing.code(), &missing).await;
        }
        Err(error) => return not_stored(&came, thread, &error),
    };
    let batch = Batch {
        turn,
        late: turn.is_some(),
        cut: is_phone,
        origin: Some(ReplyNote::origin(&came.topic.name, came.event.clone())),
        ..Batch::new(place, &key, vec![Said::text(chosen.text)])
    };
    match outbox.put(batch).await {
        Ok(added) => {
            tracing::debug!(conversation_sid = %thread, count = added, "reply came by the bus");
            AckKind::Ack
        }
        Err(OutboxError::TooLarge(why)) => {
            undeliverable(agent, &came, "reply_too_large", &*why).await
        }
        Err(error @ (OutboxError::Store(_) | OutboxError::Undecided(_))) => {
            not_stored(&came, thread, &error)
        }
    }
}

fn not_stored(came: &BusMessage<'_>, thread: ThreadId, error: &OutboxError) -> AckKind {
    tracing::error!(conversation_sid = %thread, seq = came.place, error = %Chain(error),
        "reply from the bus could not be stored; it is asked for again");
    AckKind::Nak(Some(GIVEN_BACK_FOR))
}

/// How an event is acknowledged of which a note was to be kept.
fn kept(noted: Result<(), OutboxError>) -> AckKind {
    match noted {
        Ok(()) => AckKind::Ack,
        Err(error) => {
            tracing::error!(error = %Chain(&error),
                "word from the bus could not be noted; it is asked for again");
            AckKind::Nak(Some(GIVEN_BACK_FOR))
        }
    }
}

/// Tells the bus why a reply cannot be sent, now or ever; the event is done once that is told.
async fn undeliverable(
    agent: &BitBrat,
    came: &BusMessage<'_>,
    code: &str,
    why: &(dyn std::error::Error + Send + Sync),
) -> AckKind {
    let service = agent.options.sender.names.service.as_str();
    let BusMessage { topic, event, place, .. } = came;
    let settlement = format!("stream:{place}");
    let delivered = Delivered {
        service,
        topic: &topic.name,
        event,
        at: agent.clock.wall(),
        settlement: &settlement,
    };
    let failure = Failure { code: code.to_owned(), message: why.to_string() };
    tracing::warn!(reason = code, "reply from the bus cannot be sent");
    match agent.tell_failure(delivered, &failure).await {
        Ok(()) => AckKind::Ack,
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "undeliverable reply could not be told of");
            AckKind::Nak(Some(GIVEN_BACK_FOR))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_whatever_the_case_of_their_names() {
        for name in ["correlationId", "correlationid", "CORRELATIONID"] {
            let mut headers = HeaderMap::new();
            headers.insert(name, "c-1");
            assert_eq!(
                attribute(Some(&headers), "correlationId").as_deref(),
                Some("c-1"),
                "{name}"
            );
            assert_eq!(attribute(Some(&headers), "traceId"), None);
        }
        assert_eq!(attribute(None, "correlationId"), None);
    }
}

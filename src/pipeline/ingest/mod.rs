//! Where messages of others come in, whichever channel and door they came by.
//!
//! Each becomes one turn job, however often it is seen; it is on disk when it counts as taken in. What
//! else a channel hears of a thread goes to the handoff.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use uuid::Uuid;

use crate::channels::{Fallen, Fared, Inlet, MarkSource, Seen, SentReply};
use crate::clock::Timestamp;
use crate::jobs::recorder::{Recorder, StageOf};
use crate::jobs::{encode, lane};
use crate::pipeline::handoff::Handoff;
use crate::pipeline::ingest::repeated::{Came, Repeated};
use crate::pipeline::record::{self, Inbound};
use crate::pipeline::report;
use crate::pipeline::report::room::Room;
use crate::pipeline::send::outbound;
use crate::queue::{Append, Appended, Error, Queue};
use crate::telemetry::journal::{Door, Stage};
use crate::telemetry::trace::{self, TraceContext};
use crate::thread::{MessageId, ThreadId};

pub mod admission;
pub mod repeated;

/// What takes messages in.
#[derive(Clone)]
pub struct Ingest {
    /// The queue of messages to answer.
    pub inbox: Queue,
    /// The queue of replies.
    pub outbox: Queue,
    /// How long a message that only a webhook told of waits for the socket to bring those before it.
    pub webhook_grace: Duration,
    /// Which threads a person has taken over.
    pub handoff: Arc<Handoff>,
    /// Where it goes how replies fare, if the agent is to be told of each step.
    pub told: Option<Room>,
    /// Which messages came in lately.
    pub repeated: Arc<Repeated>,
    /// Where the stages are noted.
    pub recorder: Recorder,
}

impl Inlet for Ingest {
    fn messages(&self, seen: Vec<Seen>) -> BoxFuture<'_, Result<usize, Error>> {
        Box::pin(self.put_turns(seen))
    }

    fn is_known(&self, thread: ThreadId, message: MessageId) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async move {
            let known = self.inbox.find(record::turn_id(message), &lane(thread)).await?;
            Ok(known.is_some())
        })
    }

    fn sync(&self, thread: ThreadId) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.inbox.sync(&lane(thread)).await })
    }

    fn marked(&self, thread: ThreadId, attributes: Option<&str>, source: MarkSource) {
        self.handoff.heard(thread, attributes, source);
    }

    fn forget(&self, thread: ThreadId) {
        self.handoff.forget(thread);
    }

    fn wake(&self, thread: ThreadId) {
        let lane = lane(thread);
        self.inbox.wake(&lane);
        self.outbox.wake(&lane);
    }

    fn fared(&self, fared: Fared) -> BoxFuture<'_, Result<(), Error>> {
        let told = self.told.as_ref().filter(|room| room.has_place());
        let job = told.and_then(|room| Some((room, report::of_fared(fared)?)));
        Box::pin(async move {
            match job {
                Some((room, job)) => room.queue.append(vec![job]).await.map(drop),
                None => Ok(()),
            }
        })
    }

    fn fell(&self, fallen: Fallen) -> BoxFuture<'_, Result<(), Error>> {
        let stage = Stage::ReplyFell { code: fallen.cause.code, again: fallen.again };
        self.note_reply(&fallen.sent, fallen.reply, stage);
        let job = outbound::of_failure(fallen, self.recorder.clock.wall());
        Box::pin(async move { self.outbox.append(vec![job]).await.map(drop) })
    }
}

impl Ingest {
    fn note_reply(&self, sent: &SentReply, reply: Uuid, stage: Stage) {
        let whose = StageOf { thread: sent.thread.id(), message: sent.turn, reply_id: Some(reply) };
        self.recorder.stage_at(self.recorder.clock.wall(), whose, stage);
    }

    /// Stores a turn for each message; durable when it returns. Says how many were new.
    async fn put_turns(&self, seen: Vec<Seen>) -> Result<usize, Error> {
        if seen.is_empty() {
            return Ok(0);
        }
        let now = self.recorder.clock.wall();
        let noted: Vec<_> =
            seen.iter().map(|seen| Came::of(&seen.thread, &seen.message, seen.door)).collect();
        let appends = seen.into_iter().map(|seen| self.turn(seen, now)).collect();
        let appended = self.inbox.append(appends).await?;
        let mut added = 0;
        for (came, appended) in noted.into_iter().zip(appended) {
            let Came { thread, message, index, door, .. } = came;
            // A webhook's event is within its own stage already.
            let way = TraceContext::of_message(thread, message, index);
            let within = || (!door.is_webhook()).then(|| way.span(trace::of_door(door)).entered());
            if appended == Appended::Duplicate {
                if self.repeated.came_again(came, &self.inbox).await {
                    let _within = within();
                    self.recorder.stage(thread, Some(message), Stage::MessageAgain { door });
                }
                continue;
            }
            added += 1;
            self.repeated.first(message, door, now);
            self.recorder.metrics.message(door);
            let _within = within();
            // As of before the append: its turn may have begun by now.
            let whose = StageOf { thread, message: Some(message), reply_id: None };
            self.recorder.stage_at(now, whose, Stage::MessageSeen { door });
        }
        Ok(added)
    }

    fn turn(&self, seen: Seen, at: Timestamp) -> Append {
        let Seen { thread, speaker, message, door } = seen;
        let not_before = match door {
            Door::Webhook if !self.webhook_grace.is_zero() => Some(at + self.webhook_grace),
            Door::Webhook
            | Door::MessagingWebhook
            | Door::Socket
            | Door::Replay
            | Door::CatchUp
            | Door::Reconcile => None,
        };
        Append {
            id: record::turn_id(message.sid),
            key: lane(&thread),
            position: message.index,
            not_before,
            payload: encode(&Inbound::V2 { thread, speaker, message, at }),
        }
    }
}

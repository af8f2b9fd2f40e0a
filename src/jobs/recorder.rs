//! What those at work write down for people: the journal's stages, the metrics beside them, and
//! the few numbers that the debug page shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use uuid::Uuid;

use crate::clock::{Clock, Timestamp};
use crate::telemetry::journal::{Journal, Record, Stage};
use crate::telemetry::metrics::Metrics;
use crate::thread::{MessageId, ThreadId};

/// Where it is written down, and the clock that dates it.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// The stages of each message.
    pub journal: Journal,
    /// The numbers.
    pub metrics: Metrics,
    /// Reads the time.
    pub clock: Clock,
    /// What was done since the start.
    pub tally: Arc<Tally>,
}

/// What was done since the start.
#[derive(Debug, Default)]
pub struct Tally {
    received: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    last_message_ms: AtomicI64,
}

/// The tally at one time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tallied {
    /// Messages of people that were seen.
    pub received: u64,
    /// Turns that the agent answered.
    pub answered: u64,
    /// Jobs that failed for good.
    pub failed: u64,
    /// When the last message of a person was seen.
    pub last_message_at: Option<Timestamp>,
}

impl Tally {
    /// Reads the numbers.
    #[must_use]
    pub fn read(&self) -> Tallied {
        let last = self.last_message_ms.load(Ordering::Relaxed);
        Tallied {
            received: self.received.load(Ordering::Relaxed),
            answered: self.answered.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            last_message_at: (last != 0).then(|| Timestamp::from_millis(last)),
        }
    }

    fn count(&self, at: Timestamp, stage: Stage) {
        match stage {
            Stage::MessageSeen { .. } => {
                self.received.fetch_add(1, Ordering::Relaxed);
                self.last_message_ms.fetch_max(at.as_millis(), Ordering::Relaxed);
            }
            Stage::AgentAnswered { .. } => {
                self.answered.fetch_add(1, Ordering::Relaxed);
            }
            Stage::Dead { .. } => {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
            Stage::WebhookReceived { .. }
            | Stage::WebhookAcknowledged
            | Stage::Joined { .. }
            | Stage::SocketJoined
            | Stage::Left { .. }
            | Stage::MessageAgain { .. }
            | Stage::TurnStarted
            | Stage::AttemptFailed { .. }
            | Stage::Waits { .. }
            | Stage::ReplyStored
            | Stage::ReplyLookedFor { .. }
            | Stage::ReplySent { .. }
            | Stage::ReplyVisible { .. }
            | Stage::ReplyFares { .. }
            | Stage::ReplyFell { .. }
            | Stage::Bundled { .. }
            | Stage::Held
            | Stage::HandedOver
            | Stage::Ended
            | Stage::Skipped { .. } => {}
        }
    }
}

/// To what something happened.
#[derive(Clone, Copy, Debug)]
pub struct StageOf {
    /// The thread.
    pub thread: ThreadId,
    /// The inbound message, where one is known.
    pub message: Option<MessageId>,
    /// The reply, where it happened to one.
    pub reply_id: Option<Uuid>,
}

impl Recorder {
    /// Notes a stage of a message, or of its thread where no message is known.
    pub fn stage(&self, thread: impl Into<ThreadId>, message: Option<MessageId>, stage: Stage) {
        let whose = StageOf { thread: thread.into(), message, reply_id: None };
        self.stage_at(self.clock.wall(), whose, stage);
    }

    /// As [`Recorder::stage`], of what happened at an earlier time: before what followed from it.
    pub fn stage_at(&self, at: Timestamp, whose: StageOf, stage: Stage) {
        let StageOf { thread, message, reply_id } = whose;
        self.tally.count(at, stage);
        tracing::debug!(
            step = stage.as_str(),
            conversation_sid = %thread,
            message_sid = message.map(tracing::field::display),
            "message is a step further"
        );
        self.journal.record(Record { at, thread, message, reply_id, stage });
    }
}

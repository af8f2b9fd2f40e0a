//! What those at work write down for people: the journal's stages, the metrics beside them, and
//! the few numbers that the debug page shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use uuid::Uuid;

use crate::clock::{Clock, Timestamp};
use crate::jobs::settle;
use crate::queue::{Delivery, JobId, QueueName};
use crate::recent::Recent;
use crate::telemetry::journal::{Journal, Record, Stage};
use crate::telemetry::metrics::Metrics;
use crate::thread::{CauseClass, MessageId, ThreadId};

/// Of how many jobs it is remembered that they wait; of one that was forgotten it is told once more.
const WAITING_MAX: usize = 8192;

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
    waiting: WaitingJobs,
}

/// The jobs of which it was told that they wait.
#[derive(Debug)]
struct WaitingJobs(Recent<(QueueName, JobId), ()>);

impl Default for WaitingJobs {
    fn default() -> Self {
        Self(Recent::new(WAITING_MAX))
    }
}

impl WaitingJobs {
    /// Whether it was not told yet; from now on it was.
    fn begins(&self, job: (QueueName, JobId)) -> bool {
        self.0.insert(job, ()).is_none()
    }

    /// An attempt was made.
    fn ends(&self, job: (QueueName, JobId)) {
        let _before = self.0.remove(&job);
    }
}

/// An attempt that failed and is made again.
#[derive(Clone, Copy, Debug)]
pub struct FailedAttempt {
    /// Why it failed.
    pub reason: CauseClass,
    /// Twilio's error code, where there was one.
    pub code: Option<u32>,
    /// When the next one is due.
    pub again_in: Duration,
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
    fn begins_to_wait(&self, job: (QueueName, JobId)) -> bool {
        self.waiting.begins(job)
    }

    fn waits_no_more(&self, job: (QueueName, JobId)) {
        self.waiting.ends(job);
    }

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
            | Stage::Operator { .. }
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

    /// Notes that a job waits for what it needs, which is away: once, however often it looks, until an
    /// attempt was made. Whether it was delivered before says nothing of that: what is put off comes again
    /// as if nobody had seen it, and what failed once may wait later.
    pub fn waits(&self, queue: QueueName, delivery: &Delivery, whose: StageOf) {
        let job = (queue, delivery.id());
        if self.tally.begins_to_wait(job) {
            self.stage_at(self.clock.wall(), whose, Stage::Waits { queue: queue.as_str() });
        }
    }

    /// Notes that a job's attempt failed, and is made again.
    pub fn attempt_failed(
        &self,
        queue: QueueName,
        delivery: &Delivery,
        (whose, failed): (StageOf, FailedAttempt),
    ) {
        self.tally.waits_no_more((queue, delivery.id()));
        let FailedAttempt { reason, code, again_in } = failed;
        let stage = Stage::AttemptFailed {
            queue: queue.as_str(),
            attempt: delivery.attempt(),
            reason,
            code,
            retry_in_ms: settle::millis(again_in),
        };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{Append, Cause, Key, Queue, Store, embedded};
    use crate::twilio::sid::ConversationSid;

    #[tokio::test]
    async fn that_a_job_waits_is_told_once_until_an_attempt_was_made() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::open(embedded::Options::new(place.path().join("queue.db"))).unwrap();
        let queue = store.queue(QueueName::Outbox);
        let job = Append {
            id: JobId::digest("test", &[b"1"]),
            key: Key::new("lane").unwrap(),
            position: None,
            not_before: None,
            payload: Vec::new(),
        };
        queue.append(vec![job]).await.unwrap();
        let recorder = recorder();
        let waits = async |queue: &Queue| {
            let delivery = queue.next().await.unwrap();
            recorder.waits(QueueName::Outbox, &delivery, whose());
            delivery
        };
        // Put off, it comes as if nobody had seen it.
        for _ in 0..3 {
            let delivery = waits(&queue).await;
            assert!(!delivery.redelivered());
            delivery.put_off(Duration::ZERO).await.unwrap();
        }
        let delivery = queue.next().await.unwrap();
        let failed =
            FailedAttempt { reason: CauseClass::Retry, code: None, again_in: Duration::ZERO };
        recorder.attempt_failed(QueueName::Outbox, &delivery, (whose(), failed));
        delivery.retry_in(Duration::ZERO, Cause::new("retry")).await.unwrap();
        for _ in 0..3 {
            let delivery = waits(&queue).await;
            assert!(delivery.redelivered(), "it was tried, and waits all the same");
            delivery.park(Duration::ZERO).await.unwrap();
        }
        let told = recorder.journal.recent(thread());
        let told: Vec<_> = told.iter().map(|record| record.stage.as_str()).collect();
        assert_eq!(told, ["waits", "attempt_failed", "waits"]);
    }

    fn recorder() -> Recorder {
        let (journal, metrics, clock) = (Journal::new(16), Metrics::new(), Clock::start());
        Recorder { journal, metrics, clock, tally: Arc::default() }
    }

    fn thread() -> ThreadId {
        ConversationSid::from_bytes([1; 16]).into()
    }

    fn whose() -> StageOf {
        StageOf { thread: thread(), message: None, reply_id: None }
    }
}

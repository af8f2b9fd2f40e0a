//! Turns of threads that a person has taken over: skipped, or held until they are given back.
//!
//! Whether one is with a person is [`Handoff`](crate::pipeline::handoff::Handoff)'s to know. A held
//! message is put off, which counts as no attempt and makes no dead letter; it is woken when the
//! thread is given back, and looked at from time to time in case nobody heard of that.

use crate::agent::Answer;
use crate::jobs::{lane, settle};
use crate::pipeline::handoff::{POLL_EVERY, Paused};
use crate::pipeline::turn::Turns;
use crate::queue::{Delivery, QueueName};
use crate::telemetry::journal::Stage;
use crate::telemetry::metrics::labels::TurnOutcome;
use crate::thread::{SkipReason, ThreadId, TurnMessage};

impl Turns {
    /// Whether a person took the thread over while the agent thought, so that what it says now is not
    /// sent; also where it may be and Twilio does not say.
    pub(super) async fn is_taken_over(&self, thread: ThreadId, answer: &Answer) -> bool {
        let has_replies = match answer {
            Answer::Replies(replies) | Answer::Handoff(replies) => !replies.is_empty(),
            Answer::Later => false,
        };
        has_replies
            && self.handoff.is_known_paused(thread)
            && self.handoff.is_paused(thread).await.unwrap_or(true)
    }

    /// Skips or holds the messages of a delivery.
    pub(super) async fn keep_silent(
        &self,
        delivery: Delivery,
        thread: ThreadId,
        messages: &[TurnMessage],
    ) {
        if let Some(last) = messages.last() {
            self.busy.end(thread, last.sid, self.recorder.clock.wall());
        }
        match self.paused {
            Paused::Hold => self.hold(delivery, thread, messages).await,
            Paused::Skip => {
                for message in messages {
                    self.note_skipped(thread, message, SkipReason::Paused);
                }
                settle::report(QueueName::Inbox, delivery.ack().await);
            }
        }
    }

    async fn hold(&self, delivery: Delivery, thread: ThreadId, messages: &[TurnMessage]) {
        match self.handoff.hold(thread).await {
            Ok(true) => {
                for message in messages {
                    self.recorder.stage(thread, Some(message.sid), Stage::Held);
                    self.recorder.metrics.turn(TurnOutcome::Held);
                }
                tracing::info!(conversation_sid = %thread, count = messages.len(),
                    "messages wait until a person gives the conversation back");
            }
            Ok(false) => {}
            Err(error) => return settle::lost(QueueName::Inbox, &error),
        }
        settle::report(QueueName::Inbox, delivery.put_off(POLL_EVERY).await);
        // It may have been given back just before there was anything to wake.
        if !self.handoff.is_known_paused(thread) {
            self.inbox.wake(&lane(thread));
        }
    }
}

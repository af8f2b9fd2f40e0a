//! Turns of conversations that a person has taken over: skipped, or held until they are given back.
//!
//! Whether one is with a person is [`Handoff`](crate::pipeline::handoff::Handoff)'s to know. A held
//! message is put off, which counts as no attempt and makes no dead letter; it is woken when the
//! conversation is given back, and looked at from time to time in case nobody heard of that. Where
//! messages are held, one waits as well while Twilio does not say whether it is to be.

use std::time::Duration;

use crate::agent::{Answer, Thread, TurnMessage};
use crate::clock::Timestamp;
use crate::pipeline::handoff::{POLL_EVERY, Paused};
use crate::pipeline::record;
use crate::pipeline::settle;
use crate::pipeline::turn::Turns;
use crate::queue::{Cause, Delivery, QueueName};
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::Stage;
use crate::telemetry::metrics::labels::TurnOutcome;
use crate::twilio::rest;
use crate::twilio::sid::ConversationSid;

/// How soon Twilio is asked again that did not say who has a conversation; a message that has waited
/// longer waits as long again, up to [`POLL_EVERY`].
const ASK_AGAIN_MIN: Duration = Duration::from_secs(1);

impl Turns {
    /// Until when messages of the thread were held; gives up the delivery if the store fails.
    pub(super) async fn held_until(&self, thread: Thread) -> Option<Option<Timestamp>> {
        let Some(conversation) = thread.conversation().filter(|_| self.paused == Paused::Hold)
        else {
            return Some(None);
        };
        match self.catch_up.doors.handoff.held_until(conversation).await {
            Ok(held_until) => Some(held_until),
            Err(error) => {
                settle::lost(QueueName::Inbox, &error);
                None
            }
        }
    }

    /// Goes on only if the bot has the conversation; else keeps silent, or tries again if Twilio did
    /// not say.
    pub(super) async fn with_the_bot(
        &self,
        delivery: Delivery,
        thread: Thread,
        message: &TurnMessage,
    ) -> Option<Delivery> {
        let Some(conversation) = thread.conversation() else { return Some(delivery) };
        let handoff = &self.catch_up.doors.handoff;
        match handoff.is_paused(conversation).await {
            Ok(false) => {
                handoff.release(conversation);
                Some(delivery)
            }
            Ok(true) => {
                self.keep_silent(delivery, thread, std::slice::from_ref(message)).await;
                None
            }
            Err(error) => self.with_whom_is_unsaid(delivery, conversation, message, &error).await,
        }
    }

    /// Tries again: without end where messages are held. Where they are not, the bot speaks after the
    /// last try, unless a person had the conversation when Twilio last said: a person who reads is
    /// better than nobody.
    async fn with_whom_is_unsaid(
        &self,
        delivery: Delivery,
        conversation: ConversationSid,
        message: &TurnMessage,
        error: &rest::Error,
    ) -> Option<Delivery> {
        if let Some(pause) = self.status.parks(error, &self.notes.clock) {
            settle::report(QueueName::Inbox, delivery.park(pause).await);
            return None;
        }
        let attempt = delivery.attempt();
        let age = self.notes.clock.wall().since(delivery.appended_at());
        let delay = match self.paused {
            Paused::Hold => Some(age.clamp(ASK_AGAIN_MIN, POLL_EVERY)),
            Paused::Skip => self.schedule.delay_after(attempt, None, settle::jitter()),
        };
        tracing::warn!(message_sid = %message.sid, conversation_sid = %conversation, attempt,
            retry_in_ms = delay.map(settle::millis), error = %Chain(error),
            "twilio does not say whether a person has taken the conversation over");
        let Some(delay) = delay else {
            if !self.catch_up.doors.handoff.is_known_paused(conversation) {
                return Some(delivery);
            }
            let thread = Thread::Conversation(conversation);
            self.keep_silent(delivery, thread, std::slice::from_ref(message)).await;
            return None;
        };
        let settled = match self.paused {
            Paused::Hold => delivery.put_off(delay).await,
            Paused::Skip => {
                let cause = Cause::new("handoff").with_detail(error.to_string());
                delivery.retry_in(delay, cause).await
            }
        };
        settle::report(QueueName::Inbox, settled);
        None
    }

    /// Whether a person took the conversation over while the agent thought, so that what it says now
    /// is not sent; also where it may be and Twilio does not say.
    pub(super) async fn is_taken_over(&self, thread: Thread, answer: &Answer) -> bool {
        let has_replies = match answer {
            Answer::Replies(replies) => !replies.is_empty(),
            Answer::Later => false,
        };
        let handoff = &self.catch_up.doors.handoff;
        let conversation = thread.conversation().filter(|_| has_replies);
        match conversation.filter(|sid| handoff.is_known_paused(*sid)) {
            Some(conversation) => handoff.is_paused(conversation).await.unwrap_or(true),
            None => false,
        }
    }

    /// Skips or holds the messages of a delivery.
    pub(super) async fn keep_silent(
        &self,
        delivery: Delivery,
        thread: Thread,
        messages: &[TurnMessage],
    ) {
        if let Some(last) = messages.last() {
            self.thinking.end(thread, last.sid, self.notes.clock.wall());
        }
        match (self.paused, thread.conversation()) {
            (Paused::Hold, Some(conversation)) => {
                self.hold(delivery, conversation, messages).await;
            }
            (Paused::Skip, _) | (Paused::Hold, None) => {
                for message in messages {
                    self.note_skipped(thread, message, "paused");
                }
                settle::report(QueueName::Inbox, delivery.ack().await);
            }
        }
    }

    async fn hold(
        &self,
        delivery: Delivery,
        conversation: ConversationSid,
        messages: &[TurnMessage],
    ) {
        let handoff = &self.catch_up.doors.handoff;
        match handoff.hold(conversation).await {
            Ok(true) => {
                for message in messages {
                    self.notes.of_conversation(conversation, Some(message.sid), Stage::Held);
                    self.notes.metrics.turn(TurnOutcome::Held);
                }
                tracing::info!(conversation_sid = %conversation, count = messages.len(),
                    "messages wait until a person gives the conversation back");
            }
            Ok(false) => {}
            Err(error) => return settle::lost(QueueName::Inbox, &error),
        }
        settle::report(QueueName::Inbox, delivery.put_off(POLL_EVERY).await);
        // It may have been given back just before there was anything to wake.
        if !handoff.is_known_paused(conversation) {
            self.catch_up.doors.inbox.wake(&record::lane(Thread::Conversation(conversation)));
        }
    }
}

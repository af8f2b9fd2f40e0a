//! Replies that nobody is to hear: a person has the thread, or somebody has removed the bot from it.
//!
//! Judged when a reply is about to be sent, so one that was accepted before the person came is not
//! sent either. What an operator says, and what answers no turn, is no person's to silence; from a thread
//! without the bot it is a dead letter, for somebody waits for it. A held reply is put off, which counts as
//! no attempt, and what comes after it in its thread waits with it.
//!
//! REST would take them all the same: there the author need not be a participant. Source: error
//! dictionary 50513, read 2026-11-21: asked for in group MMS only.

use crate::agent::Fate;
use crate::channels::Failed;
use crate::jobs::outcome::Class;
use crate::jobs::{lane, settle};
use crate::pipeline::handoff::{POLL_EVERY, Paused};
use crate::pipeline::send::{PendingReply, Sends};
use crate::queue::{Cause, Delivery, QueueName};
use crate::telemetry::journal::{Stage, Via};
use crate::telemetry::metrics::labels::ReplyOutcome;
use crate::thread::{CauseClass, SkipReason};

impl Sends {
    /// Whether a person has the thread and the reply is not to be heard in it.
    ///
    /// A late one asks; the turn of any other one asked a moment ago, and only what was heard since can
    /// silence it.
    pub(super) async fn is_silenced(&self, pending: &PendingReply) -> Result<bool, Failed> {
        let answers = pending.turn.is_some() && self.handoff.is_known_paused(pending.thread);
        if !pending.late && !answers {
            return Ok(false);
        }
        let asked = self.handoff.is_paused(pending.thread).await;
        asked.map_err(|error| Failed::unsaid(&error, &self.status, &self.recorder.clock))
    }

    /// Skips, holds or buries a reply that nobody is to hear.
    pub(super) async fn leave_unsent(
        &self,
        delivery: Delivery,
        pending: &PendingReply,
        reason: SkipReason,
    ) {
        let is_a_persons = reason == SkipReason::Paused;
        if is_a_persons && self.paused == Paused::Hold {
            return self.hold(delivery, pending).await;
        }
        if is_a_persons || pending.late || pending.turn.is_some() {
            return self.skip(delivery, pending, reason).await;
        }
        let cause = Cause::of(CauseClass::Skipped(reason)).with_detail(what_to_do(reason));
        self.bury(delivery, pending, Failed::of(Class::Dead, Via::Rest, cause)).await;
    }

    /// Ends a reply that is not to be sent, and tells its agent if that wants to know.
    async fn skip(&self, delivery: Delivery, pending: &PendingReply, reason: SkipReason) {
        self.note(pending, Stage::Skipped { reason });
        self.recorder.metrics.reply(ReplyOutcome::Skipped, Via::Rest);
        tracing::info!(conversation_sid = %pending.thread, reason = reason.as_str(),
            "reply is not sent: nobody is to hear it");
        let settled = match self.report_on(pending, Fate::Silenced) {
            Some(job) => delivery.ack_and_append(vec![job]).await.map(drop),
            None => delivery.ack().await,
        };
        settle::report(QueueName::Outbox, settled);
    }

    async fn hold(&self, delivery: Delivery, pending: &PendingReply) {
        tracing::debug!(conversation_sid = %pending.thread, reason = SkipReason::Paused.as_str(),
            "reply waits until a person gives the conversation back");
        settle::report(QueueName::Outbox, delivery.shelve(POLL_EVERY).await);
        // It may have been given back just before there was anything to wake.
        if !self.handoff.is_known_paused(pending.thread) {
            self.outbox.wake(&lane(pending.thread));
        }
    }
}

/// What the operator can do about a reply that somebody waits for.
const fn what_to_do(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::OptedOut => {
            "the person has opted out (STOP); once the person has written START, redrive this"
        }
        _ => "somebody has removed the bot from the conversation; add it again, then redrive this",
    }
}

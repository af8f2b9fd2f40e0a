//! Replies to conversations that a person has taken over: skipped, or held until they are given back.
//!
//! Judged when a reply is about to be sent, so one that was accepted before the person came is not
//! sent either. What an operator says, and what answers no turn, is nobody's to silence. A held reply
//! is put off, which counts as no attempt, and what comes after it in its conversation waits with it.

use crate::agent::{Fate, Thread};
use crate::pipeline::handoff::{POLL_EVERY, Paused};
use crate::pipeline::record;
use crate::pipeline::send::{Failed, Parcel, Sends};
use crate::pipeline::settle;
use crate::queue::{Delivery, QueueName};
use crate::telemetry::journal::{Stage, Via};
use crate::telemetry::metrics::labels::ReplyOutcome;

impl Sends {
    /// Whether a person has the conversation and the reply is not to be heard in it.
    ///
    /// A late one asks; the turn of any other one asked a moment ago, and only what was heard since can
    /// silence it. One that is in the conversation already is silent no longer.
    pub(super) async fn is_silenced(&self, parcel: &Parcel, look: bool) -> Result<bool, Failed> {
        let conversation = parcel.conversation;
        let answers = parcel.turn.is_some() && self.handoff.is_known_paused(conversation);
        if !parcel.late && !answers {
            return Ok(false);
        }
        let asked = self.handoff.is_paused(conversation).await;
        let is_paused = asked.map_err(|error| self.did_nothing(&error))?;
        Ok(is_paused && !(look && self.look(parcel).await?.is_some()))
    }

    /// Skips or holds a reply.
    pub(super) async fn keep_silent(&self, delivery: Delivery, parcel: &Parcel) {
        match self.paused {
            Paused::Skip => self.skip(delivery, parcel, "paused").await,
            Paused::Hold => self.hold(delivery, parcel).await,
        }
    }

    /// Ends a reply that is not to be sent, and tells its agent if that wants to know.
    pub(super) async fn skip(&self, delivery: Delivery, parcel: &Parcel, reason: &'static str) {
        self.note(parcel, Stage::Skipped { reason });
        self.notes.metrics.reply(ReplyOutcome::Skipped, Via::Rest);
        tracing::info!(conversation_sid = %parcel.conversation, reason,
            "reply is not sent: the conversation is somebody else's");
        let settled = match self.report_on(parcel, Fate::Silenced) {
            Some(job) => delivery.ack_and_append(vec![job]).await.map(drop),
            None => delivery.ack().await,
        };
        settle::report(QueueName::Outbox, settled);
    }

    async fn hold(&self, delivery: Delivery, parcel: &Parcel) {
        tracing::debug!(conversation_sid = %parcel.conversation, reason = "paused",
            "reply waits until a person gives the conversation back");
        settle::report(QueueName::Outbox, delivery.put_off(POLL_EVERY).await);
        // It may have been given back just before there was anything to wake.
        if !self.handoff.is_known_paused(parcel.conversation) {
            let lane = record::lane(Thread::Conversation(parcel.conversation));
            self.handoff.outbox.wake(&lane);
        }
    }
}

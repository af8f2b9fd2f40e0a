//! Ends a thread where its agent asked for that: as a job behind the agent's last words, so that they leave
//! first, and so that it is tried until it is done. Done twice it is done once.

use crate::channels::{Channel, Failed};
use crate::jobs::settle;
use crate::jobs::worker::Work as _;
use crate::pipeline::send::{PendingReply, Sends};
use crate::queue::Delivery;
use crate::telemetry::journal::Stage;
use crate::thread::SkipReason;

impl Sends {
    /// Ends a thread, unless a person has it by now.
    pub(super) async fn end_thread(
        &self,
        channel: &dyn Channel,
        delivery: Delivery,
        pending: &PendingReply,
    ) {
        let ended = tokio::select! {
            biased;
            lost = delivery.keep_alive() => return settle::lost(Self::QUEUE, &lost),
            ended = self.ended(channel, pending) => ended,
        };
        match ended {
            Ok(true) => {
                tracing::info!(conversation_sid = %pending.thread,
                    "the conversation is over: its agent asked for that");
                self.note(pending, Stage::Ended);
                settle::report(Self::QUEUE, delivery.ack().await);
            }
            Ok(false) => {
                self.note(pending, Stage::Skipped { reason: SkipReason::Paused });
                tracing::info!(conversation_sid = %pending.thread,
                    "the conversation is not ended: a person has it by now");
                settle::report(Self::QUEUE, delivery.ack().await);
            }
            Err(failed) => self.fail(channel, delivery, (pending, failed)).await,
        }
    }

    /// Says whether it is over now.
    async fn ended(&self, channel: &dyn Channel, pending: &PendingReply) -> Result<bool, Failed> {
        if self.is_silenced(pending).await? {
            return Ok(false);
        }
        channel.end(&pending.out.thread).await?;
        let forgotten = self.upstreams.forget_keyword(pending.thread).await;
        forgotten.map_err(|error| Failed::not_stored(&error))?;
        Ok(true)
    }
}

//! Ends the delivery of a turn: the one place where that is done, whatever the turn came to.
//!
//! What is done is decided in [`policy::after_turn`](crate::pipeline::policy::after_turn) and
//! [`policy::before_turn`](crate::pipeline::policy::before_turn). A delivery that somebody else has by now,
//! or whose end the store did not take, is delivered again. Time enters through the recorder's clock.

use super::Turns;
use super::ended_turn::EndedTurn;
use crate::jobs::recorder::FailedAttempt;
use crate::jobs::worker::Work as _;
use crate::jobs::{lane, settle};
use crate::pipeline::handoff::{POLL_EVERY, Paused};
use crate::pipeline::policy::after_turn::{Consequence, EndOfTurn, TurnCount, consequence};
use crate::pipeline::policy::turn_fate::TurnFate;
use crate::queue::{self, Cause, Delivery};
use crate::telemetry::journal::Stage;
use crate::telemetry::metrics::labels::TurnOutcome;
use crate::thread::{CauseClass, SkipReason, ThreadId, TurnMessage};

impl Turns {
    /// Does what follows from how a turn ended; gives the delivery back if it goes on all the same.
    pub(super) async fn end(
        &self,
        delivery: Delivery,
        ending: EndOfTurn,
        of: EndedTurn<'_>,
    ) -> Option<Delivery> {
        let Consequence { fate, counted, is_over } = consequence(ending);
        if is_over {
            self.busy.end(of.thread, of.turn, self.recorder.clock.wall());
        }
        match counted {
            TurnCount::Retried => self.recorder.metrics.turn(TurnOutcome::Retried),
            TurnCount::Nothing => {}
        }
        let Some(fate) = fate else { return Some(delivery) };
        self.settle(delivery, fate, of).await;
        None
    }

    /// Ends a delivery; says whether the queue took that.
    pub(super) async fn settle(
        &self,
        delivery: Delivery,
        fate: TurnFate,
        of: EndedTurn<'_>,
    ) -> bool {
        let settled = match fate {
            TurnFate::Left => return false,
            TurnFate::Skip(reason) => {
                for message in of.messages {
                    self.note_skipped(of.thread, message, reason);
                }
                delivery.ack().await
            }
            TurnFate::KeepSilent => match self.paused {
                Paused::Hold => self.hold(delivery, &of).await,
                Paused::Skip => {
                    for message in of.messages {
                        self.note_skipped(of.thread, message, SkipReason::Paused);
                    }
                    delivery.ack().await
                }
            },
            TurnFate::Park(pause) => {
                self.recorder.waits(Self::QUEUE, &delivery, of.whose());
                delivery.park(pause).await
            }
            TurnFate::PutOff(time) => delivery.put_off(time).await,
            TurnFate::Retry(delay, class) => {
                let failed = FailedAttempt { reason: class, code: None, again_in: delay };
                self.recorder.attempt_failed(Self::QUEUE, &delivery, (of.whose(), failed));
                delivery.retry_in(delay, Cause::of(class).with_detail(of.detail)).await
            }
            TurnFate::Dead(class) => self.bury(delivery, class, of).await,
            TurnFate::Done if of.appends.is_empty() => delivery.ack().await,
            TurnFate::Done => delivery.ack_and_append(of.appends).await.map(drop),
        };
        let is_settled = settled.is_ok();
        settle::report(Self::QUEUE, settled);
        is_settled
    }

    pub(super) fn note_skipped(&self, thread: ThreadId, message: &TurnMessage, reason: SkipReason) {
        self.recorder.stage(thread, Some(message.sid), Stage::Skipped { reason });
        let is_stale = reason == SkipReason::Stale;
        self.recorder.metrics.turn(if is_stale {
            TurnOutcome::Stale
        } else {
            TurnOutcome::Skipped
        });
        tracing::info!(message_sid = %message.sid, conversation_sid = %thread,
            reason = reason.as_str(), "message gets no turn");
    }

    /// Keeps messages until a person gives the thread back.
    async fn hold(&self, delivery: Delivery, of: &EndedTurn<'_>) -> Result<(), queue::Error> {
        let thread = of.thread;
        if self.handoff.hold(thread).await? {
            for message in of.messages {
                self.recorder.stage(thread, Some(message.sid), Stage::Held);
                self.recorder.metrics.turn(TurnOutcome::Held);
            }
            tracing::info!(conversation_sid = %thread, count = of.messages.len(),
                "messages wait until a person gives the conversation back");
        }
        let settled = delivery.shelve(POLL_EVERY).await;
        // It may have been given back just before there was anything to wake.
        if !self.handoff.is_known_paused(thread) {
            self.inbox.wake(&lane(thread));
        }
        settled
    }

    async fn bury(
        &self,
        delivery: Delivery,
        class: CauseClass,
        of: EndedTurn<'_>,
    ) -> Result<(), queue::Error> {
        delivery.dead(Cause::of(class).with_detail(of.detail)).await?;
        // Noted once it is stored: whoever sees the note may redrive it.
        let stage = Stage::Dead { queue: Self::QUEUE.as_str(), reason: class, code: None };
        self.recorder.stage(of.thread, Some(of.own), stage);
        self.recorder.metrics.turn(TurnOutcome::Dead);
        Ok(())
    }
}

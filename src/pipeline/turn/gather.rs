//! Gathers the messages of a turn: the delivery's own and those that it takes along.
//!
//! Which ones belong together is [`Strategy`]'s to say; here its word meets the queue. What is taken
//! along is known without a gap, as the delivery's own is; what is not goes back unseen.

use crate::channels::{self, AnsweredBefore, Channel};
use crate::fault_points::{self, Point};
use crate::jobs::settle;
use crate::pipeline::policy::after_turn::EndOfTurn;
use crate::pipeline::policy::strategy::{Look, Strategy};
use crate::pipeline::turn::Turns;
use crate::pipeline::turn::batch::{BatchMessage, TurnBatch};
use crate::pipeline::turn::ended_turn::EndedTurn;
use crate::queue::{self, Delivery, QueueName};
use crate::telemetry::chain::Chain;
use crate::thread::{MessageId, ThreadId};

impl Turns {
    /// Takes along what belongs to the turn; gives the delivery back if more may come.
    pub(super) async fn gather(
        &self,
        delivery: Delivery,
        (channel, thread, own): (&dyn Channel, ThreadId, MessageId),
        batch: &mut TurnBatch,
    ) -> Option<Delivery> {
        let messages_max = match self.strategy {
            Strategy::Queue | Strategy::Drop => return Some(delivery),
            // One more shows whether the burst is over.
            Strategy::Burst(burst) => burst.messages_max + 1,
            Strategy::Supersede { messages_max } => messages_max,
        };
        if let Err(error) = self.take_along(&delivery, (channel, thread), batch, messages_max).await
        {
            settle::lost(QueueName::Inbox, &error);
            return None;
        }
        let Strategy::Burst(burst) = self.strategy else { return Some(delivery) };
        match burst.look(&batch.stored(), self.recorder.clock.wall()) {
            Look::Wait(time) => {
                let messages = batch.messages();
                let of = EndedTurn::of(thread, own, &messages);
                self.end(delivery, EndOfTurn::BurstGoesOn(time), of).await
            }
            Look::Take(count) => {
                delivery.leave(&batch.keep(count));
                Some(delivery)
            }
        }
    }

    /// Takes the next messages along until the batch is full; says whether any came.
    pub(super) async fn take_along(
        &self,
        delivery: &Delivery,
        (channel, thread): (&dyn Channel, ThreadId),
        batch: &mut TurnBatch,
        messages_max: usize,
    ) -> Result<bool, queue::Error> {
        let before = batch.len();
        while batch.len() < messages_max {
            let room = (messages_max - batch.len()).min(Delivery::ABSORB_MAX);
            let jobs = delivery.absorb(room).await?;
            if jobs.is_empty() {
                break;
            }
            let mut left = Vec::new();
            for job in jobs {
                match BatchMessage::along(job, thread) {
                    Ok(member) if left.is_empty() && is_known(channel, thread, &member).await => {
                        batch.insert(member);
                    }
                    Ok(member) => left.extend(member.into_along()),
                    Err(job) => left.push(job),
                }
            }
            if !left.is_empty() {
                delivery.leave(&left);
                break;
            }
        }
        if batch.len() > before {
            fault_points::hit(Point::MessagesAbsorbed);
        }
        Ok(batch.len() > before)
    }
}

/// Whether every message before this one is known, and that it is this service's to answer.
async fn is_known(channel: &dyn Channel, thread: ThreadId, member: &BatchMessage) -> bool {
    let Some(index) = member.message.index else { return true };
    match channel.fill(thread, index).await {
        Ok(()) => channel.follow(thread, index),
        Err(error) => return is_left(thread, member, &error),
    }
    match channel.answered_before(thread, &member.message, member.stored).await {
        // Another one has to be looked at by itself.
        Ok(before) => before == AnsweredBefore::No,
        Err(error) => is_left(thread, member, &error),
    }
}

/// Leaves a message out of which not all is known.
fn is_left(thread: ThreadId, member: &BatchMessage, error: &channels::Error) -> bool {
    tracing::debug!(message_sid = %member.message.sid, conversation_sid = %thread,
        error = %Chain(error), "message is left for a turn of its own");
    false
}

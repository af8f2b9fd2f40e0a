//! Gathers the messages of a turn: the delivery's own and those that it takes along.
//!
//! Which ones belong together is [`Strategy`]'s to say; here its word meets the queue. What is taken
//! along is known without a gap, as the delivery's own is; what is not goes back unseen.

use crate::agent::Thread;
use crate::fault_points::{self, Point};
use crate::pipeline::policy::strategy::{Look, Strategy};
use crate::pipeline::settle;
use crate::pipeline::turn::Turns;
use crate::pipeline::turn::set::{Member, Set};
use crate::queue::{self, Delivery, QueueName};
use crate::telemetry::chain::Chain;

impl Turns {
    /// Takes along what belongs to the turn; gives the delivery back if more may come.
    pub(super) async fn gather(
        &self,
        delivery: Delivery,
        thread: Thread,
        set: &mut Set,
    ) -> Option<Delivery> {
        let messages_max = match self.strategy {
            Strategy::Queue | Strategy::Drop => return Some(delivery),
            // One more shows whether the burst is over.
            Strategy::Burst(burst) => burst.messages_max + 1,
            Strategy::Supersede { messages_max } => messages_max,
        };
        if let Err(error) = self.take_along(&delivery, thread, set, messages_max).await {
            settle::lost(QueueName::Inbox, &error);
            return None;
        }
        let Strategy::Burst(burst) = self.strategy else { return Some(delivery) };
        match burst.look(&set.stored(), self.notes.clock.wall()) {
            Look::Wait(time) => {
                settle::report(QueueName::Inbox, delivery.put_off(time).await);
                None
            }
            Look::Take(count) => {
                delivery.leave(&set.keep(count));
                Some(delivery)
            }
        }
    }

    /// Takes the next messages along until the set is full; says whether any came.
    pub(super) async fn take_along(
        &self,
        delivery: &Delivery,
        thread: Thread,
        set: &mut Set,
        messages_max: usize,
    ) -> Result<bool, queue::Error> {
        let before = set.len();
        while set.len() < messages_max {
            let room = (messages_max - set.len()).min(Delivery::ABSORB_MAX);
            let jobs = delivery.absorb(room).await?;
            if jobs.is_empty() {
                break;
            }
            let mut left = Vec::new();
            for job in jobs {
                match Member::along(job, thread) {
                    Ok(member) if left.is_empty() && self.is_known(thread, &member).await => {
                        set.insert(member);
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
        if set.len() > before {
            fault_points::hit(Point::MessagesAbsorbed);
        }
        Ok(set.len() > before)
    }

    /// Whether every message before this one is known.
    async fn is_known(&self, thread: Thread, member: &Member) -> bool {
        let (Some(conversation), Some(index)) = (thread.conversation(), member.message.index)
        else {
            return true;
        };
        match self.catch_up.fill(conversation, index).await {
            Ok(()) => {
                self.catch_up.doors.through.follow(conversation, index);
                true
            }
            Err(error) => {
                tracing::debug!(message_sid = %member.message.sid, conversation_sid = %conversation,
                    error = %Chain(&error), "message is left for a turn of its own");
                false
            }
        }
    }
}

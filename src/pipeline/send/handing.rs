//! Gives a thread to a person where its agent asked for that: as a job behind the agent's last words, so that
//! they leave first, and so that it is tried until it is done.

use crate::channels::{Channel, Failed};
use crate::jobs::outcome::Class;
use crate::jobs::settle;
use crate::jobs::worker::Work as _;
use crate::pipeline::handoff;
use crate::pipeline::send::{PendingReply, Sends};
use crate::queue::{Cause, Delivery};
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::{Stage, Via};
use crate::thread::CauseClass;

impl Sends {
    /// Gives a thread to a person, unless its agent has taken it back since. Done twice it is done once.
    pub(super) async fn hand_over(
        &self,
        channel: &dyn Channel,
        delivery: Delivery,
        (pending, taken_back): (&PendingReply, Option<u64>),
    ) {
        let thread = pending.thread;
        let handed = tokio::select! {
            biased;
            lost = delivery.keep_alive() => return settle::lost(Self::QUEUE, &lost),
            handed = self.handoff.give(thread, taken_back) => handed,
        };
        let failed = match handed {
            Ok(false) => {
                tracing::info!(conversation_sid = %thread,
                    "a conversation is not given to a person: its agent has taken it back meanwhile");
                return settle::report(Self::QUEUE, delivery.ack().await);
            }
            Ok(true) => {
                tracing::info!(conversation_sid = %thread,
                    "a person has the conversation now: its agent asked for that");
                self.note(pending, Stage::HandedOver);
                return settle::report(Self::QUEUE, delivery.ack().await);
            }
            Err(error @ handoff::Error::Unknown(_)) => {
                tracing::warn!(conversation_sid = %thread, error = %Chain(&error),
                    "a conversation that its agent gave to a person is gone");
                return settle::report(Self::QUEUE, delivery.ack().await);
            }
            Err(error @ handoff::Error::Attributes(_)) => {
                let cause = Cause::of(CauseClass::Handoff).with_detail(error.to_string());
                Failed::of(Class::Dead, Via::Rest, cause)
            }
            Err(handoff::Error::Store(error)) => return settle::lost(Self::QUEUE, &error),
            Err(handoff::Error::Channel(error)) => {
                Failed::unsaid(&error, &self.status, &self.recorder.clock)
            }
        };
        self.fail(channel, delivery, (pending, failed)).await;
    }
}

//! What was said before a turn, for agents that ask for it; the others cost nothing.
//!
//! Read once a turn, however often the turn is tried again. Where Twilio does not say, the turn waits as for
//! any of Twilio's failures; it is never asked without what the agent would be told.

use std::time::Duration;

use super::{OwnMessage, Turns};
use crate::channels::Error;
use crate::jobs::settle;
use crate::jobs::worker::Work as _;
use crate::queue::{Cause, Delivery};
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::labels::TurnOutcome;
use crate::thread::{CauseClass, MessageId, Past, ThreadId, TurnMessage};

impl Turns {
    /// Gives the delivery back with what was said before these messages, as far as the agent asks for it;
    /// nothing if it has been settled.
    pub(super) async fn with_history(
        &self,
        delivery: Delivery,
        of: OwnMessage<'_>,
        messages: &[TurnMessage],
    ) -> Option<(Delivery, Vec<Past>)> {
        let history = tokio::select! {
            biased;
            lost = delivery.keep_alive() => {
                self.busy.end(of.thread.id(), of.message, self.recorder.clock.wall());
                settle::lost(Self::QUEUE, &lost);
                return None;
            }
            history = self.history(of, messages) => history,
        };
        match history {
            Ok(history) => Some((delivery, history)),
            Err(error) => {
                self.wait_for_history(delivery, of, &error).await;
                None
            }
        }
    }

    async fn history(
        &self,
        of: OwnMessage<'_>,
        messages: &[TurnMessage],
    ) -> Result<Vec<Past>, Error> {
        let budget = self.agent.history();
        let Some(last) = messages.last().filter(|_| !budget.is_nothing()) else {
            return Ok(Vec::new());
        };
        let thread = of.thread.id();
        if let Some(history) = self.histories.of(thread, last.sid) {
            return Ok(history);
        }
        let history = of.channel.history(of.thread, messages, budget).await?;
        self.histories.remember(thread, last.sid, history.clone());
        Ok(history)
    }

    /// Puts a turn off whose history Twilio does not tell.
    async fn wait_for_history(&self, delivery: Delivery, of: OwnMessage<'_>, error: &Error) {
        let parked = error.parks(&self.status, &self.recorder.clock);
        let of = (of.thread.id(), of.message);
        self.wait_for_twilio(delivery, of, parked, (CauseClass::CatchUp, error)).await;
    }

    /// Keeps a turn for which Twilio does not tell what it needs: for as long as Twilio is away, and else for
    /// another try.
    pub(super) async fn wait_for_twilio(
        &self,
        delivery: Delivery,
        (thread, message): (ThreadId, MessageId),
        parked: Option<Duration>,
        (class, error): (CauseClass, &(dyn std::error::Error + Sync)),
    ) {
        self.busy.end(thread, message, self.recorder.clock.wall());
        self.recorder.metrics.turn(TurnOutcome::Retried);
        if let Some(pause) = parked {
            return settle::report(Self::QUEUE, delivery.park(pause).await);
        }
        let attempt = delivery.attempt();
        let delay = self.schedule.delay_after(attempt, None, settle::jitter());
        let delay = delay.unwrap_or_else(|| self.schedule.longest());
        tracing::warn!(message_sid = %message, conversation_sid = %thread, attempt,
            reason = class.as_str(), retry_in_ms = settle::millis(delay), error = %Chain(error),
            "twilio does not tell what a turn needs; trying again");
        let cause = Cause::of(class).with_detail(error.to_string());
        settle::report(Self::QUEUE, delivery.retry_in(delay, cause).await);
    }
}

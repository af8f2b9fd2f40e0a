//! What was said before a turn, for agents that ask for it; the others cost nothing.
//!
//! Read once a turn, however often the turn is tried again. Where Twilio does not say, the turn waits as for
//! any of Twilio's failures; it is never asked without what the agent would be told.

use std::time::Duration;

use super::ended_turn::EndedTurn;
use super::{OwnMessage, Turns};
use crate::channels::Error;
use crate::jobs::settle;
use crate::jobs::worker::Work as _;
use crate::pipeline::policy::after_turn::EndOfTurn;
use crate::pipeline::policy::turn_fate::Unsaid;
use crate::queue::Delivery;
use crate::telemetry::chain::Chain;
use crate::thread::{Budget, CauseClass, Past, TurnMessage};

impl Turns {
    /// Gives the delivery back with what was said before these messages, as far as the agent asks for it;
    /// nothing if it has been settled.
    pub(super) async fn with_history(
        &self,
        delivery: Delivery,
        of: OwnMessage<'_>,
        messages: &[TurnMessage],
        budget: Budget,
    ) -> Option<(Delivery, Vec<Past>)> {
        let settling = EndedTurn::of(of.thread.id(), of.message, messages);
        let history = tokio::select! {
            biased;
            lost = delivery.keep_alive() => {
                settle::lost(Self::QUEUE, &lost);
                self.end(delivery, EndOfTurn::Lost, settling).await;
                return None;
            }
            history = self.history(of, messages, budget) => history,
        };
        match history {
            Ok(history) => Some((delivery, history)),
            Err(error) => {
                let parked = error.parks(&self.status, &self.recorder.clock);
                self.wait_for_twilio(delivery, parked, (CauseClass::CatchUp, &error), settling)
                    .await;
                None
            }
        }
    }

    async fn history(
        &self,
        of: OwnMessage<'_>,
        messages: &[TurnMessage],
        budget: Budget,
    ) -> Result<Vec<Past>, Error> {
        let Some(last) = messages.last().filter(|_| !budget.is_nothing()) else {
            return Ok(Vec::new());
        };
        let thread = of.thread.id();
        if let Some(history) = self.histories.of(thread, (last.sid, budget)) {
            return Ok(history);
        }
        let history = of.channel.history(of.thread, messages, budget).await?;
        self.histories.remember(thread, (last.sid, budget), history.clone());
        Ok(history)
    }

    /// Keeps a turn for which Twilio does not tell what it needs: for as long as Twilio is away, and else for
    /// another try.
    pub(super) async fn wait_for_twilio(
        &self,
        delivery: Delivery,
        parked: Option<Duration>,
        (class, error): (CauseClass, &(dyn std::error::Error + Sync)),
        of: EndedTurn<'_>,
    ) {
        let (attempt, longest) = (delivery.attempt(), self.schedule.longest());
        let retry = self.schedule.delay_after(attempt, None, settle::jitter());
        if parked.is_none() {
            tracing::warn!(message_sid = %of.turn, conversation_sid = %of.thread, attempt,
                reason = class.as_str(), retry_in_ms = settle::millis(retry.unwrap_or(longest)),
                error = %Chain(error), "twilio does not tell what a turn needs; trying again");
        }
        let ending = EndOfTurn::Untold(Unsaid { parked, retry }, longest, class);
        self.end(delivery, ending, of.because(error)).await;
    }
}

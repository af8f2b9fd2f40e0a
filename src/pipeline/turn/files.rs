//! Gives a turn to the agent with its files, or waits for them.

use std::time::Duration;

use super::{Thought, Turns};
use crate::agent::Turn;
use crate::jobs::settle;
use crate::jobs::worker::Work as _;
use crate::media::fetch;
use crate::queue::{Cause, Delivery};
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::labels::TurnOutcome;
use crate::thread::CauseClass;

/// How often a turn is tried whose files cannot be fetched, before it goes without them.
const ATTEMPTS_MAX: u32 = 3;

/// How long a turn waits for its files, however long Twilio is away: the agent can do more without a picture
/// than a person who hears nothing.
const WAITS_MAX: Duration = Duration::from_secs(600);

impl Turns {
    /// Asks the agent, once there is what it takes of the turn's files.
    pub(super) async fn answered(&self, delivery: &Delivery, turn: &Turn) -> Thought {
        let has_files = turn.messages.iter().any(|message| !message.media.is_empty());
        let Some(source) = self.files.as_ref().filter(|_| has_files) else {
            return self.agent.take(turn).await.map_or_else(Thought::Failure, Thought::Answer);
        };
        let thread = turn.thread.id();
        let files = if self.agent.takes_bytes() {
            let waited = self.recorder.clock.wall().since(delivery.appended_at());
            let can_wait = turn.attempt < ATTEMPTS_MAX && waited < WAITS_MAX;
            match source.offer(thread, &turn.messages, can_wait).await {
                Ok(files) => files,
                Err(error) => return Thought::Unfetched(error),
            }
        } else {
            source.linked(thread, &turn.messages)
        };
        let turn = Turn { files, ..turn.clone() };
        self.agent.take(&turn).await.map_or_else(Thought::Failure, Thought::Answer)
    }

    /// Keeps a turn whose files could not be fetched: for as long as Twilio is away, and else for another try.
    pub(super) async fn wait_for_files(
        &self,
        delivery: Delivery,
        turn: &Turn,
        error: &fetch::Error,
    ) {
        let clock = &self.recorder.clock;
        self.recorder.metrics.turn(TurnOutcome::Retried);
        let parked = match error {
            fetch::Error::Asking(error) => self.status.parks(error, clock),
            _ => None,
        };
        if let Some(pause) = parked {
            tracing::debug!(message_sid = %turn.id, conversation_sid = %turn.thread,
                retry_in_ms = settle::millis(pause), error = %Chain(error),
                "twilio gives no files; the turn waits");
            return settle::report(Self::QUEUE, delivery.park(pause).await);
        }
        let attempt = delivery.attempt();
        let delay = self.schedule.delay_after(attempt, None, settle::jitter()).unwrap_or_default();
        tracing::warn!(message_sid = %turn.id, conversation_sid = %turn.thread, attempt,
            retry_in_ms = settle::millis(delay), error = %Chain(error),
            "a file of a turn could not be fetched; trying again");
        let cause = Cause::of(CauseClass::MediaUnavailable).with_detail(error.to_string());
        settle::report(Self::QUEUE, delivery.retry_in(delay, cause).await);
    }
}

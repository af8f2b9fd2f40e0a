//! What becomes of an agent's answer: its replies and the end of the turn are stored together.
//!
//! Decides nothing about cutting or ids, which is `outbound`'s; asks Twilio who reads along where a
//! reply is long and the turn does not tell. Time enters through the recorder's clock.

use std::time::Duration;

use super::{Turns, Work};
use crate::agent::{Answer, Turn};
use crate::clock::Moment;
use crate::fault_points::{self, Point};
use crate::jobs::settle;
use crate::pipeline::awaited;
use crate::pipeline::send::outbound::{self, Stamp};
use crate::queue::{Cause, Delivery, QueueName};
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::Stage;
use crate::telemetry::metrics::labels::TurnOutcome;
use crate::thread::{CauseClass, MessageId, Reply};
use crate::twilio::rest;

impl Turns {
    /// Brings an answer's replies into the outbox and ends the turn.
    pub(super) async fn finish(
        &self,
        delivery: Delivery,
        (turn, own): (&Turn, MessageId),
        answer: Answer,
        start: Moment,
    ) {
        let took = self.recorder.clock.now().since(start);
        self.recorder.metrics.agent(took);
        self.busy.end(turn.thread.id(), turn.id, self.recorder.clock.wall());
        let (replies, hands_over) = match answer {
            Answer::Replies(replies) => (replies, false),
            Answer::Handoff(replies) => (replies, true),
            Answer::Later => {
                let now = self.recorder.clock.wall();
                let settled = match self.patience {
                    Some(patience) => {
                        let look = awaited::job(turn, 0, patience, now);
                        delivery.ack_and_append(vec![(QueueName::Reports, look)]).await.map(drop)
                    }
                    None => delivery.ack().await,
                };
                if settled.is_ok() {
                    self.recorder.metrics.turn(TurnOutcome::Silent);
                    tell_finished(turn, "later", 0, took);
                }
                return settle::report(Self::QUEUE, settled);
            }
        };
        let units_max = self.channels.text_units_max(turn.thread.id());
        let asked = tokio::select! {
            biased;
            lost = delivery.keep_alive() => return settle::lost(Self::QUEUE, &lost),
            asked = self.must_cut(turn, &replies, units_max) => asked,
        };
        let is_cut = match asked {
            Ok(is_cut) => is_cut,
            // To wait would be to ask the agent again; in parts it reaches everybody.
            Err(error) if self.status.parks(&error, &self.recorder.clock).is_some() => true,
            Err(error) => {
                let delay = self.schedule.delay_after(delivery.attempt(), None, settle::jitter());
                tracing::warn!(message_sid = %turn.id, conversation_sid = %turn.thread,
                    attempt = delivery.attempt(), retry_in_ms = delay.map(settle::millis),
                    error = %Chain(&error),
                    "twilio did not say whether a phone reads a long reply");
                if let Some(delay) = delay {
                    self.recorder.metrics.turn(TurnOutcome::Retried);
                    let cause = Cause::of(CauseClass::Participants).with_detail(error.to_string());
                    return settle::report(Self::QUEUE, delivery.retry_in(delay, cause).await);
                }
                // In parts it reaches everybody; nobody has to redrive it.
                true
            }
        };
        let at = self.recorder.clock.wall();
        let stamp = Stamp { ids: &self.ids, at, tells: self.tells, units_max };
        let jobs = match outbound::of_turn(turn, (replies, hands_over), is_cut, stamp) {
            Ok(jobs) => jobs,
            Err(error) => return self.refuse(delivery, (turn, own), &error).await,
        };
        fault_points::hit(Point::AgentAnswered);
        self.store(delivery, turn, jobs, took).await;
    }

    /// Whether long replies are to be cut.
    async fn must_cut(
        &self,
        turn: &Turn,
        replies: &[Reply],
        units_max: usize,
    ) -> Result<bool, rest::Error> {
        if outbound::shows_phone(turn) || !outbound::is_long(replies, units_max) {
            return Ok(true);
        }
        self.channels.has_phone(turn.thread.id()).await
    }

    /// Buries a turn whose answer the outbox would never take: the agent would be asked for ever.
    async fn refuse(
        &self,
        delivery: Delivery,
        (turn, own): (&Turn, MessageId),
        error: &outbound::Error,
    ) {
        tracing::error!(message_sid = %turn.id, conversation_sid = %turn.thread,
            error = %Chain(error), "agent's answer is too large; the message is a dead letter");
        let remedy = "let the agent answer with less, or in several late replies, then redrive it";
        let class = CauseClass::AgentAnswerTooLarge;
        let cause = Cause::of(class).with_detail(format!("{error}; {remedy}"));
        self.bury(delivery, (turn.thread.id(), own), class, cause).await;
    }

    async fn store(&self, delivery: Delivery, turn: &Turn, jobs: outbound::Jobs, took: Duration) {
        let count = jobs.said();
        let settled = if jobs.appends.is_empty() {
            delivery.ack().await
        } else {
            let jobs = jobs.appends.into_iter().map(|append| (QueueName::Outbox, append)).collect();
            delivery.ack_and_append(jobs).await.map(drop)
        };
        fault_points::hit(Point::TurnSettled);
        if settled.is_ok() {
            let outcome = if count == 0 { TurnOutcome::Silent } else { TurnOutcome::Answered };
            self.recorder.metrics.turn(outcome);
            tell_finished(turn, outcome.as_str(), count, took);
            let stage = Stage::AgentAnswered { replies: count };
            self.recorder.stage(&turn.thread, Some(turn.id), stage);
            for message in turn.messages.iter().filter(|message| message.sid != turn.id) {
                let stage = Stage::Bundled { turn: turn.id };
                self.recorder.stage(&turn.thread, Some(message.sid), stage);
            }
        }
        settle::report(Self::QUEUE, settled);
    }
}

/// The one line that a turn writes that went well: how many replies, or parts of them, the agent gave,
/// and how long it thought.
fn tell_finished(turn: &Turn, outcome: &'static str, count: usize, took: Duration) {
    tracing::info!(message_sid = %turn.id, conversation_sid = %turn.thread, outcome, count,
        attempt = turn.attempt, elapsed_ms = settle::millis(took), "turn is finished");
}

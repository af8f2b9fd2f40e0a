//! What becomes of an agent's answer: its replies and the end of the turn are stored together.
//!
//! Decides nothing about cutting or ids, which is `outbound`'s; asks Twilio who reads along where a
//! reply is long and the turn does not tell. Time enters through the recorder's clock.

use std::time::Duration;

use super::ended_turn::EndedTurn;
use super::{GivenTurn, Turns, Work};
use crate::agent::{Answer, Turn};
use crate::clock::Moment;
use crate::fault_points::{self, Point};
use crate::jobs::recorder::StageOf;
use crate::jobs::settle;
use crate::pipeline::awaited;
use crate::pipeline::policy::after_turn::EndOfTurn;
use crate::pipeline::policy::turn_fate::{TurnFate, Unsaid};
use crate::pipeline::record::AnswerName;
use crate::pipeline::send::answers::{AnswerClaim, AnswerKey};
use crate::pipeline::send::outbound::{self, Stamp};
use crate::queue::{Delivery, QueueName};
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::Stage;
use crate::telemetry::metrics::labels::TurnOutcome;
use crate::thread::{CauseClass, MessageId, Reply};
use crate::twilio::rest;

impl Turns {
    /// Brings an answer's replies into the outbox and ends the turn.
    pub(super) async fn finish(
        &self,
        mut delivery: Delivery,
        GivenTurn { turn, own, upstream }: GivenTurn<'_>,
        answer: Answer,
        start: Moment,
    ) {
        let took = self.recorder.clock.now().since(start);
        self.recorder.metrics.agent(&upstream.name, took);
        self.busy.end(turn.thread.id(), turn.id, self.recorder.clock.wall());
        let Some((replies, parting)) = answer.parted() else {
            return self.watch(delivery, GivenTurn { turn, own, upstream }, took).await;
        };
        let units_max = self.channels.text_units_max(turn.thread.id());
        let asked = tokio::select! {
            biased;
            lost = delivery.keep_alive() => return settle::lost(Self::QUEUE, &lost),
            asked = self.must_cut(turn, &replies, units_max) => asked,
        };
        let is_cut = match asked {
            Ok(is_cut) => is_cut,
            Err(error) => match self.wait_for_readers(delivery, (turn, own), &error).await {
                Some(same) => {
                    delivery = same;
                    true
                }
                None => return,
            },
        };
        let (at, thread, name) =
            (self.recorder.clock.wall(), turn.thread.id(), AnswerName::Turn(turn.id));
        let key = AnswerKey::of(thread, name, (&replies, parting));
        let (tells, agent) = (upstream.tells, upstream.stored_name());
        let stamp = Stamp { ids: &self.ids, at, tells, agent: agent.as_deref(), units_max };
        let jobs = match outbound::of_turn(turn, (replies, parting), is_cut, stamp) {
            Ok(jobs) => jobs,
            Err(error) => return self.refuse(delivery, (turn, own), &error).await,
        };
        fault_points::hit(Point::AgentAnswered);
        let was_asked_before = delivery.redelivered();
        let claim = if was_asked_before || upstream.patience.is_some() {
            self.answers.claim(&key, was_asked_before).await.map(Some)
        } else {
            Ok(None)
        };
        match claim {
            Ok(Some(AnswerClaim::Refused)) => self.leave_said(delivery, (turn, own), took).await,
            // Held until the answer is stored.
            Ok(_granted) => self.store(delivery, (turn, own), jobs, took).await,
            Err(error) => settle::lost(Self::QUEUE, &error),
        }
    }

    /// Ends a turn whose answer has come late, when it was asked before or while it was asked.
    async fn leave_said(
        &self,
        delivery: Delivery,
        (turn, own): (&Turn, MessageId),
        took: Duration,
    ) {
        let of = EndedTurn::of(turn.thread.id(), own, &turn.messages);
        if self.settle(delivery, TurnFate::Done, of).await {
            self.recorder.metrics.turn(TurnOutcome::Silent);
            tell_finished(turn, "answered_late", 0, took);
        }
    }

    /// Ends a turn whose answer comes later, and watches for it where that is wished.
    async fn watch(&self, delivery: Delivery, asked: GivenTurn<'_>, took: Duration) {
        let GivenTurn { turn, own, upstream } = asked;
        let mut of = EndedTurn::of(turn.thread.id(), own, &turn.messages);
        if let Some(patience) = upstream.patience {
            let agent = upstream.stored_name();
            let now = self.recorder.clock.wall();
            let look = awaited::job(turn, (0, agent), patience, (now.before(took), now));
            of.appends.push((QueueName::Reports, look));
        }
        if self.settle(delivery, TurnFate::Done, of).await {
            self.recorder.metrics.turn(TurnOutcome::Silent);
            tell_finished(turn, "later", 0, took);
        }
    }

    /// Waits until Twilio says who reads along; gives the delivery back where that is not worth it.
    async fn wait_for_readers(
        &self,
        delivery: Delivery,
        (turn, own): (&Turn, MessageId),
        error: &rest::Error,
    ) -> Option<Delivery> {
        let parked = self.status.parks(error, &self.recorder.clock);
        let attempt = delivery.attempt();
        let retry = self.schedule.delay_after(attempt, None, settle::jitter());
        if parked.is_none() {
            tracing::warn!(message_sid = %turn.id, conversation_sid = %turn.thread, attempt,
                retry_in_ms = retry.map(settle::millis), error = %Chain(error),
                "twilio did not say whether a phone reads a long reply");
        }
        let ending = EndOfTurn::ReadersUntold(Unsaid { parked, retry }, CauseClass::Participants);
        let of = EndedTurn::of(turn.thread.id(), own, &turn.messages).because(error);
        self.end(delivery, ending, of).await
    }

    /// Whether long replies are to be cut.
    async fn must_cut(
        &self,
        turn: &Turn,
        replies: &[Reply],
        units_max: usize,
    ) -> Result<bool, rest::Error> {
        let thread = turn.thread.id();
        let shows_phone = self.channels.shows_phone(thread, &turn.messages);
        if shows_phone || !outbound::is_long(replies, units_max) {
            return Ok(true);
        }
        self.channels.has_phone(thread).await
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
        let of = EndedTurn::of(turn.thread.id(), own, &turn.messages);
        self.end(delivery, EndOfTurn::TooLarge, of.because(format!("{error}; {remedy}"))).await;
    }

    async fn store(
        &self,
        delivery: Delivery,
        (turn, own): (&Turn, MessageId),
        jobs: outbound::Jobs,
        took: Duration,
    ) {
        let count = jobs.said();
        let at = self.recorder.clock.wall();
        let replies = jobs.reply_ids(&self.ids);
        let mut of = EndedTurn::of(turn.thread.id(), own, &turn.messages);
        of.appends = jobs.appends.into_iter().map(|append| (QueueName::Outbox, append)).collect();
        let is_settled = self.settle(delivery, TurnFate::Done, of).await;
        fault_points::hit(Point::TurnSettled);
        if is_settled {
            let outcome = if count == 0 { TurnOutcome::Silent } else { TurnOutcome::Answered };
            self.recorder.metrics.turn(outcome);
            tell_finished(turn, outcome.as_str(), count, took);
            let stage = Stage::AgentAnswered { replies: count };
            // As of before they were stored: they may be sent by now.
            let of_turn =
                StageOf { thread: turn.thread.id(), message: Some(turn.id), reply_id: None };
            self.recorder.stage_at(at, of_turn, stage);
            for reply in replies {
                let whose = StageOf { reply_id: Some(reply), ..of_turn };
                self.recorder.stage_at(at, whose, Stage::ReplyStored);
            }
            for message in turn.messages.iter().filter(|message| message.sid != turn.id) {
                let stage = Stage::Bundled { turn: turn.id };
                self.recorder.stage(&turn.thread, Some(message.sid), stage);
            }
        }
    }
}

/// The one line that a turn writes that went well: how many replies, or parts of them, the agent gave,
/// and how long it thought.
fn tell_finished(turn: &Turn, outcome: &'static str, count: usize, took: Duration) {
    tracing::info!(message_sid = %turn.id, conversation_sid = %turn.thread, outcome, count,
        attempt = turn.attempt, elapsed_ms = settle::millis(took), "turn is finished");
}

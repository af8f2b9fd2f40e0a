//! Looks at turns that the agent has taken over and whose time is over: told of, and asked anew if that is
//! wished, where the agent has said nothing. Who has the thread is asked first; what follows then is decided in
//! [`policy::unheard`](crate::pipeline::policy::unheard).

use tokio_util::sync::CancellationToken;

use super::Reports;
use crate::agent::later::{Batch, Outbox as _, OutboxError};
use crate::agent::{Error, Parting, Patience, Turn};
use crate::channels;
use crate::jobs::settle;
use crate::jobs::worker::Work as _;
use crate::pipeline::awaited;
use crate::pipeline::failure;
use crate::pipeline::handoff::Paused;
use crate::pipeline::policy::unheard::{self, AfterSilence, HandsNow, LOOK_EVERY, Silence};
use crate::pipeline::record::{self, Awaited};
use crate::pipeline::send::late::Late;
use crate::pipeline::upstreams::Upstream;
use crate::queue::{self, Cause, Delivery, Key, QueueName};
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::Stage;
use crate::telemetry::metrics::labels::TurnOutcome;
use crate::thread::{Budget, CauseClass, MessageId, Past, Reply, SkipReason, Speaker, ThreadId};

impl Reports {
    /// Looks whether the agent has said something to a turn.
    pub(super) async fn look(
        &self,
        delivery: Delivery,
        (of, speaker): (Awaited, Speaker),
        stop: &CancellationToken,
    ) {
        let (turn, lane) = (of.turn, record::turn_lane(of.turn));
        let is_heard = match self.is_heard(&of, &lane).await {
            Ok(is_heard) => is_heard,
            Err(error) => return settle::lost(Self::QUEUE, &error),
        };
        let upstream = self.upstreams.named(of.agent.as_deref());
        let patience = upstream.and_then(|upstream| upstream.patience).filter(|_| !is_heard);
        let Some((upstream, patience)) = upstream.zip(patience) else {
            return settle::report(Self::QUEUE, delivery.ack().await);
        };
        let asks = match self.is_to_ask(&of, &lane, patience).await {
            Ok(asks) => asks,
            Err(error) => return settle::lost(Self::QUEUE, &error),
        };
        let hands = self.hands_now(turn, of.thread.id()).await;
        let Patience { within, buries, .. } = patience;
        match unheard::after_silence(Silence { hands, asks, buries, within }) {
            AfterSilence::LeaveToPerson => {
                let settled = delivery.ack().await;
                if settled.is_ok() {
                    let stage = Stage::Skipped { reason: SkipReason::Paused };
                    self.recorder.stage(of.thread.id(), Some(turn), stage);
                    tracing::info!(message_sid = %turn, conversation_sid = %of.thread,
                        "agent has said nothing to a turn, and a person has the conversation now");
                }
                settle::report(Self::QUEUE, settled);
            }
            AfterSilence::LookAgain(pause) => {
                settle::report(Self::QUEUE, delivery.shelve(pause).await);
            }
            AfterSilence::AskAnew => {
                self.ask_anew(delivery, (of, speaker), (upstream, patience), stop).await
            }
            AfterSilence::Bury => self.bury_unanswered(delivery, &of, patience).await,
            AfterSilence::Tell => {
                let settled = delivery.ack().await;
                if settled.is_ok() {
                    self.tell_of_silence((turn, of.thread.id()), of.asked, patience);
                }
                settle::report(Self::QUEUE, settled);
            }
        }
    }

    /// Whether the agent has said something to a turn, or to whatever waits in its thread.
    async fn is_heard(&self, of: &Awaited, lane: &Key) -> Result<bool, queue::Error> {
        if self.reports.find(record::heard_id(of.turn), lane).await?.is_some() {
            return Ok(true);
        }
        match of.since {
            Some(since) => awaited::is_heard_in(&self.late.documents, of.thread.id(), since).await,
            None => Ok(false),
        }
    }

    /// Whether a turn is to be asked anew, whoever has its thread.
    async fn is_to_ask(
        &self,
        of: &Awaited,
        lane: &Key,
        patience: Patience,
    ) -> Result<bool, queue::Error> {
        let is_wished = patience.asks_anew && !of.messages.is_empty();
        if !is_wished || of.asked == 0 || !patience.buries {
            return Ok(is_wished && of.asked == 0);
        }
        // Who redrives the dead letter wants it asked again.
        let buried = self.reports.find(record::buried_id(of.turn, of.asked), lane).await?;
        Ok(buried.is_some())
    }

    async fn hands_now(&self, turn: MessageId, thread: ThreadId) -> HandsNow {
        match self.handoff.is_paused(thread).await {
            Ok(false) => HandsNow::Bot,
            Ok(true) => HandsNow::Person { is_held: self.paused == Paused::Hold },
            Err(error) => {
                tracing::debug!(message_sid = %turn, conversation_sid = %thread,
                    error = %Chain(&error),
                    "nobody says who has the conversation of a turn that waits for its answer");
                HandsNow::Unsaid
            }
        }
    }

    /// Told once, when a look has ended: one that comes again has not ended.
    fn tell_of_silence(
        &self,
        (turn, thread): (MessageId, ThreadId),
        asked: u32,
        patience: Patience,
    ) {
        self.recorder.metrics.turn(TurnOutcome::Unanswered);
        tracing::warn!(message_sid = %turn, conversation_sid = %thread,
            elapsed_ms = settle::millis(patience.within), attempt = asked + 1,
            "agent has said nothing to a turn that it took over");
    }

    /// Makes a dead letter of a turn that the agent has taken each time and never said anything to.
    async fn bury_unanswered(&self, delivery: Delivery, of: &Awaited, patience: Patience) {
        let (turn, thread, class) = (of.turn, of.thread.id(), CauseClass::AgentTimeout);
        if let Err(error) = self.reports.append(vec![awaited::buried(turn, of.asked)]).await {
            return settle::lost(Self::QUEUE, &error);
        }
        tracing::error!(message_sid = %turn, conversation_sid = %thread, attempt = of.asked + 1,
            "agent has said nothing to a turn each time that it was asked; it is a dead letter");
        let cause = Cause::of(class).with_detail(format!(
            "the agent has taken the turn {} times and said nothing to it within {} s; redrive it to \
             ask again",
            of.asked + 1,
            patience.within.as_secs()
        ));
        let stage = Stage::Dead { queue: Self::QUEUE.as_str(), reason: class, code: None };
        let settled = delivery.dead(cause).await;
        if settled.is_ok() {
            self.tell_of_silence((turn, thread), of.asked, patience);
            self.recorder.stage(thread, Some(turn), stage);
            self.recorder.metrics.turn(TurnOutcome::Dead);
        }
        settle::report(Self::QUEUE, settled);
    }

    async fn ask_anew(
        &self,
        delivery: Delivery,
        (of, speaker): (Awaited, Speaker),
        (upstream, patience): (&Upstream, Patience),
        stop: &CancellationToken,
    ) {
        let Some((delivery, _place)) = self.placed(delivery, upstream).await else { return };
        let budget = upstream.agent.history();
        let history = match self.history(&of, budget).await {
            Ok(history) => history,
            Err(error) => {
                tracing::debug!(message_sid = %of.turn, conversation_sid = %of.thread,
                    error = %Chain(&error),
                    "nobody says what was said before a turn that is to be asked anew");
                let settled = if is_gone(&error) {
                    let cause = Cause::of(CauseClass::CatchUp)
                        .with_detail("Twilio does not know its conversation any more");
                    delivery.dead(cause).await
                } else {
                    delivery.put_off(LOOK_EVERY).await
                };
                return settle::report(Self::QUEUE, settled);
            }
        };
        let Awaited { thread, turn: id, asked, agent, messages, .. } = of;
        let files = self.files.as_ref().map(|files| files.linked(thread.id(), &messages));
        let files = files.unwrap_or_default();
        // It was asked once at least before, and once each time after that.
        let attempt = delivery.attempt().saturating_add(asked).saturating_add(1);
        let turn = Turn { id, thread, speaker, messages, history, attempt, files };
        let began = self.recorder.clock.now();
        let taken = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            lost = delivery.keep_alive() => return settle::lost(Self::QUEUE, &lost),
            taken = upstream.agent.take_anew(&turn, asked + 1) => taken,
        };
        let settled = match taken {
            Ok(answer) => {
                upstream.told_health.succeeded(&self.recorder.clock);
                if let Some(said) = answer.parted() {
                    let of = (upstream, &turn);
                    return self.take_answer(delivery, of, said, (asked, patience)).await;
                }
                let now = self.recorder.clock.wall();
                let since = now.before(self.recorder.clock.now().since(began));
                let next = awaited::job(&turn, (asked + 1, agent), patience, (since, now));
                let settled = delivery.ack_and_append(vec![(QueueName::Reports, next)]).await;
                if settled.is_ok() {
                    self.tell_of_silence((turn.id, turn.thread.id()), asked, patience);
                }
                settled.map(drop)
            }
            Err(error) => match self.parks((upstream, turn.thread.id()), &error, began) {
                Some(pause) => delivery.park(pause).await,
                None => self.not_taken(delivery, (upstream, &turn), &error).await,
            },
        };
        settle::report(Self::QUEUE, settled);
    }

    /// What was said before a turn, as much as its agent asks for.
    async fn history(&self, of: &Awaited, budget: Budget) -> Result<Vec<Past>, channels::Error> {
        let Late { channels, .. } = &self.late;
        match channels.of(of.thread.id()).filter(|_| !budget.is_nothing()) {
            Some(channel) => channel.history(&of.thread, &of.messages, budget).await,
            None => Ok(Vec::new()),
        }
    }

    /// Stores what the agent says at once when it is asked anew: an answer that comes late, unless the turn has one.
    async fn take_answer(
        &self,
        delivery: Delivery,
        (upstream, turn): (&Upstream, &Turn),
        (replies, parting): (Vec<Reply>, Parting),
        (asked, patience): (u32, Patience),
    ) {
        let (tells, agent) = (upstream.tells, upstream.stored_name());
        let outbox = Late { tells, agent, ..self.late.clone() };
        let batch = Batch {
            turn: Some(turn.id),
            is_answer: true,
            trace: Some(turn.trace()),
            late: true,
            parting,
            ..Batch::new(turn.thread.clone(), &turn.id.to_string(), replies)
        };
        let stored = async {
            let count = outbox.put(batch).await?;
            outbox.heard(turn.id).await.map(|()| count)
        };
        let stored = tokio::select! {
            biased;
            lost = delivery.keep_alive() => return settle::lost(Self::QUEUE, &lost),
            stored = stored => stored,
        };
        let settled = match stored {
            Ok(count) => {
                let settled = delivery.ack().await;
                if settled.is_ok() {
                    self.tell_of_silence((turn.id, turn.thread.id()), asked, patience);
                    tracing::info!(message_sid = %turn.id, conversation_sid = %turn.thread, count,
                        attempt = turn.attempt, "turn that was asked anew is finished");
                }
                settled
            }
            Err(error @ OutboxError::TooLarge(_)) => {
                let (queue, reason) = (Self::QUEUE.as_str(), CauseClass::AgentAnswerTooLarge);
                tracing::error!(message_sid = %turn.id, conversation_sid = %turn.thread,
                    error = %Chain(&error), "agent's answer is too large; the turn is a dead letter");
                let settled = delivery.dead(Cause::of(reason).with_detail(error.to_string())).await;
                if settled.is_ok() {
                    let stage = Stage::Dead { queue, reason, code: None };
                    self.recorder.stage(turn.thread.id(), Some(turn.id), stage);
                }
                settled
            }
            Err(error) => {
                tracing::warn!(message_sid = %turn.id, conversation_sid = %turn.thread,
                    error = %Chain(&error), "agent's answer was not stored; it is asked again");
                delivery.put_off(LOOK_EVERY).await
            }
        };
        settle::report(Self::QUEUE, settled);
    }

    async fn not_taken(
        &self,
        delivery: Delivery,
        (upstream, turn): (&Upstream, &Turn),
        error: &Error,
    ) -> Result<(), queue::Error> {
        let delay = failure::delay(error, delivery.attempt(), &upstream.schedule);
        tracing::warn!(message_sid = %turn.id, conversation_sid = %turn.thread,
            attempt = delivery.attempt(), retry_in_ms = delay.map(settle::millis),
            error = %Chain(error), "turn could not be asked anew");
        match delay {
            Some(delay) => delivery.retry_in(delay, failure::cause(error)).await,
            None => delivery.dead(failure::cause(error)).await,
        }
    }
}

/// Whether Twilio knows nothing of what was asked for, which no waiting brings back.
fn is_gone(error: &channels::Error) -> bool {
    matches!(error, channels::Error::Rest(error) if error.status() == Some(404))
}

//! What has to be known before a message gets its turn: asked one after the other.
//!
//! What is asked and what follows is decided in
//! [`policy::before_turn`](crate::pipeline::policy::before_turn).

use std::time::Duration;

use crate::channels::{self, AnsweredBefore, Channel, Speaking};
use crate::clock::Timestamp;
use crate::jobs::settle;
use crate::jobs::worker::Work as _;
use crate::pipeline::handoff::{POLL_EVERY, Paused};
use crate::pipeline::policy::after_turn::EndOfTurn;
use crate::pipeline::policy::before_turn::{
    Answerable, Before, Facts, Hands, Known, Question, Step, TurnOrder, Welcome, step,
};
use crate::pipeline::policy::strategy::Strategy;
use crate::pipeline::policy::turn_fate::Unsaid;
use crate::pipeline::turn::Turns;
use crate::pipeline::turn::ended_turn::EndedTurn;
use crate::queue::{self, Delivery};
use crate::telemetry::chain::Chain;
use crate::thread::{SkipReason, Thread, ThreadId, TurnMessage};

/// How soon Twilio is asked again that did not say who has a conversation; a message that has waited
/// longer waits as long again, up to [`POLL_EVERY`].
const ASK_AGAIN_MIN: Duration = Duration::from_secs(1);

/// What is gathered of one message.
struct Gathering<'a> {
    channel: &'a dyn Channel,
    place: &'a Thread,
    thread: ThreadId,
    message: &'a TurnMessage,
    facts: Facts,
    held_until: Option<Timestamp>,
    /// Why the last question has no answer, for the cause that is kept.
    detail: String,
}

impl Turns {
    /// Gives the delivery back once the message may have its turn, and until when its thread was held;
    /// nothing if it has been settled otherwise.
    pub(super) async fn before(
        &self,
        delivery: Delivery,
        (channel, place): (&dyn Channel, &Thread),
        message: &TurnMessage,
    ) -> Option<(Delivery, Option<Timestamp>)> {
        let facts = Facts::default();
        let (thread, detail) = (place.id(), String::new());
        let mut gathering =
            Gathering { channel, place, thread, message, facts, held_until: None, detail };
        loop {
            match step(&gathering.facts) {
                Step::Ask(question) => {
                    if let Err(error) = self.ask(question, &delivery, &mut gathering).await {
                        settle::lost(Self::QUEUE, &error);
                        return None;
                    }
                }
                Step::Go => return Some((delivery, gathering.held_until)),
                Step::End(fate) => {
                    let own = message.sid;
                    let of = EndedTurn::of(thread, own, std::slice::from_ref(message));
                    let of = of.because(gathering.detail);
                    self.end(delivery, EndOfTurn::NotBegun(fate), of).await;
                    return None;
                }
            }
        }
    }

    /// Finds one answer.
    ///
    /// # Errors
    ///
    /// If the store does not say until when messages were held.
    async fn ask(
        &self,
        question: Question,
        delivery: &Delivery,
        of: &mut Gathering<'_>,
    ) -> Result<(), queue::Error> {
        match question {
            Question::Welcome => of.facts.welcome = Some(self.welcome(delivery, of).await),
            Question::Known => of.facts.known = Some(self.known(delivery, of).await),
            Question::Order => of.facts.order = Some(self.order(delivery, of).await),
            Question::Held => {
                if self.paused == Paused::Hold {
                    of.held_until = self.handoff.held_until(of.thread).await?;
                }
                of.facts.was_held = Some(of.held_until.is_some());
            }
            Question::Hands => of.facts.hands = Some(self.hands(delivery, of).await),
            Question::Message => of.facts.message = Some(self.is_answered(delivery, of)),
            Question::Before => of.facts.before = Some(self.before_us(delivery, of).await),
        }
        Ok(())
    }

    async fn welcome(&self, delivery: &Delivery, of: &mut Gathering<'_>) -> Welcome {
        match of.channel.excludes(of.place, Speaking::Answer).await {
            Ok(None) => Welcome::Yes,
            Ok(Some(reason)) => Welcome::No(reason),
            Err(error) => {
                let unsaid = self.unsaid(&error, delivery, of);
                let longest = self.schedule.longest();
                if unsaid.parked.is_none() {
                    let delay = unsaid.retry.unwrap_or(longest);
                    tracing::warn!(message_sid = %of.message.sid, conversation_sid = %of.thread,
                        attempt = delivery.attempt(), retry_in_ms = settle::millis(delay),
                        error = %Chain(&error),
                        "twilio did not say whether the conversation is ours");
                }
                Welcome::Unsaid(unsaid, longest)
            }
        }
    }

    async fn known(&self, delivery: &Delivery, of: &mut Gathering<'_>) -> Known {
        let Some(index) = of.message.index else { return Known::Yes };
        match of.channel.fill(of.thread, index).await {
            Ok(()) => Known::Yes,
            Err(error) => Known::Unsaid(self.unread(&error, delivery, of)),
        }
    }

    async fn before_us(&self, delivery: &Delivery, of: &mut Gathering<'_>) -> Before {
        let stored = delivery.appended_at();
        match of.channel.answered_before(of.thread, of.message, stored).await {
            Ok(AnsweredBefore::No) => Before::Open,
            Ok(AnsweredBefore::Yes(reason)) => Before::Over(reason),
            Ok(AnsweredBefore::Unknown) => Before::Unknown,
            Err(error) => Before::Unsaid(self.unread(&error, delivery, of)),
        }
    }

    /// What follows where the thread cannot be read.
    fn unread(
        &self,
        error: &channels::Error,
        delivery: &Delivery,
        of: &mut Gathering<'_>,
    ) -> Unsaid {
        let unsaid = self.unsaid(error, delivery, of);
        if unsaid.parked.is_none() {
            tracing::warn!(message_sid = %of.message.sid, conversation_sid = %of.thread,
                attempt = delivery.attempt(), retry_in_ms = unsaid.retry.map(settle::millis),
                error = %Chain(error), "messages around this one cannot be read");
        }
        unsaid
    }

    async fn order(&self, delivery: &Delivery, of: &Gathering<'_>) -> TurnOrder {
        let Some(index) = of.message.index else { return TurnOrder::First };
        match delivery.overtaken().await {
            Ok(false) => {
                of.channel.follow(of.thread, index);
                TurnOrder::First
            }
            Ok(true) => {
                tracing::debug!(message_sid = %of.message.sid, conversation_sid = %of.thread,
                    "an earlier message came to light; it goes first");
                TurnOrder::Overtaken
            }
            Err(error) => {
                tracing::debug!(message_sid = %of.message.sid, conversation_sid = %of.thread,
                    error = %Chain(&error), "whether an earlier message goes first is not known yet");
                TurnOrder::Unknown
            }
        }
    }

    async fn hands(&self, delivery: &Delivery, of: &mut Gathering<'_>) -> Hands {
        let error = match self.handoff.is_paused(of.thread).await {
            Ok(false) => {
                self.handoff.release(of.thread);
                return Hands::Bot;
            }
            Ok(true) => return Hands::Person,
            Err(error) => error,
        };
        let unsaid = self.unsaid(&error, delivery, of);
        let age = self.recorder.clock.wall().since(delivery.appended_at());
        let waits = match self.paused {
            Paused::Hold => Some(age.clamp(ASK_AGAIN_MIN, POLL_EVERY)),
            Paused::Skip => None,
        };
        if unsaid.parked.is_none() {
            tracing::warn!(message_sid = %of.message.sid, conversation_sid = %of.thread,
                attempt = delivery.attempt(),
                retry_in_ms = waits.or(unsaid.retry).map(settle::millis), error = %Chain(&error),
                "twilio does not say whether a person has taken the conversation over");
        }
        Hands::Unsaid { unsaid, waits, was_person: self.handoff.is_known_paused(of.thread) }
    }

    /// Whether the message itself is one that is answered.
    fn is_answered(&self, delivery: &Delivery, of: &Gathering<'_>) -> Answerable {
        let is_late = self.strategy == Strategy::Drop
            && self.busy.covers(of.thread, of.message.sid, delivery.appended_at());
        let wall = self.recorder.clock.wall();
        let skipped = if is_late {
            Some(SkipReason::Busy)
        } else {
            self.admission.skips(of.message, of.held_until, wall)
        };
        skipped.map_or(Answerable::Yes, Answerable::No)
    }

    fn unsaid(
        &self,
        error: &channels::Error,
        delivery: &Delivery,
        of: &mut Gathering<'_>,
    ) -> Unsaid {
        of.detail = error.to_string();
        Unsaid {
            parked: error.parks(&self.status, &self.recorder.clock),
            retry: self.schedule.delay_after(delivery.attempt(), None, settle::jitter()),
        }
    }
}

//! Turns: gives each inbound message to the agent and its answer to the outbox.
//!
//! The queue delivers one turn of a conversation at a time, so a slow agent holds up its own
//! conversation and no other. While the agent thinks, the others see the bot typing. The answer's
//! replies and the end of the turn become durable together; a turn that died half-way is asked again
//! under the same id, and its replies keep their ids, so nothing is said twice.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::agent::{Agent, Answer, Error, Retry, Sign, Thread, Turn, TurnMessage};
use crate::clock::{Moment, Timestamp};
use crate::concurrency::Limiter;
use crate::pipeline::admit::{Admission, Admitted};
use crate::pipeline::catch_up::CatchUp;
use crate::pipeline::dependency::Dependency;
use crate::pipeline::handoff::Paused;
use crate::pipeline::notes::Notes;
use crate::pipeline::phones::Phones;
use crate::pipeline::policy::schedule::Schedule;
use crate::pipeline::policy::strategy::Strategy;
use crate::pipeline::record::Inbound;
use crate::pipeline::removed::{self, REMOVED};
use crate::pipeline::reply_ids::ReplyIds;
use crate::pipeline::seats::Seats;
use crate::pipeline::settle;
use crate::pipeline::status::Status;
use crate::pipeline::thinking::Thinking;
use crate::pipeline::turn::set::{Member, Set};
use crate::pipeline::worker::Work;
use crate::queue::{self, Cause, Delivery, QueueName};
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::Stage;
use crate::telemetry::metrics::labels::TurnOutcome;
use crate::telemetry::trace::Way;
use crate::twilio::sid::{ConversationSid, MessageSid};

mod answer;
mod gather;
mod handoff;
mod set;

/// How often the typing sign is renewed. Twilio shows it for about five seconds.
/// Source: Conversations protocol notes, section 4 "Typing", `typing_timeout`.
const TYPING_EVERY: Duration = Duration::from_secs(4);

/// How long a turn waits that the agent had no room for and named no time.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// How long a turn waits of which it cannot be said whether an earlier message goes first.
const ORDER_UNKNOWN: Duration = Duration::from_secs(1);

/// The word for an answer that is larger than what is read, or than what the outbox takes.
const TOO_LARGE: &str = "agent_answer_too_large";

/// Works on the inbox.
pub struct Turns {
    /// What thinks.
    pub agent: Arc<dyn Agent>,
    /// Who sits where, for the identity and the typing sign.
    pub seats: Arc<Seats>,
    /// Reads what a turn must not be taken before.
    pub catch_up: CatchUp,
    /// Which messages get a turn.
    pub admission: Arc<Admission>,
    /// What becomes of messages while a person has the conversation.
    pub paused: Paused,
    /// Says who reads along, where a reply is long.
    pub phones: Phones,
    /// Makes the replies' ids.
    pub ids: ReplyIds,
    /// Which messages make a turn together.
    pub strategy: Strategy,
    /// When the agent was busy with whom.
    pub thinking: Thinking,
    /// When a failed turn is tried again.
    pub schedule: Schedule,
    /// Whether Twilio can be asked.
    pub status: Arc<Status>,
    /// Whether the agent is there.
    pub agent_health: Arc<Dependency>,
    /// How many turns the agent has room for at once.
    pub agent_room: Limiter,
    /// Where the stages are noted.
    pub notes: Notes,
}

impl Work for Turns {
    const QUEUE: QueueName = QueueName::Inbox;

    async fn wait(&self) {
        self.agent_health.wait(&self.notes.clock).await;
    }

    async fn work(&self, delivery: Delivery, stop: &CancellationToken) {
        let Inbound::V1 { thread, message, at: _ } =
            match serde_json::from_slice(delivery.payload()) {
                Ok(record) => record,
                Err(error) => return settle::unreadable(delivery, Self::QUEUE, &error).await,
            };
        Way::of_message(thread.conversation(), message.sid, message.index).record();
        let Some(delivery) = self.of_ours(delivery, thread, &message).await else { return };
        let Some(delivery) = self.in_order(delivery, thread, &message).await else { return };
        let Some(held_until) = self.held_until(thread).await else { return };
        let asked = match held_until {
            // What was held may be so still, however old it grew while the service was away.
            Some(_) => self.with_the_bot(delivery, thread, &message).await,
            None => Some(delivery),
        };
        let Some(delivery) = asked else { return };
        if let Some(reason) = self.skips(&delivery, thread, &message, held_until) {
            return self.skip(delivery, thread, &message, reason).await;
        }
        let Some(delivery) = self.with_the_bot(delivery, thread, &message).await else { return };
        let own = Member::own(message, delivery.appended_at(), delivery.redelivered());
        let mut set = Set::new(own, held_until);
        let Some(delivery) = self.gather(delivery, thread, &mut set).await else { return };
        // A turn that comes again was admitted before.
        let admitted = if delivery.redelivered() {
            Admitted::Turn
        } else {
            self.admission.guard(thread, self.notes.clock.now())
        };
        match admitted {
            Admitted::Turn => self.take(delivery, thread, set, stop).await,
            Admitted::Skip(reason) => {
                self.skip_all(thread, &mut set, reason);
                settle::report(Self::QUEUE, delivery.ack().await);
            }
            Admitted::Loop => {
                delivery.leave(&set.keep_own());
                self.cut(delivery, thread).await;
            }
        }
    }
}

impl Turns {
    /// Ends the delivery if the bot is not to be in its conversation, or gives it back if that
    /// cannot be said now.
    async fn of_ours(
        &self,
        delivery: Delivery,
        thread: Thread,
        message: &TurnMessage,
    ) -> Option<Delivery> {
        let Some(conversation) = thread.conversation() else { return Some(delivery) };
        match self.keeps_out(conversation).await {
            Ok(None) => return Some(delivery),
            Ok(Some(reason)) => self.skip(delivery, thread, message, reason).await,
            Err(error) => {
                if let Some(pause) = error.parks(&self.status, &self.notes.clock) {
                    settle::report(Self::QUEUE, delivery.park(pause).await);
                    return None;
                }
                let attempt = delivery.attempt();
                let delay = self.schedule.delay_after(attempt, None, settle::jitter());
                let delay = delay.unwrap_or_else(|| self.schedule.longest());
                tracing::warn!(message_sid = %message.sid, conversation_sid = %conversation, attempt,
                    retry_in_ms = settle::millis(delay), error = %Chain(&error),
                    "twilio did not say whether the conversation is ours");
                let cause = Cause::new("choice").with_detail(error.to_string());
                settle::report(Self::QUEUE, delivery.retry_in(delay, cause).await);
            }
        }
        None
    }

    /// Why the bot is not to be in a conversation, if it is not.
    async fn keeps_out(
        &self,
        conversation: ConversationSid,
    ) -> Result<Option<&'static str>, removed::Error> {
        let doors = &self.catch_up.doors;
        if !doors.choice.wants(conversation).await? {
            return Ok(Some("not_chosen"));
        }
        Ok(doors.removed.stays_away(conversation).await?.then_some(REMOVED))
    }

    /// Gives the delivery back to the queue if an earlier message goes first, or may.
    async fn in_order(
        &self,
        delivery: Delivery,
        thread: Thread,
        message: &TurnMessage,
    ) -> Option<Delivery> {
        let (Some(conversation), Some(index)) = (thread.conversation(), message.index) else {
            return Some(delivery);
        };
        if let Err(error) = self.catch_up.fill(conversation, index).await {
            if let Some(pause) = error.parks(&self.status, &self.notes.clock) {
                settle::report(Self::QUEUE, delivery.park(pause).await);
                return None;
            }
            let attempt = delivery.attempt();
            let delay = self.schedule.delay_after(attempt, None, settle::jitter());
            tracing::warn!(message_sid = %message.sid, conversation_sid = %conversation, attempt,
                retry_in_ms = delay.map(settle::millis), error = %Chain(&error),
                "messages before this one cannot be read");
            if let Some(delay) = delay {
                let cause = Cause::new("catch_up").with_detail(error.to_string());
                settle::report(Self::QUEUE, delivery.retry_in(delay, cause).await);
                return None;
            }
        }
        match delivery.overtaken().await {
            Ok(false) => {}
            Ok(true) => {
                tracing::debug!(message_sid = %message.sid, conversation_sid = %conversation,
                    "an earlier message came to light; it goes first");
                return None;
            }
            Err(error) => {
                tracing::debug!(message_sid = %message.sid, conversation_sid = %conversation,
                    error = %Chain(&error), "whether an earlier message goes first is not known yet");
                settle::report(Self::QUEUE, delivery.put_off(ORDER_UNKNOWN).await);
                return None;
            }
        }
        self.catch_up.doors.through.follow(conversation, index);
        Some(delivery)
    }

    /// Says why the delivery's own message gets no answer, if it gets none.
    fn skips(
        &self,
        delivery: &Delivery,
        thread: Thread,
        message: &TurnMessage,
        held_until: Option<Timestamp>,
    ) -> Option<&'static str> {
        if self.strategy == Strategy::Drop
            && self.thinking.covers(thread, message.sid, delivery.appended_at())
        {
            return Some("busy");
        }
        self.admission.skips(message, held_until, self.notes.clock.wall())
    }

    async fn skip(
        &self,
        delivery: Delivery,
        thread: Thread,
        message: &TurnMessage,
        reason: &'static str,
    ) {
        self.thinking.end(thread, message.sid, self.notes.clock.wall());
        self.note_skipped(thread, message, reason);
        settle::report(Self::QUEUE, delivery.ack().await);
    }

    fn skip_all(&self, thread: Thread, set: &mut Set, reason: &'static str) {
        for member in set.iter_mut() {
            self.note_skipped(thread, &member.message, reason);
        }
    }

    fn note_skipped(&self, thread: Thread, message: &TurnMessage, reason: &'static str) {
        self.notes.stage(thread, Some(message.sid), Stage::Skipped { reason });
        let is_stale = reason == "stale";
        self.notes.metrics.turn(if is_stale { TurnOutcome::Stale } else { TurnOutcome::Skipped });
        tracing::info!(message_sid = %message.sid, conversation_sid = %thread, reason,
            "message gets no turn");
    }

    /// Gives the set to the agent, with what comes meanwhile if that supersedes it.
    async fn take(
        &self,
        delivery: Delivery,
        thread: Thread,
        mut set: Set,
        stop: &CancellationToken,
    ) {
        loop {
            self.leave_out(thread, &mut set);
            let messages = set.messages();
            let Some(id) = messages.last().map(|message| message.sid) else {
                self.thinking.end(thread, own_message(&delivery), self.notes.clock.wall());
                return settle::report(Self::QUEUE, delivery.ack().await);
            };
            if let Err(pause) = self.agent_health.pass(&self.notes.clock) {
                self.thinking.end(thread, own_message(&delivery), self.notes.clock.wall());
                return settle::report(Self::QUEUE, delivery.park(pause).await);
            }
            let (identity, attempt) = (self.identity_in(thread), delivery.attempt());
            let turn = Turn { id, thread, identity, messages, attempt };
            for message in &turn.messages {
                self.notes.stage(thread, Some(message.sid), Stage::TurnStarted);
            }
            let start = self.notes.clock.now();
            self.thinking.begin(thread, id, self.notes.clock.wall());
            match self.think(&delivery, &turn, &mut set, stop).await {
                Thought::Answer(answer) => {
                    self.agent_health.succeeded(&self.notes.clock);
                    self.agent_room.succeeded();
                    if self.is_taken_over(thread, &answer).await {
                        return self.keep_silent(delivery, thread, &turn.messages).await;
                    }
                    return self.finish(delivery, &turn, answer, start).await;
                }
                Thought::Failure(error) => return self.fail(delivery, &turn, &error, start).await,
                Thought::Stopped => return,
                Thought::Lost(lost) => {
                    self.thinking.end(thread, id, self.notes.clock.wall());
                    return settle::lost(Self::QUEUE, &lost);
                }
                Thought::Superseded => {
                    self.notes.metrics.turn(TurnOutcome::Superseded);
                    tracing::debug!(message_sid = %id, conversation_sid = %thread,
                        "a new message ends the thinking; another turn has both");
                }
            }
        }
    }

    /// Marks the messages of a set that get no answer.
    fn leave_out(&self, thread: Thread, set: &mut Set) {
        let (wall, held_until) = (self.notes.clock.wall(), set.held_until);
        for member in set.iter_mut().filter(|member| !member.is_skipped) {
            if let Some(reason) = self.admission.skips(&member.message, held_until, wall) {
                member.is_skipped = true;
                // A keyword was noted the first time; one grows stale at any time.
                if !member.redelivered || reason == "stale" {
                    self.note_skipped(thread, &member.message, reason);
                }
            }
        }
    }

    async fn think(
        &self,
        delivery: &Delivery,
        turn: &Turn,
        set: &mut Set,
        stop: &CancellationToken,
    ) -> Thought {
        let mut answer = self.agent.take(turn);
        let (mut lost, mut typing) =
            (pin!(delivery.keep_alive()), pin!(self.show_typing(turn.thread)));
        let messages_max = match self.strategy {
            Strategy::Supersede { messages_max } => messages_max,
            Strategy::Queue | Strategy::Burst(_) | Strategy::Drop => 0,
        };
        let mut may_grow = true;
        loop {
            let has_room = may_grow && set.len() < messages_max;
            let grew = tokio::select! {
                biased;
                () = stop.cancelled() => return Thought::Stopped,
                lost = &mut lost => return Thought::Lost(lost),
                answer = &mut answer => return answer.map_or_else(Thought::Failure, Thought::Answer),
                never = &mut typing => match never {},
                grew = delivery.lane_grew(), if has_room => grew,
            };
            let came = match grew {
                Ok(()) => self.take_along(delivery, turn.thread, set, messages_max).await,
                Err(error) => Err(error),
            };
            match came {
                Ok(true) => {
                    self.leave_out(turn.thread, set);
                    if set.messages().len() > turn.messages.len() {
                        return Thought::Superseded;
                    }
                }
                // It has to wait for a turn of its own; nobody is to spin on it.
                Ok(false) => may_grow = false,
                Err(error) => return Thought::Lost(error),
            }
        }
    }

    async fn cut(&self, delivery: Delivery, thread: Thread) {
        tracing::error!(message_sid = %own_message(&delivery), conversation_sid = %thread,
            "conversation looks like a loop between two bots; it gets no turns until it slows down");
        let cause = Cause::new("loop").with_detail(
            "more turns in a minute than guard.turns_per_minute; redrive it if a person wrote it",
        );
        self.bury(delivery, thread, "loop", cause).await;
    }

    fn identity_in(&self, thread: Thread) -> String {
        let line = match thread.conversation() {
            Some(conversation) => self.seats.line_of(conversation),
            None => &self.seats.lines()[0],
        };
        line.identity.clone()
    }

    /// Shows the bot typing until dropped; a sign that cannot be shown is no failure of the turn.
    async fn show_typing(&self, thread: Thread) -> Infallible {
        loop {
            if let Some(conversation) = thread.conversation()
                && let Some(client) = self.seats.line_of(conversation).connected()
            {
                let _shown = client.typing(conversation).await;
            }
            tokio::time::sleep(TYPING_EVERY).await;
        }
    }

    /// How long a turn is parked that the agent gave no answer to; nothing if it is the turn's own
    /// failure.
    fn parks(&self, turn: &Turn, error: &Error, start: Moment) -> Option<Duration> {
        let (health, clock) = (&self.agent_health, &self.notes.clock);
        let subject = turn.thread.conversation().map(|sid| *sid.as_bytes());
        let took = clock.now().since(start);
        match error.sign() {
            Sign::Alive => {
                health.succeeded(clock);
                None
            }
            Sign::Busy => {
                health.succeeded(clock);
                self.agent_room.refused(clock.now());
                let pause = match error.retry() {
                    Retry::After(after) => after,
                    Retry::No | Retry::Backoff => BUSY_PAUSE,
                };
                Some(settle::spread(pause))
            }
            Sign::Doubtful => {
                health.failed(subject, took, reason(error), clock);
                // It may have cost a lot of thinking, so one turn alone is not asked without end.
                health.is_away().then(|| health.parks(clock)).flatten()
            }
            Sign::Away => {
                self.agent_room.refused(clock.now());
                health.failed(subject, took, reason(error), clock);
                health.parks(clock)
            }
        }
    }

    async fn fail(&self, delivery: Delivery, turn: &Turn, error: &Error, start: Moment) {
        if let Some(pause) = self.parks(turn, error, start) {
            tracing::debug!(message_sid = %turn.id, conversation_sid = %turn.thread,
                retry_in_ms = settle::millis(pause), error = %Chain(error),
                "agent is away or busy; the turn waits");
            self.notes.metrics.turn(TurnOutcome::Retried);
            return settle::report(Self::QUEUE, delivery.park(pause).await);
        }
        let asked = match error.retry() {
            Retry::No => None,
            Retry::Backoff => Some(None),
            Retry::After(after) => Some(Some(after)),
        };
        let attempt = delivery.attempt();
        let delay =
            asked.and_then(|asked| self.schedule.delay_after(attempt, asked, settle::jitter()));
        let cause = Cause::new(reason(error)).with_detail(error.to_string());
        if let Some(delay) = delay {
            tracing::warn!(message_sid = %turn.id, conversation_sid = %turn.thread, attempt,
                retry_in_ms = settle::millis(delay), error = %Chain(error),
                "agent gave no answer; trying again");
            self.notes.metrics.turn(TurnOutcome::Retried);
            settle::report(Self::QUEUE, delivery.retry_in(delay, cause).await);
        } else {
            tracing::error!(message_sid = %turn.id, conversation_sid = %turn.thread, attempt,
                error = %Chain(error),
                "agent gave no answer; the message is a dead letter");
            self.bury(delivery, turn.thread, reason(error), cause).await;
        }
    }

    async fn bury(&self, delivery: Delivery, thread: Thread, reason: &'static str, cause: Cause) {
        self.thinking.end(thread, own_message(&delivery), self.notes.clock.wall());
        let message = own_message(&delivery);
        let settled = delivery.dead(cause).await;
        if settled.is_ok() {
            // Noted once it is stored: whoever sees the note may redrive it.
            let stage = Stage::Dead { queue: Self::QUEUE.as_str(), reason, code: None };
            self.notes.stage(thread, Some(message), stage);
            self.notes.metrics.turn(TurnOutcome::Dead);
        }
        settle::report(Self::QUEUE, settled);
    }
}

/// How the thinking about a turn ended.
enum Thought {
    /// With an answer.
    Answer(Answer),
    /// Without one.
    Failure(Error),
    /// The set has grown; another turn is due.
    Superseded,
    /// The service stops.
    Stopped,
    /// The delivery is somebody else's.
    Lost(queue::Error),
}

/// The message that a delivery of the inbox is about: their ids are the same bytes.
fn own_message(delivery: &Delivery) -> MessageSid {
    MessageSid::from_bytes(*delivery.id().as_bytes())
}

/// The word for an agent's failure in causes and in the journal.
pub(super) const fn reason(error: &Error) -> &'static str {
    match error {
        Error::Timeout { .. } => "agent_timeout",
        Error::Unreachable { .. } => "agent_unreachable",
        Error::Bus { .. } => "agent_bus",
        Error::Status { .. } => "agent_status",
        Error::TooLarge { .. } => TOO_LARGE,
        Error::Malformed { .. } => "agent_answer_malformed",
    }
}

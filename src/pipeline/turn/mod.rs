//! Turns: gives each inbound message to the agent and its answer to the outbox.
//!
//! The queue delivers one turn of a thread at a time, so a slow agent holds up its own thread and no
//! other. What has to be known before is gathered in `before`, and what follows from it is decided in
//! [`policy::before_turn`](crate::pipeline::policy::before_turn). While the agent thinks, the others see
//! the bot typing. The answer's replies and the end of the turn become durable together; a turn that died
//! half-way is asked again under the same id, and its replies keep their ids, so nothing is said twice.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::agent::{Answer, Error, Retry, Sign, Turn};
use crate::channels::{self, Channel, Channels};
use crate::clock::{Clock, Moment};
use crate::jobs::recorder::Recorder;
use crate::jobs::schedule::Schedule;
use crate::jobs::settle;
use crate::jobs::status::Status;
use crate::jobs::worker::Work;
use crate::media::{Files, Offers, fetch};
use crate::pipeline::failure::{self, reason};
use crate::pipeline::handoff::{Handoff, Paused};
use crate::pipeline::ingest::admission::{Admission, Admitted};
use crate::pipeline::lists::Lists;
use crate::pipeline::policy::after_turn::EndOfTurn;
use crate::pipeline::policy::strategy::Strategy;
use crate::pipeline::policy::turn_fate::Unsaid;
use crate::pipeline::record::{Inbound, Said};
use crate::pipeline::send::answers::KeyedAnswers;
use crate::pipeline::send::reply_ids::ReplyIds;
use crate::pipeline::turn::batch::{BatchMessage, TurnBatch};
use crate::pipeline::turn::busy::BusyTimes;
use crate::pipeline::turn::ended_turn::EndedTurn;
use crate::pipeline::turn::histories::Histories;
use crate::pipeline::upstreams::{ChosenUpstream, Upstream, UpstreamSlot, Upstreams};
use crate::queue::{self, Delivery, Queue, QueueName};
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::Stage;
use crate::telemetry::metrics::labels::TurnOutcome;
use crate::telemetry::trace::TraceContext;
use crate::thread::{MessageId, SkipReason, Speaker, Thread, ThreadId};

mod answer;
mod batch;
mod before;
pub mod busy;
mod choose;
mod end;
mod ended_turn;
mod files;
mod gather;
pub mod histories;
mod history;
mod silence;

/// How often the typing sign is renewed. Twilio shows it for about five seconds.
/// Source: Conversations protocol notes, section 4 "Typing", `typing_timeout`.
const TYPING_EVERY: Duration = Duration::from_secs(4);

/// How long a turn waits that the agent had no room for and named no time.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// Works on the inbox.
pub struct Turns {
    /// Who thinks.
    pub upstreams: Upstreams,
    /// Where messages came from and replies go.
    pub channels: Channels,
    /// Which threads a person has.
    pub handoff: Arc<Handoff>,
    /// Where messages wait.
    pub inbox: Queue,
    /// Which messages get a turn.
    pub admission: Arc<Admission>,
    /// What becomes of messages while a person has the thread.
    pub paused: Paused,
    /// Makes the replies' ids.
    pub ids: ReplyIds,
    /// Says whether a turn has an answer already, which came late.
    pub answers: KeyedAnswers,
    /// Which messages make a turn together.
    pub strategy: Strategy,
    /// What was offered to choose from.
    pub lists: Arc<Lists>,
    /// When the agent was busy with whom.
    pub busy: BusyTimes,
    /// What was said before the turns that may come again.
    pub histories: Histories,
    /// When a turn is tried again that Twilio does not tell all of.
    pub schedule: Schedule,
    /// Whether Twilio can be asked.
    pub status: Arc<Status>,
    /// The files of turns, if they are made something of.
    pub files: Option<Arc<Files>>,
    /// Where the stages are noted.
    pub recorder: Recorder,
}

impl Work for Turns {
    const QUEUE: QueueName = QueueName::Inbox;

    async fn wait(&self) {
        if let Some(only) = self.upstreams.only() {
            only.health.wait(&self.recorder.clock).await;
        }
    }

    async fn work(&self, delivery: Delivery, stop: &CancellationToken) {
        let Said { thread, speaker, message } =
            match serde_json::from_slice(delivery.payload()).map(Inbound::into_said) {
                Ok(said) => said,
                Err(error) => return settle::unreadable(delivery, Self::QUEUE, &error).await,
            };
        TraceContext::of_message(thread.id(), message.sid, message.index).record();
        let Some(channel) = self.channels.of(thread.id()) else {
            return settle::report(Self::QUEUE, delivery.dead(channels::not_served()).await);
        };
        let asked = self.before(delivery, (channel, &thread), &message).await;
        let Some((delivery, held_until)) = asked else { return };
        let own = message.sid;
        let message = BatchMessage::own(message, delivery.appended_at(), delivery.redelivered());
        let mut batch = TurnBatch::new(message, held_until);
        let of = (channel, thread.id(), own);
        let Some(delivery) = self.gather(delivery, of, &mut batch).await else { return };
        // A turn that comes again was admitted before.
        let admitted = if delivery.redelivered() {
            Admitted::Turn
        } else {
            self.admission.guard(thread.id(), self.recorder.clock.now())
        };
        match admitted {
            Admitted::Turn => {
                let speaker = speaker.as_ref();
                let own = OwnMessage { channel, thread: &thread, speaker, message: own };
                self.take(delivery, own, batch, stop).await;
            }
            Admitted::Skip(reason) => {
                let messages = batch.messages();
                let of = EndedTurn::of(thread.id(), own, &messages);
                self.end(delivery, EndOfTurn::Guarded(reason), of).await;
            }
            Admitted::Loop => {
                delivery.leave(&batch.keep_own());
                self.cut(delivery, thread.id(), own).await;
            }
        }
    }
}

impl Turns {
    /// Gives the batch to its agent, with what comes meanwhile if that supersedes it.
    async fn take(
        &self,
        mut delivery: Delivery,
        of: OwnMessage<'_>,
        mut batch: TurnBatch,
        stop: &CancellationToken,
    ) {
        let mut place: Option<UpstreamSlot> = None;
        loop {
            let made = self.made(delivery, of, (&mut batch, &mut place)).await;
            let Some((same, turn, ChosenUpstream { upstream, fallback })) = made else { return };
            delivery = same;
            let asked = GivenTurn { turn: &turn, own: of.message, upstream: &upstream };
            let thought = self.think(&delivery, (of.channel, asked), &mut batch, stop).await;
            match self.follow(delivery, asked, thought, fallback.as_deref()).await {
                Some(same) => delivery = same,
                None => return,
            }
        }
    }

    /// Makes the turn of a batch, with all that its agent is to know, and finds who that is; nothing if the
    /// delivery has been settled.
    async fn made(
        &self,
        delivery: Delivery,
        of: OwnMessage<'_>,
        (batch, place): (&mut TurnBatch, &mut Option<UpstreamSlot>),
    ) -> Option<(Delivery, Turn, ChosenUpstream)> {
        let (thread, own) = (of.thread.id(), of.message);
        self.leave_out(thread, batch);
        let mut messages = batch.messages();
        if let Err(lost) = self.lists.choose(thread, &mut messages).await {
            settle::lost(Self::QUEUE, &lost);
            let of = EndedTurn::of(thread, own, &messages);
            self.end(delivery, EndOfTurn::Lost, of).await;
            return None;
        }
        let Some(id) = messages.last().map(|message| message.sid) else {
            let of = EndedTurn::of(thread, own, &messages);
            self.end(delivery, EndOfTurn::NothingLeft, of).await;
            return None;
        };
        let (mut delivery, chosen) = self.chosen(delivery, of, &messages, id).await?;
        if place.as_ref().is_none_or(|place| place.at != chosen.upstream.name) {
            drop(place.take());
            let settling = EndedTurn::of(thread, own, &messages);
            (delivery, *place) = self.placed(delivery, &chosen.upstream, settling).await?;
        }
        let budget = chosen.upstream.agent.history();
        let (delivery, history) = self.with_history(delivery, of, &messages, budget).await?;
        let speaker = of.channel.speaker(of.thread, of.speaker);
        let (attempt, files) = (delivery.attempt(), Offers::default());
        let thread_of = of.thread.clone();
        let turn = Turn { id, thread: thread_of, speaker, messages, history, attempt, files };
        for message in &turn.messages {
            self.recorder.stage(thread, Some(message.sid), Stage::TurnStarted);
        }
        self.busy.begin(thread, id, self.recorder.clock.wall());
        Some((delivery, turn, chosen))
    }

    /// Does what follows from how the thinking ended; gives the delivery back if its batch makes another
    /// turn, or another agent gets it.
    async fn follow(
        &self,
        delivery: Delivery,
        asked: GivenTurn<'_>,
        thought: Thought,
        fallback: Option<&Upstream>,
    ) -> Option<Delivery> {
        let GivenTurn { turn, own, upstream } = asked;
        let thread = turn.thread.id();
        let ending = match thought {
            Thought::Answer(answer, start) => {
                upstream.answered(&self.inbox, &self.recorder.clock);
                upstream.room.succeeded();
                if !self.is_taken_over(thread, &answer).await {
                    self.finish(delivery, asked, answer, start).await;
                    return None;
                }
                EndOfTurn::TakenOver
            }
            Thought::Failure(error, start) => {
                let parked = self.parks(asked, &error, start);
                let retry = failure::delay(&error, delivery.attempt(), &upstream.schedule);
                let gives_way = Self::gives_way(upstream, &error, (parked, retry));
                if gives_way && self.moved(asked, fallback).await {
                    return Some(delivery);
                }
                self.fail(delivery, asked, &error, (parked, retry)).await;
                return None;
            }
            Thought::Away(pause) => {
                if self.moved(asked, fallback).await {
                    return Some(delivery);
                }
                let is_alone = self.upstreams.only().is_some();
                let pause = if is_alone { pause } else { upstream.waits_away(thread, pause) };
                EndOfTurn::AgentAway(pause)
            }
            Thought::Unfetched(error) => {
                self.wait_for_files(delivery, (turn, own), &error).await;
                return None;
            }
            Thought::Stopped => EndOfTurn::Stopped,
            Thought::Lost(lost) => {
                settle::lost(Self::QUEUE, &lost);
                EndOfTurn::Lost
            }
            Thought::Superseded => {
                self.recorder.metrics.turn(TurnOutcome::Superseded);
                tracing::debug!(message_sid = %turn.id, conversation_sid = %thread,
                    "a new message ends the thinking; another turn has both");
                return Some(delivery);
            }
        };
        self.end(delivery, ending, EndedTurn::of(thread, own, &turn.messages)).await;
        None
    }

    /// Marks the messages of a batch that get no answer.
    fn leave_out(&self, thread: ThreadId, batch: &mut TurnBatch) {
        let (wall, held_until) = (self.recorder.clock.wall(), batch.held_until);
        for member in batch.iter_mut().filter(|member| !member.is_skipped) {
            if let Some(reason) = self.admission.skips(&member.message, held_until, wall) {
                member.is_skipped = true;
                // A keyword was noted the first time; one grows stale at any time.
                if !member.redelivered || reason == SkipReason::Stale {
                    self.note_skipped(thread, &member.message, reason);
                }
            }
        }
    }

    async fn think(
        &self,
        delivery: &Delivery,
        (channel, asked): (&dyn Channel, GivenTurn<'_>),
        batch: &mut TurnBatch,
        stop: &CancellationToken,
    ) -> Thought {
        let turn = asked.turn;
        let mut answer = pin!(self.answered(delivery, turn, asked.upstream));
        let (mut lost, mut typing) = (
            pin!(delivery.keep_alive()),
            pin!(show_typing(channel, turn.thread.id(), self.recorder.clock)),
        );
        let messages_max = match self.strategy {
            Strategy::Supersede { messages_max } => messages_max,
            Strategy::Queue | Strategy::Burst(_) | Strategy::Drop => 0,
        };
        let mut may_grow = true;
        loop {
            let has_room = may_grow && batch.len() < messages_max;
            let grew = tokio::select! {
                biased;
                () = stop.cancelled() => return Thought::Stopped,
                lost = &mut lost => return Thought::Lost(lost),
                thought = &mut answer => return thought,
                never = &mut typing => match never {},
                grew = delivery.lane_grew(), if has_room => grew,
            };
            let came = match grew {
                Ok(()) => {
                    self.take_along(delivery, (channel, turn.thread.id()), batch, messages_max)
                        .await
                }
                Err(error) => Err(error),
            };
            match came {
                Ok(true) => {
                    self.leave_out(turn.thread.id(), batch);
                    if batch.messages().len() > turn.messages.len() {
                        return Thought::Superseded;
                    }
                }
                // It has to wait for a turn of its own; nobody is to spin on it.
                Ok(false) => may_grow = false,
                Err(error) => return Thought::Lost(error),
            }
        }
    }

    async fn cut(&self, delivery: Delivery, thread: ThreadId, own: MessageId) {
        tracing::error!(message_sid = %own, conversation_sid = %thread,
            "conversation looks like a loop between two bots; it gets no turns until it slows down");
        let remedy =
            "more turns in a minute than guard.turns_per_minute; redrive it if a person wrote it";
        self.end(delivery, EndOfTurn::Looped, EndedTurn::of(thread, own, &[]).because(remedy))
            .await;
    }

    /// How long a turn is parked that the agent gave no answer to; nothing if it is the turn's own
    /// failure.
    fn parks(&self, asked: GivenTurn<'_>, error: &Error, start: Moment) -> Option<Duration> {
        let GivenTurn { turn, upstream, .. } = asked;
        let (health, clock) = (&upstream.health, &self.recorder.clock);
        let subject = Some(*turn.thread.id().as_bytes());
        let took = clock.now().since(start);
        match error.sign() {
            Sign::Alive => {
                health.succeeded(clock);
                None
            }
            Sign::Busy => {
                health.succeeded(clock);
                upstream.room.refused(clock.now());
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
                health.failed(subject, took, reason(error), clock);
                let pause = health.parks(clock);
                if pause.is_none() {
                    // It answered until now: it may be back at once, or have no room.
                    upstream.room.doubted(clock.now());
                }
                pause
            }
        }
    }

    async fn fail(
        &self,
        delivery: Delivery,
        GivenTurn { turn, own, upstream }: GivenTurn<'_>,
        error: &Error,
        (parked, retry): (Option<Duration>, Option<Duration>),
    ) {
        let (attempt, agent) = (delivery.attempt(), &*upstream.name);
        match (parked, retry) {
            (Some(pause), _) => tracing::debug!(message_sid = %turn.id, agent,
                conversation_sid = %turn.thread, retry_in_ms = settle::millis(pause),
                error = %Chain(error), "agent is away or busy; the turn waits"),
            (None, Some(delay)) => tracing::warn!(message_sid = %turn.id, agent,
                conversation_sid = %turn.thread, attempt, retry_in_ms = settle::millis(delay),
                error = %Chain(error), "agent gave no answer; trying again"),
            (None, None) => tracing::error!(message_sid = %turn.id, agent,
                conversation_sid = %turn.thread, attempt, error = %Chain(error),
                "agent gave no answer; the message is a dead letter"),
        }
        let ending = EndOfTurn::Failed(Unsaid { parked, retry }, failure::class(error));
        let of = EndedTurn::of(turn.thread.id(), own, &turn.messages).because(error);
        self.end(delivery, ending, of).await;
    }
}

/// Shows the bot typing until dropped.
async fn show_typing(channel: &dyn Channel, thread: ThreadId, clock: Clock) -> Infallible {
    loop {
        channel.show_typing(thread).await;
        clock.sleep(TYPING_EVERY).await;
    }
}

/// The message that a delivery is about, and where it was said.
#[derive(Clone, Copy)]
struct OwnMessage<'a> {
    channel: &'a dyn Channel,
    thread: &'a Thread,
    /// As whom of ours it was heard, where that is known.
    speaker: Option<&'a Speaker>,
    message: MessageId,
}

/// A turn, the message that it is the delivery of, and whom it is given to.
#[derive(Clone, Copy)]
struct GivenTurn<'a> {
    turn: &'a Turn,
    own: MessageId,
    upstream: &'a Upstream,
}

/// How the thinking about a turn ended.
enum Thought {
    /// With an answer, and since when the agent was asked.
    Answer(Answer, Moment),
    /// Without one.
    Failure(Error, Moment),
    /// Before the agent was asked: it is away for so long at least.
    Away(Duration),
    /// Before the agent was asked: a file could not be fetched.
    Unfetched(fetch::Error),
    /// The batch has grown; another turn is due.
    Superseded,
    /// The service stops.
    Stopped,
    /// The delivery is somebody else's.
    Lost(queue::Error),
}

//! Joins: puts the bot into the conversations that it should be in.
//!
//! Adding is idempotent: whatever Twilio answers that means "already in" is success, so two webhooks,
//! a retry or another instance do no harm. A group conversation that is still `initializing` cannot be
//! changed yet and is waited for, whatever code it is refused with. What follows from a refusal is decided in
//! [`policy::outcome`](crate::jobs::outcome).

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::channels;
use crate::channels::conversations::arrivals::Arrivals;
use crate::channels::conversations::catch_up::CatchUp;
use crate::channels::conversations::facts::ConversationFacts;
use crate::channels::conversations::join_rules::JoinRules;
use crate::channels::conversations::record::Join;
use crate::channels::conversations::removals::Removals;
use crate::channels::conversations::seats::{PoolMember, Seats};
use crate::channels::conversations::service_check::{self, ServiceCheck};
use crate::fault_points::{self, Point};
use crate::jobs::lane;
use crate::jobs::outcome::{Class, Operation, classify};
use crate::jobs::recorder::{FailedAttempt, Recorder, StageOf};
use crate::jobs::refusal::Scope;
use crate::jobs::schedule::Schedule;
use crate::jobs::settle;
use crate::jobs::status::{self, Status};
use crate::jobs::worker::Work;
use crate::queue::{self, Cause, Delivery, Queue, QueueName};
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::{How, Stage};
use crate::telemetry::metrics::labels::JoinOutcome;
use crate::telemetry::trace::TraceContext;
use crate::thread::CauseClass;
use crate::twilio::events::ConversationState;
use crate::twilio::rest::{self, Op};
use crate::twilio::sid::ConversationSid;

/// How often a conversation that is still being set up is tried.
/// Source: a field report saw group conversations become active after about 700 ms.
const INITIALIZING_EVERY: Duration = Duration::from_secs(1);

/// How often at most: ten minutes. A group that has not been set up by then is tried by the schedule.
const INITIALIZING_TRIES_MAX: u32 = 600;

/// How long after it was last seen being set up a conversation that refuses the bot is still waited for:
/// what it refused was asked before, or the refusal is the last word of its setting up.
const INITIALIZING_LINGERS: Duration = Duration::from_secs(30);

/// The status of whatever conflicts with the state that a conversation is in. Source: error
/// dictionary 50391, 50419 and 50433, read 2026-11-21; that one still being set up answers with the
/// first of them is assumed.
const CONFLICT: u16 = 409;

/// The identity is in as many conversations as Twilio allows.
pub(crate) const TOO_MANY_CONVERSATIONS: u32 = 50214;

/// Works on the queue of joins.
pub struct Joins {
    /// Twilio's REST API.
    pub rest: rest::Client,
    /// The identities and their seats.
    pub seats: Arc<Seats>,
    /// Knows the rules of what comes in, and who was removed.
    pub arrivals: Arrivals,
    /// Which conversations the bot is to be in.
    pub join_rules: Arc<JoinRules>,
    /// From which conversations somebody has removed it.
    pub removals: Arc<Removals>,
    /// Reads a conversation over REST where no socket will.
    pub catch_up: CatchUp,
    /// Where replies may wait for a join.
    pub outbox: Queue,
    /// When a failed join is tried again.
    pub schedule: Schedule,
    /// What the operator should know.
    pub status: Arc<Status>,
    /// Tells a conversation that is gone from a wrong service.
    pub service: Arc<ServiceCheck>,
    /// Knows how conversations are, and remembers when they were last seen being set up.
    pub facts: Arc<ConversationFacts>,
    /// Where the stages are noted.
    pub recorder: Recorder,
}

impl Work for Joins {
    const QUEUE: QueueName = QueueName::Joins;

    async fn wait(&self) {
        self.status.wait_for_rest(Op::AddParticipant, &self.recorder.clock).await;
    }

    async fn work(&self, delivery: Delivery, stop: &CancellationToken) {
        let Join::V1 { conversation, at: _ } = match serde_json::from_slice(delivery.payload()) {
            Ok(record) => record,
            Err(error) => return settle::unreadable(delivery, Self::QUEUE, &error).await,
        };
        TraceContext::of_thread(conversation).record();
        // Which identity an earlier delivery was adding is known once that has arrived.
        if self.seats.members().len() > 1
            && let Some(early) = settle::too_early(&delivery)
        {
            return settle::report(Self::QUEUE, delivery.put_off(early).await);
        }
        let added = tokio::select! {
            biased;
            lost = delivery.keep_alive() => return settle::lost(Self::QUEUE, &lost),
            added = self.add(&delivery, conversation) => added,
        };
        match added {
            Added::Done(line, how) => self.joined(delivery, conversation, line, how).await,
            Added::Refused(error) => self.refused(delivery, conversation, &error, stop).await,
            Added::NoRoom => self.bury(delivery, conversation, no_room()).await,
            Added::Lost(error) => settle::lost(Self::QUEUE, &error),
            // It has been noted why.
            Added::NotWanted => settle::report(Self::QUEUE, delivery.ack().await),
        }
    }
}

/// How the attempts to add an identity of the pool ended.
enum Added<'a> {
    /// This one sits there now.
    Done(&'a PoolMember, How),
    /// Twilio did not take it.
    Refused(rest::Error),
    /// Every identity is in as many conversations as Twilio allows.
    NoRoom,
    /// The store failed.
    Lost(queue::Error),
    /// The bot is not to be there.
    NotWanted,
}

impl Joins {
    /// Adds the first identity of the pool that Twilio has room for. Whoever of the pool sits there
    /// already, by an attempt or a sweep that nobody remembers, stays the only one.
    async fn add(&self, delivery: &Delivery, conversation: ConversationSid) -> Added<'_> {
        match self.join_rules.wants_still(conversation).await {
            Ok(true) => {}
            Ok(false) => return Added::NotWanted,
            Err(error) => return Added::Refused(error),
        }
        match self.removals.stays_away(conversation).await {
            Ok(false) => {}
            Ok(true) => return Added::NotWanted,
            Err(channels::Error::Rest(error)) => return Added::Refused(error),
            Err(channels::Error::Store(error)) => return Added::Lost(error),
        }
        // An identity that is alone and has room learns by its add that it sits there; else Twilio says
        // who does, for a seat that is remembered may be lost.
        let now = self.recorder.clock.now();
        if self.seats.members().len() > 1 || self.seats.candidates(conversation, now).is_empty() {
            match self.seats.look(&self.rest, conversation).await {
                Ok(Some(line)) => return Added::Done(line, How::Already),
                Ok(None) => {}
                Err(error) => return Added::Refused(error),
            }
        }
        for line in self.seats.candidates(conversation, now) {
            if !delivery.is_held() {
                return Added::Lost(queue::Error::LeaseLost { id: delivery.id() });
            }
            let error = match self.rest.add_participant(conversation, &line.identity).await {
                Ok(_) => return Added::Done(line, How::Added),
                Err(error) => error,
            };
            match classify(Operation::Join, status::failure(&error)) {
                Class::Done => return Added::Done(line, How::Already),
                Class::Dead if status::code(&error) == Some(TOO_MANY_CONVERSATIONS) => {
                    self.seats.note_full(line, now);
                }
                Class::Retry(_) | Class::Look(_) | Class::Reconfigure | Class::Dead => {
                    return Added::Refused(error);
                }
            }
        }
        Added::NoRoom
    }

    async fn joined(
        &self,
        delivery: Delivery,
        conversation: ConversationSid,
        line: &PoolMember,
        how: How,
    ) {
        fault_points::hit(Point::BotAdded);
        self.seats.take(conversation, &line.identity);
        if let Err(error) = self.removals.joined(conversation).await {
            return settle::lost(Self::QUEUE, &error);
        }
        self.status.succeeded(Op::AddParticipant, &self.recorder.clock);
        self.recorder.stage(conversation, None, Stage::Joined { how });
        self.recorder.metrics.join(match how {
            How::Added => JoinOutcome::Added,
            How::Already => JoinOutcome::Already,
        });
        tracing::info!(conversation_sid = %conversation, attempt = delivery.attempt(),
            "bot is a participant of the conversation");
        // With the socket up, the realtime client reads the conversation as soon as it hears of it.
        if line.connected().is_none()
            && let Err(error) = self.catch_up.read(conversation, None).await
        {
            tracing::warn!(conversation_sid = %conversation, error = %Chain(&error),
                "conversation could not be read after the join; trying again");
            if let Some(pause) = error.parks(&self.status, &self.recorder.clock) {
                return settle::report(Self::QUEUE, delivery.park(pause).await);
            }
            let cause = Cause::of(CauseClass::CatchUp).with_detail(error.to_string());
            let delay = self.schedule.delay_after(delivery.attempt(), None, settle::jitter());
            if let Some(delay) = delay {
                return settle::report(Self::QUEUE, delivery.retry_in(delay, cause).await);
            }
        }
        settle::report(Self::QUEUE, delivery.ack().await);
        self.outbox.wake(&lane(conversation));
    }

    async fn refused(
        &self,
        delivery: Delivery,
        conversation: ConversationSid,
        error: &rest::Error,
        stop: &CancellationToken,
    ) {
        if let Some(pause) = self.status.parks(error, &self.recorder.clock) {
            return self.park(delivery, conversation, error, pause).await;
        }
        let class = classify(Operation::Join, status::failure(error));
        let cause = status::cause(class, error);
        let may_be_initializing = error.status() == Some(CONFLICT) || class == Class::Dead;
        if may_be_initializing
            && delivery.attempt() < INITIALIZING_TRIES_MAX
            && self.was_initializing(conversation).await
            && !stop.is_cancelled()
        {
            tracing::debug!(conversation_sid = %conversation, "conversation is still initializing");
            let waited = delivery.retry_in(INITIALIZING_EVERY, cause).await;
            return settle::report(Self::QUEUE, waited);
        }
        match class {
            Class::Reconfigure => self.put_off(delivery, scope(error), &cause.detail).await,
            Class::Dead if error.status() == Some(404) && self.service.is_unknown().await => {
                self.put_off(delivery, Scope::Rest, service_check::UNKNOWN).await;
            }
            Class::Retry(asked) => self.retry(delivery, conversation, asked, cause).await,
            // An add that is done is not refused, see `add`.
            Class::Done | Class::Look(_) | Class::Dead => {
                self.bury(delivery, conversation, cause).await;
            }
        }
    }

    /// Keeps a join while what it needs is away; no attempt is counted.
    async fn park(
        &self,
        delivery: Delivery,
        conversation: ConversationSid,
        error: &rest::Error,
        pause: Duration,
    ) {
        tracing::debug!(conversation_sid = %conversation, error = %Chain(error),
            retry_in_ms = settle::millis(pause), "bot could not be added; the join waits");
        self.recorder.metrics.join(JoinOutcome::Retried);
        self.recorder.waits(Self::QUEUE, &delivery, whose(conversation));
        settle::report(Self::QUEUE, delivery.park(pause).await);
    }

    /// Keeps a join until the configuration is right; no attempt is counted.
    async fn put_off(&self, delivery: Delivery, scope: Scope, reason: &str) {
        let clock = &self.recorder.clock;
        self.status.refused(scope, reason, clock);
        self.recorder.metrics.join(JoinOutcome::Retried);
        let pause = self.status.pause(clock, settle::jitter());
        settle::report(Self::QUEUE, delivery.put_off(pause).await);
    }

    async fn retry(
        &self,
        delivery: Delivery,
        conversation: ConversationSid,
        asked: Option<Duration>,
        cause: Cause,
    ) {
        let attempt = delivery.attempt();
        match self.schedule.delay_after(attempt, asked, settle::jitter()) {
            Some(delay) => {
                tracing::warn!(conversation_sid = %conversation, attempt, reason = %cause.detail,
                    retry_in_ms = settle::millis(delay), "bot could not be added; trying again");
                self.recorder.metrics.join(JoinOutcome::Retried);
                let (reason, code) = (CauseClass::Retry, cause.code);
                let failed = FailedAttempt { reason, code, again_in: delay };
                let failed = (whose(conversation), failed);
                self.recorder.attempt_failed(Self::QUEUE, &delivery, failed);
                settle::report(Self::QUEUE, delivery.retry_in(delay, cause).await);
            }
            None => self.bury(delivery, conversation, cause).await,
        }
    }

    async fn bury(&self, delivery: Delivery, conversation: ConversationSid, cause: Cause) {
        tracing::error!(conversation_sid = %conversation, attempt = delivery.attempt(), code = cause.code,
            reason = %cause.detail, "bot could not be added; the join is a dead letter");
        let queue = QueueName::Joins.as_str();
        let stage = Stage::Dead { queue, reason: CauseClass::Dead, code: cause.code };
        let settled = delivery.dead(cause).await;
        if settled.is_ok() {
            self.recorder.stage(conversation, None, stage);
            self.recorder.metrics.join(JoinOutcome::Dead);
        }
        settle::report(Self::QUEUE, settled);
    }

    /// Whether a refusal may be for a conversation that was still being set up. One that was so a moment
    /// ago may have been set up between this refusal and the look; its attempts are used up by waiting, so
    /// the schedule has none left for it.
    async fn was_initializing(&self, conversation: ConversationSid) -> bool {
        let now = self.recorder.clock.now();
        if self.is_initializing(conversation).await {
            self.facts.memory().change(conversation, |known| known.set_up = Some(now));
            return true;
        }
        let last = self.facts.memory().of(conversation).set_up;
        last.is_some_and(|last| now.since(last) < INITIALIZING_LINGERS)
    }

    async fn is_initializing(&self, conversation: ConversationSid) -> bool {
        match self.facts.conversation(conversation).await {
            Ok(Some(found)) => found.state == Some(ConversationState::Initializing),
            Ok(None) => false,
            Err(error) => {
                tracing::debug!(conversation_sid = %conversation, error = %Chain(&error),
                    "state of the conversation could not be read");
                false
            }
        }
    }
}

/// To what it happens that happens to a join.
fn whose(conversation: ConversationSid) -> StageOf {
    StageOf { thread: conversation.into(), message: None, reply_id: None }
}

/// What is refused, where only a change of configuration helps.
fn scope(error: &rest::Error) -> Scope {
    if error.status() == Some(401) { Scope::Rest } else { Scope::Operation(error.op()) }
}

fn no_room() -> Cause {
    Cause::of(CauseClass::Dead).with_code(TOO_MANY_CONVERSATIONS).with_detail(
        "every identity is in as many conversations as twilio allows; add one to \
         CHIMEIN_IDENTITY_POOL; a sweep that finds room tries again",
    )
}

//! Sends: brings replies from the outbox into their threads, each once, in order.
//!
//! How one gets there is its channel's to know. After an outcome that nobody knows it is looked for before
//! anything is sent again, and after the last attempt once more.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::agent::{Fate, Origin, Report};
use crate::channels::{self, Channel, Channels, Failed, Outgoing, Sending, Sent, Speaking};
use crate::fault_points::{self, Point};
use crate::jobs::outcome::Class;
use crate::jobs::recorder::{FailedAttempt, Recorder, StageOf};
use crate::jobs::schedule::Schedule;
use crate::jobs::status::Status;
use crate::jobs::worker::Work;
use crate::jobs::{lane, settle};
use crate::pipeline::handoff::{Handoff, Paused};
use crate::pipeline::lists::Lists;
use crate::pipeline::origins;
use crate::pipeline::record::Outbound;
use crate::pipeline::report;
use crate::pipeline::report::room::Room;
use crate::pipeline::upstreams::Upstreams;
use crate::queue::{self, Append, Cause, Delivery, Queue, QueueName};
use crate::telemetry::journal::{Stage, Via};
use crate::telemetry::metrics::labels::ReplyOutcome;
use crate::telemetry::trace::{TraceContext, TraceId};
use crate::thread::{CauseClass, MessageId, SkipReason, ThreadId};

pub mod answers;
mod ending;
mod handing;
pub mod late;
pub mod outbound;
pub mod reply_ids;
mod silence;

/// How long after the last attempt it is looked for once more, so that what Twilio stored is listed.
const LAST_LOOK_AFTER: Duration = Duration::from_secs(5);

/// How soon a reply that waits for the bot's way into its thread is tried again if nobody tells it that
/// it is made.
const LOOK_FOR_JOIN_EVERY: Duration = Duration::from_secs(5);

/// Works on the outbox.
pub struct Sends {
    /// Where replies go.
    pub channels: Channels,
    /// Which threads a person has.
    pub handoff: Arc<Handoff>,
    /// What becomes of replies while a person has the thread.
    pub paused: Paused,
    /// What was offered to choose from.
    pub lists: Arc<Lists>,
    /// Who thinks, and what was said that chose one of them.
    pub upstreams: Upstreams,
    /// When a failed send is tried again.
    pub schedule: Schedule,
    /// Where replies wait.
    pub outbox: Queue,
    /// Where what became of a reply goes, if its agent wants to know.
    pub reports: Queue,
    /// Whether there is room for that, where the agent is told of each step.
    pub told: Option<Room>,
    /// What the operator should know.
    pub status: Arc<Status>,
    /// Where the stages are noted.
    pub recorder: Recorder,
}

/// One reply on its way.
struct PendingReply {
    out: Outgoing,
    thread: ThreadId,
    turn: Option<MessageId>,
    trace: TraceId,
    late: bool,
    origin: Option<Origin>,
}

/// How an attempt ended that did not fail.
enum SendEnd {
    /// Nobody is to hear it.
    Unwanted(SkipReason),
    /// The number that it leaves by has others before it.
    NotYet(Duration),
    /// The bot is not in its thread yet, and its way there is being made.
    AwaitsJoin,
    /// It is in its thread.
    Sent(Sent),
}

impl Work for Sends {
    const QUEUE: QueueName = QueueName::Outbox;

    async fn wait(&self) {
        self.channels.wait().await;
    }

    async fn work(&self, delivery: Delivery, _stop: &CancellationToken) {
        let Outbound::V1 {
            id,
            thread,
            turn,
            trace,
            reply,
            at: accepted,
            late,
            origin,
            after,
            hands_over,
            taken_back,
            ends,
        } = match serde_json::from_slice(delivery.payload()) {
            Ok(record) => record,
            Err(error) => return settle::unreadable(delivery, Self::QUEUE, &error).await,
        };
        if reply.is_empty() && !hands_over && !ends {
            // It keeps the place of a part, of a reply that was left whole.
            return settle::report(Self::QUEUE, delivery.ack().await);
        }
        let name = thread.id();
        let trace = trace.unwrap_or_else(|| TraceContext::of_thread(name).trace());
        TraceContext::of_trace(trace, name, turn).record();
        let again = after.as_ref().filter(|after| after.again).map(|after| after.cause());
        let note = origin.as_ref().filter(|_| self.told.is_some()).and_then(origins::note);
        let out = Outgoing { id, thread, reply, accepted, turn, trace, again, note };
        let pending = PendingReply { out, thread: name, turn, trace, late, origin };
        if let Some(after) = after.filter(|after| !after.again && !delivery.redelivered()) {
            let failed = Failed::of(Class::Dead, Via::Rest, after.cause());
            // How it failed was told of the one that did.
            let pending = PendingReply { origin: None, ..pending };
            return self.bury(delivery, &pending, failed).await;
        }
        if let Some(early) = settle::too_early(&delivery) {
            return settle::report(Self::QUEUE, delivery.put_off(early).await);
        }
        let Some(channel) = self.channels.of(name) else {
            let failed = Failed::of(Class::Dead, Via::Rest, channels::not_served());
            return self.bury(delivery, &pending, failed).await;
        };
        if hands_over {
            return self.hand_over(channel, delivery, (&pending, taken_back)).await;
        }
        if ends {
            return self.end_thread(channel, delivery, &pending).await;
        }
        let sent = tokio::select! {
            biased;
            lost = delivery.keep_alive() => return settle::lost(Self::QUEUE, &lost),
            sent = self.attempt(channel, &delivery, &pending) => sent,
        };
        match sent {
            Ok(SendEnd::Unwanted(reason)) => self.leave_unsent(delivery, &pending, reason).await,
            Ok(SendEnd::AwaitsJoin) => self.await_join(channel, delivery, &pending).await,
            Ok(SendEnd::NotYet(wait)) => settle::report(Self::QUEUE, delivery.put_off(wait).await),
            Ok(SendEnd::Sent(sent)) => self.brought(channel, delivery, (&pending, sent)).await,
            Err(failed) => self.fail(channel, delivery, (&pending, failed)).await,
        }
    }
}

impl Sends {
    async fn attempt(
        &self,
        channel: &dyn Channel,
        delivery: &Delivery,
        pending: &PendingReply,
    ) -> Result<SendEnd, Failed> {
        let look = delivery.redelivered();
        if let Some(reason) = self.unwanted(channel, pending).await? {
            // One that is there already is sent.
            if !(look && channel.find(&pending.out).await?.is_some()) {
                return Ok(SendEnd::Unwanted(reason));
            }
        }
        if let Some(wait) = channel.departure(&pending.out).await? {
            return Ok(SendEnd::NotYet(wait));
        }
        let Outgoing { id, reply, .. } = &pending.out;
        if !reply.buttons.is_empty() {
            let offered = self.lists.offered(pending.thread, *id, &reply.buttons).await;
            offered.map_err(|error| Failed::not_stored(&error))?;
        }
        match channel.send(&pending.out, delivery, look).await? {
            Sending::Sent(sent) => {
                if look {
                    let found = sent.how == ReplyOutcome::Found;
                    self.note(pending, Stage::ReplyLookedFor { found });
                }
                Ok(SendEnd::Sent(sent))
            }
            Sending::NotThereYet => Ok(SendEnd::AwaitsJoin),
        }
    }

    /// Why a reply is not to be heard, if it is not.
    async fn unwanted(
        &self,
        channel: &dyn Channel,
        pending: &PendingReply,
    ) -> Result<Option<SkipReason>, Failed> {
        let excluded = channel.excludes(&pending.out.thread, Speaking::Reply).await;
        let unsaid = |error| Failed::unsaid(&error, &self.status, &self.recorder.clock);
        if let Some(reason) = excluded.map_err(unsaid)? {
            return Ok(Some(reason));
        }
        Ok(self.is_silenced(pending).await?.then_some(SkipReason::Paused))
    }

    /// Keeps a reply until the bot is in its thread, however long that takes; no attempt is counted.
    /// Nothing was sent: whoever is not a participant was refused.
    async fn await_join(&self, channel: &dyn Channel, delivery: Delivery, pending: &PendingReply) {
        tracing::debug!(conversation_sid = %pending.thread, "reply waits for the bot's join");
        settle::report(Self::QUEUE, delivery.put_off(LOOK_FOR_JOIN_EVERY).await);
        // It may have ended just before there was anything to wake.
        if !channel.is_joining(pending.thread) {
            self.outbox.wake(&lane(pending.thread));
        }
    }

    async fn brought(
        &self,
        channel: &dyn Channel,
        delivery: Delivery,
        (pending, sent): (&PendingReply, Sent),
    ) {
        let Sent { how, via, message } = sent;
        self.status.succeeded(channel.sending(), &self.recorder.clock);
        self.note(pending, Stage::ReplySent { via, reply: Some(message) });
        self.recorder.metrics.reply(how, via);
        if how == ReplyOutcome::Sent {
            let since = self.recorder.clock.wall().since(pending.out.accepted);
            tracing::info!(conversation_sid = %pending.thread, message_sid = %message,
                via = via.as_str(), attempt = delivery.attempt(), elapsed_ms = settle::millis(since),
                "reply is sent");
        }
        let settled = match self.report_on(pending, Fate::Sent { message }) {
            Some(job) => delivery.ack_and_append(vec![job]).await.map(drop),
            None => delivery.ack().await,
        };
        settle::report(Self::QUEUE, settled);
        fault_points::hit(Point::SendSettled);
    }

    async fn fail(
        &self,
        channel: &dyn Channel,
        delivery: Delivery,
        (pending, failed): (&PendingReply, Failed),
    ) {
        let attempt = delivery.attempt();
        if let Some(pause) = failed.parked {
            tracing::debug!(conversation_sid = %pending.thread, reason = %failed.cause.detail,
                retry_in_ms = settle::millis(pause), "reply could not be sent; it waits");
            self.recorder.metrics.reply(ReplyOutcome::Retried, failed.via);
            self.recorder.waits(Self::QUEUE, &delivery, whose(pending));
            // What was refused did nothing, so that it need not be looked for.
            let settled = match failed.class {
                Class::Look(_) => delivery.park(pause).await,
                Class::Done | Class::Retry(_) | Class::Reconfigure | Class::Dead => {
                    delivery.put_off(pause).await
                }
            };
            return settle::report(Self::QUEUE, settled);
        }
        let asked = match failed.class {
            Class::Retry(asked) | Class::Look(asked) => asked,
            Class::Reconfigure => return self.put_off(delivery, &failed).await,
            Class::Done | Class::Dead => return self.bury(delivery, pending, failed).await,
        };
        let Some(delay) = self.schedule.delay_after(attempt, asked, settle::jitter()) else {
            return self.give_up(channel, delivery, (pending, failed)).await;
        };
        let Failed { via, cause, class, .. } = failed;
        let is_unknown = matches!(class, Class::Look(_));
        let reason = if is_unknown { CauseClass::Look } else { CauseClass::Retry };
        let again = FailedAttempt { reason, code: cause.code, again_in: delay };
        self.recorder.attempt_failed(Self::QUEUE, &delivery, (whose(pending), again));
        tracing::warn!(conversation_sid = %pending.thread, attempt, code = cause.code,
            reason = %cause.detail, retry_in_ms = settle::millis(delay),
            "reply was not sent; trying again");
        self.recorder.metrics.reply(ReplyOutcome::Retried, via);
        settle::report(Self::QUEUE, delivery.retry_in(delay, *cause).await);
    }

    /// Keeps a reply until the configuration is right; no attempt is counted.
    async fn put_off(&self, delivery: Delivery, failed: &Failed) {
        let clock = &self.recorder.clock;
        if let Some(scope) = failed.scope() {
            self.status.refused(scope, &failed.cause.detail, clock);
        }
        self.recorder.metrics.reply(ReplyOutcome::Retried, failed.via);
        let pause = self.status.pause(clock, settle::jitter());
        settle::report(Self::QUEUE, delivery.put_off(pause).await);
    }

    /// After the last attempt: looks a last time if that one may have succeeded.
    async fn give_up(
        &self,
        channel: &dyn Channel,
        delivery: Delivery,
        (pending, failed): (&PendingReply, Failed),
    ) {
        let Class::Look(_) = failed.class else {
            return self.bury(delivery, pending, failed).await;
        };
        let look = async {
            self.recorder.clock.sleep(LAST_LOOK_AFTER).await;
            channel.find(&pending.out).await
        };
        let looked = tokio::select! {
            biased;
            lost = delivery.keep_alive() => return settle::lost(Self::QUEUE, &lost),
            looked = look => looked,
        };
        match looked {
            Ok(Some(found)) => self.brought(channel, delivery, (pending, found)).await,
            Ok(None) => self.bury(delivery, pending, failed).await,
            Err(_) => {
                let cause = Cause { detail: nobody_knows(&failed.cause.detail), ..*failed.cause };
                self.bury(delivery, pending, Failed { cause: cause.into(), ..failed }).await;
            }
        }
    }

    async fn bury(&self, delivery: Delivery, pending: &PendingReply, failed: Failed) {
        let Failed { via, cause, .. } = failed;
        if let Err(error) = self.tell_of_death(pending, &cause).await {
            // Not dead before its report is on disk: the job comes again and dies then.
            settle::lost(QueueName::Reports, &error);
            let later = delivery.retry_in(self.schedule.longest(), *cause).await;
            return settle::report(Self::QUEUE, later);
        }
        tracing::error!(conversation_sid = %pending.thread, attempt = delivery.attempt(),
            code = cause.code, reason = %cause.detail, "reply could not be sent; it is a dead letter");
        let queue = QueueName::Outbox.as_str();
        let stage = Stage::Dead { queue, reason: CauseClass::Dead, code: cause.code };
        let settled = delivery.dead(*cause).await;
        if settled.is_ok() {
            self.note(pending, stage);
            self.recorder.metrics.reply(ReplyOutcome::Dead, via);
        }
        settle::report(Self::QUEUE, settled);
    }

    /// Stores the report on a reply that is about to be a dead letter. If the process dies before it
    /// is one, the reply is tried once more, and another report tells of that.
    async fn tell_of_death(
        &self,
        pending: &PendingReply,
        cause: &Cause,
    ) -> Result<(), queue::Error> {
        let Cause { class, code, detail } = cause;
        let (class, detail) = (class.clone().into_owned(), detail.clone());
        match self.report_on(pending, Fate::Dead { class, code: *code, detail }) {
            Some((_, append)) => self.reports.append(vec![append]).await.map(drop),
            None => Ok(()),
        }
    }

    fn report_on(&self, pending: &PendingReply, fate: Fate) -> Option<(QueueName, Append)> {
        if self.told.as_ref().is_some_and(|room| !room.has_place()) {
            return None;
        }
        let Outgoing { id, thread, turn, .. } = &pending.out;
        let (origin, at) = (pending.origin.clone()?, self.recorder.clock.wall());
        let (reply, thread, turn) = (*id, thread.clone(), *turn);
        let report = Report { reply, thread, turn, origin, fate, at };
        Some((QueueName::Reports, report::job(report, Some(pending.trace))))
    }

    fn note(&self, pending: &PendingReply, stage: Stage) {
        self.recorder.stage_at(self.recorder.clock.wall(), whose(pending), stage);
    }
}

/// To what it happens that happens to a reply.
const fn whose(pending: &PendingReply) -> StageOf {
    let (thread, message, reply_id) = (pending.thread, pending.turn, Some(pending.out.id));
    StageOf { thread, message, reply_id }
}

fn nobody_knows(detail: &str) -> String {
    format!(
        "the reply may have been sent, and nobody could look: {detail}. Redriven it is looked for \
         before it is sent again"
    )
}

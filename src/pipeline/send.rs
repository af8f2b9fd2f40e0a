//! Sends: brings replies from the outbox into their conversations, each once, in order.
//!
//! Over the socket while it is up, else over REST; the author is always the bot. Every send carries
//! the reply's id twice: as mutation id on the socket and as a key in the message's attributes. After
//! an outcome that nobody knows (the answer was lost, the process died in between) the messages since
//! the reply was accepted are searched for one of the bot's own with that key before anything is sent again; where there are too
//! many of them, the reply becomes a dead letter, since sending it might be sending it twice.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::agent::{Fate, Origin, Reply, Report, Thread};
use crate::clock::{Moment, Timestamp};
use crate::fault_points::{self, Point};
use crate::pii::Pii;
use crate::pipeline::handoff::{Handoff, Paused};
use crate::pipeline::notes::Notes;
use crate::pipeline::paces::Paces;
use crate::pipeline::policy::authors::Authors;
use crate::pipeline::policy::outage::Pass;
use crate::pipeline::policy::outcome::{Class, Failure, NOT_PARTICIPANT, Operation, classify};
use crate::pipeline::policy::refusal::Scope;
use crate::pipeline::policy::schedule::Schedule;
use crate::pipeline::policy::search::{self, Candidate, Search, Step};
use crate::pipeline::record::{self, Outbound};
use crate::pipeline::removed::Removed;
use crate::pipeline::report;
use crate::pipeline::seats::{Line, Seats};
use crate::pipeline::senders::{Departure, Senders};
use crate::pipeline::service::{self, ServiceCheck};
use crate::pipeline::settle;
use crate::pipeline::status::{self, Status};
use crate::pipeline::through::Through;
use crate::pipeline::worker::Work;
use crate::pipeline::{heard, join};
use crate::queue::{self, Append, Cause, Delivery, Queue, QueueName};
use crate::realtime::{Outcome, SendMessage};
use crate::telemetry::journal::{Stage, Via};
use crate::telemetry::metrics::labels::ReplyOutcome;
use crate::telemetry::trace::{TraceId, Way};
use crate::twilio::catalogue;
use crate::twilio::rest::{self, NewMessage, Op};
use crate::twilio::sid::{ConversationSid, MessageSid};

mod handoff;
mod removed;

/// How long after the last attempt it is looked for once more, so that what Twilio stored is listed.
const LAST_LOOK_AFTER: Duration = Duration::from_secs(5);

/// How soon a reply that waits for the bot's join is tried again if nobody tells it that it is over.
const LOOK_FOR_JOIN_EVERY: Duration = Duration::from_secs(5);

/// Works on the outbox.
pub struct Sends {
    /// Twilio's REST API.
    pub rest: rest::Client,
    /// The identities and their clients.
    pub seats: Arc<Seats>,
    /// Tells the bot's own messages.
    pub authors: Authors,
    /// Which conversations a person has.
    pub handoff: Arc<Handoff>,
    /// What becomes of replies while a person has the conversation.
    pub paused: Paused,
    /// When a failed send is tried again.
    pub schedule: Schedule,
    /// Where joins wait, of which a reply may have to wait for one.
    pub joins: Queue,
    /// How far each conversation is known.
    pub through: Arc<Through>,
    /// From which conversations somebody has removed the bot.
    pub removed: Arc<Removed>,
    /// How fast replies may follow each other.
    pub paces: Paces,
    /// How fast each of our numbers may send, if that is limited here.
    pub senders: Option<Senders>,
    /// Where what became of a reply goes, if its agent wants to know.
    pub reports: Queue,
    /// What the operator should know.
    pub status: Arc<Status>,
    /// Tells a conversation that is gone from a wrong service.
    pub service: Arc<ServiceCheck>,
    /// Where the stages are noted.
    pub notes: Notes,
}

/// One reply on its way.
struct Parcel {
    id: Uuid,
    conversation: ConversationSid,
    turn: Option<MessageSid>,
    trace: TraceId,
    reply: Reply,
    accepted: Timestamp,
    late: bool,
    origin: Option<Origin>,
}

/// How an attempt ended that did not bring the reply into the conversation.
struct Failed {
    class: Class,
    /// How a request failed, if one did.
    failure: Option<Failure>,
    /// How long the reply is to be parked, if what it needs is away.
    parked: Option<Duration>,
    via: Via,
    cause: Box<Cause>,
}

/// How an attempt ended that did not fail.
enum End {
    /// A person has the conversation.
    Silenced,
    /// Somebody has removed the bot from the conversation.
    Removed,
    /// The number that it leaves by has others before it.
    NotYet(Duration),
    /// The bot is not in its conversation yet, and its join is on the way.
    AwaitsJoin,
    /// It is in its conversation.
    Brought(Brought),
}

/// How a reply came to be in its conversation.
struct Brought {
    how: ReplyOutcome,
    via: Via,
    message: MessageSid,
}

impl Work for Sends {
    const QUEUE: QueueName = QueueName::Outbox;

    async fn wait(&self) {
        // A socket that is up brings replies whatever REST does, and says itself when it is away.
        if self.seats.lines().iter().all(|line| line.connected().is_none()) {
            self.status.needed_for(Op::CreateMessage).wait(&self.notes.clock).await;
        }
    }

    async fn work(&self, delivery: Delivery, _stop: &CancellationToken) {
        let Outbound::V1 { id, thread, turn, trace, reply, at: accepted, late, origin } =
            match serde_json::from_slice(delivery.payload()) {
                Ok(record) => record,
                Err(error) => return settle::unreadable(delivery, Self::QUEUE, &error).await,
            };
        if reply.is_empty() {
            // It keeps the place of a part, of a reply that was left whole.
            return settle::report(Self::QUEUE, delivery.ack().await);
        }
        let Thread::Conversation(conversation) = thread;
        let trace = trace.unwrap_or_else(|| Way::of_conversation(conversation).trace());
        Way::of_trace(trace, conversation, turn).record();
        let parcel = Parcel { id, conversation, turn, trace, reply, accepted, late, origin };
        let look = delivery.redelivered();
        if let Some(early) = settle::too_early(&delivery) {
            return settle::report(Self::QUEUE, delivery.put_off(early).await);
        }
        let sent = tokio::select! {
            biased;
            lost = delivery.keep_alive() => return settle::lost(Self::QUEUE, &lost),
            sent = async {
                if self.is_removed(&parcel, look).await? {
                    return Ok(End::Removed);
                }
                if self.is_silenced(&parcel, look).await? {
                    return Ok(End::Silenced);
                }
                if let Some(wait) = self.wait_for_sender(&parcel).await? {
                    return Ok(End::NotYet(wait));
                }
                match self.bring(&delivery, &parcel, look).await {
                    Ok(brought) => Ok(End::Brought(brought)),
                    Err(failed) if failed.is_not_participant() && self.is_joining(&parcel) => {
                        Ok(End::AwaitsJoin)
                    }
                    Err(failed) => Err(failed),
                }
            } => sent,
        };
        match sent {
            Ok(End::Silenced) => self.keep_silent(delivery, &parcel).await,
            Ok(End::Removed) => self.leave_unsent(delivery, &parcel).await,
            Ok(End::AwaitsJoin) => self.await_join(delivery, &parcel).await,
            Ok(End::NotYet(wait)) => settle::report(Self::QUEUE, delivery.put_off(wait).await),
            Ok(End::Brought(brought)) => self.brought(delivery, &parcel, brought).await,
            Err(failed) => self.fail(delivery, &parcel, failed).await,
        }
    }
}

impl Sends {
    /// Waits for its place in the row of its sender; gives how long it is to be put off if that is far.
    async fn wait_for_sender(&self, parcel: &Parcel) -> Result<Option<Duration>, Failed> {
        let Some(senders) = &self.senders else { return Ok(None) };
        let body = parcel.reply.body.as_ref().map_or("", |body| body.reveal());
        let asked = senders.departure(parcel.id, parcel.conversation, body).await;
        match asked.map_err(|error| self.did_nothing(&error))? {
            Departure::At(due) => {
                self.notes.clock.sleep_until(due).await;
                Ok(None)
            }
            Departure::Later(wait) => Ok(Some(wait)),
        }
    }

    /// Whether the conversation's join may be waiting or under way.
    fn is_joining(&self, parcel: &Parcel) -> bool {
        self.joins.may_be_open(&record::lane(Thread::Conversation(parcel.conversation)))
    }

    /// Keeps a reply until the bot is in its conversation, however long that takes; no attempt is
    /// counted. Nothing was sent: whoever is not a participant was refused.
    async fn await_join(&self, delivery: Delivery, parcel: &Parcel) {
        tracing::debug!(conversation_sid = %parcel.conversation, "reply waits for the bot's join");
        settle::report(Self::QUEUE, delivery.put_off(LOOK_FOR_JOIN_EVERY).await);
        // It may have ended just before there was anything to wake.
        if !self.is_joining(parcel) {
            let lane = record::lane(Thread::Conversation(parcel.conversation));
            self.handoff.outbox.wake(&lane);
        }
    }

    /// Brings a reply into its conversation; looks first if it may be there already.
    async fn bring(
        &self,
        delivery: &Delivery,
        parcel: &Parcel,
        look: bool,
    ) -> Result<Brought, Failed> {
        self.paces.wait_for(parcel.conversation, &self.notes.clock).await;
        if look && let Some(found) = self.look(parcel).await? {
            fault_points::hit(Point::ReplyFound);
            return Ok(found);
        }
        let line = self.line(parcel.conversation).await?;
        if !delivery.is_held() {
            return Err(not_ours());
        }
        if let Some(client) = line.connected() {
            let began = self.notes.clock.now();
            let outcome = client.send(by_socket(parcel)).await;
            let failed = |failed| self.failed_by_socket(parcel, began, failed);
            match outcome {
                Outcome::Done(sent) => {
                    self.through.follow(parcel.conversation, sent.index);
                    fault_points::hit(Point::SentBySocket);
                    let (how, via) = (ReplyOutcome::Sent, Via::Socket);
                    return Ok(Brought { how, via, message: sent.sid });
                }
                Outcome::Refused { status, code, retry_after } => {
                    if code == Some(NOT_PARTICIPANT) {
                        self.seat_lost(parcel.conversation).await;
                    }
                    return Err(failed(refused(status, code, retry_after)));
                }
                Outcome::Unknown { .. } => return Err(failed(unknown())),
                Outcome::NotSent { .. } => {}
            }
        }
        self.by_rest(parcel, line).await
    }

    /// The line that sits in the conversation; the first one where none does yet.
    async fn line(&self, conversation: ConversationSid) -> Result<&Line, Failed> {
        if !self.seats.is_held(conversation) {
            self.may_ask(Op::ListParticipants)?;
        }
        let found = self.seats.find(&self.rest, conversation).await;
        let found = found.map_err(|error| self.did_nothing(&error))?;
        Ok(found.unwrap_or_else(|| self.seats.line_of(conversation)))
    }

    async fn by_rest(&self, parcel: &Parcel, line: &Line) -> Result<Brought, Failed> {
        self.may_ask(Op::CreateMessage)?;
        let message = NewMessage {
            author: line.identity.clone(),
            body: parcel.reply.body.clone(),
            attributes: Some(attributes(parcel).into_revealed()),
            media: parcel.reply.media_sids.clone(),
            content_sid: parcel.reply.content_sid,
            content_variables: content_variables(&parcel.reply),
        };
        let sent = self.rest.create_message(parcel.conversation, &message).await;
        let message = sent.map_err(|error| {
            let failure = status::failure(&error);
            let class = classify(Operation::Send, failure);
            let cause = join::cause(class, &error);
            let parked = self.status.parks(&error, &self.notes.clock);
            Failed { class, failure: Some(failure), parked, via: Via::Rest, cause: cause.into() }
        })?;
        fault_points::hit(Point::SentByRest);
        self.through.follow(parcel.conversation, message.index);
        Ok(Brought { how: ReplyOutcome::Sent, via: Via::Rest, message: message.sid })
    }

    /// Keeps back what Twilio refuses anyhow until it is time to see whether it still does.
    fn may_ask(&self, op: Op) -> Result<(), Failed> {
        match self.status.pass(op, &self.notes.clock) {
            Pass::Go => Ok(()),
            Pass::Wait(_) => Err(Failed {
                class: Class::Reconfigure,
                failure: None,
                parked: None,
                via: Via::Rest,
                cause: Cause::new(Class::Reconfigure.as_str()).into(),
            }),
        }
    }

    /// Searches the messages since the reply was accepted for its key.
    async fn look(&self, parcel: &Parcel) -> Result<Option<Brought>, Failed> {
        self.may_ask(Op::ListMessages)?;
        let mut search = Search::new(parcel.id, parcel.accepted);
        let mut pages = self.rest.newest_messages(parcel.conversation);
        loop {
            let page = pages.next().await.map_err(|error| self.did_nothing(&error))?;
            search.unread(pages.skipped());
            let page = page.unwrap_or_default();
            match search.page(page.iter().map(|one| candidate(&self.authors, one))) {
                Step::Found(message) => {
                    tracing::info!(conversation_sid = %parcel.conversation, message_sid = %message,
                        "reply is in the conversation already; not sent again");
                    let (how, via) = (ReplyOutcome::Found, Via::Rest);
                    return Ok(Some(Brought { how, via, message }));
                }
                Step::Absent => return Ok(None),
                Step::GoOn => {}
                Step::TooFar => return Err(too_far()),
                Step::Unread => return Err(unread()),
            }
        }
    }

    /// A look that failed proves nothing and did nothing: it is simply tried again.
    fn did_nothing(&self, error: &rest::Error) -> Failed {
        let failure = status::failure(error);
        // A join is as harmless to try again.
        let class = match classify(Operation::Join, failure) {
            Class::Done | Class::Look(_) => Class::Retry(error.retry_after()),
            class => class,
        };
        let cause = join::cause(class, error);
        let parked = self.status.parks(error, &self.notes.clock);
        Failed { class, failure: Some(failure), parked, via: Via::Rest, cause: cause.into() }
    }

    /// Takes note of what the socket says of sending.
    fn failed_by_socket(&self, parcel: &Parcel, began: Moment, failed: Failed) -> Failed {
        let Some(failure) = failed.failure else { return failed };
        let (clock, op) = (&self.notes.clock, Op::CreateMessage);
        let took = clock.now().since(began);
        self.status.failed(op, Some(parcel.conversation), failure, took, clock);
        Failed { parked: self.status.parks_after(op, failure, clock), ..failed }
    }

    async fn brought(&self, delivery: Delivery, parcel: &Parcel, brought: Brought) {
        let Brought { how, via, message } = brought;
        self.status.succeeded(Op::CreateMessage, &self.notes.clock);
        self.note(parcel, Stage::ReplySent { via, reply: Some(message) });
        self.notes.metrics.reply(how, via);
        if how == ReplyOutcome::Sent {
            let since = self.notes.clock.wall().since(parcel.accepted);
            tracing::info!(conversation_sid = %parcel.conversation, message_sid = %message,
                via = via.as_str(), attempt = delivery.attempt(), elapsed_ms = settle::millis(since),
                "reply is sent");
        }
        let settled = match self.report_on(parcel, Fate::Sent { message }) {
            Some(job) => delivery.ack_and_append(vec![job]).await.map(drop),
            None => delivery.ack().await,
        };
        settle::report(Self::QUEUE, settled);
        fault_points::hit(Point::SendSettled);
    }

    async fn fail(&self, delivery: Delivery, parcel: &Parcel, failed: Failed) {
        let attempt = delivery.attempt();
        if let Some(pause) = failed.parked {
            tracing::debug!(conversation_sid = %parcel.conversation, reason = %failed.cause.detail,
                retry_in_ms = settle::millis(pause), "reply could not be sent; it waits");
            self.notes.metrics.reply(ReplyOutcome::Retried, failed.via);
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
            Class::Dead if failed.is_not_found() && self.service.is_unknown().await => {
                let failed = Failed { cause: wrong_service().into(), ..failed };
                return self.put_off(delivery, &failed).await;
            }
            Class::Done | Class::Dead => return self.bury(delivery, parcel, failed).await,
        };
        let Some(delay) = self.schedule.delay_after(attempt, asked, settle::jitter()) else {
            return self.give_up(delivery, parcel, failed).await;
        };
        let Failed { via, cause, .. } = failed;
        tracing::warn!(conversation_sid = %parcel.conversation, attempt, code = cause.code,
            reason = %cause.detail, retry_in_ms = settle::millis(delay),
            "reply was not sent; trying again");
        self.notes.metrics.reply(ReplyOutcome::Retried, via);
        settle::report(Self::QUEUE, delivery.retry_in(delay, *cause).await);
    }

    /// Keeps a reply until the configuration is right; no attempt is counted.
    async fn put_off(&self, delivery: Delivery, failed: &Failed) {
        let clock = &self.notes.clock;
        if let Some(failure) = failed.failure {
            self.status.refused(scope(failure, failed.via), &failed.cause.detail, clock);
        }
        self.notes.metrics.reply(ReplyOutcome::Retried, failed.via);
        let pause = self.status.pause(clock, settle::jitter());
        settle::report(Self::QUEUE, delivery.put_off(pause).await);
    }

    /// After the last attempt: looks a last time if that one may have succeeded.
    async fn give_up(&self, delivery: Delivery, parcel: &Parcel, failed: Failed) {
        let Class::Look(_) = failed.class else { return self.bury(delivery, parcel, failed).await };
        let look = async {
            tokio::time::sleep(LAST_LOOK_AFTER).await;
            self.look(parcel).await
        };
        let looked = tokio::select! {
            biased;
            lost = delivery.keep_alive() => return settle::lost(Self::QUEUE, &lost),
            looked = look => looked,
        };
        match looked {
            Ok(Some(found)) => self.brought(delivery, parcel, found).await,
            Ok(None) => self.bury(delivery, parcel, failed).await,
            Err(_) => {
                let cause = Cause { detail: nobody_knows(&failed.cause.detail), ..*failed.cause };
                self.bury(delivery, parcel, Failed { cause: cause.into(), ..failed }).await;
            }
        }
    }

    async fn bury(&self, delivery: Delivery, parcel: &Parcel, failed: Failed) {
        let Failed { via, cause, .. } = failed;
        if let Err(error) = self.tell_of_death(parcel, &cause).await {
            // Not dead before its report is on disk: the job comes again and dies then.
            settle::lost(QueueName::Reports, &error);
            let later = delivery.retry_in(self.schedule.longest(), *cause).await;
            return settle::report(Self::QUEUE, later);
        }
        tracing::error!(conversation_sid = %parcel.conversation, attempt = delivery.attempt(),
            code = cause.code, reason = %cause.detail, "reply could not be sent; it is a dead letter");
        let queue = QueueName::Outbox.as_str();
        let stage = Stage::Dead { queue, reason: Class::Dead.as_str(), code: cause.code };
        let settled = delivery.dead(*cause).await;
        if settled.is_ok() {
            self.note(parcel, stage);
            self.notes.metrics.reply(ReplyOutcome::Dead, via);
        }
        settle::report(Self::QUEUE, settled);
    }

    /// Stores the report on a reply that is about to be a dead letter. If the process dies before it
    /// is one, the same report is stored again and is a duplicate.
    async fn tell_of_death(&self, parcel: &Parcel, cause: &Cause) -> Result<(), queue::Error> {
        let Cause { class, code, detail } = cause;
        let (class, detail) = (class.clone().into_owned(), detail.clone());
        match self.report_on(parcel, Fate::Dead { class, code: *code, detail }) {
            Some((_, append)) => self.reports.append(vec![append]).await.map(drop),
            None => Ok(()),
        }
    }

    fn report_on(&self, parcel: &Parcel, fate: Fate) -> Option<(QueueName, Append)> {
        let Parcel { id, conversation, origin, .. } = parcel;
        let thread = Thread::Conversation(*conversation);
        let (origin, at) = (origin.clone()?, self.notes.clock.wall());
        let report = Report { reply: *id, thread, origin, fate, at };
        Some((QueueName::Reports, report::job(report, Some(parcel.trace))))
    }

    fn note(&self, parcel: &Parcel, stage: Stage) {
        self.notes.of_conversation(parcel.conversation, parcel.turn, stage);
    }
}

fn by_socket(parcel: &Parcel) -> SendMessage {
    let Parcel { id, conversation, reply, .. } = parcel;
    SendMessage {
        conversation: *conversation,
        mutation_id: *id,
        body: reply.body.clone(),
        attributes: Some(attributes(parcel)),
        media: reply.media_sids.clone(),
        content: reply.content_sid.map(|sid| (sid, content_variables(reply))),
    }
}

fn attributes(parcel: &Parcel) -> Pii {
    record::attributes_with_key(&parcel.reply.attributes, parcel.id).to_string().into()
}

fn content_variables(reply: &Reply) -> Option<Pii> {
    let variables = &reply.content_variables;
    (!variables.is_empty()).then(|| Value::Object(variables.clone()).to_string().into())
}

fn candidate(authors: &Authors, message: &rest::Message) -> Candidate {
    let author = message.author.as_ref().map_or("", |author| author.reveal());
    let key = authors.reply(author, &heard::attributes(message.attributes.as_ref()));
    Candidate { sid: message.sid, key, created: message.created }
}

impl Failed {
    const fn is_not_found(&self) -> bool {
        matches!(self.failure, Some(Failure::Refused { status: 404, .. }))
    }

    const fn is_not_participant(&self) -> bool {
        matches!(self.failure, Some(Failure::Refused { code: Some(NOT_PARTICIPANT), .. }))
    }
}

/// What is refused, where only a change of configuration helps.
const fn scope(failure: Failure, via: Via) -> Scope {
    match (failure, via) {
        (Failure::Refused { status: 401 | 404, .. }, Via::Rest) => Scope::Rest,
        (Failure::Refused { .. } | Failure::NotSent | Failure::Unknown | Failure::Foreign, _) => {
            Scope::Operation(Op::CreateMessage)
        }
    }
}

fn wrong_service() -> Cause {
    Cause::new(Class::Reconfigure.as_str()).with_detail(service::UNKNOWN)
}

fn nobody_knows(detail: &str) -> String {
    format!(
        "the reply may have been sent, and nobody could look: {detail}. Redriven it is looked for \
         before it is sent again"
    )
}

fn refused(status: u16, code: Option<u32>, retry_after: Option<Duration>) -> Failed {
    let failure = Failure::Refused { status, code, retry_after };
    let class = classify(Operation::Send, failure).as_str();
    let meaning =
        code.and_then(catalogue::lookup).map_or("no meaning known", |entry| entry.meaning.as_str());
    let detail = format!("twilio refused the reply on the socket with status {status}: {meaning}");
    let cause = Cause { code, ..Cause::new(class).with_detail(detail) };
    by_socket_failed(failure, cause)
}

fn unknown() -> Failed {
    let cause = Cause::new("look").with_detail("the socket was lost before twilio answered");
    by_socket_failed(Failure::Unknown, cause)
}

fn by_socket_failed(failure: Failure, cause: Cause) -> Failed {
    let class = classify(Operation::Send, failure);
    Failed { class, failure: Some(failure), parked: None, via: Via::Socket, cause: cause.into() }
}

/// Another process may have taken over: what is not begun is that one's.
fn not_ours() -> Failed {
    let class = Class::Retry(None);
    let cause = Cause::new(class.as_str()).with_detail("the reply is another process's by now");
    Failed { class, failure: None, parked: None, via: Via::Rest, cause: cause.into() }
}

/// Whether it was sent will never be known, and it must not be sent twice.
fn unread() -> Failed {
    let cause = Cause::new("unknown").with_detail(
        "the reply may have been sent: a message of the conversation cannot be read, see the log. If \
         it is not there, send it anew by `chimein send` and drop this",
    );
    Failed { class: Class::Dead, failure: None, parked: None, via: Via::Rest, cause: cause.into() }
}

/// As [`unread`], where it may stand further back than anybody looks.
fn too_far() -> Failed {
    let cause = Cause::new("unknown").with_detail(format!(
        "the reply may have been sent: it is not among the newest {} messages, and older ones are \
         not searched. If it is not there either, send it anew by `chimein send` and drop this",
        search::MESSAGES_MAX
    ));
    Failed { class: Class::Dead, failure: None, parked: None, via: Via::Rest, cause: cause.into() }
}

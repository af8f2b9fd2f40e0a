//! Sends: brings replies from the outbox into their conversations, each once, in order.
//!
//! Over the socket while it is up, else over REST; the author is always the bot. Every send carries
//! the reply's id twice: as mutation id on the socket and as a key in the message's attributes. After
//! an outcome that nobody knows (the answer was lost, the process died in between) the messages since
//! the reply was accepted are searched for that key before anything is sent again; where there are too
//! many of them, the reply becomes a dead letter, since sending it might be sending it twice.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::agent::{Fate, Origin, Reply, Report, Thread};
use crate::clock::Timestamp;
use crate::fault_points::{self, Point};
use crate::pii::Pii;
use crate::pipeline::handoff::{Handoff, Paused};
use crate::pipeline::notes::Notes;
use crate::pipeline::paces::Paces;
use crate::pipeline::policy::outcome::{Class, Failure, NOT_PARTICIPANT, Operation, classify};
use crate::pipeline::policy::schedule::Schedule;
use crate::pipeline::policy::search::{self, Candidate, Search, Step};
use crate::pipeline::record::{self, Outbound};
use crate::pipeline::report;
use crate::pipeline::seats::{Line, Seats};
use crate::pipeline::settle;
use crate::pipeline::status::Status;
use crate::pipeline::through::Through;
use crate::pipeline::worker::Work;
use crate::pipeline::{heard, join};
use crate::queue::{self, Append, Cause, Delivery, Queue, QueueName};
use crate::realtime::{Outcome, SendMessage};
use crate::telemetry::journal::{Stage, Via};
use crate::telemetry::metrics::labels::{self, ReplyOutcome};
use crate::telemetry::trace::{TraceId, Way};
use crate::twilio::catalogue;
use crate::twilio::rest::{self, NewMessage};
use crate::twilio::sid::{ConversationSid, MessageSid};

mod handoff;

/// Works on the outbox.
pub struct Sends {
    /// Twilio's REST API.
    pub rest: rest::Client,
    /// The identities and their clients.
    pub seats: Arc<Seats>,
    /// Which conversations a person has.
    pub handoff: Arc<Handoff>,
    /// What becomes of replies while a person has the conversation.
    pub paused: Paused,
    /// When a failed send is tried again.
    pub schedule: Schedule,
    /// How far each conversation is known.
    pub through: Arc<Through>,
    /// How fast replies may follow each other.
    pub paces: Paces,
    /// Where what became of a reply goes, if its agent wants to know.
    pub reports: Queue,
    /// What the operator should know.
    pub status: Arc<Status>,
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
    cause: Cause,
}

impl Work for Sends {
    const QUEUE: QueueName = QueueName::Outbox;

    async fn wait(&self) {
        self.status.wait(&self.notes.clock).await;
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
        let sent = tokio::select! {
            biased;
            lost = delivery.keep_alive() => return settle::lost(Self::QUEUE, &lost),
            sent = async {
                if self.is_silenced(&parcel, look).await? {
                    return Ok(None);
                }
                self.bring(&parcel, look).await.map(Some)
            } => sent,
        };
        match sent {
            Ok(None) => self.keep_silent(delivery, &parcel).await,
            Ok(Some((via, message))) => {
                self.status.succeeded();
                self.note(&parcel, Stage::ReplySent { via, reply: Some(message) });
                self.notes.metrics.reply(ReplyOutcome::Sent, via);
                let settled = match self.report_on(&parcel, Fate::Sent { message }) {
                    Some(job) => delivery.ack_and_append(vec![job]).await.map(drop),
                    None => delivery.ack().await,
                };
                settle::report(Self::QUEUE, settled);
                fault_points::hit(Point::SendSettled);
            }
            Err(failed) => self.fail(delivery, &parcel, failed).await,
        }
    }
}

impl Sends {
    /// Brings a reply into its conversation; looks first if it may be there already.
    async fn bring(&self, parcel: &Parcel, look: bool) -> Result<(Via, MessageSid), Failed> {
        self.paces.wait_for(parcel.conversation, &self.notes.clock).await;
        if look && let Some(found) = self.look(parcel).await? {
            tracing::info!(conversation_sid = %parcel.conversation, message_sid = %found,
                "reply is in the conversation already; not sent again");
            fault_points::hit(Point::ReplyFound);
            return Ok((Via::Rest, found));
        }
        let line = self.line(parcel.conversation).await?;
        if let Some(client) = line.connected() {
            match client.send(by_socket(parcel)).await {
                Outcome::Done(sent) => {
                    self.through.follow(parcel.conversation, sent.index);
                    fault_points::hit(Point::SentBySocket);
                    return Ok((Via::Socket, sent.sid));
                }
                Outcome::Refused { status, code, retry_after } => {
                    if code == Some(NOT_PARTICIPANT) {
                        self.seats.forget(parcel.conversation);
                    }
                    return Err(refused(status, code, retry_after));
                }
                Outcome::Unknown { .. } => return Err(unknown()),
                Outcome::NotSent { .. } => {}
            }
        }
        self.by_rest(parcel, line).await
    }

    /// The line that sits in the conversation; the first one where none does yet.
    async fn line(&self, conversation: ConversationSid) -> Result<&Line, Failed> {
        let found = self.seats.find(&self.rest, conversation).await;
        let found = found.map_err(|error| did_nothing(&error))?;
        Ok(found.unwrap_or_else(|| self.seats.line_of(conversation)))
    }

    async fn by_rest(&self, parcel: &Parcel, line: &Line) -> Result<(Via, MessageSid), Failed> {
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
            let failure = join::failure(&error);
            let class = classify(Operation::Send, failure);
            Failed { class, failure: Some(failure), cause: join::cause(class, &error) }
        })?;
        fault_points::hit(Point::SentByRest);
        self.through.follow(parcel.conversation, message.index);
        Ok((Via::Rest, message.sid))
    }

    /// Searches the messages since the reply was accepted for its key.
    async fn look(&self, parcel: &Parcel) -> Result<Option<MessageSid>, Failed> {
        let mut search = Search::new(parcel.id, parcel.accepted);
        let mut pages = self.rest.newest_messages(parcel.conversation);
        loop {
            let page = pages.next().await.map_err(|error| did_nothing(&error))?;
            match search.page(page.unwrap_or_default().iter().map(candidate)) {
                Step::Found(sid) => return Ok(Some(sid)),
                Step::Absent => return Ok(None),
                Step::GoOn => {}
                Step::TooFar => return Err(too_far()),
            }
        }
    }

    async fn fail(&self, delivery: Delivery, parcel: &Parcel, failed: Failed) {
        let Failed { class, failure, cause } = failed;
        let attempt = delivery.attempt();
        if let Some(failure) = failure {
            self.status.failed(failure, &self.notes.clock);
        }
        let delay = match class {
            Class::Retry(asked) => self.schedule.delay_after(attempt, asked, settle::jitter()),
            Class::Look => self.schedule.delay_after(attempt, None, settle::jitter()),
            Class::Reconfigure => {
                self.status.refused(&cause.detail);
                Some(self.schedule.longest())
            }
            Class::Done | Class::Dead => None,
        };
        if let Some(delay) = delay {
            tracing::warn!(conversation_sid = %parcel.conversation, attempt, code = cause.code,
                reason = %cause.detail, retry_in_ms = settle::millis(delay),
                "reply was not sent; trying again");
            self.notes.metrics.reply(ReplyOutcome::Retried, Via::Rest);
            return settle::report(Self::QUEUE, delivery.retry_in(delay, cause).await);
        }
        if let Err(error) = self.tell_of_death(parcel, &cause).await {
            // Not dead before its report is on disk: the job comes again and dies then.
            settle::lost(QueueName::Reports, &error);
            let later = delivery.retry_in(self.schedule.longest(), cause).await;
            return settle::report(Self::QUEUE, later);
        }
        tracing::error!(conversation_sid = %parcel.conversation, attempt, code = cause.code,
            reason = %cause.detail, "reply could not be sent; it is a dead letter");
        let queue = QueueName::Outbox.as_str();
        self.note(parcel, Stage::Dead { queue, reason: Class::Dead.as_str(), code: cause.code });
        self.notes.metrics.reply(ReplyOutcome::Dead, Via::Rest);
        self.notes.metrics.dead_letter(labels::Queue::Outbox);
        settle::report(Self::QUEUE, delivery.dead(cause).await);
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

fn candidate(message: &rest::Message) -> Candidate {
    let key = record::reply_key(&heard::attributes(message.attributes.as_ref()));
    Candidate { sid: message.sid, key, created: message.created }
}

/// A look that failed proves nothing and did nothing: it is simply tried again.
fn did_nothing(error: &rest::Error) -> Failed {
    let failure = match classify(Operation::Join, join::failure(error)) {
        Class::Reconfigure | Class::Dead => join::failure(error),
        Class::Done | Class::Retry(_) | Class::Look => Failure::NotSent,
    };
    failed(failure, join::cause(Class::Look, error))
}

fn refused(status: u16, code: Option<u32>, retry_after: Option<Duration>) -> Failed {
    let failure = Failure::Refused { status, code, retry_after };
    let class = classify(Operation::Send, failure).as_str();
    let meaning =
        code.and_then(catalogue::lookup).map_or("no meaning known", |entry| entry.meaning.as_str());
    let detail = format!("twilio refused the reply on the socket with status {status}: {meaning}");
    failed(failure, Cause { code, ..Cause::new(class).with_detail(detail) })
}

fn unknown() -> Failed {
    let cause = Cause::new("look").with_detail("the socket was lost before twilio answered");
    failed(Failure::Unknown, cause)
}

fn failed(failure: Failure, cause: Cause) -> Failed {
    Failed { class: classify(Operation::Send, failure), failure: Some(failure), cause }
}

/// Whether it was sent will never be known, and it must not be sent twice.
fn too_far() -> Failed {
    let cause = Cause::new("unknown").with_detail(format!(
        "the reply may have been sent: it is not among the newest {} messages, and older ones are \
         not searched. If it is not there either, send it anew by `chimein send` and drop this",
        search::MESSAGES_MAX
    ));
    Failed { class: Class::Dead, failure: None, cause }
}

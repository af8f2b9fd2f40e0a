//! How messages come and go.
//!
//! A channel has two sides. On one it brings messages in, and tells the pipeline what else it hears, by
//! an [`Inlet`]. On the other the pipeline asks it whether the bot is welcome in a thread and has it
//! speak there, by [`Channel`] and [`Marking`]. Neither asks of what kind a thread is: [`Channels`]
//! knows whose it is.

mod arrival;
pub mod conversations;
pub mod direct;
mod documents;
pub mod handover;
pub mod instances;
mod reservations;
pub mod search;
pub mod segments;
pub mod verdict;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::{Clock, Timestamp};
use crate::jobs::outage::Pass;
use crate::jobs::outcome::{Class, Failure, Operation, classify};
use crate::jobs::recorder::StageOf;
use crate::jobs::refusal::Scope;
use crate::jobs::status::{self, Status};
use crate::json;
use crate::pii::Pii;
use crate::queue::{self, Cause, Delivery, DocumentCursor};
use crate::telemetry::journal::{Door, Via};
use crate::telemetry::metrics::labels::ReplyOutcome;
use crate::telemetry::trace::TraceId;
use crate::thread::{
    Budget, CauseClass, MessageId, Past, Reply, SkipReason, Speaker, Thread, ThreadId, ThreadKind,
    TurnMessage,
};
use crate::twilio::messaging::MessageStatus;
use crate::twilio::rest::{self, Op};
use crate::twilio::sid::ParticipantSid;

/// The longest text that Twilio brings to a phone, in UTF-16 units. Source: Conversations limits, "message
/// body out", and Messages, "Body": 1,600 characters, read 2026-11-21. How Twilio counts is not said; UTF-16
/// units are assumed, which never count less than characters do.
pub const PHONE_TEXT_UNITS_MAX: usize = 1600;

/// The side on which the bot speaks.
pub trait Channel: Send + Sync {
    /// Why the bot is not to speak in a thread, if it is not. Asks Twilio where that is not known.
    fn excludes<'a>(
        &'a self,
        thread: &'a Thread,
        to: Speaking,
    ) -> BoxFuture<'a, Result<Option<SkipReason>, Error>>;

    /// The thread that an id names; none if nothing is known of it.
    fn thread(&self, id: ThreadId) -> BoxFuture<'_, Result<Option<Thread>, Error>>;

    /// Where a thread stands, in one word; none if there is no such thread.
    fn state(&self, thread: ThreadId) -> BoxFuture<'_, Result<Option<&'static str>, Error>>;

    /// The thread of an address of ours and one of somebody else, where such a pair is one.
    ///
    /// # Errors
    ///
    /// A sentence that says what to name instead.
    fn between(&self, _ours: Option<&Pii>, _theirs: &Pii) -> Result<Thread, String> {
        Err("such a thread is named by its own id".to_owned())
    }

    /// The threads in which somebody writes by an address, as far as they are known.
    fn threads_of<'a>(&'a self, _theirs: &'a Pii) -> BoxFuture<'a, Result<TheirThreads, Error>> {
        Box::pin(std::future::ready(Ok(TheirThreads::default())))
    }

    /// Forgets what is kept here of a thread: addresses, and what was said; ids stay, which hold neither, and
    /// by what it is found until [`Channel::forget_way`]. Says how many notes that were, or are where it is not to `act`.
    fn forget(&self, _thread: ThreadId, _act: bool) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(std::future::ready(Ok(0)))
    }

    /// Forgets, last of all, by what a thread is found that is asked for by an address. Says how many notes that
    /// was.
    fn forget_way(&self, _thread: ThreadId) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(std::future::ready(Ok(0)))
    }

    /// Whether several people write in a thread, so that what one of them asks for is not for the others.
    fn is_of_several(&self, _thread: ThreadId) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    /// Some threads whose other address ends with these digits, from where an earlier look ended; a bounded
    /// part of those that are known. Nothing where addresses are not known here.
    fn ending<'a>(
        &'a self,
        _digits: &'a str,
        _after: Option<DocumentCursor>,
    ) -> BoxFuture<'a, Result<KnownThreads, Error>> {
        Box::pin(std::future::ready(Ok(KnownThreads::default())))
    }

    /// Sees to it that every message before a place in a thread is known and stored.
    fn fill(&self, thread: ThreadId, index: u64) -> BoxFuture<'_, Result<(), Error>>;

    /// Whether a message, which was taken in at a time, is answered otherwise: who spoke as the bot before
    /// this service was there has done so, or it comes by another road too that counts. Where threads have
    /// no history and messages one road it is not.
    fn answered_before<'a>(
        &'a self,
        _thread: ThreadId,
        _message: &'a TurnMessage,
        _stored: Timestamp,
    ) -> BoxFuture<'a, Result<AnsweredBefore, Error>> {
        Box::pin(std::future::ready(Ok(AnsweredBefore::No)))
    }

    /// Notes that the message at a place is known, which says something only if it is the next one.
    fn follow(&self, thread: ThreadId, index: u64);

    /// What was said in a thread before a turn, oldest first, as much as the budget has room for. Where
    /// threads have no history it is nothing.
    fn history<'a>(
        &'a self,
        _thread: &'a Thread,
        _turn: &'a [TurnMessage],
        _budget: Budget,
    ) -> BoxFuture<'a, Result<Vec<Past>, Error>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// As whom the bot speaks in a thread, as far as is known; `heard` is as whom it heard what it
    /// answers, where that was told.
    fn speaker(&self, thread: &Thread, heard: Option<&Speaker>) -> Speaker;

    /// Our addresses that a thread is of. Where it is not of two that write to each other directly, who
    /// knows is asked.
    fn ours<'a>(&'a self, thread: &'a Thread) -> BoxFuture<'a, Result<Vec<Pii>, Error>> {
        Box::pin(std::future::ready(Ok(thread.ours().cloned().into_iter().collect())))
    }

    /// Shows the others for some seconds that the bot is at work; a sign that cannot be shown is no
    /// failure.
    fn show_typing(&self, thread: ThreadId) -> BoxFuture<'_, ()>;

    /// Whether what was said shows by itself that somebody reads on a phone, so that nobody has to be asked.
    fn shows_phone(&self, _messages: &[TurnMessage]) -> bool {
        false
    }

    /// Whether somebody reads a thread on a phone, so that long texts are cut to what phones take.
    fn has_phone(&self, thread: ThreadId) -> BoxFuture<'_, Result<bool, rest::Error>>;

    /// The longest text, in UTF-16 units, that goes out whole where somebody reads on a phone.
    fn text_units_max(&self) -> usize;

    /// What is asked of Twilio to send over REST, for what is known of whether it does.
    fn sending(&self) -> Op;

    /// Waits until it makes sense to take up another reply.
    fn wait(&self) -> BoxFuture<'_, ()>;

    /// Waits for a reply's place in the row of those before it; gives how long it is to be put off if
    /// that is far.
    fn departure<'a>(
        &'a self,
        reply: &'a Outgoing,
    ) -> BoxFuture<'a, Result<Option<Duration>, Failed>>;

    /// Brings a reply into its thread. Where it may be there already (`look`) it is looked for first.
    fn send<'a>(
        &'a self,
        reply: &'a Outgoing,
        delivery: &'a Delivery,
        look: bool,
    ) -> BoxFuture<'a, Result<Sending, Failed>>;

    /// Looks for a reply that may have been sent.
    fn find<'a>(&'a self, reply: &'a Outgoing) -> BoxFuture<'a, Result<Option<Sent>, Failed>>;

    /// How a reply fares on its way to each of those who get it, if it is known; nothing where nobody tells.
    fn fares(&self, _thread: ThreadId, _reply: Uuid) -> BoxFuture<'_, Result<Vec<Fares>, Error>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Ends a thread, so that whoever writes next begins anew; one that is over already stays so. Where
    /// threads have neither an end nor a history there is nothing to do.
    fn end<'a>(&'a self, _thread: &'a Thread) -> BoxFuture<'a, Result<(), Failed>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Whether the bot's way into a thread may still be made, so that replies wait for it.
    fn is_joining(&self, thread: ThreadId) -> bool;
}

/// The side on which a thread is marked as a person's, by its attributes.
pub trait Marking: Send + Sync + std::fmt::Debug {
    /// Reads a thread's attributes; nothing if there is no such thread.
    fn marks(&self, thread: ThreadId) -> BoxFuture<'_, Result<Option<ThreadMarks>, Error>>;

    /// Writes them; gives when that was.
    fn set_marks<'a>(
        &'a self,
        thread: ThreadId,
        attributes: &'a str,
    ) -> BoxFuture<'a, Result<Option<Timestamp>, Error>>;

    /// Whether a change of them would be told at once.
    fn tells(&self, thread: ThreadId) -> bool;
}

/// The threads in which somebody writes.
#[derive(Clone, Debug, Default)]
pub struct TheirThreads {
    /// The threads.
    pub threads: Vec<ThreadId>,
    /// Whether there are more, which were not read.
    pub is_cut: bool,
}

/// Some threads of those that are known.
#[derive(Clone, Debug, Default)]
pub struct KnownThreads {
    /// The threads, each with when it was noted last.
    pub threads: Vec<(Thread, Timestamp)>,
    /// Where a further look goes on; none at the end.
    pub next: Option<DocumentCursor>,
}

/// A thread's attributes, and when they changed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ThreadMarks {
    /// JSON text.
    pub attributes: Option<Pii>,
    /// When Twilio dates the last change.
    pub updated: Option<Timestamp>,
}

/// What a channel tells the pipeline.
pub trait Inlet: Send + Sync {
    /// Takes messages of others in, in the given order; durable when it returns. Says how many were new.
    fn messages(&self, seen: Vec<Seen>) -> BoxFuture<'_, Result<usize, queue::Error>>;

    /// Whether a message was taken in before, whatever has become of it.
    fn is_known(
        &self,
        thread: ThreadId,
        message: MessageId,
    ) -> BoxFuture<'_, Result<bool, queue::Error>>;

    /// Waits until the messages of a thread that other processes have stored are known here.
    fn sync(&self, thread: ThreadId) -> BoxFuture<'_, Result<(), queue::Error>>;

    /// Hears of a thread's attributes, which may mark it as a person's.
    fn marked(&self, thread: ThreadId, attributes: Option<&str>, source: MarkSource);

    /// Hears that what is known of a thread's attributes may not hold any more.
    fn forget(&self, thread: ThreadId);

    /// Has what waits in a thread look again.
    fn wake(&self, thread: ThreadId);

    /// Hears how a reply fares after Twilio took it; on disk when it returns. The same may be told again.
    fn fared(&self, fared: Fared) -> BoxFuture<'_, Result<(), queue::Error>>;

    /// Hears that a reply failed after Twilio had taken it; on disk when it returns.
    fn fell(&self, fallen: Fallen) -> BoxFuture<'_, Result<(), queue::Error>>;
}

/// Where attributes were heard of, with the time that Twilio gives the change, where it does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MarkSource {
    /// On the socket, whose words come in order.
    Socket(Option<Timestamp>),
    /// By webhook, of which those of one conversation come in order (assumed); or in an answer of
    /// REST that something was heard during.
    Dated(Option<Timestamp>),
    /// In the answer to a question or to a write of our own, during which nothing else was heard.
    Answer(Option<Timestamp>),
}

/// A message of somebody else, as a door saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Where it was said.
    pub thread: Thread,
    /// As whom of ours it was heard or written to, where the door tells.
    pub speaker: Option<Speaker>,
    /// What was said, and by whom.
    pub message: TurnMessage,
    /// The door.
    pub door: Door,
}

/// Whether a message was answered before this service was there, or is by another road.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AnsweredBefore {
    /// It was not: it is this service's to answer.
    No,
    /// It was, or is not to be answered for when it was written.
    Yes(SkipReason),
    /// That will be known in a moment.
    Unknown,
}

/// For what the bot would speak.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Speaking {
    /// To answer a message.
    Answer,
    /// To say what was asked of it, or is thought already.
    Reply,
}

/// A reply on its way out.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Never changes: what it bears at Twilio, so that it is found there.
    pub id: Uuid,
    /// Where it goes.
    pub thread: Thread,
    /// What to send.
    pub reply: Reply,
    /// When it was accepted; no attempt was before.
    pub accepted: Timestamp,
    /// The turn that it answers, if one.
    pub turn: Option<MessageId>,
    /// Its trace.
    pub trace: TraceId,
    /// Why it is sent once more, if it is: how it failed when Twilio had taken it.
    pub again: Option<Cause>,
    /// What the pipeline wants back with what is told of it; channels never look into it.
    pub note: Option<Note>,
}

/// What the pipeline wants back with what is told of a reply.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Note(pub Pii);

/// A reply as it is kept until it has arrived.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SentReply {
    /// Where it went.
    pub thread: Thread,
    /// What was sent.
    pub reply: Reply,
    /// The turn that it answers, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<MessageId>,
    /// Whether that was once more already.
    #[serde(
        default,
        deserialize_with = "json::null_as_default",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub again: bool,
    /// What the pipeline wants back with what is told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
}

/// Whose a reply is: what is kept of it also once it has arrived. It holds no address and no text.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReplyOf {
    /// The thread in which it was said.
    pub thread: ThreadId,
    /// The turn that it answers, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<MessageId>,
    /// Its trace; an older release kept none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceId>,
}

impl ReplyOf {
    /// Whose one on its way out is.
    #[must_use]
    pub fn of(out: &Outgoing) -> Self {
        Self { thread: out.thread.id(), turn: out.turn, trace: Some(out.trace) }
    }

    /// To what it happens that happens to the reply.
    #[must_use]
    pub const fn stage_of(self, reply: Uuid) -> StageOf {
        StageOf { thread: self.thread, message: self.turn, reply_id: Some(reply) }
    }
}

impl SentReply {
    /// What is kept of one.
    #[must_use]
    pub fn of(out: &Outgoing) -> Self {
        let Outgoing { thread, reply, turn, again, note, .. } = out.clone();
        Self { thread, reply, turn, again: again.is_some(), note }
    }

    /// Whether it still says something.
    #[must_use]
    pub fn says_something(&self) -> bool {
        self.reply != Reply::default()
    }

    /// What is still to be kept of one that has arrived: nothing of what it says.
    #[must_use]
    pub fn arrived(self) -> Option<Self> {
        self.note.is_some().then(|| Self { reply: Reply::default(), ..self })
    }
}

/// How a reply fares after Twilio took it.
#[derive(Clone, Debug)]
pub struct Fared {
    /// What it bore.
    pub reply: Uuid,
    /// Its own sid.
    pub message: MessageId,
    /// What is kept of it.
    pub sent: SentReply,
    /// Where it stands.
    pub status: MessageStatus,
    /// Why it failed.
    pub code: Option<u32>,
    /// On the way to whom, of several.
    pub recipient: Option<ParticipantSid>,
    /// Since when.
    pub at: Timestamp,
}

/// A reply that failed after Twilio had taken it.
#[derive(Clone, Debug)]
pub struct Fallen {
    /// What it bore.
    pub reply: Uuid,
    /// What was sent.
    pub sent: SentReply,
    /// Whether it is to be sent once more.
    pub again: bool,
    /// Why it failed.
    pub cause: Cause,
}

/// How a reply fares after Twilio took it, as far as is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fares {
    /// Twilio's word.
    pub state: &'static str,
    /// Why it failed.
    pub code: Option<u32>,
    /// Whether nothing more will be heard.
    pub is_over: bool,
}

/// How an attempt to send ended that did not fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sending {
    /// The reply is in its thread.
    Sent(Sent),
    /// Nothing was sent: the bot is not in the thread yet, and its way there is being made.
    NotThereYet,
}

/// How a reply came to be in its thread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sent {
    /// Whether it was sent now, or found.
    pub how: ReplyOutcome,
    /// By which road.
    pub via: Via,
    /// Its own id there.
    pub message: MessageId,
}

/// How an attempt ended that did not bring a reply into its thread.
#[derive(Debug)]
pub struct Failed {
    /// What it means for the job.
    pub class: Class,
    /// How a request failed, if one did.
    pub failure: Option<Failure>,
    /// How long the reply is to be parked, if what it needs is away.
    pub parked: Option<Duration>,
    /// By which road it was tried.
    pub via: Via,
    /// What was asked of Twilio, if something was.
    pub op: Op,
    /// The cause that is kept with the job.
    pub cause: Box<Cause>,
}

impl Fares {
    /// As Twilio has told it.
    #[must_use]
    pub const fn told(status: MessageStatus, code: Option<u32>) -> Self {
        let is_over = status.is_failure() || status.has_arrived();
        Self { state: status.as_str(), code, is_over }
    }
}

impl Failed {
    /// One that no request failed for.
    #[must_use]
    pub fn of(class: Class, via: Via, cause: Cause) -> Self {
        let op = Op::CreateMessage;
        Self { class, failure: None, parked: None, via, op, cause: Box::new(cause) }
    }

    /// A question that was not answered: it proves nothing and did nothing, and is simply asked again.
    #[must_use]
    pub fn did_nothing(error: &rest::Error, status: &Status, clock: &Clock) -> Self {
        let failure = status::failure(error);
        // A join is as harmless to try again.
        let class = match classify(Operation::Join, failure) {
            Class::Done | Class::Look(_) => Class::Retry(error.retry_after()),
            class => class,
        };
        let parked = status.parks(error, clock);
        let cause = status::cause(class, error);
        let (failure, op) = (Some(failure), error.op());
        Self { failure, parked, op, ..Self::of(class, Via::Rest, cause) }
    }

    /// Another process may have taken over: what is not begun is that one's.
    #[must_use]
    pub fn not_ours() -> Self {
        let class = Class::Retry(None);
        let cause = Cause::of(class.cause()).with_detail("the reply is another process's by now");
        Self::of(class, Via::Rest, cause)
    }

    /// Keeps back what Twilio refuses anyhow until it is time to see whether it still does.
    ///
    /// # Errors
    ///
    /// While it is not.
    pub fn unless_asked(op: Op, status: &Status, clock: &Clock) -> Result<(), Self> {
        match status.pass(op, clock) {
            Pass::Go => Ok(()),
            Pass::Wait(_) => {
                let class = Class::Reconfigure;
                Err(Self::of(class, Via::Rest, Cause::of(class.cause())))
            }
        }
    }

    /// A reply that its channel cannot bring as it is, whatever Twilio would say.
    #[must_use]
    pub fn unsendable(why: impl Into<String>) -> Self {
        let cause = Cause::of(CauseClass::Unsendable).with_detail(why);
        Self::of(Class::Dead, Via::Rest, cause)
    }

    /// An attempt that the store has kept from being made.
    #[must_use]
    pub fn not_stored(error: &queue::Error) -> Self {
        let class = Class::Retry(None);
        let cause = Cause::of(class.cause()).with_detail(error.to_string());
        Self::of(class, Via::Rest, cause)
    }

    /// An attempt that was not made for something that could not be found out.
    #[must_use]
    pub fn unsaid(error: &Error, status: &Status, clock: &Clock) -> Self {
        match error {
            Error::Rest(error) => Self::did_nothing(error, status, clock),
            Error::Store(error) => Self::not_stored(error),
        }
    }

    /// What is refused, where only a change of configuration helps.
    #[must_use]
    pub const fn scope(&self) -> Option<Scope> {
        match (self.failure, self.via) {
            (Some(Failure::Refused { status: 401 | 404, .. }), Via::Rest) => Some(Scope::Rest),
            (Some(_), _) => Some(Scope::Operation(self.op)),
            (None, _) => None,
        }
    }
}

/// Why a job is a dead letter whose thread no channel here serves.
#[must_use]
pub fn not_served() -> Cause {
    Cause::of(CauseClass::Unreadable)
        .with_detail("the thread is of a channel that is not served here")
}

/// Why something could not be found out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Twilio did not say.
    #[error("twilio did not say")]
    Rest(#[from] rest::Error),
    /// The store could not be read or written.
    #[error("the store could not be read or written")]
    Store(#[from] queue::Error),
}

impl Error {
    /// How long a job is to be parked that has just failed for it; nothing if it is the job's own
    /// failure.
    #[must_use]
    pub fn parks(&self, status: &Status, clock: &Clock) -> Option<Duration> {
        match self {
            Self::Rest(error) => status.parks(error, clock),
            Self::Store(_) => None,
        }
    }
}

/// All channels, by the kind of their threads.
#[derive(Clone, Default)]
pub struct Channels(HashMap<ThreadKind, Arc<dyn Channel>>);

impl Channels {
    /// Adds a channel for the threads of a kind.
    #[must_use]
    pub fn with(mut self, kind: ThreadKind, channel: Arc<dyn Channel>) -> Self {
        self.0.insert(kind, channel);
        self
    }

    /// The channel of a thread; none if it is not served here.
    #[must_use]
    pub fn of(&self, thread: ThreadId) -> Option<&dyn Channel> {
        self.0.get(&thread.kind()).map(Arc::as_ref)
    }

    /// The thread that an id names; none if nothing is known of it here.
    ///
    /// # Errors
    ///
    /// If the store did not say.
    pub async fn thread(&self, id: ThreadId) -> Result<Option<Thread>, Error> {
        match self.of(id) {
            Some(channel) => channel.thread(id).await,
            None => Ok(None),
        }
    }

    /// Some threads whose other address ends with these digits, of the channel that knows addresses.
    ///
    /// # Errors
    ///
    /// If the store did not say, or the cursor is of another listing.
    pub async fn ending(
        &self,
        digits: &str,
        after: Option<DocumentCursor>,
    ) -> Result<KnownThreads, Error> {
        match self.0.get(&ThreadKind::Direct) {
            Some(channel) => channel.ending(digits, after).await,
            None => Ok(KnownThreads::default()),
        }
    }

    /// How a reply of a thread fares, if it is known.
    ///
    /// # Errors
    ///
    /// If the store did not say.
    pub async fn fares(&self, thread: ThreadId, reply: Uuid) -> Result<Vec<Fares>, Error> {
        match self.of(thread) {
            Some(channel) => channel.fares(thread, reply).await,
            None => Ok(Vec::new()),
        }
    }

    /// Where a thread stands, in one word; none if there is no such thread.
    ///
    /// # Errors
    ///
    /// If Twilio or the store did not say.
    pub async fn state(&self, thread: ThreadId) -> Result<Option<&'static str>, Error> {
        match self.of(thread) {
            Some(channel) => channel.state(thread).await,
            None => Ok(None),
        }
    }

    /// The thread of an address of ours and one of somebody else, by whichever channel knows ours.
    ///
    /// # Errors
    ///
    /// A sentence that says what to name instead.
    pub fn between(&self, ours: Option<&Pii>, theirs: &Pii) -> Result<Thread, String> {
        let nobody = || {
            "there are no numbers to send from: set TWILIO_PHONE_NUMBER or TWILIO_WHATSAPP_NUMBER"
                .to_owned()
        };
        let channel = self.0.get(&ThreadKind::Direct).ok_or_else(nobody)?;
        channel.between(ours, theirs)
    }

    /// The threads in which somebody writes by an address, by whichever channel.
    ///
    /// # Errors
    ///
    /// If Twilio or the store did not say.
    pub async fn threads_of(&self, theirs: &Pii) -> Result<TheirThreads, Error> {
        let mut found = TheirThreads::default();
        for channel in self.0.values() {
            let TheirThreads { threads, is_cut } = channel.threads_of(theirs).await?;
            found.threads.extend(threads);
            found.is_cut |= is_cut;
        }
        found.threads.sort_by_key(ToString::to_string);
        found.threads.dedup();
        Ok(found)
    }

    /// Whether several people write in a thread.
    ///
    /// # Errors
    ///
    /// If Twilio did not say.
    pub async fn is_of_several(&self, thread: ThreadId) -> Result<bool, Error> {
        match self.of(thread) {
            Some(channel) => channel.is_of_several(thread).await,
            None => Ok(false),
        }
    }

    /// Forgets, last of all, by what a thread is found that is asked for by an address.
    ///
    /// # Errors
    ///
    /// If the store failed; then it is found again.
    pub async fn forget_way(&self, thread: ThreadId) -> Result<u64, Error> {
        match self.of(thread) {
            Some(channel) => channel.forget_way(thread).await,
            None => Ok(0),
        }
    }

    /// Forgets what is kept of a thread by its channel.
    ///
    /// # Errors
    ///
    /// If the store failed; then some of it may be left.
    pub async fn forget(&self, thread: ThreadId, act: bool) -> Result<u64, Error> {
        match self.of(thread) {
            Some(channel) => channel.forget(thread, act).await,
            None => Ok(0),
        }
    }

    /// Whether somebody reads a thread on a phone; taken to be so where the thread is not served here.
    ///
    /// # Errors
    ///
    /// If Twilio did not say.
    pub async fn has_phone(&self, thread: ThreadId) -> Result<bool, rest::Error> {
        match self.of(thread) {
            Some(channel) => channel.has_phone(thread).await,
            None => Ok(true),
        }
    }

    /// Whether what was said in a thread shows by itself that somebody reads it on a phone.
    #[must_use]
    pub fn shows_phone(&self, thread: ThreadId, messages: &[TurnMessage]) -> bool {
        self.of(thread).is_none_or(|channel| channel.shows_phone(messages))
    }

    /// The longest text that goes out whole in a thread where somebody reads on a phone; what Twilio brings
    /// to one where the thread is not served here.
    #[must_use]
    pub fn text_units_max(&self, thread: ThreadId) -> usize {
        self.of(thread).map_or(PHONE_TEXT_UNITS_MAX, Channel::text_units_max)
    }

    /// Waits until it makes sense to take up another reply: until one of the channels does.
    pub async fn wait(&self) {
        if !self.0.is_empty() {
            let waits = self.0.values().map(|channel| channel.wait());
            let _ = futures::future::select_all(waits).await;
        }
    }
}

/// How threads are marked as a person's, by the kind of thread.
#[derive(Clone, Debug, Default)]
pub struct Markings(HashMap<ThreadKind, Arc<dyn Marking>>);

impl Markings {
    /// Adds how threads of a kind are marked.
    #[must_use]
    pub fn with(mut self, kind: ThreadKind, marking: Arc<dyn Marking>) -> Self {
        self.0.insert(kind, marking);
        self
    }

    /// How a thread is marked; none if its kind is not served here.
    #[must_use]
    pub fn of(&self, thread: ThreadId) -> Option<&dyn Marking> {
        self.0.get(&thread.kind()).map(Arc::as_ref)
    }
}

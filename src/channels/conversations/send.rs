//! How the bot speaks in conversations: over the socket while it is up, else over REST; the author is
//! always the bot.
//!
//! Every send carries the reply's id twice: as mutation id on the socket and as a key in the message's
//! attributes. After an outcome that nobody knows (the answer was lost, the process died in between) the
//! messages since the reply was accepted are searched for one of the bot's own with that key before
//! anything is sent again; where there are too many of them, the reply becomes a dead letter, since
//! sending it might be sending it twice.

use std::time::Duration;

use uuid::Uuid;

use crate::channels::conversations::attributes::attributes as read_attributes;
use crate::channels::conversations::channel::Conversations;
use crate::channels::conversations::policy::authors::{Author, Authors};
use crate::channels::conversations::policy::removal::{Rejoin, Word};
use crate::channels::conversations::record::attributes_with_key;
use crate::channels::conversations::seats::PoolMember;
use crate::channels::conversations::service_check;
use crate::channels::reservations::Departure;
use crate::channels::search::{self, Candidate, Search, Step};
use crate::channels::{Failed, Outgoing, Sending, Sent};
use crate::clock::Moment;
use crate::fault_points::{self, Point};
use crate::jobs::outcome::{Class, Failure, NOT_PARTICIPANT, Operation, classify};
use crate::jobs::status;
use crate::pii::Pii;
use crate::queue::{Cause, Delivery};
use crate::realtime::{Outcome, SendMessage};
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::Via;
use crate::telemetry::metrics::labels::ReplyOutcome;
use crate::thread::CauseClass;
use crate::twilio::catalogue;
use crate::twilio::rest::{self, NewMessage, Op};
use crate::twilio::sid::{ConversationSid, MessageSid};

impl Conversations {
    /// Waits for its place in the row of its sender; gives how long it is to be put off if that is far.
    pub(super) async fn place_in_row(&self, reply: &Outgoing) -> Result<Option<Duration>, Failed> {
        let Some(number_limits) = &self.number_limits else { return Ok(None) };
        let Some(conversation) = reply.thread.id().conversation() else { return Ok(None) };
        let body = reply.reply.body.as_ref().map_or("", |body| body.reveal());
        match number_limits.departure(reply.id, conversation, body).await {
            Ok(Departure::At(due)) => {
                self.recorder.clock.sleep_until(due).await;
                Ok(None)
            }
            Ok(Departure::Later(wait)) => Ok(Some(wait)),
            Err(error) => Err(self.judged(self.did_nothing(&error)).await),
        }
    }

    /// Brings a reply into its conversation; looks first if it may be there already.
    pub(super) async fn bring(
        &self,
        reply: &Outgoing,
        delivery: &Delivery,
        look: bool,
    ) -> Result<Sending, Failed> {
        let Some(conversation) = reply.thread.id().conversation() else {
            return Err(no_conversation());
        };
        if !reply.reply.media_urls.is_empty() {
            return Err(Failed::unsendable(
                "a conversation takes files that are uploaded at twilio, by `media_sids`, and none by \
                 `media_urls`",
            ));
        }
        if let Some(cause) = &reply.again
            && !look
            && self.have_others(conversation).await?
        {
            return Err(for_one_of_several(cause));
        }
        match self.attempt(reply, conversation, (delivery, look)).await {
            Ok(sent) => {
                self.deliveries.sent(sent.message, reply).await;
                Ok(Sending::Sent(sent))
            }
            Err(failed)
                if failed.is_not_participant() && self.arrivals.is_joining(conversation.into()) =>
            {
                Ok(Sending::NotThereYet)
            }
            Err(failed) => Err(self.judged(failed).await),
        }
    }

    /// Whether anybody but the bot and one other reads along.
    async fn have_others(&self, conversation: ConversationSid) -> Result<bool, Failed> {
        let found = self.facts.participants(conversation).await;
        let found = found.map_err(|error| self.did_nothing(&error))?;
        let reads = |participant: &&rest::Participant| match &participant.identity {
            Some(identity) => self.arrivals.author(identity.reveal()) != Author::Ours,
            // Our own number in a group has no address of anybody.
            None => {
                let binding = participant.messaging_binding.as_ref();
                binding.is_some_and(|binding| binding.address.is_some())
            }
        };
        Ok(found.iter().filter(reads).count() > 1)
    }

    async fn attempt(
        &self,
        reply: &Outgoing,
        conversation: ConversationSid,
        (delivery, look): (&Delivery, bool),
    ) -> Result<Sent, Failed> {
        self.send_limits.wait_for(conversation, &self.recorder.clock).await;
        if look && let Some(found) = self.search(reply, conversation).await? {
            fault_points::hit(Point::ReplyFound);
            return Ok(found);
        }
        let line = self.line(conversation).await?;
        if !delivery.is_held() {
            return Err(Failed::not_ours());
        }
        if let Some(client) = line.connected() {
            let began = self.recorder.clock.now();
            let outcome = client.send(by_socket(reply, conversation)).await;
            let failed = |failed| self.failed_by_socket(conversation, began, failed);
            match outcome {
                Outcome::Done(sent) => {
                    self.watermarks.follow(conversation, sent.index);
                    fault_points::hit(Point::SentBySocket);
                    let (how, via) = (ReplyOutcome::Sent, Via::Socket);
                    return Ok(Sent { how, via, message: sent.sid.into() });
                }
                Outcome::Refused { status, code, retry_after } => {
                    if code == Some(NOT_PARTICIPANT) {
                        self.seat_lost(conversation).await;
                    }
                    return Err(failed(refused(status, code, retry_after)));
                }
                Outcome::Unknown { .. } => return Err(failed(unknown())),
                Outcome::NotSent { .. } => {}
            }
        }
        self.by_rest(reply, conversation, line).await
    }

    /// The member that sits in the conversation; the first one where none does yet.
    async fn line(&self, conversation: ConversationSid) -> Result<&PoolMember, Failed> {
        if !self.seats.is_held(conversation) {
            self.may_ask(Op::ListParticipants)?;
        }
        let found = self.seats.find(&self.rest, conversation).await;
        let found = found.map_err(|error| self.did_nothing(&error))?;
        Ok(found.unwrap_or_else(|| self.seats.member_of(conversation)))
    }

    async fn by_rest(
        &self,
        reply: &Outgoing,
        conversation: ConversationSid,
        line: &PoolMember,
    ) -> Result<Sent, Failed> {
        self.may_ask(Op::CreateMessage)?;
        let said = &reply.reply;
        let message = NewMessage {
            author: line.identity.clone(),
            body: said.body.clone(),
            attributes: Some(attributes(reply).into_revealed()),
            media: said.media_sids.clone(),
            content_sid: said.content_sid,
            content_variables: said.variables_text(),
        };
        let sent = self.rest.create_message(conversation, &message).await;
        let message = sent.map_err(|error| {
            let failure = status::failure(&error);
            let class = classify(Operation::Send, failure);
            let cause = status::cause(class, &error);
            let parked = self.status.parks(&error, &self.recorder.clock);
            Failed { parked, ..failed(class, failure, Via::Rest, cause) }
        })?;
        fault_points::hit(Point::SentByRest);
        self.watermarks.follow(conversation, message.index);
        Ok(Sent { how: ReplyOutcome::Sent, via: Via::Rest, message: message.sid.into() })
    }

    fn may_ask(&self, op: Op) -> Result<(), Failed> {
        Failed::unless_asked(op, &self.status, &self.recorder.clock)
    }

    /// Looks for a reply that may have been sent.
    pub(super) async fn look(&self, reply: &Outgoing) -> Result<Option<Sent>, Failed> {
        let Some(conversation) = reply.thread.id().conversation() else {
            return Err(no_conversation());
        };
        match self.search(reply, conversation).await {
            Ok(found) => {
                if let Some(found) = found {
                    self.deliveries.sent(found.message, reply).await;
                }
                Ok(found)
            }
            Err(failed) => Err(self.judged(failed).await),
        }
    }

    /// Searches the messages since the reply was accepted for its key.
    async fn search(
        &self,
        reply: &Outgoing,
        conversation: ConversationSid,
    ) -> Result<Option<Sent>, Failed> {
        self.may_ask(Op::ListMessages)?;
        let mut search = Search::new(reply.accepted);
        let mut pages = self.rest.newest_messages(conversation);
        loop {
            let page = pages.next().await.map_err(|error| self.did_nothing(&error))?;
            search.unread(pages.skipped());
            let page = page.unwrap_or_default();
            let authors = &self.arrivals.authors;
            match search.page(page.iter().map(|one| candidate(authors, reply.id, one))) {
                Step::Found(message) => {
                    tracing::info!(conversation_sid = %conversation, message_sid = %message,
                        "reply is in the conversation already; not sent again");
                    let (how, via) = (ReplyOutcome::Found, Via::Rest);
                    return Ok(Some(Sent { how, via, message: message.into() }));
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
        Failed::did_nothing(error, &self.status, &self.recorder.clock)
    }

    /// Takes note of what the socket says of sending.
    fn failed_by_socket(
        &self,
        conversation: ConversationSid,
        began: Moment,
        failed: Failed,
    ) -> Failed {
        let Some(failure) = failed.failure else { return failed };
        let (clock, op) = (&self.recorder.clock, Op::CreateMessage);
        let took = clock.now().since(began);
        self.status.failed(op, Some(*conversation.as_bytes()), failure, took, clock);
        Failed { parked: self.status.parks_after(op, failure, clock), ..failed }
    }

    /// A conversation that nobody knows may be one of a service that nobody knows.
    async fn judged(&self, failed: Failed) -> Failed {
        if failed.class == Class::Dead && failed.is_not_found() && self.service.is_unknown().await {
            let cause = Cause::of(CauseClass::Reconfigure).with_detail(service_check::UNKNOWN);
            return Failed { class: Class::Reconfigure, cause: cause.into(), ..failed };
        }
        failed
    }

    /// Notes that Twilio says that the bot is not a participant: if the socket had told of the seat,
    /// somebody has taken it.
    async fn seat_lost(&self, conversation: ConversationSid) {
        let removals = &self.removals;
        let since = self.seats.heard_since(conversation);
        self.seats.forget(conversation);
        if since.is_none() || removals.rejoin == Rejoin::Always {
            return;
        }
        if let Err(error) = removals.lost(conversation, Word::Socket(since)).await {
            tracing::warn!(conversation_sid = %conversation, error = %Chain(&error),
                "whether the bot was removed from the conversation could not be noted");
        }
    }
}

fn by_socket(reply: &Outgoing, conversation: ConversationSid) -> SendMessage {
    let said = &reply.reply;
    SendMessage {
        conversation,
        mutation_id: reply.id,
        body: said.body.clone(),
        attributes: Some(attributes(reply)),
        media: said.media_sids.clone(),
        content: said.content_sid.map(|sid| (sid, said.variables_text())),
    }
}

fn attributes(reply: &Outgoing) -> Pii {
    attributes_with_key(&reply.reply.attributes, reply.id).to_string().into()
}

fn candidate(authors: &Authors, reply: Uuid, message: &rest::Message) -> Candidate<MessageSid> {
    let author = message.author.as_ref().map_or("", |author| author.reveal());
    let key = authors.reply(author, &read_attributes(message.attributes.as_ref()));
    Candidate { sid: message.sid, is_it: key == Some(reply), created: message.created }
}

impl Failed {
    const fn is_not_found(&self) -> bool {
        matches!(self.failure, Some(Failure::Refused { status: 404, .. }))
    }

    const fn is_not_participant(&self) -> bool {
        matches!(self.failure, Some(Failure::Refused { code: Some(NOT_PARTICIPANT), .. }))
    }
}

fn failed(class: Class, failure: Failure, via: Via, cause: Cause) -> Failed {
    Failed { failure: Some(failure), ..Failed::of(class, via, cause) }
}

fn refused(status: u16, code: Option<u32>, retry_after: Option<Duration>) -> Failed {
    let failure = Failure::Refused { status, code, retry_after };
    let class = classify(Operation::Send, failure).cause();
    let meaning = catalogue::meaning(code);
    let detail = format!("twilio refused the reply on the socket with status {status}: {meaning}");
    let cause = Cause { code, ..Cause::of(class).with_detail(detail) };
    by_socket_failed(failure, cause)
}

fn unknown() -> Failed {
    let cause =
        Cause::of(CauseClass::Look).with_detail("the socket was lost before twilio answered");
    by_socket_failed(Failure::Unknown, cause)
}

fn by_socket_failed(failure: Failure, cause: Cause) -> Failed {
    failed(classify(Operation::Send, failure), failure, Via::Socket, cause)
}

/// Who has it would get it twice.
fn for_one_of_several(again: &Cause) -> Failed {
    let detail = format!(
        "{}; several read along, and those who have it would get it twice, so it is not sent again; \
         redriven it goes to all of them",
        again.detail
    );
    let cause =
        Cause { code: again.code, ..Cause::of(CauseClass::Undelivered).with_detail(detail) };
    Failed::of(Class::Dead, Via::Rest, cause)
}

/// A thread of another kind has come here.
fn no_conversation() -> Failed {
    let cause = Cause::of(CauseClass::Unreadable).with_detail("the reply is for no conversation");
    Failed::of(Class::Dead, Via::Rest, cause)
}

/// Whether it was sent will never be known, and it must not be sent twice.
fn unread() -> Failed {
    let cause = Cause::of(CauseClass::Unknown).with_detail(
        "the reply may have been sent: a message of the conversation cannot be read, see the log. If \
         it is not there, send it anew by `chimein send` and drop this",
    );
    Failed::of(Class::Dead, Via::Rest, cause)
}

/// As [`unread`], where it may stand further back than anybody looks.
fn too_far() -> Failed {
    let cause = Cause::of(CauseClass::Unknown).with_detail(format!(
        "the reply may have been sent: it is not among the newest {} messages, and older ones are \
         not searched. If it is not there either, send it anew by `chimein send` and drop this",
        search::MESSAGES_MAX
    ));
    Failed::of(Class::Dead, Via::Rest, cause)
}

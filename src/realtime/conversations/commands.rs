//! What the owner wants done: messages, typing, read horizons, seats.
//!
//! Decides what is sent for a command and what its answer means; a message is never sent twice by
//! itself. Pure. Read horizons are gathered and only ever raised. A command that comes before the
//! server's configuration waits as long as any request may wait for a connection.
//! Source: conversations protocol notes 4 and 5, read 2026-11-21.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::core::{Core, Output, Tag};
use super::request::{self, Written};
use crate::clock::Moment;
use crate::json;
use crate::realtime::event::{NotSentReason, Outcome, SendMessage, Sent, UnknownReason};
use crate::realtime::twilsock::requests::{Answer, RequestError};
use crate::twilio::sid::ConversationSid;

/// Commands that may wait for the configuration.
const PARKED_MAX: usize = 1024;
/// Writes of read horizons under way at the same time.
const HORIZONS_IN_FLIGHT_MAX: usize = 16;
/// Time between two notes that the bot is typing, until the server names its own.
/// Source: conversations protocol notes 4, "Typing".
const TYPING: Duration = Duration::from_secs(5);
/// Conversations whose typing is remembered before those that are over are forgotten.
const TYPING_MAX: usize = 1024;
/// "Participant already exists". Source: error catalogue.
const ALREADY_THERE: u32 = 50433;

/// Names a command of one client.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CommandId(pub u64);

/// What the owner wants.
#[derive(Clone, Debug)]
pub enum Command {
    /// Send a message.
    Send(Box<SendMessage>),
    /// Show that the bot is typing.
    Typing(ConversationSid),
    /// Set the read horizon now.
    SetHorizon(ConversationSid, u64),
    /// Take a seat.
    Join(ConversationSid),
    /// Give a seat up.
    Leave(ConversationSid),
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Answered {
    /// Of [`Command::Send`].
    Sent(Outcome<Sent>),
    /// Of any other.
    Done(Outcome<()>),
}

/// What the answer to a command's request is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum CommandTag {
    Send,
    /// The look at what an earlier attempt stored.
    Look,
    Typing(ConversationSid),
    Horizon(ConversationSid, u64),
    Join,
    Leave,
}

/// A command that waits for the configuration.
#[derive(Debug)]
pub(super) struct Parked {
    pub deadline: Moment,
    id: CommandId,
    command: Command,
}

/// The read horizons that are to be written.
#[derive(Debug, Default)]
pub(super) struct Horizons {
    dirty: BTreeMap<ConversationSid, u64>,
    flush_at: Option<Moment>,
    interval: Duration,
    in_flight: usize,
}

impl Horizons {
    /// Takes the longer of the owner's and the server's interval; the server writes `PT1S`.
    pub fn set_interval(&mut self, own: Duration, server: Option<&str>) {
        let seconds = server
            .and_then(|text| text.strip_prefix("PT")?.strip_suffix('S')?.parse::<f64>().ok())
            .filter(|seconds| (0.0..=60.0).contains(seconds));
        self.interval = own.max(Duration::from_secs_f64(seconds.unwrap_or(0.0)));
    }

    /// When something is to be written.
    pub fn deadline(&self) -> Option<Moment> {
        self.flush_at.filter(|_| !self.dirty.is_empty() && self.in_flight < HORIZONS_IN_FLIGHT_MAX)
    }

    fn raise(&mut self, now: Moment, conversation: ConversationSid, index: u64) {
        let wanted = self.dirty.entry(conversation).or_insert(index);
        *wanted = (*wanted).max(index);
        self.flush_at.get_or_insert(now + self.interval);
    }
}

impl Core {
    /// Takes in a command.
    pub(super) fn on_command(&mut self, now: Moment, id: CommandId, command: Command) {
        if self.configuration.is_some() {
            return self.carry_out(now, id, command);
        }
        if self.parked.len() >= PARKED_MAX {
            return self.not_sent(id, &command, NotSentReason::Busy);
        }
        let deadline = now + self.options.session.requests.queue_timeout;
        self.parked.push_back(Parked { deadline, id, command });
    }

    /// The configuration is there.
    pub(super) fn release_parked(&mut self, now: Moment) {
        while let Some(Parked { id, command, .. }) = self.parked.pop_front() {
            self.carry_out(now, id, command);
        }
    }

    /// Refuses what waited too long.
    pub(super) fn expire_parked(&mut self, now: Moment) {
        while self.parked.front().is_some_and(|parked| parked.deadline <= now) {
            let Some(Parked { id, command, .. }) = self.parked.pop_front() else { break };
            self.not_sent(id, &command, NotSentReason::NotConnected);
        }
    }

    /// Refuses everything that waits: the client shuts down.
    pub(super) fn refuse_parked(&mut self) {
        while let Some(Parked { id, command, .. }) = self.parked.pop_front() {
            self.not_sent(id, &command, NotSentReason::ShutDown);
        }
    }

    fn not_sent(&mut self, id: CommandId, command: &Command, reason: NotSentReason) {
        let answered = match command {
            Command::Send(_) => Answered::Sent(Outcome::NotSent { reason }),
            Command::Typing(_) | Command::SetHorizon(..) | Command::Join(_) | Command::Leave(_) => {
                Answered::Done(Outcome::NotSent { reason })
            }
        };
        self.outputs.push_back(Output::Answered(id, answered));
    }

    fn carry_out(&mut self, now: Moment, id: CommandId, command: Command) {
        let mutation_id = self.mutation_id();
        let Some(configuration) = &self.configuration else { return };
        let links = &configuration.links;
        let identity = configuration.identity.reveal();
        let (tag, request) = match command {
            Command::Send(message) => {
                (CommandTag::Send, request::send(&links.conversations, &message))
            }
            Command::SetHorizon(conversation, index) => (
                CommandTag::Horizon(conversation, index),
                request::horizon(&links.my_conversations, conversation, index, mutation_id),
            ),
            Command::Join(conversation) => (
                CommandTag::Join,
                request::join(&links.conversations, conversation, identity, mutation_id),
            ),
            Command::Leave(conversation) => (
                CommandTag::Leave,
                request::leave(&links.conversations, conversation, identity, mutation_id),
            ),
            Command::Typing(conversation) => {
                let is_told = self.typing.get(&conversation).is_some_and(|until| *until > now);
                let Some(url) = links.typing.as_ref().filter(|_| !is_told) else {
                    let done = Answered::Done(Outcome::Done(()));
                    return self.outputs.push_back(Output::Answered(id, done));
                };
                let request = request::typing(url, conversation, mutation_id);
                if self.typing.len() >= TYPING_MAX {
                    self.typing.retain(|_, until| *until > now);
                }
                self.typing.insert(conversation, now + TYPING);
                (CommandTag::Typing(conversation), request)
            }
        };
        self.request(now, Tag::Command(id, tag), request);
    }

    /// Takes in the answer to a command's request.
    pub(super) fn on_command_answer(
        &mut self,
        now: Moment,
        id: CommandId,
        tag: CommandTag,
        result: Result<Answer, RequestError>,
    ) {
        let answered = match tag {
            CommandTag::Send => match request::written(result) {
                Written::Done(body) => Answered::Sent(request::sent(&body)),
                Written::Look(url) => {
                    let look = request::read(&url);
                    return self.request(now, Tag::Command(id, CommandTag::Look), look);
                }
                Written::Failed(failure) => Answered::Sent(request::failed(failure)),
            },
            CommandTag::Look => Answered::Sent(match result {
                Ok(answer) if (200..300).contains(&answer.status) => request::sent(&answer.body),
                Ok(_) | Err(_) => Outcome::Unknown { reason: UnknownReason::Unreadable },
            }),
            CommandTag::Typing(conversation) => {
                self.on_typing_told(now, conversation, &result);
                Answered::Done(done(result, None))
            }
            CommandTag::Horizon(conversation, index) => {
                let outcome = done(result, None);
                if outcome == Outcome::Done(()) {
                    self.horizon_is(conversation, index);
                }
                Answered::Done(outcome)
            }
            CommandTag::Join => Answered::Done(done(result, Some((409, Some(ALREADY_THERE))))),
            CommandTag::Leave => Answered::Done(done(result, Some((404, None)))),
        };
        self.outputs.push_back(Output::Answered(id, answered));
    }

    fn on_typing_told(
        &mut self,
        now: Moment,
        conversation: ConversationSid,
        result: &Result<Answer, RequestError>,
    ) {
        #[derive(Deserialize)]
        struct Told {
            typing_timeout: u64,
        }
        let Ok(answer) = result else { return };
        if let Ok(told) = json::from_slice::<Told>(&answer.body) {
            let timeout = Duration::from_secs(told.typing_timeout.min(60));
            self.typing.insert(conversation, now + timeout);
        }
    }

    /// The owner has handled messages up to `index`.
    pub(super) fn on_handled(&mut self, now: Moment, conversation: ConversationSid, index: u64) {
        let seat = self.seats.get(&conversation);
        if seat.is_some_and(|seat| seat.horizon.is_none_or(|horizon| horizon < index)) {
            self.horizons.raise(now, conversation, index);
        }
    }

    /// Writes the read horizons that are due; says whether there were any.
    pub(super) fn flush_horizons(&mut self, now: Moment) -> bool {
        let mut any = false;
        while self.horizons.deadline().is_some_and(|at| at <= now) {
            let Some((conversation, index)) = self.horizons.dirty.pop_first() else { break };
            if self.horizons.dirty.is_empty() {
                self.horizons.flush_at = None;
            }
            let mutation_id = self.mutation_id();
            let Some(configuration) = &self.configuration else { break };
            let url = &configuration.links.my_conversations;
            let request = request::horizon(url, conversation, index, mutation_id);
            self.horizons.in_flight += 1;
            self.request(now, Tag::Horizon(conversation, index), request);
            any = true;
        }
        any
    }

    /// Takes in the answer to the write of a read horizon.
    pub(super) fn on_horizon_written(
        &mut self,
        now: Moment,
        conversation: ConversationSid,
        index: u64,
        result: Result<Answer, RequestError>,
    ) {
        self.horizons.in_flight -= 1;
        match done(result, None) {
            Outcome::Done(()) => self.horizon_is(conversation, index),
            // Repeating it does no harm: it is the same index, or a higher one by then.
            Outcome::Refused { status: 429, .. }
            | Outcome::NotSent { .. }
            | Outcome::Unknown { .. } => {
                if self.seats.contains_key(&conversation) {
                    self.horizons.raise(now, conversation, index);
                }
            }
            Outcome::Refused { status, .. } => {
                tracing::debug!(conversation_sid = %conversation, status, "read horizon was refused");
            }
        }
    }

    fn horizon_is(&mut self, conversation: ConversationSid, index: u64) {
        if let Some(seat) = self.seats.get_mut(&conversation) {
            seat.horizon = seat.horizon.max(Some(index));
        }
    }
}

/// What the answer to a write without a result means; `already` is the refusal that means it was
/// done before.
fn done(result: Result<Answer, RequestError>, already: Option<(u16, Option<u32>)>) -> Outcome<()> {
    match request::written(result) {
        Written::Done(_) | Written::Look(_) => Outcome::Done(()),
        Written::Failed(Outcome::Refused { status, code, .. })
            if already.is_some_and(|(known, with)| {
                known == status && with.is_none_or(|with| code == Some(with))
            }) =>
        {
            Outcome::Done(())
        }
        Written::Failed(failure) => request::failed(failure),
    }
}

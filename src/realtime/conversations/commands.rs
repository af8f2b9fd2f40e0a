//! What the owner wants done: messages, typing, read horizons, seats.
//!
//! Decides what is sent for a command and what its answer means; a message is never sent twice by
//! itself. Pure: commands and answers come in, requests and outcomes come out.
//! A command that comes before the server's configuration waits as long as any request may wait for
//! a connection; at most `PARKED_MAX` do.
//! Source: conversations protocol notes 4 and 5, read 2026-11-21.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde::Deserialize;

use super::model::Configuration;
use super::request::{self, Written, done};
use crate::clock::Moment;
use crate::json;
use crate::realtime::event::{NotSentReason, Outcome, SendMessage, Sent, UnknownReason};
use crate::realtime::twilsock::backoff::Random;
use crate::realtime::twilsock::requests::{Answer, Request, RequestError};
use crate::twilio::sid::ConversationSid;

/// Commands that may wait for the configuration.
const PARKED_MAX: usize = 1024;
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
pub enum CommandAnswered {
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

/// What is to be done.
#[derive(Debug)]
pub(super) enum Output {
    /// Make a request; its answer is to come back with the tag.
    Request(CommandId, CommandTag, Request),
    /// A command is done.
    Answered(CommandId, CommandAnswered),
    /// The read horizon of a conversation stands at the server.
    Horizon(ConversationSid, u64),
}

/// A command that waits for the configuration.
#[derive(Debug)]
struct Parked {
    deadline: Moment,
    id: CommandId,
    command: Command,
}

/// The commands under way.
#[derive(Debug)]
pub(super) struct Commands {
    patience: Duration,
    parked: VecDeque<Parked>,
    /// Until when nobody need be told again that the bot is typing.
    typing: HashMap<ConversationSid, Moment>,
    outputs: VecDeque<Output>,
}

impl Commands {
    /// No commands yet. One waits for the configuration for `patience` at most.
    pub fn new(patience: Duration) -> Self {
        Self { patience, parked: VecDeque::new(), typing: HashMap::new(), outputs: VecDeque::new() }
    }

    /// Takes in a command.
    pub fn command(
        &mut self,
        now: Moment,
        (id, command): (CommandId, Command),
        configuration: Option<&Configuration>,
        random: &mut Random,
    ) {
        if let Some(configuration) = configuration {
            return self.carry_out(now, (id, command), configuration, random);
        }
        if self.parked.len() >= PARKED_MAX {
            return self.not_sent(id, &command, NotSentReason::Busy);
        }
        let deadline = now + self.patience;
        self.parked.push_back(Parked { deadline, id, command });
    }

    /// The configuration is there.
    pub fn release(&mut self, now: Moment, configuration: &Configuration, random: &mut Random) {
        while let Some(Parked { id, command, .. }) = self.parked.pop_front() {
            self.carry_out(now, (id, command), configuration, random);
        }
    }

    /// Refuses what waited too long.
    pub fn expire(&mut self, now: Moment) {
        while self.parked.front().is_some_and(|parked| parked.deadline <= now) {
            let Some(Parked { id, command, .. }) = self.parked.pop_front() else { break };
            self.not_sent(id, &command, NotSentReason::NotConnected);
        }
    }

    /// Refuses everything that waits: the client shuts down.
    pub fn refuse(&mut self) {
        while let Some(Parked { id, command, .. }) = self.parked.pop_front() {
            self.not_sent(id, &command, NotSentReason::ShutDown);
        }
    }

    /// Takes in the answer to a command's request.
    pub fn answered(
        &mut self,
        now: Moment,
        id: CommandId,
        tag: CommandTag,
        result: Result<Answer, RequestError>,
    ) {
        let answered = match tag {
            CommandTag::Send => match request::written(result) {
                Written::Done(body) => CommandAnswered::Sent(request::sent(&body)),
                Written::Look(url) => {
                    let look = Output::Request(id, CommandTag::Look, request::read(&url));
                    return self.outputs.push_back(look);
                }
                Written::Failed(failure) => CommandAnswered::Sent(request::failed(failure)),
            },
            CommandTag::Look => CommandAnswered::Sent(match result {
                Ok(answer) if (200..300).contains(&answer.status) => request::sent(&answer.body),
                Ok(_) | Err(_) => Outcome::Unknown { reason: UnknownReason::Unreadable },
            }),
            CommandTag::Typing(conversation) => {
                self.typing_told(now, conversation, &result);
                CommandAnswered::Done(done(result, None))
            }
            CommandTag::Horizon(conversation, index) => {
                let outcome = done(result, None);
                if outcome == Outcome::Done(()) {
                    self.outputs.push_back(Output::Horizon(conversation, index));
                }
                CommandAnswered::Done(outcome)
            }
            CommandTag::Join => {
                CommandAnswered::Done(done(result, Some((409, Some(ALREADY_THERE)))))
            }
            CommandTag::Leave => CommandAnswered::Done(done(result, Some((404, None)))),
        };
        self.outputs.push_back(Output::Answered(id, answered));
    }

    /// Forgets what was remembered of a conversation that is gone.
    pub fn forget(&mut self, conversation: ConversationSid) {
        self.typing.remove(&conversation);
    }

    /// Gives the next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Commands::expire`] is due.
    pub fn deadline(&self) -> Option<Moment> {
        self.parked.front().map(|parked| parked.deadline)
    }

    fn carry_out(
        &mut self,
        now: Moment,
        (id, command): (CommandId, Command),
        configuration: &Configuration,
        random: &mut Random,
    ) {
        let mutation_id = request::mutation_id(random);
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
                    let done = CommandAnswered::Done(Outcome::Done(()));
                    return self.outputs.push_back(Output::Answered(id, done));
                };
                self.is_typing(now, conversation);
                (CommandTag::Typing(conversation), request::typing(url, conversation, mutation_id))
            }
        };
        self.outputs.push_back(Output::Request(id, tag, request));
    }

    fn is_typing(&mut self, now: Moment, conversation: ConversationSid) {
        if self.typing.len() >= TYPING_MAX {
            self.typing.retain(|_, until| *until > now);
        }
        self.typing.insert(conversation, now + TYPING);
    }

    fn typing_told(
        &mut self,
        now: Moment,
        conversation: ConversationSid,
        result: &Result<Answer, RequestError>,
    ) {
        #[derive(Deserialize)]
        struct ToldCommand {
            typing_timeout: u64,
        }
        let Ok(answer) = result else { return };
        if let Ok(told) = json::from_slice::<ToldCommand>(&answer.body) {
            let timeout = Duration::from_secs(told.typing_timeout.min(60));
            self.typing.insert(conversation, now + timeout);
        }
    }

    fn not_sent(&mut self, id: CommandId, command: &Command, reason: NotSentReason) {
        let answered = match command {
            Command::Send(_) => CommandAnswered::Sent(Outcome::NotSent { reason }),
            Command::Typing(_) | Command::SetHorizon(..) | Command::Join(_) | Command::Leave(_) => {
                CommandAnswered::Done(Outcome::NotSent { reason })
            }
        };
        self.outputs.push_back(Output::Answered(id, answered));
    }
}

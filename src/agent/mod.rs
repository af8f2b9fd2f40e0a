//! What thinks: the [`Agent`] trait and its kinds, a file or folder each, listed in [`kinds`].
//!
//! An agent takes one [`Turn`] and gives an [`Answer`]: replies now, none, or the word that they will
//! come later by [`later`]. Whatever it is, it may take minutes, fail, or be asked twice with the same
//! turn id; the pipeline retries it and keeps only the first answer. An agent never talks to Twilio
//! and never decides order, pace or retries. Text enters and leaves as [`Pii`](crate::pii::Pii).

pub mod answer;
mod beside;
#[cfg(feature = "nats")]
pub mod bitbrat;
#[cfg(not(feature = "nats"))]
#[path = "bitbrat/unbuilt.rs"]
pub mod bitbrat;
mod buttons;
pub mod chatwoot;
pub mod document;
pub mod echo;
#[cfg(any(feature = "sqs", feature = "temporal"))]
mod fitted;
mod form;
pub mod http;
pub mod kind;
pub mod kinds;
pub mod later;
#[cfg(any(feature = "sqs", feature = "temporal"))]
mod matter;
pub mod openai;
mod report;
#[cfg(feature = "sqs")]
pub mod sqs;
#[cfg(not(feature = "sqs"))]
#[path = "sqs/unbuilt.rs"]
pub mod sqs;
pub mod stdio;
#[cfg(feature = "temporal")]
pub mod temporal;
#[cfg(not(feature = "temporal"))]
#[path = "temporal/unbuilt.rs"]
pub mod temporal;
mod turn;
pub mod unasked;
#[cfg(not(all(feature = "nats", feature = "sqs", feature = "temporal")))]
mod unbuilt;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::header::RETRY_AFTER;

pub use beside::{Beside, Connection, Watched};
pub use report::{Fate, Origin, Report, SCHEMA as REPORT_SCHEMA};
pub use turn::{Answer, Parting, Turn};

use crate::clock::Timestamp;
use crate::net::http::{is_too_slow, retry_after};
use crate::thread::Budget;

/// Thinks about one turn at a time, many turns at once.
pub trait Agent: Send + Sync {
    /// Names the kind of agent for logs and metrics.
    fn kind(&self) -> &'static str;

    /// How much of what was said before it wants to know with each turn. Who asks for nothing pays
    /// nothing.
    fn history(&self) -> Budget {
        Budget::default()
    }

    /// Takes a turn and answers it.
    ///
    /// The same turn may come again after an error, a lost answer or a restart; its id is the
    /// idempotency key.
    ///
    /// # Errors
    ///
    /// See [`Error`]; [`Error::retry`] says whether asking again can help.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the turn at the agent; it is asked again with the same id.
    fn take<'a>(&'a self, turn: &'a Turn) -> BoxFuture<'a, Result<Answer, Error>>;

    /// Whether it takes files as part of its turns; others get links alone.
    fn takes_bytes(&self) -> bool {
        false
    }

    /// Takes a turn once more that it has taken over and said nothing to: under a key that its own side
    /// has not seen, since under the old one it may be known and passed over.
    ///
    /// # Errors
    ///
    /// As [`Agent::take`].
    ///
    /// # Cancel safety
    ///
    /// As [`Agent::take`].
    fn take_anew<'a>(&'a self, turn: &'a Turn, asked: u32) -> BoxFuture<'a, Result<Answer, Error>> {
        tracing::debug!(message_sid = %turn.id, conversation_sid = %turn.thread, attempt = asked,
            "agent knows turns by their id alone");
        self.take(turn)
    }

    /// Takes the word on what became of a reply that it gave an [`Origin`] with.
    ///
    /// At least once: the same report may come again. Agents that give no origin are never called.
    ///
    /// # Errors
    ///
    /// See [`Error`]; the report comes again by the schedule of turns.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the report; it comes again.
    fn report<'a>(&'a self, report: &'a Report) -> BoxFuture<'a, Result<(), Error>> {
        tracing::debug!(reason = self.kind(), conversation_sid = %report.thread,
            "agent does not ask what became of its replies");
        Box::pin(std::future::ready(Ok(())))
    }

    /// Works beside its turns until it is stopped: takes replies off a bus, tells how the service is.
    /// Ends at once where there is nothing to do.
    ///
    /// # Cancel safety
    ///
    /// What was taken and is not on disk has to come again.
    fn run(self: Arc<Self>, beside: Beside) -> BoxFuture<'static, ()> {
        drop(beside);
        Box::pin(std::future::ready(()))
    }

    /// What it lacks right now, in one word of a closed set for the health pages; nothing where all is
    /// well, or only a turn can tell. Messages are taken all the same, and wait on disk.
    fn lacks(&self) -> Option<&'static str> {
        None
    }

    /// Whether it is told of each step of its replies, by [`Agent::report`].
    fn is_told(&self) -> bool {
        false
    }

    /// How long it may be silent about a turn that it has taken over, if that is watched.
    fn patience(&self) -> Option<Patience> {
        None
    }
}

/// How long an agent may be silent about a turn that it has taken over, and what follows.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long.
    pub within: Duration,
    /// Whether it is asked once more then.
    pub asks_anew: bool,
    /// Whether a turn is a dead letter that it says nothing to after that.
    pub buries: bool,
}

impl Patience {
    /// Of an agent that is asked once more, after which the turn is a dead letter; none where nobody watches.
    #[must_use]
    pub fn asking_again(within: Duration) -> Option<Self> {
        (!within.is_zero()).then_some(Self { within, asks_anew: true, buries: true })
    }
}

/// Why an agent gave no answer. Never holds what either side said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The agent did not answer in time.
    #[error("the agent did not answer turn {turn} within {} s", limit.as_secs())]
    Timeout {
        /// The turn's id.
        turn: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The agent could not be reached, or the connection broke.
    #[error("the agent could not be asked about turn {turn}")]
    Unreachable {
        /// The turn's id.
        turn: String,
        /// What the transport said.
        #[source]
        source: reqwest::Error,
    },
    /// The message bus did not take what it was given.
    #[error("the message bus did not take {about}")]
    Bus {
        /// What was published: the turn's or the reply's id.
        about: String,
        /// What the bus said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What has to be known of the turn could not be read or written.
    #[error("the store failed while the agent was asked about turn {turn}")]
    Store {
        /// The turn's id.
        turn: String,
        /// What the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The program that is the agent does not run.
    #[error("the agent's program does not run, so turn {turn} was not asked")]
    NotRunning {
        /// The turn's id.
        turn: String,
    },
    /// The agent says itself that it has no answer.
    #[error("the agent gave turn {turn} up")]
    GivenUp {
        /// The turn's id.
        turn: String,
        /// Whether it may be asked again.
        retry: bool,
    },
    /// The agent answered with a status that is no success.
    #[error("the agent answered turn {turn} with status {status}")]
    Status {
        /// The turn's id.
        turn: String,
        /// The HTTP status.
        status: u16,
        /// When the agent wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The turn has no room in what the agent's road takes at once.
    #[error(
        "turn {turn} is larger than the {bytes_max} bytes that a message of the queue may have"
    )]
    TurnTooLarge {
        /// The turn's id.
        turn: String,
        /// The road's limit.
        bytes_max: usize,
    },
    /// The answer is larger than allowed.
    #[error("the agent's answer to turn {turn} is larger than {bytes_max} bytes")]
    TooLarge {
        /// The turn's id.
        turn: String,
        /// The limit, `agent.response_bytes_max`.
        bytes_max: usize,
    },
    /// The answer is not of the agreed form.
    #[error("the agent's answer to turn {turn} is not of the agreed form: {reason}")]
    Malformed {
        /// The turn's id.
        turn: String,
        /// What is wrong, without quoting the answer.
        reason: String,
    },
    /// The answer ended before it was whole.
    #[error("the agent's answer to turn {turn} broke off")]
    Incomplete {
        /// The turn's id.
        turn: String,
    },
    /// The agent refuses every turn until something is changed.
    #[error("the agent refused turn {turn} with status {status}: {remedy}")]
    Misconfigured {
        /// The turn's id.
        turn: String,
        /// The HTTP status.
        status: u16,
        /// What to change.
        remedy: &'static str,
    },
    /// The program that is the agent runs, and answers no turn until something is changed.
    #[error("the agent's program cannot answer turn {turn}: {reason}")]
    Unusable {
        /// The turn's id.
        turn: String,
        /// What it lacks, and what to do.
        reason: &'static str,
    },
    /// The agent has nothing to say to this turn that a person can be given.
    #[error("the agent found no words for turn {turn}: {reason}")]
    Wordless {
        /// The turn's id.
        turn: String,
        /// Why, in words of ours.
        reason: &'static str,
    },
}

/// What a failure says about the agent as a whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sign {
    /// It is not there, or whoever stands before it says so.
    Away,
    /// It may be away, or may fail at this turn alone.
    Doubtful,
    /// It has no room for more turns at once.
    Busy,
    /// It works, whatever it said to this turn.
    Alive,
}

/// Whether asking an agent again can help.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retry {
    /// The same turn would fail the same way.
    No,
    /// By the schedule.
    Backoff,
    /// Not before this time has passed.
    After(Duration),
}

impl Error {
    /// Of a server that gave no answer within a time, or could not be reached.
    fn unheard(turn: &str, error: reqwest::Error, limit: Duration) -> Self {
        let turn = turn.to_owned();
        if is_too_slow(&error) {
            Self::Timeout { turn, limit }
        } else {
            Self::Unreachable { turn, source: error.without_url() }
        }
    }

    /// Of a server that answered with a status that is no success.
    fn refused(turn: String, response: &reqwest::Response, now: Timestamp) -> Self {
        let asked = response.headers().get(RETRY_AFTER).and_then(|text| text.to_str().ok());
        let retry_after = asked.and_then(|text| retry_after(text, now));
        Self::Status { turn, status: response.status().as_u16(), retry_after }
    }

    /// Says what it tells about the agent as a whole.
    #[must_use]
    pub const fn sign(&self) -> Sign {
        match self {
            Self::Unreachable { .. }
            | Self::Bus { .. }
            | Self::NotRunning { .. }
            | Self::Unusable { .. }
            | Self::Misconfigured { .. } => Sign::Away,
            Self::Timeout { .. } | Self::Incomplete { .. } => Sign::Doubtful,
            // Source: RFC 9110, section 15.6: of these a gateway says that the server is not there.
            Self::Status { status: 502..=504, .. } => Sign::Away,
            Self::Status { status: 429, .. } => Sign::Busy,
            Self::Status { status: 408 | 500..=599, .. } => Sign::Doubtful,
            Self::Status { .. }
            | Self::Store { .. }
            | Self::TurnTooLarge { .. }
            | Self::GivenUp { .. }
            | Self::TooLarge { .. }
            | Self::Malformed { .. }
            | Self::Wordless { .. } => Sign::Alive,
        }
    }

    /// Says whether the same turn may be tried again, and when.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Timeout { .. }
            | Self::Unreachable { .. }
            | Self::Bus { .. }
            | Self::Store { .. }
            | Self::NotRunning { .. }
            | Self::GivenUp { retry: true, .. }
            | Self::Incomplete { .. }
            | Self::Unusable { .. }
            | Self::Misconfigured { .. } => Retry::Backoff,
            Self::Status { status, retry_after, .. } => match (status, retry_after) {
                (408 | 425 | 429 | 500..=599, Some(after)) => Retry::After(*after),
                (408 | 425 | 429 | 500..=599, None) => Retry::Backoff,
                _ => Retry::No,
            },
            Self::TurnTooLarge { .. }
            | Self::GivenUp { .. }
            | Self::TooLarge { .. }
            | Self::Malformed { .. }
            | Self::Wordless { .. } => Retry::No,
        }
    }
}

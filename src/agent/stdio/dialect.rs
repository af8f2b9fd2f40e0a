//! What is the same in every dialect that a program can be spoken to: turns go in, lines go both ways, and
//! each turn comes to an end. Pure: no process, no clock, no channel; the time is an argument.
//!
//! The driver's rule: after each call, [`Dialect::poll`] until there is nothing, then wait for what comes
//! first, [`Dialect::deadline`] among it.

use std::fmt;

use crate::agent::Answer;
use crate::clock::Moment;
use crate::thread::{MessageId, ThreadId};

/// Everything that is open with one run of a program.
pub(super) trait Dialect: Send {
    /// What is to be done next.
    fn poll(&mut self) -> Option<Output>;

    /// When [`Dialect::elapse`] is due; never while the program has no turn.
    fn deadline(&self) -> Option<Moment>;

    /// Whether the program has answered a turn, so that it is known to work.
    fn has_answered(&self) -> bool;

    /// Asks a turn.
    fn ask(&mut self, now: Moment, question: AskedTurn);

    /// Hears that nobody waits for a turn any more.
    fn forsake(&mut self, now: Moment, turn: MessageId);

    /// Takes a line.
    ///
    /// # Errors
    ///
    /// Why it is a bad one.
    fn hear(&mut self, now: Moment, line: &[u8]) -> Result<(), BadLine>;

    /// Ends what has taken too long.
    fn elapse(&mut self, now: Moment);

    /// Hears that the program has said all that it will say, and went well if `is_well`.
    fn finish(&mut self, is_well: bool);
}

/// What is to be done.
pub(super) enum Output {
    /// Write this, its line's end included.
    Write(Vec<u8>),
    /// Tell whoever asked.
    Settle(MessageId, Result<Answer, TurnEnding>),
    /// The program hangs: end it.
    Kill,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(line) => write!(f, "Write({} bytes)", line.len()),
            Self::Settle(turn, told) => f.debug_tuple("Settle").field(turn).field(told).finish(),
            Self::Kill => f.write_str("Kill"),
        }
    }
}

/// How a turn ended that has no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum TurnEnding {
    /// Its time was over.
    TooSlow,
    /// The program ended.
    BrokenOff,
    /// The program says so itself, and whether it may be asked again.
    GivenUp {
        /// Whether that can help.
        retry: bool,
    },
    /// A reply cannot be sent; a sentence without a word of it.
    Malformed(String),
    /// The replies are larger than what is read.
    TooLarge,
    /// The program answers no turn before somebody changes something.
    Unusable(&'static str),
}

/// Why a line is bad.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BadLine {
    /// It is no JSON object.
    NoJson,
    /// Its type is none that there is.
    UnknownType,
    /// It names nothing that the program has been asked.
    UnknownTurn,
    /// It belongs to an earlier time that the turn was asked.
    OldAsk,
    /// It is longer than what is read.
    TooLong,
}

impl BadLine {
    /// The word for logs and metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NoJson => "no_json",
            Self::UnknownType => "unknown_type",
            Self::UnknownTurn => "unknown_turn",
            Self::OldAsk => "old_ask",
            Self::TooLong => "too_long",
        }
    }
}

/// A turn that is to be asked.
#[derive(Clone)]
pub(super) struct AskedTurn {
    /// The turn.
    pub(super) turn: MessageId,
    /// Where it came from.
    pub(super) thread: ThreadId,
    /// The turn in the dialect's form, as JSON without the end of a line.
    pub(super) document: Vec<u8>,
    /// What was said before, in the dialect's form, for a dialect that tells it apart from the turn.
    pub(super) context: Vec<u8>,
}

impl fmt::Debug for AskedTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { turn, thread, document, context } = self;
        let mut shown = f.debug_struct("AskedTurn");
        shown.field("turn", turn).field("thread", thread);
        shown.field("bytes", &document.len()).field("context_bytes", &context.len()).finish()
    }
}

//! What both ways to ask have in common in how their answers are read. Pure.

use super::problem::Problem;
use super::said::{FinishReason, ModelSaid};

/// Reads an answer event by event.
pub(super) trait Read {
    /// Takes the data of one event.
    ///
    /// # Errors
    ///
    /// Why the answer is none; nothing more is to be read then.
    fn event(&mut self, data: &str) -> Result<(), Fault>;

    /// Whether the model has begun to say or to think something.
    fn has_begun(&self) -> bool;

    /// Ends the answer.
    ///
    /// # Errors
    ///
    /// If it broke off.
    fn finish(self) -> Result<ModelSaid, Fault>;
}

/// Why an answer is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// Its text is longer than allowed.
    TooLarge,
    /// An event is no JSON of the agreed form, so that a part of the text may be missing.
    Garbled,
    /// It broke off.
    Incomplete,
    /// The server says that something went wrong.
    Problem(Problem),
}

/// What was read of an answer so far.
#[derive(Debug)]
pub(super) struct HeardAnswer {
    /// What it says.
    pub(super) text: BoundedText,
    /// How it ended, once that is told.
    pub(super) end: Option<FinishReason>,
    /// Whether the model has declined in a field of its own.
    pub(super) has_refused: bool,
    /// Whether it has asked for a tool.
    pub(super) calls_tools: bool,
    /// Whether it has begun to say or to think something.
    pub(super) has_begun: bool,
}

impl HeardAnswer {
    /// Begins with an answer whose text may have so many bytes.
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self {
            text: BoundedText::new(bytes_max),
            end: None,
            has_refused: false,
            calls_tools: false,
            has_begun: false,
        }
    }

    /// Ends the answer.
    ///
    /// # Errors
    ///
    /// If it broke off.
    pub(super) fn finish(self) -> Result<ModelSaid, Fault> {
        let end = match self.end {
            Some(FinishReason::Filtered) => FinishReason::Filtered,
            Some(_) if self.has_refused => FinishReason::Refused,
            Some(end) => end,
            None => return Err(Fault::Incomplete),
        };
        Ok(ModelSaid { text: self.text.into_string(), end, calls_tools: self.calls_tools })
    }
}

/// A text that grows up to a bound.
#[derive(Debug)]
pub(super) struct BoundedText {
    text: String,
    bytes_max: usize,
}

impl BoundedText {
    /// Begins with none.
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self { text: String::new(), bytes_max }
    }

    /// Adds some.
    ///
    /// # Errors
    ///
    /// If it became too long.
    pub(super) fn push(&mut self, more: &str) -> Result<(), Fault> {
        if self.text.len().saturating_add(more.len()) > self.bytes_max {
            return Err(Fault::TooLarge);
        }
        self.text.push_str(more);
        Ok(())
    }

    /// Whether there is none.
    pub(super) const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Gives it away.
    pub(super) fn into_string(self) -> String {
        self.text
    }
}

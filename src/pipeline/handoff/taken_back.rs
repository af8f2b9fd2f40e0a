//! An agent gives a thread to a person and takes it back, by calls that are not done in the order in which they
//! were made: what gives it waits behind the agent's words, what takes it back is done at once.
//!
//! So it is counted, on disk and for all instances, how often a thread was taken back. What gives it bears how
//! often that was when it was asked for, and is void once it was more. Whoever takes it back counts first and
//! writes the mark then, and whoever gives it looks before and after: whichever of the two writes last, the later
//! wish stands.

use crate::pipeline::handoff::{Error, Handoff};
use crate::queue::{self, Documents};
use crate::thread::ThreadId;

impl Handoff {
    /// How often a thread was taken back by its agent, as far as is remembered.
    ///
    /// # Errors
    ///
    /// If the store could not be read.
    pub async fn taken_back(&self, thread: ThreadId) -> Result<u64, queue::Error> {
        Ok(count(self.documents.read(&name(thread)).await?.as_deref()))
    }

    /// Takes a thread back for its agent; done when it returns, and all that would give it to a person and was
    /// asked for before is void.
    ///
    /// # Errors
    ///
    /// As [`Handoff::set`]. What was asked for before may be void all the same.
    pub async fn take_back(&self, thread: ThreadId) -> Result<(), Error> {
        let one_more =
            |before: Option<&[u8]>| Some(count(before).saturating_add(1).to_string().into_bytes());
        self.documents.update(&name(thread), one_more).await?;
        self.set(thread, false).await
    }

    /// Gives a thread to a person, unless its agent has taken it back since that was asked for; says whether the
    /// person has it. `taken_back` is how often it had been then; none of an agent that takes nothing back.
    ///
    /// # Errors
    ///
    /// As [`Handoff::set`].
    pub async fn give(&self, thread: ThreadId, taken_back: Option<u64>) -> Result<bool, Error> {
        if self.is_void(thread, taken_back).await? {
            return Ok(false);
        }
        self.set(thread, true).await?;
        let is_void = self.is_void(thread, taken_back).await?;
        if is_void {
            self.set(thread, false).await?;
        }
        Ok(!is_void)
    }

    async fn is_void(&self, thread: ThreadId, then: Option<u64>) -> Result<bool, queue::Error> {
        match then {
            Some(then) => Ok(self.taken_back(thread).await? > then),
            None => Ok(false),
        }
    }
}

fn count(document: Option<&[u8]>) -> u64 {
    let text = document.and_then(|bytes| std::str::from_utf8(bytes).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Forgotten with the ids of jobs, when no job is left that bears a count.
fn name(thread: ThreadId) -> String {
    format!("{}taken-back/{thread}", Documents::SHORT_LIVED)
}

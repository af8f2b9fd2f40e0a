//! The conversations that the bot has left to free its seats, and when.
//!
//! A mark of the store, so that restarts and other instances know it too, and a memory of those that
//! the bot was sent back to since, so that their messages send it no second time. While leaving is
//! off nothing is read: the sweep then brings the bot back everywhere. Decides nothing; see
//! [`policy::leaving`](crate::channels::conversations::policy::leaving).

use std::sync::Arc;

use crate::channels::conversations::memory::ConversationMemory;
use crate::channels::conversations::policy::leaving::{Absence, Facts, Leaving, Seat};
use crate::clock::Timestamp;
use crate::queue::{Error, Marks};
use crate::twilio::sid::ConversationSid;

/// What is remembered of leaving.
pub struct Departures {
    /// What the operator wishes.
    pub policy: Leaving,
    marks: Marks,
    memory: Arc<ConversationMemory>,
}

impl Departures {
    /// Starts with what the marks tell.
    #[must_use]
    pub const fn new(policy: Leaving, marks: Marks, memory: Arc<ConversationMemory>) -> Self {
        Self { policy, marks, memory }
    }

    /// Whether nothing is ever left.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.policy.is_off()
    }

    /// Whether a seat is to be left.
    #[must_use]
    pub fn judge(&self, facts: &Facts, now: Timestamp) -> Seat {
        self.policy.judge(facts, now)
    }

    /// What becomes of a conversation that the bot has left.
    #[must_use]
    pub fn judge_absence(&self, left: Timestamp, facts: &Facts, now: Timestamp) -> Absence {
        self.policy.judge_absence(left, facts, now)
    }

    /// Notes that the bot leaves a conversation now.
    ///
    /// # Errors
    ///
    /// If the store failed; then the conversation may not be left.
    pub async fn note(&self, conversation: ConversationSid, now: Timestamp) -> Result<(), Error> {
        let value = u64::try_from(now.as_millis()).unwrap_or(0);
        self.marks.raise(&name(conversation), value).await
    }

    /// When the bot left a conversation for the last time, if it ever did.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub async fn since(&self, conversation: ConversationSid) -> Result<Option<Timestamp>, Error> {
        if self.policy.is_off() {
            return Ok(None);
        }
        self.last(conversation).await
    }

    /// As [`Departures::since`], whatever the operator wishes now.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub async fn last(&self, conversation: ConversationSid) -> Result<Option<Timestamp>, Error> {
        let value = self.marks.read(&name(conversation)).await?;
        let millis = value.and_then(|value| i64::try_from(value).ok());
        Ok(millis.map(Timestamp::from_millis))
    }

    /// As [`Departures::since`], unless the bot was sent back after that.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub async fn unreturned(
        &self,
        conversation: ConversationSid,
    ) -> Result<Option<Timestamp>, Error> {
        let left = self.since(conversation).await?;
        Ok(left.filter(|left| self.memory.of(conversation).returned != Some(*left)))
    }

    /// Notes that the bot was sent back after it had left; where that is forgotten, it is joined needlessly.
    pub fn returns(&self, conversation: ConversationSid, left: Timestamp) {
        self.memory.change(conversation, |known| known.returned = Some(left));
    }
}

/// The name of the mark, unlike any watermark's, which is the bare sid.
fn name(conversation: ConversationSid) -> String {
    format!("left.{conversation}")
}

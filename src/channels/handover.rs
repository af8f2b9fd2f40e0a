//! Who gives conversations to people and back, as an operator's routes and a bot's calls see it; the composition
//! root brings the one that does it.

use futures::future::BoxFuture;

use crate::clock::Timestamp;
use crate::thread::ThreadId;

/// Gives conversations to people and back.
///
/// A trait, since the handoff is the pipeline's, and the agents that ask for it stand beside that.
pub trait Handover: Send + Sync {
    /// Gives a conversation to a person, or back to the bot; done when it returns.
    ///
    /// # Errors
    ///
    /// If there is no such conversation, or Twilio or the store did not do it.
    fn set(&self, thread: ThreadId, is_paused: bool) -> BoxFuture<'_, Result<(), NotHandedOver>>;

    /// How often an agent has taken a conversation back, which goes with the wish to give it to a person.
    ///
    /// # Errors
    ///
    /// If the store did not say.
    fn taken_back(&self, _thread: ThreadId) -> BoxFuture<'_, Result<u64, NotHandedOver>> {
        Box::pin(std::future::ready(Ok(0)))
    }

    /// Takes a conversation back for its agent; done when it returns, and void is what would give it to a person
    /// and was asked for before.
    ///
    /// # Errors
    ///
    /// As [`Handover::set`].
    fn take_back(&self, thread: ThreadId) -> BoxFuture<'_, Result<(), NotHandedOver>> {
        self.set(thread, false)
    }

    /// Some threads that this instance knows to be with a person, at most `count`.
    fn paused(&self, count: usize) -> BoxFuture<'_, Vec<TakenThread>>;
}

/// A thread that a person has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TakenThread {
    /// The thread.
    pub thread: ThreadId,
    /// Since when this instance knows it; a mark at Twilio bears no time.
    pub since: Timestamp,
}

/// Why a conversation did not change hands.
#[derive(Debug, thiserror::Error)]
pub enum NotHandedOver {
    /// There is no such conversation.
    #[error("there is no such conversation in this chat service")]
    Unknown,
    /// Its attributes leave no room for the mark.
    #[error("the conversation's attributes are no json object; make them one at twilio")]
    Attributes,
    /// It could not be done now.
    #[error("the conversation could not be changed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

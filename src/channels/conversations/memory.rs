//! What is remembered of conversations: one bounded memory for all who work on them.
//!
//! It holds what Twilio said, never the truth: what is forgotten costs asking or reading again, and no
//! message. Forgetting is [`Recent`]'s: what nobody has used lately goes first.

use std::sync::Arc;

use crate::channels::conversations::policy::beginning::Answered;
use crate::channels::conversations::policy::join_policy::Reason;
use crate::clock::{Moment, Timestamp};
use crate::pii::Pii;
use crate::recent::Recent;
use crate::twilio::sid::ConversationSid;

/// How many conversations are remembered at most.
const CONVERSATIONS_MAX: usize = 200_000;

/// The memory.
#[derive(Debug)]
pub struct ConversationMemory(Recent<ConversationSid, Remembered>);

impl Default for ConversationMemory {
    fn default() -> Self {
        Self(Recent::new(CONVERSATIONS_MAX))
    }
}

/// What is remembered of one conversation.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// How far it is known.
    pub reach: Reach,
    /// Whether the bot is to be there.
    pub choice: Option<Chosen>,
    /// Who reads along on a phone.
    pub readers: Option<Readers>,
    /// When it was last seen being set up.
    pub set_up: Option<Moment>,
    /// What it was answered by before this service was there.
    pub answered: Option<Answered>,
    /// The leaving after which the bot was sent back.
    pub returned: Option<Timestamp>,
    /// What was heard of the bot being removed.
    pub removal: HeardRemoval,
}

/// What was heard of the bot being removed from a conversation, and need not be asked or read again.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeardRemoval {
    /// When Twilio said last that the bot is not there.
    pub asked: Option<Moment>,
    /// Whether the next message brings the bot back.
    pub is_awaited: bool,
    /// Whether a webhook has told of a removal that the socket is still to tell of: by then somebody may
    /// have let the bot in again, and the late word must not count as another removal.
    pub is_told: bool,
    /// Whether the bot is to be there again and its join is not done: a seat that the socket says is
    /// lost by then is one from before.
    pub is_returning: bool,
}

/// How far a conversation is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reach {
    /// Up to which message.
    pub index: Option<u64>,
    /// Up to which change the socket told of it.
    pub told: Option<Timestamp>,
    /// After which change it was read.
    pub read: Option<Timestamp>,
    /// Whether all is known that was there when this process began.
    pub is_whole: bool,
    /// Whether a turn waits until it is.
    pub is_awaited: bool,
}

/// What was decided about a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Chosen {
    /// Why the bot is not to be there; none where it is.
    pub reason: Option<Reason>,
    /// When that was.
    pub at: Moment,
}

/// Who reads a conversation on a phone.
#[derive(Clone, Debug)]
pub struct Readers {
    /// When Twilio said so.
    pub at: Moment,
    /// By which of our numbers its messages leave, each as often as there are phones behind it.
    pub numbers: Arc<[(Pii, CountedBy)]>,
    /// Whether there is a phone at all.
    pub has_phone: bool,
}

/// How what leaves by a number is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CountedBy {
    /// By segments.
    Segments,
    /// By messages.
    Messages,
}

impl ConversationMemory {
    /// What is remembered of a conversation; nothing in particular where it is forgotten.
    #[must_use]
    pub fn of(&self, conversation: ConversationSid) -> Remembered {
        self.0.get(&conversation).unwrap_or_default()
    }

    /// Changes what is remembered of a conversation.
    pub fn change<T>(
        &self,
        conversation: ConversationSid,
        change: impl FnOnce(&mut Remembered) -> T,
    ) -> T {
        self.0.change(conversation, change)
    }
}

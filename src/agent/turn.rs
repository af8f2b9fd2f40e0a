//! What passes between the pipeline and an agent: turns in, answers out. Pure values.

use crate::media::Offers;
use crate::telemetry::trace::{TraceContext, TraceId};
use crate::thread::{MessageId, Past, Reply, Speaker, Thread, TurnMessage};

/// One inbound message, or a burst of them, waiting for an answer.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Never changes, whichever door saw the messages and however often the agent is asked: the sid
    /// of the turn's last message. A turn with another message is another turn.
    pub id: MessageId,
    /// Where it came from.
    pub thread: Thread,
    /// As whom the bot speaks there.
    pub speaker: Speaker,
    /// What was said, oldest first; never empty.
    pub messages: Vec<TurnMessage>,
    /// What was said before, oldest first, as much as the agent asks for.
    pub history: Vec<Past>,
    /// How often the agent was asked, this time included.
    pub attempt: u32,
    /// What there is of the messages' files, made anew each time that the agent is asked.
    pub files: Offers,
}

impl Turn {
    /// The trace of the turn's first message.
    #[must_use]
    pub fn trace(&self) -> TraceId {
        let index = self.messages.first().and_then(|message| message.index);
        TraceContext::of_message(self.thread.id(), self.id, index).trace()
    }
}

/// What an agent says to a turn.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// These replies, in this order; none means that there is nothing to say.
    Replies(Vec<Reply>),
    /// These replies, and then a person is to have the thread.
    Handoff(Vec<Reply>),
    /// These replies, and then the thread is over: whoever writes next begins anew.
    End(Vec<Reply>),
    /// The agent has taken the turn over and will send its replies by [`super::later`].
    Later,
}

impl Answer {
    /// Its replies, and what becomes of the thread after them; none where they come later.
    #[must_use]
    pub fn parted(self) -> Option<(Vec<Reply>, Parting)> {
        match self {
            Self::Replies(replies) => Some((replies, Parting::Stays)),
            Self::Handoff(replies) => Some((replies, Parting::Handoff)),
            Self::End(replies) => Some((replies, Parting::End)),
            Self::Later => None,
        }
    }
}

/// What becomes of a thread after an answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Parting {
    /// It goes on.
    #[default]
    Stays,
    /// A person is to have it.
    Handoff,
    /// It is over.
    End,
}

impl Parting {
    /// The answer of these replies.
    #[must_use]
    pub fn after(self, replies: Vec<Reply>) -> Answer {
        match self {
            Self::Stays => Answer::Replies(replies),
            Self::Handoff => Answer::Handoff(replies),
            Self::End => Answer::End(replies),
        }
    }
}

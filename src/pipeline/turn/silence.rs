//! Turns of threads that a person has taken over: skipped, or held until they are given back.
//!
//! Whether one is with a person is [`Handoff`](crate::pipeline::handoff::Handoff)'s to know. A held
//! message is put off, which counts as no attempt and makes no dead letter; it is woken when the
//! thread is given back, and looked at from time to time in case nobody heard of that.

use crate::agent::Answer;
use crate::pipeline::turn::Turns;
use crate::thread::ThreadId;

impl Turns {
    /// Whether a person took the thread over while the agent thought, so that what it says now is not
    /// sent; also where it may be and Twilio does not say.
    pub(super) async fn is_taken_over(&self, thread: ThreadId, answer: &Answer) -> bool {
        let has_replies = match answer {
            Answer::Replies(replies) | Answer::Handoff(replies) => !replies.is_empty(),
            // What a person has by now is not over.
            Answer::End(_) => true,
            Answer::Later => false,
        };
        has_replies
            && self.handoff.is_known_paused(thread)
            && self.handoff.is_paused(thread).await.unwrap_or(true)
    }
}

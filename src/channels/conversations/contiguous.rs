//! How far each conversation is known without a gap: every message up to there is stored, or ours.
//!
//! Doors may bring a message before an earlier one: the earlier one's webhook was lost and the socket
//! is down. A turn that is taken before everything ahead of it is known would break the order, so
//! turns look here first and read the conversation where this memory does not reach. The sweep looks
//! here too: a conversation that has not changed since what the socket told, or since it was read, need
//! not be read. It is only a memory: forgetting costs a read and no message.

use std::sync::Arc;

use crate::channels::conversations::memory::{ConversationMemory, Reach};
use crate::channels::conversations::policy::reading::Told;
use crate::clock::Timestamp;
use crate::twilio::sid::ConversationSid;

/// How far conversations are known, shared by arrivals, turns, sends and the sweep.
#[derive(Debug, Default)]
pub struct ContiguousWatermarks(pub Arc<ConversationMemory>);

impl ContiguousWatermarks {
    /// Notes that every message up to an index is known.
    pub fn raise(&self, conversation: ConversationSid, index: u64) {
        self.note(conversation, |reach| reach.index = reach.index.max(Some(index)));
    }

    /// Notes that one message is known, which says something only if it is the next one.
    pub fn follow(&self, conversation: ConversationSid, index: u64) {
        if self.reaches(conversation, index) {
            self.raise(conversation, index);
        }
    }

    /// Whether everything before an index is known.
    #[must_use]
    pub fn reaches(&self, conversation: ConversationSid, index: u64) -> bool {
        let known = self.0.of(conversation).reach.index;
        index == 0 || known.is_some_and(|known| known >= index - 1)
    }

    /// Notes that the socket told of everything up to a change.
    pub fn tell(&self, conversation: ConversationSid, changed: Timestamp) {
        self.note(conversation, |reach| reach.told = reach.told.max(Some(changed)));
    }

    /// Notes that a conversation was read over REST when a change was long over.
    pub fn read(&self, conversation: ConversationSid, changed: Timestamp) {
        self.note(conversation, |reach| reach.read = reach.read.max(Some(changed)));
    }

    /// Notes that all is known that was there when this process began; says whether a turn waits for it.
    pub fn complete(&self, conversation: ConversationSid) -> bool {
        self.0.change(conversation, |known| {
            known.reach.is_whole = true;
            std::mem::take(&mut known.reach.is_awaited)
        })
    }

    /// Whether all is known that was there when this process began.
    #[must_use]
    pub fn is_whole(&self, conversation: ConversationSid) -> bool {
        self.0.of(conversation).reach.is_whole
    }

    /// Notes that a turn waits until all is known.
    pub fn await_whole(&self, conversation: ConversationSid) {
        self.note(conversation, |reach| reach.is_awaited = true);
    }

    /// Whether a change, which a listing dates to the second, is one that is known.
    #[must_use]
    pub fn told(&self, conversation: ConversationSid, changed: Timestamp) -> Told {
        let reach = self.0.of(conversation).reach;
        let told = reach.told.map(Timestamp::as_secs);
        if reach.read >= Some(changed) || told > Some(changed.as_secs()) {
            Told::Yes
        } else if told == Some(changed.as_secs()) {
            Told::ThatSecond
        } else {
            Told::No
        }
    }

    fn note(&self, conversation: ConversationSid, change: impl FnOnce(&mut Reach)) {
        self.0.change(conversation, |known| change(&mut known.reach));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_message_closes_a_gap() {
        let (watermarks, sid) =
            (ContiguousWatermarks::default(), ConversationSid::from_bytes([1; 16]));
        assert!(watermarks.reaches(sid, 0) && !watermarks.reaches(sid, 1));
        watermarks.follow(sid, 1);
        assert!(!watermarks.reaches(sid, 2), "the first message is not known yet");
        watermarks.follow(sid, 0);
        watermarks.follow(sid, 1);
        assert!(watermarks.reaches(sid, 2) && !watermarks.reaches(sid, 3));
        watermarks.raise(sid, 7);
        watermarks.raise(sid, 4);
        assert!(watermarks.reaches(sid, 8) && !watermarks.reaches(sid, 9));
    }

    #[test]
    fn who_waits_for_the_rest_is_told_once() {
        let (watermarks, sid) =
            (ContiguousWatermarks::default(), ConversationSid::from_bytes([1; 16]));
        assert!(!watermarks.is_whole(sid) && !watermarks.complete(sid));
        watermarks.await_whole(sid);
        assert!(watermarks.is_whole(sid) && watermarks.complete(sid));
        assert!(!watermarks.complete(sid));
        assert!(!watermarks.reaches(sid, 1), "which messages that were is not said");
    }

    #[test]
    fn a_change_is_known_by_what_was_told_or_read_since() {
        let (watermarks, sid) =
            (ContiguousWatermarks::default(), ConversationSid::from_bytes([1; 16]));
        let at = |millis| Timestamp::from_millis(millis);
        assert_eq!(watermarks.told(sid, at(10_000)), Told::No);
        watermarks.tell(sid, at(10_400));
        watermarks.tell(sid, at(9_000));
        for (changed, told) in [(9_000, Told::Yes), (10_000, Told::ThatSecond), (11_000, Told::No)]
        {
            assert_eq!(watermarks.told(sid, at(changed)), told, "{changed}");
        }
        watermarks.read(sid, at(10_000));
        assert_eq!(watermarks.told(sid, at(10_000)), Told::Yes);
        assert!(!watermarks.reaches(sid, 1), "which messages that were is not said");
    }
}

//! How far each conversation is known without a gap: every message up to there is stored, or ours.
//!
//! Doors may bring a message before an earlier one: the earlier one's webhook was lost and the socket
//! is down. A turn that is taken before everything ahead of it is known would break the order, so
//! turns look here first and read the conversation where this memory does not reach. It is only a
//! memory: forgetting costs a read and no message.

use dashmap::DashMap;

use crate::twilio::sid::ConversationSid;

/// How many conversations are remembered before all are forgotten.
const CONVERSATIONS_MAX: usize = 200_000;

/// The memory, shared by doors, turns and senders.
#[derive(Debug, Default)]
pub struct Through(DashMap<ConversationSid, u64>);

impl Through {
    /// Notes that every message up to an index is known.
    pub fn raise(&self, conversation: ConversationSid, index: u64) {
        if self.0.len() >= CONVERSATIONS_MAX {
            self.0.clear();
        }
        let mut known = self.0.entry(conversation).or_insert(index);
        *known = index.max(*known);
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
        let known = self.0.get(&conversation).map(|known| *known);
        index == 0 || known.is_some_and(|known| known >= index - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_message_closes_a_gap() {
        let (through, sid) = (Through::default(), ConversationSid::from_bytes([1; 16]));
        assert!(through.reaches(sid, 0) && !through.reaches(sid, 1));
        through.follow(sid, 1);
        assert!(!through.reaches(sid, 2), "the first message is not known yet");
        through.follow(sid, 0);
        through.follow(sid, 1);
        assert!(through.reaches(sid, 2) && !through.reaches(sid, 3));
        through.raise(sid, 7);
        through.raise(sid, 4);
        assert!(through.reaches(sid, 8) && !through.reaches(sid, 9));
    }

    #[test]
    fn the_memory_is_bounded() {
        let through = Through::default();
        for n in 0..=u32::try_from(CONVERSATIONS_MAX).unwrap() {
            let mut sid = [0; 16];
            sid[..4].copy_from_slice(&n.to_be_bytes());
            through.raise(ConversationSid::from_bytes(sid), 0);
        }
        assert_eq!(through.0.len(), 1);
    }
}

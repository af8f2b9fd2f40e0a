//! The joins that ended as dead letters, as a sweep sees them.
//!
//! A conversation that a sweep finds without the bot may have a join that failed for good. Then that
//! one is tried again instead of a new one, so that there is one dead letter a conversation, however
//! many sweeps find it; and where it failed because no identity had room, only as far as there is
//! room now. Takes no time in and makes no I/O but on the queue of joins.

use std::collections::HashMap;

use crate::channels::conversations::join::TOO_MANY_CONVERSATIONS;
use crate::jobs::lane;
use crate::queue::{DeadSummary, Error, Filter, JobId, Key, Page, Queue};
use crate::twilio::sid::ConversationSid;

/// How many pages of dead letters are read. Past ten thousand of them a conversation that is missing
/// gets a new join.
const PAGES_MAX: usize = 10;

/// The dead letters of a queue of joins by lane, and how many seats there are for them.
pub(crate) struct DeadJoins {
    letters: HashMap<Key, DeadJoin>,
    room: usize,
}

#[derive(Clone, Copy)]
struct DeadJoin {
    id: JobId,
    /// Whether it failed because no identity had room.
    lacks_room: bool,
}

/// What becomes of a conversation without the bot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum JoinFate {
    /// No join of it is a dead letter.
    New,
    /// Its join is tried again.
    Again(JobId),
    /// Its join stays where it is, for want of room.
    Wait,
}

impl DeadJoins {
    /// Reads the dead letters; `room` is how many seats are free.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub(crate) async fn read(joins: &Queue, room: usize) -> Result<Self, Error> {
        let mut dead_joins = Self { letters: HashMap::new(), room };
        let mut after = None;
        for _ in 0..PAGES_MAX {
            let page = Page { after, limit: Page::LIMIT_MAX };
            let found = joins.list(Filter::default(), page).await?;
            dead_joins.take(found.letters);
            after = found.next;
            if after.is_none() {
                break;
            }
        }
        Ok(dead_joins)
    }

    /// Tries the dead join of a conversation again, if it has one and there is room. Says whether it
    /// has one, so that no other is wanted.
    ///
    /// # Errors
    ///
    /// If the store failed.
    pub(crate) async fn raise(
        &mut self,
        joins: &Queue,
        conversation: ConversationSid,
    ) -> Result<bool, Error> {
        match self.fate(&lane(conversation)) {
            JoinFate::New => Ok(false),
            JoinFate::Wait => Ok(true),
            JoinFate::Again(id) => match joins.redrive(id).await {
                Ok(()) => Ok(true),
                // Somebody was faster: redriven or dropped.
                Err(Error::NoDeadLetter { .. }) => Ok(false),
                Err(error) => Err(error),
            },
        }
    }

    fn take(&mut self, letters: Vec<DeadSummary>) {
        self.letters.extend(letters.into_iter().map(|letter| {
            let lacks_room = letter.cause.code == Some(TOO_MANY_CONVERSATIONS);
            (letter.key, DeadJoin { id: letter.id, lacks_room })
        }));
    }

    fn fate(&mut self, key: &Key) -> JoinFate {
        let Some(&DeadJoin { id, lacks_room }) = self.letters.get(key) else {
            return JoinFate::New;
        };
        if !lacks_room {
            return JoinFate::Again(id);
        }
        let Some(room) = self.room.checked_sub(1) else { return JoinFate::Wait };
        self.room = room;
        JoinFate::Again(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::queue::Cause;

    #[test]
    fn a_dead_join_is_tried_again_but_not_past_the_room_there_is() {
        let mut dead_joins = DeadJoins { letters: HashMap::new(), room: 1 };
        let full = Some(TOO_MANY_CONVERSATIONS);
        dead_joins.take(vec![letter(1, full), letter(2, full), letter(3, Some(50_416))]);
        dead_joins.take(vec![letter(4, None)]);
        for (n, fate) in [
            (1, JoinFate::Again(id(1))),
            (2, JoinFate::Wait),
            (3, JoinFate::Again(id(3))),
            (4, JoinFate::Again(id(4))),
            (5, JoinFate::New),
        ] {
            assert_eq!(dead_joins.fate(&lane(n)), fate, "{n}");
        }
    }

    fn letter(n: u8, code: Option<u32>) -> DeadSummary {
        DeadSummary {
            id: id(n),
            key: lane(n),
            appended_at: Timestamp::from_millis(0),
            died_at: Timestamp::from_millis(0),
            attempts: 1,
            cause: Cause { code, ..Cause::new("dead") },
        }
    }

    fn lane(n: u8) -> Key {
        super::lane(ConversationSid::from_bytes([n; 16]))
    }

    const fn id(n: u8) -> JobId {
        JobId::from_bytes([n; 16])
    }
}

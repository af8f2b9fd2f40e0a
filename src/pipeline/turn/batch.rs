//! The messages that are out with one delivery, and which of them the turn holds. Pure.
//!
//! The delivery's own message is always one of them. What a turn is called follows from its messages
//! alone: the sid of the last one, so that a turn with another message is another turn, and the same
//! messages are the same turn on every attempt.

use crate::clock::Timestamp;
use crate::pipeline::record::{Inbound, Said};
use crate::queue::Absorbed;
use crate::thread::{ThreadId, TurnMessage};

/// Messages of one conversation in their order.
#[derive(Debug)]
pub struct TurnBatch {
    members: Vec<BatchMessage>,
    /// When its thread was held last, so that its messages are not stale.
    pub held_until: Option<Timestamp>,
}

/// One message of a batch.
#[derive(Debug)]
pub struct BatchMessage {
    /// What was said.
    pub message: TurnMessage,
    /// When it was stored.
    pub stored: Timestamp,
    /// Whether it was out before, so that what happens to it was noted then.
    pub redelivered: bool,
    /// Whether it was found to get no answer.
    pub is_skipped: bool,
    /// The job that was taken along; none for the delivery's own.
    along: Option<Absorbed>,
}

impl BatchMessage {
    /// The delivery's own message.
    pub const fn own(message: TurnMessage, stored: Timestamp, redelivered: bool) -> Self {
        Self { message, stored, redelivered, is_skipped: false, along: None }
    }

    /// A message that was taken along.
    ///
    /// # Errors
    ///
    /// Gives the job back if it is not a message of this thread that this release can read.
    pub fn along(mut job: Absorbed, wanted: ThreadId) -> Result<Self, Absorbed> {
        match serde_json::from_slice(&job.payload).map(Inbound::into_said) {
            Ok(Said { thread, message, .. }) if thread.id() == wanted => {
                job.payload = Vec::new();
                let (stored, redelivered) = (job.appended_at, job.redelivered);
                Ok(Self { message, stored, redelivered, is_skipped: false, along: Some(job) })
            }
            Ok(Said { .. }) | Err(_) => Err(job),
        }
    }

    /// Gives the job back that was taken along.
    pub fn into_along(self) -> Option<Absorbed> {
        self.along
    }
}

impl TurnBatch {
    /// A delivery alone.
    pub fn new(own: BatchMessage, held_until: Option<Timestamp>) -> Self {
        Self { members: vec![own], held_until }
    }

    /// How many messages it has.
    pub const fn len(&self) -> usize {
        self.members.len()
    }

    /// Adds a message at its place.
    pub fn insert(&mut self, member: BatchMessage) {
        let index = member.message.index;
        let at = self.members.partition_point(|other| other.message.index <= index);
        self.members.insert(at, member);
    }

    /// All messages, oldest first.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut BatchMessage> {
        self.members.iter_mut()
    }

    /// When each was stored.
    pub fn stored(&self) -> Vec<Timestamp> {
        self.members.iter().map(|member| member.stored).collect()
    }

    /// Keeps the first `count`, and at least up to the delivery's own; gives the jobs of the others.
    pub fn keep(&mut self, count: usize) -> Vec<Absorbed> {
        let own =
            self.members.iter().position(|member| member.along.is_none()).map_or(0, |at| at + 1);
        let count = count.max(own).min(self.members.len());
        self.members.split_off(count).into_iter().filter_map(BatchMessage::into_along).collect()
    }

    /// Keeps the delivery's own alone; gives the jobs of the others.
    pub fn keep_own(&mut self) -> Vec<Absorbed> {
        let (own, along) = std::mem::take(&mut self.members)
            .into_iter()
            .partition(|member| member.along.is_none());
        self.members = own;
        along.into_iter().filter_map(BatchMessage::into_along).collect()
    }

    /// What the turn holds: all that is to be answered.
    pub fn messages(&self) -> Vec<TurnMessage> {
        let kept = self.members.iter().filter(|member| !member.is_skipped);
        kept.map(|member| member.message.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::twilio::sid::MessageSid;

    #[test]
    fn messages_stand_in_the_order_of_the_conversation() {
        let mut batch = TurnBatch::new(own(4), None);
        for index in [6, 3, 5] {
            batch.insert(own(index));
        }
        batch.iter_mut().filter(|member| member.message.index == Some(5)).for_each(|member| {
            member.is_skipped = true;
        });
        let indexes: Vec<_> = batch.messages().iter().map(|message| message.index).collect();
        assert_eq!(indexes, [Some(3), Some(4), Some(6)]);
        assert_eq!(batch.len(), 4);
    }

    #[test]
    fn the_delivery_itself_is_always_kept() {
        let mut batch = TurnBatch::new(own(4), None);
        assert!(batch.keep(0).is_empty());
        assert!(batch.keep_own().is_empty());
        assert_eq!(batch.len(), 1);
    }

    fn own(index: u64) -> BatchMessage {
        let message = TurnMessage {
            sid: MessageSid::from_bytes([7; 16]).into(),
            index: Some(index),
            author: "alice".into(),
            body: None,
            attributes: Map::new(),
            media: Vec::new(),
            participant: None,
            created: None,
            extras: None,
        };
        BatchMessage::own(message, Timestamp::from_millis(0), false)
    }
}

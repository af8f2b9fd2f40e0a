//! Walks a conversation's messages back from the newest one to an index. Pure: pages go in.
//!
//! There is no filter by index, so whoever wants what came after one asks for page after page, at its
//! own pace.

use std::collections::BTreeMap;

use super::model::{Message, MessagesAfter};
use crate::twilio::sid::MessageSid;

/// What has been seen on the way.
#[derive(Debug)]
pub struct WalkBack {
    after: Option<u64>,
    max: usize,
    found: BTreeMap<(u64, MessageSid), Message>,
    is_complete: bool,
}

impl WalkBack {
    /// Starts at the newest message; goes back to an index, to the first message without one, or until
    /// there are more than `max`.
    #[must_use]
    pub const fn to(after: Option<u64>, max: usize) -> Self {
        Self { after, max, found: BTreeMap::new(), is_complete: false }
    }

    /// Takes the next page, none after the last one. Says whether another one is wanted.
    pub fn takes(&mut self, page: Option<Vec<Message>>) -> bool {
        let Some(page) = page else {
            self.is_complete = true;
            return false;
        };
        let after = self.after;
        let is_new = |message: &Message| after.is_none_or(|after| message.index > after);
        self.is_complete = page.iter().any(|message| !is_new(message));
        let fresh = page.into_iter().filter(is_new);
        self.found.extend(fresh.map(|message| ((message.index, message.sid), message)));
        !self.is_complete && self.found.len() <= self.max
    }

    /// Gives what was found, oldest first; where there is more than the bound, the newest.
    #[must_use]
    pub fn end(self) -> MessagesAfter {
        let surplus = self.found.len().saturating_sub(self.max);
        let messages = self.found.into_values().skip(surplus).collect();
        MessagesAfter { messages, complete: self.is_complete && surplus == 0 }
    }
}

//! The participants of a seat, followed only if the owner wants them.
//!
//! Decides who is new, changed or gone, by each participant's own event id; never whether to follow
//! them. Pure: pages and events of their map come in, what the owner is told comes out. Of the
//! participants who left only the last [`GONE_MAX`] are remembered.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::model;
use super::outbox::OutQueue;
use crate::realtime::event::Event;
use crate::realtime::sync::book::ObjectId;
use crate::realtime::sync::event::Change;
use crate::realtime::sync::read::Page;
use crate::realtime::sync::trail::Trail;
use crate::twilio::sid::{ConversationSid, ParticipantSid};

/// Participants who left that a seat remembers, so that a late or repeated event of theirs is known
/// for what it is. One that comes after so many more have left is told as if it were new.
const GONE_MAX: usize = 64;

/// The last event of each participant, and whether it is there.
type Known = HashMap<ParticipantSid, (i64, bool)>;

/// The participants of an open seat.
#[derive(Debug)]
pub(super) struct Roster {
    object: ObjectId,
    items: Box<str>,
    trail: Trail,
    after: Option<String>,
    known: Known,
}

impl Roster {
    /// The participants in a map that was opened, of which nothing has been read.
    pub fn opened(object: ObjectId, items: String, last_event_id: i64) -> Self {
        Self {
            object,
            items: items.into(),
            trail: Trail::from(last_event_id),
            after: None,
            known: HashMap::new(),
        }
    }

    /// The map.
    pub const fn object(&self) -> ObjectId {
        self.object
    }

    /// Where its items are, and the last one that was read of them.
    pub fn next_page(&self) -> (&str, Option<&str>) {
        (&self.items, self.after.as_deref())
    }

    /// Up to which event nothing is missing.
    pub const fn last_event_id(&self) -> i64 {
        self.trail.whole()
    }

    /// Takes in a page; says whether there is another one to read.
    pub fn page(
        &mut self,
        conversation: ConversationSid,
        page: &Page<'_>,
        out: &mut OutQueue,
    ) -> bool {
        let before = self.after.clone();
        for item in &page.items {
            self.after.clone_from(&item.key);
        }
        let more = page.has_more() && self.after != before;
        if !more {
            let known = self.trail.known();
            self.after = None;
            self.trail.repaired(known);
        }
        for item in &page.items {
            let Some(key) = item.key.as_deref() else { continue };
            self.participant(conversation, (key, item.data), Some(item.last_event_id), out);
        }
        more
    }

    /// Takes in an event.
    pub fn event(
        &mut self,
        conversation: ConversationSid,
        id: Option<i64>,
        change: &Change<'_>,
        out: &mut OutQueue,
    ) {
        if let Some(id) = id {
            self.trail.note(id);
        }
        match change {
            Change::MapItemSet { key, data, .. } => {
                self.participant(conversation, (key.as_ref(), *data), id, out);
            }
            Change::MapItemRemoved { key } => {
                let Ok(participant) = key.parse::<ParticipantSid>() else { return };
                let known = self.known.get(&participant).copied();
                let event = id.unwrap_or_else(|| known.map_or(0, |(last, _)| last + 1));
                if known.is_none_or(|(last, there)| there && last < event) {
                    self.known.insert(participant, (event, false));
                    forget_gone(&mut self.known);
                    out.tell(Event::ParticipantLeft { conversation, participant });
                }
            }
            Change::DocumentUpdated(_)
            | Change::ListItemSet { .. }
            | Change::ListItemRemoved { .. }
            | Change::Other
            | Change::Removed
            | Change::Established { .. }
            | Change::Canceled
            | Change::Failed { .. } => {}
        }
    }

    /// Takes in the end of a replay: ids up to `last` exist. Says whether the items must be read.
    pub fn replayed(&mut self, last: Option<i64>) -> bool {
        self.trail.exists(last.unwrap_or(-1));
        self.trail.has_hole()
    }

    /// A participant has this data.
    fn participant(
        &mut self,
        conversation: ConversationSid,
        (key, data): (&str, &RawValue),
        event: Option<i64>,
        out: &mut OutQueue,
    ) {
        let Some(participant) = model::participant(conversation, key, data) else { return };
        let known = self.known.get(&participant.sid).copied();
        let event = event.unwrap_or_else(|| known.map_or(0, |(last, _)| last + 1));
        if known.is_some_and(|(last, _)| event <= last) {
            return;
        }
        self.known.insert(participant.sid, (event, true));
        out.tell(match known {
            Some((_, true)) => Event::ParticipantUpdated(participant),
            Some((_, false)) | None => Event::ParticipantJoined(participant),
        });
    }
}

/// Forgets who left first, down to [`GONE_MAX`].
fn forget_gone(known: &mut Known) {
    let gone = known.iter().filter(|(_, (_, is_there))| !is_there);
    let mut gone: Vec<_> = gone.map(|(sid, (event, _))| (*event, *sid)).collect();
    let Some(over) = gone.len().checked_sub(GONE_MAX).filter(|over| *over > 0) else { return };
    gone.sort_unstable();
    for (_, sid) in &gone[..over] {
        known.remove(sid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_those_who_left_only_the_last_are_remembered() {
        let sid = |number: u8| ParticipantSid::from_bytes([number; 16]);
        let mut known = Known::new();
        for number in 0..200 {
            // Every tenth stays, the others leave one after the other.
            known.insert(sid(number), (i64::from(number), number % 10 == 0));
            forget_gone(&mut known);
        }
        let there = known.values().filter(|(_, is_there)| *is_there).count();
        assert_eq!((there, known.len()), (20, 20 + GONE_MAX));
        let first_gone = known.values().filter(|(_, is_there)| !is_there).map(|(event, _)| *event);
        assert_eq!(first_gone.min(), Some(129), "the last 64 who left came after this one");
    }
}

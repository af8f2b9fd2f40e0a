//! The participants of a seat, followed only if the owner wants them.
//!
//! Decides who is new, changed or gone, by each participant's own event id; never whether to follow
//! them. Pure. A roster that cannot be opened is left alone: messages do not depend on it. Of the
//! participants who left only the last [`GONE_MAX`] are remembered.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::core::{Core, seat_read};
use super::model;
use super::reads::Part;
use super::seat::Owner;
use crate::clock::Moment;
use crate::json;
use crate::realtime::event::Event;
use crate::realtime::sync::book::ObjectId;
use crate::realtime::sync::event::Change;
use crate::realtime::sync::read::{self, Kind, Opened};
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
    pub object: ObjectId,
    pub items: Box<str>,
    pub trail: Trail,
    pub after: Option<String>,
    pub known: Known,
}

impl Core {
    /// Takes in the opened map of participants.
    pub(super) fn on_roster(
        &mut self,
        now: Moment,
        conversation: ConversationSid,
        body: Option<&[u8]>,
    ) {
        let opened: Option<Opened> = body.and_then(|body| json::from_slice(body).ok());
        let Some((opened, items)) = opened.and_then(|mut opened| {
            let items = opened.links.items.take()?;
            Some((opened, items))
        }) else {
            return;
        };
        let last = opened.last_event_id;
        let Some(seat) = self.seats.get_mut(&conversation) else { return };
        let epoch = seat.epoch;
        let Some(open) = seat.open() else { return };
        let object = self.book.want(now, &opened.sid, Kind::Map, last, Owner::Roster(conversation));
        open.roster = Some(Box::new(Roster {
            object,
            items: items.into(),
            trail: Trail::from(last),
            after: None,
            known: HashMap::new(),
        }));
        self.reads.push(seat_read(conversation, epoch, Part::RosterItems));
    }

    /// Takes in a page of participants.
    pub(super) fn on_roster_items(&mut self, conversation: ConversationSid, body: Option<&[u8]>) {
        let Some(seat) = self.seats.get_mut(&conversation) else { return };
        let epoch = seat.epoch;
        let Some(roster) = seat.open().and_then(|open| open.roster.as_mut()) else { return };
        let Some(page) = body.and_then(|body| serde_json::from_slice::<read::Page<'_>>(body).ok())
        else {
            return;
        };
        let before = roster.after.clone();
        for item in &page.items {
            roster.after.clone_from(&item.key);
        }
        let more = page.has_more() && roster.after != before;
        if !more {
            let known = roster.trail.known();
            roster.after = None;
            roster.trail.repaired(known);
        }
        let items = page.items.iter().filter_map(|item| Some((item.key.as_deref()?, item)));
        for (key, item) in items {
            self.on_participant(conversation, key, item.data, Some(item.last_event_id));
        }
        if more {
            self.reads.push(seat_read(conversation, epoch, Part::RosterItems));
        }
    }

    /// A participant has this data.
    fn on_participant(
        &mut self,
        conversation: ConversationSid,
        key: &str,
        data: &RawValue,
        event: Option<i64>,
    ) {
        let Some(participant) = model::participant(conversation, key, data) else { return };
        let Some(roster) = self.roster(conversation) else { return };
        let known = roster.known.get(&participant.sid).copied();
        let event = event.unwrap_or_else(|| known.map_or(0, |(last, _)| last + 1));
        if known.is_some_and(|(last, _)| event <= last) {
            return;
        }
        roster.known.insert(participant.sid, (event, true));
        self.tell(match known {
            Some((_, true)) => Event::ParticipantUpdated(participant),
            Some((_, false)) | None => Event::ParticipantJoined(participant),
        });
    }

    /// The participants of an open seat.
    pub(super) fn roster(&mut self, conversation: ConversationSid) -> Option<&mut Roster> {
        self.seats.get_mut(&conversation)?.open()?.roster.as_deref_mut()
    }

    /// Takes in an event of the map of participants.
    pub(super) fn on_roster_event(
        &mut self,
        conversation: ConversationSid,
        object: ObjectId,
        id: Option<i64>,
        change: &Change<'_>,
    ) {
        let Some(roster) = self.roster(conversation) else { return };
        if let Some(id) = id {
            roster.trail.note(id);
            let whole = roster.trail.whole();
            self.book.reached(object, whole);
        }
        match change {
            Change::MapItemSet { key, data, .. } => {
                self.on_participant(conversation, key, data, id);
            }
            Change::MapItemRemoved { key } => {
                let Ok(participant) = key.parse::<ParticipantSid>() else { return };
                let Some(roster) = self.roster(conversation) else { return };
                let known = roster.known.get(&participant).copied();
                let event = id.unwrap_or_else(|| known.map_or(0, |(last, _)| last + 1));
                if known.is_none_or(|(last, there)| there && last < event) {
                    roster.known.insert(participant, (event, false));
                    forget_gone(&mut roster.known);
                    self.tell(Event::ParticipantLeft { conversation, participant });
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

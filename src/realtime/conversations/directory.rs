//! The user's conversations as the server lists them: a map that tells of changes, and its pages.
//!
//! Decides when the pages are read, and what is missing in them; never what becomes of a seat. Pure:
//! pages and event ids come in, what is to be read comes out.
//!
//! Pages are read when the map is opened, and again when an event of it is missing for
//! [`HOLD`]. There is one reading at a time: pages of two that are mixed up would
//! make seats look gone.

use std::collections::HashSet;

use super::stream::HOLD;
use crate::clock::Moment;
use crate::realtime::sync::book::ObjectId;
use crate::realtime::sync::trail::Trail;
use crate::twilio::sid::ConversationSid;

/// The user's conversations.
#[derive(Debug, Default)]
pub(super) struct Directory {
    map: Option<Map>,
    reading: Option<Reading>,
    is_read: bool,
}

/// The map that tells of changes.
#[derive(Debug)]
struct Map {
    object: ObjectId,
    trail: Trail,
    hold_until: Option<Moment>,
}

/// A reading of the conversations, page by page.
#[derive(Debug)]
pub(super) struct Reading {
    /// The last event of the map known before the first page was asked for: later events outrank it.
    since: i64,
    seen: HashSet<ConversationSid>,
    /// Whether another reading was wanted meanwhile.
    pub again: bool,
}

impl Reading {
    /// Whether a conversation is gone whose last event is known.
    pub fn lacks(&self, conversation: ConversationSid, last_event: i64) -> bool {
        !self.seen.contains(&conversation) && last_event <= self.since
    }
}

impl Directory {
    /// Takes in the opened map. Says whether the first page is to be read.
    pub fn opened(&mut self, object: ObjectId, last_event_id: i64) -> bool {
        self.map = Some(Map { object, trail: Trail::from(last_event_id), hold_until: None });
        self.read_again()
    }

    /// Wants the pages to be read anew, after the present reading if there is one. Says whether the
    /// first page is to be read now.
    pub fn read_again(&mut self) -> bool {
        if let Some(reading) = &mut self.reading {
            reading.again = true;
            return false;
        }
        let since = self.map.as_ref().map_or(-1, |map| map.trail.known());
        self.reading = Some(Reading { since, seen: HashSet::new(), again: false });
        true
    }

    /// Takes in a page; gives the event that stands for what it says, if it is of the present
    /// reading.
    pub fn page(&mut self, seen: impl Iterator<Item = ConversationSid>) -> Option<i64> {
        let reading = self.reading.as_mut()?;
        reading.seen.extend(seen);
        Some(reading.since)
    }

    /// Takes in the end of the last page.
    pub fn done(&mut self) -> Option<Reading> {
        let reading = self.reading.take()?;
        self.is_read = true;
        if let Some(map) = &mut self.map {
            map.trail.repaired(reading.since);
        }
        Some(reading)
    }

    /// Takes in an event of the map; gives the id that stands for it.
    pub fn event(&mut self, id: Option<i64>) -> Option<i64> {
        let trail = &mut self.map.as_mut()?.trail;
        Some(match id {
            // Not to be dropped for a higher id of another item: each item has its own order.
            Some(id) => {
                trail.note(id);
                id
            }
            None => trail.known(),
        })
    }

    /// Takes in the end of a replay: ids up to `last` exist.
    pub fn replayed(&mut self, last: Option<i64>) {
        if let Some(map) = &mut self.map {
            map.trail.exists(last.unwrap_or(-1));
        }
    }

    /// Waits for an event that is missing, if one is.
    pub fn watch(&mut self, now: Moment) {
        let Some(map) = &mut self.map else { return };
        if !map.trail.has_hole() {
            map.hold_until = None;
        } else if map.hold_until.is_none() {
            map.hold_until = Some(now + HOLD);
        }
    }

    /// Whether the wait for a missing event is over, so that the pages must be read again.
    pub fn hold_is_over(&mut self, now: Moment) -> bool {
        let map = self.map.as_mut();
        map.is_some_and(|map| map.hold_until.take_if(|at| *at <= now).is_some())
    }

    /// The map is gone; gives what it was.
    pub fn gone(&mut self) -> Option<ObjectId> {
        self.map.take().map(|map| map.object)
    }

    /// The map, and up to which of its events nothing is missing.
    pub fn reached(&self) -> Option<(ObjectId, i64)> {
        self.map.as_ref().map(|map| (map.object, map.trail.whole()))
    }

    /// Whether all pages have been read once.
    pub const fn is_read(&self) -> bool {
        self.is_read
    }

    /// When [`Directory::hold_is_over`] is to be asked.
    pub fn deadline(&self) -> Option<Moment> {
        self.map.as_ref()?.hold_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::sync::book::Book;
    use crate::realtime::sync::read::Kind;

    #[test]
    fn what_is_in_no_page_is_gone_unless_a_later_event_tells_of_it() {
        let (mut directory, _) = opened(4);
        assert_eq!(directory.page([sid(1)].into_iter()), Some(4));
        assert!(!directory.is_read());
        assert_eq!(directory.event(Some(5)), Some(5));
        let reading = directory.done().unwrap();
        assert!(!reading.lacks(sid(1), 3) && reading.lacks(sid(2), 4));
        assert!(!reading.lacks(sid(3), 5), "it came after the page was asked for");
        assert!(directory.is_read() && directory.done().is_none());
        assert_eq!(directory.page([sid(1)].into_iter()), None, "a page of an earlier reading");
    }

    #[test]
    fn a_missing_event_is_waited_for_and_then_read_over() {
        let (mut directory, object) = opened(4);
        directory.done();
        directory.event(Some(7));
        directory.watch(Moment::ORIGIN);
        let due = Moment::ORIGIN + HOLD;
        assert_eq!((directory.deadline(), directory.reached()), (Some(due), Some((object, 4))));
        assert!(!directory.hold_is_over(Moment::ORIGIN));
        assert!(directory.hold_is_over(due) && !directory.hold_is_over(due));
        assert!(directory.read_again());
        assert!(!directory.read_again(), "one reading at a time");
        assert!(directory.done().unwrap().again);
        directory.watch(due);
        assert_eq!((directory.deadline(), directory.reached()), (None, Some((object, 7))));
    }

    fn opened(last: i64) -> (Directory, ObjectId) {
        let object = Book::new(1).want(Moment::ORIGIN, "MP1", Kind::Map, last, ());
        let mut directory = Directory::default();
        assert!(directory.opened(object, last), "the first page is to be read");
        (directory, object)
    }

    fn sid(number: u8) -> ConversationSid {
        ConversationSid::from_bytes([number; 16])
    }
}

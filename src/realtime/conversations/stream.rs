//! The messages of one conversation, put into order: each once, none missing.
//!
//! Decides what to deliver, what to hold, and when the list must be read again. Never reads, never
//! parses. Pure. Three doors bring messages: live events, replayed events, pages of the list. Live
//! and replayed events are ordered by their event ids; a missing id holds the later ones for
//! [`HOLD`], then the list is read from the last message delivered. What was delivered is known by
//! index. An owner without room makes the stream *behind*: it drops events and reads the list once
//! there is room, so that nothing grows and nothing is lost.
//!
//! | state \ input | next event  | event after a hole | old event | page       | end of pages    | no room | room    | hold over |
//! |---------------|-------------|--------------------|-----------|------------|-----------------|---------|---------|-----------|
//! | Flowing       | deliver     | hold               | drop      | (stale)    | (stale)         | Behind  | =       | Reading   |
//! | Reading       | hold        | hold               | drop      | deliver    | Flowing/Reading | Behind  | =       | =         |
//! | Behind        | drop        | drop               | drop      | (stale)    | (stale)         | =       | Reading | =         |

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Moment;
use crate::realtime::event::{Message, MessageSource};
use crate::realtime::sync::trail::Trail;
use crate::twilio::sid::MessageSid;

/// How long a message waits for an earlier event that has not come.
pub const HOLD: Duration = Duration::from_secs(1);
/// How many events one conversation holds. Over it the list is read again instead.
const HELD_MAX: usize = 64;

/// A change of the list of messages.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// An item that the server calls new.
    Added(Box<Message>),
    /// An item that was there.
    Updated(Box<Message>),
    /// An item is gone.
    Removed {
        /// Its index.
        index: u64,
        /// Its sid, if its last data said it.
        sid: Option<MessageSid>,
    },
    /// Something that only takes an id.
    Other,
}

/// What to tell the owner.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamOutput {
    /// A message it has not seen.
    Added(Box<Message>),
    /// A change of one it has.
    Updated(Box<Message>),
    /// The end of one it has.
    Removed {
        /// Its index.
        index: u64,
        /// Its sid, if known.
        sid: Option<MessageSid>,
    },
}

/// The stream.
#[derive(Clone, Debug)]
pub struct MessageStream {
    trail: Trail,
    /// The highest index delivered, or handled before.
    delivered: Option<u64>,
    mode: Mode,
    held: Option<BTreeMap<i64, Change>>,
    hold_until: Option<Moment>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    Flowing,
    /// `through` exists at the server at the time of asking, so that the page contains it.
    Reading {
        through: i64,
        overflow: bool,
    },
    Behind,
}

impl MessageStream {
    /// A stream that begins by reading: `last_event_id` is that of the opened list, `handled` the
    /// watermark.
    #[must_use]
    pub fn reading(last_event_id: i64, handled: Option<u64>) -> Self {
        Self {
            trail: Trail::from(last_event_id),
            delivered: handled,
            mode: Mode::Reading { through: last_event_id, overflow: false },
            held: None,
            hold_until: None,
        }
    }

    /// A stream that goes on where an earlier one stopped.
    #[must_use]
    pub fn flowing(last_event_id: i64, delivered: Option<u64>) -> Self {
        Self { mode: Mode::Flowing, ..Self::reading(last_event_id, delivered) }
    }

    /// Up to which event nothing is missing: what to subscribe from.
    #[must_use]
    pub const fn last_event_id(&self) -> i64 {
        self.trail.whole()
    }

    /// The highest index delivered, or handled before.
    #[must_use]
    pub const fn delivered(&self) -> Option<u64> {
        self.delivered
    }

    /// Whether the list is being read.
    #[must_use]
    pub const fn is_reading(&self) -> bool {
        matches!(self.mode, Mode::Reading { .. })
    }

    /// Whether the stream waits for room.
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        matches!(self.mode, Mode::Behind)
    }

    /// When [`MessageStream::hold_is_over`] is to be asked.
    #[must_use]
    pub const fn deadline(&self) -> Option<Moment> {
        self.hold_until
    }

    /// Takes in an event. Deliveries are appended to `out`, at most while `room` lasts.
    pub fn event(
        &mut self,
        now: Moment,
        id: Option<i64>,
        change: Change,
        room: &mut usize,
        out: &mut Vec<StreamOutput>,
    ) {
        let Some(id) = id else {
            // Assumed: an event without an id has no place in the order; an addition is known by
            // its index.
            if matches!(self.mode, Mode::Flowing) {
                self.deliver(change, room, out);
            }
            return;
        };
        match self.mode {
            Mode::Behind => self.trail.exists(id),
            Mode::Reading { .. } | Mode::Flowing => {
                self.hold(id, change);
                if matches!(self.mode, Mode::Flowing) {
                    self.release(now, room, out);
                }
            }
        }
    }

    /// Takes in the end of a replay: ids up to `last` exist. Without a number nothing is known and
    /// the list is to be read; says whether it is.
    pub fn replayed(&mut self, now: Moment, last: Option<i64>) -> bool {
        match last {
            Some(last) => self.trail.exists(last),
            None => return self.start_reading(),
        }
        self.watch_hole(now);
        false
    }

    /// Whether the wait for a missing event is over, so that the list must be read from
    /// [`MessageStream::delivered`] on.
    pub fn hold_is_over(&mut self, now: Moment) -> bool {
        self.hold_until.is_some_and(|at| at <= now) && self.start_reading()
    }

    /// There is room again; says whether the list must be read.
    pub fn room_again(&mut self) -> bool {
        self.is_behind() && self.start_reading()
    }

    /// Takes in one message of a page; pages come in ascending order.
    pub fn page_item(&mut self, message: Message, room: &mut usize, out: &mut Vec<StreamOutput>) {
        if self.is_reading() {
            self.deliver(Change::Added(Box::new(message)), room, out);
        }
    }

    /// Passes over an item of a page that is no message.
    pub fn page_skip(&mut self, index: u64) {
        if self.is_reading() {
            self.delivered = self.delivered.max(Some(index));
        }
    }

    /// Takes in the end of the last page. Says whether the list must be read once more.
    pub fn pages_done(
        &mut self,
        now: Moment,
        room: &mut usize,
        out: &mut Vec<StreamOutput>,
    ) -> bool {
        let Mode::Reading { through, overflow } = self.mode else { return false };
        self.mode = Mode::Flowing;
        let passed = self.held.as_mut().map(|held| {
            let later = held.split_off(&(through + 1));
            std::mem::replace(held, later)
        });
        self.trail.repaired(through);
        for change in passed.into_iter().flat_map(BTreeMap::into_values) {
            self.deliver(change, room, out);
        }
        self.release(now, room, out);
        overflow && self.start_reading()
    }

    fn start_reading(&mut self) -> bool {
        if self.is_reading() {
            return false;
        }
        self.hold_until = None;
        self.mode = Mode::Reading { through: self.trail.known(), overflow: false };
        true
    }

    fn hold(&mut self, id: i64, change: Change) {
        if id <= self.trail.whole() {
            return;
        }
        self.trail.exists(id);
        let held = self.held.get_or_insert_default();
        if held.len() < HELD_MAX {
            held.entry(id).or_insert(change);
        } else if let Mode::Reading { overflow, .. } = &mut self.mode {
            *overflow = true;
        }
    }

    /// Delivers what is held and has no hole before it.
    fn release(&mut self, now: Moment, room: &mut usize, out: &mut Vec<StreamOutput>) {
        while let Some(held) = &mut self.held {
            let next = self.trail.whole() + 1;
            let Some(change) = held.remove(&next) else { break };
            if held.is_empty() {
                self.held = None;
            }
            self.deliver(change, room, out);
            if self.is_behind() {
                self.held = None;
                return;
            }
            self.trail.note(next);
        }
        self.watch_hole(now);
    }

    fn watch_hole(&mut self, now: Moment) {
        if !matches!(self.mode, Mode::Flowing) || !self.trail.has_hole() {
            self.hold_until = None;
        } else if self.hold_until.is_none() {
            self.hold_until = Some(now + HOLD);
        }
    }

    fn deliver(&mut self, change: Change, room: &mut usize, out: &mut Vec<StreamOutput>) {
        let delivery = match change {
            Change::Added(message) => {
                if self.delivered.is_some_and(|delivered| message.index <= delivered) {
                    return;
                }
                StreamOutput::Added(message)
            }
            Change::Updated(message) => StreamOutput::Updated(message),
            Change::Removed { index, sid } => StreamOutput::Removed { index, sid },
            Change::Other => return,
        };
        if self.is_behind() {
            return;
        }
        if *room == 0 {
            self.mode = Mode::Behind;
            self.hold_until = None;
            return;
        }
        *room -= 1;
        if let StreamOutput::Added(message) = &delivery {
            self.delivered = Some(message.index);
        }
        out.push(delivery);
    }
}

/// The door of an event: a replay carries the correlation id of its request.
#[must_use]
pub const fn door(is_replay: bool) -> MessageSource {
    if is_replay { MessageSource::Replay } else { MessageSource::Live }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Timestamp;
    use crate::pii::Pii;
    use crate::twilio::sid::ConversationSid;

    #[test]
    fn a_later_event_waits_for_the_missing_one() {
        let mut stream = MessageStream::flowing(-1, None);
        assert_eq!(feed(&mut stream, 0, 1, 1), Vec::<u64>::new());
        assert_eq!(stream.deadline(), Some(at(0) + HOLD));
        assert_eq!(feed(&mut stream, 500, 0, 0), [0, 1]);
        assert_eq!(stream.deadline(), None);
    }

    #[test]
    fn a_hole_that_stays_is_read_over_once() {
        let mut stream = MessageStream::flowing(-1, None);
        assert_eq!(feed(&mut stream, 0, 2, 2), Vec::<u64>::new());
        assert!(!stream.hold_is_over(at(999)));
        assert!(stream.hold_is_over(at(1000)));
        assert_eq!(feed(&mut stream, 1001, 3, 3), Vec::<u64>::new());
        assert_eq!(read(&mut stream, 1002, &[0, 2]), [0, 2, 3]);
        assert_eq!((stream.last_event_id(), stream.deadline()), (3, None));
        assert_eq!(
            feed(&mut stream, 1003, 1, 1),
            Vec::<u64>::new(),
            "the one that came late was not there"
        );
    }

    #[test]
    fn the_first_message_is_read_though_no_event_tells_of_it() {
        let mut stream = MessageStream::reading(0, None);
        assert_eq!(feed(&mut stream, 0, 1, 1), Vec::<u64>::new());
        assert_eq!(read(&mut stream, 1, &[0, 1]), [0, 1]);
        assert_eq!(feed(&mut stream, 2, 2, 2), [2]);
    }

    #[test]
    fn messages_up_to_the_watermark_are_not_delivered() {
        let mut stream = MessageStream::reading(5, Some(3));
        assert_eq!(read(&mut stream, 0, &[3, 4, 5]), [4, 5]);
        assert_eq!(stream.delivered(), Some(5));
    }

    #[test]
    fn without_room_the_stream_falls_behind_and_reads_later() {
        let mut stream = MessageStream::flowing(-1, None);
        let mut out = Vec::new();
        stream.event(at(0), Some(0), added(0), &mut 0, &mut out);
        assert!(stream.is_behind() && out.is_empty());
        assert_eq!(stream.last_event_id(), -1, "a resume must not skip it");
        assert_eq!(feed(&mut stream, 1, 1, 1), Vec::<u64>::new());
        assert!(stream.room_again());
        assert_eq!(read(&mut stream, 2, &[0, 1]), [0, 1]);
        assert_eq!(feed(&mut stream, 3, 2, 2), [2]);
    }

    #[test]
    fn a_replay_that_left_something_out_is_noticed() {
        let mut stream = MessageStream::flowing(3, Some(3));
        assert!(!stream.replayed(at(0), Some(7)));
        assert_eq!(stream.deadline(), Some(at(0) + HOLD));
        assert!(stream.hold_is_over(at(1000)));
        assert_eq!(read(&mut stream, 1001, &[5, 7]), [5, 7]);
        assert!(!stream.replayed(at(2000), Some(7)));
        assert_eq!(stream.deadline(), None);
        assert!(stream.replayed(at(3000), None), "a replay without a number is not trusted");
    }

    #[test]
    fn edits_and_removals_take_ids_and_are_told_in_order() {
        let mut stream = MessageStream::flowing(-1, None);
        let mut out = Vec::new();
        let removed = Change::Removed { index: 0, sid: None };
        stream.event(at(0), Some(2), removed, &mut 9, &mut out);
        stream.event(at(0), Some(1), Change::Updated(message(0)), &mut 9, &mut out);
        stream.event(at(0), Some(0), added(0), &mut 9, &mut out);
        assert!(matches!(
            out[..],
            [
                StreamOutput::Added(_),
                StreamOutput::Updated(_),
                StreamOutput::Removed { index: 0, .. }
            ]
        ));
    }

    proptest! {
        /// Against the naive model "every message in order, once", under loss, reordering,
        /// duplicates, replays, and an owner that has no room now and then.
        #[test]
        fn every_message_is_delivered_once_and_in_order(
            stored in 1i64..40,
            events in proptest::collection::vec((0i64..40, 0u8..10), 0..200),
        ) {
            let mut stream = MessageStream::reading(-1, None);
            let mut got = Vec::new();
            let mut now = 0;
            // The server: message i is stored with event i; `known` of them by now.
            let mut known = 0i64;
            for (pick, action) in events {
                now += 100;
                known = (known + i64::from(action % 2)).min(stored);
                let mut room = usize::from(action != 9) * 100;
                let mut out = Vec::new();
                if known > 0 && action < 8 {
                    let id = pick % known;
                    stream.event(at(now), Some(id), added(id), &mut room, &mut out);
                }
                let mut reading = stream.hold_is_over(at(now)) || stream.is_reading();
                reading |= action == 8 && stream.room_again();
                if reading && pick % 3 == 0 {
                    got.extend(indexes(&out));
                    out.clear();
                    finish(&mut stream, now, known, &mut room, &mut out);
                }
                got.extend(indexes(&out));
            }
            // In the end everything is replayed and there is room.
            for _ in 0..3 {
                now += 2000;
                let mut out = Vec::new();
                let mut room = 1000;
                if stream.is_behind() {
                    stream.room_again();
                }
                stream.replayed(at(now), Some(stored - 1));
                stream.hold_is_over(at(now + 1000));
                if stream.is_reading() {
                    finish(&mut stream, now, stored, &mut room, &mut out);
                }
                got.extend(indexes(&out));
            }
            prop_assert_eq!(got, (0..u64::try_from(stored).unwrap()).collect::<Vec<_>>());
        }
    }

    fn finish(
        stream: &mut MessageStream,
        now: u64,
        known: i64,
        room: &mut usize,
        out: &mut Vec<StreamOutput>,
    ) {
        for index in 0..u64::try_from(known).unwrap() {
            stream.page_item(*message(index), room, out);
        }
        if stream.pages_done(at(now), room, out) {
            finish(stream, now, known, room, out);
        }
    }

    fn feed(stream: &mut MessageStream, now: u64, id: i64, index: u64) -> Vec<u64> {
        let mut out = Vec::new();
        stream.event(at(now), Some(id), Change::Added(message(index)), &mut 100, &mut out);
        indexes(&out)
    }

    fn read(stream: &mut MessageStream, now: u64, page: &[u64]) -> Vec<u64> {
        let mut out = Vec::new();
        for index in page {
            stream.page_item(*message(*index), &mut 100, &mut out);
        }
        assert!(!stream.pages_done(at(now), &mut 100, &mut out));
        indexes(&out)
    }

    fn indexes(out: &[StreamOutput]) -> Vec<u64> {
        out.iter()
            .filter_map(|delivery| match delivery {
                StreamOutput::Added(message) => Some(message.index),
                StreamOutput::Updated(_) | StreamOutput::Removed { .. } => None,
            })
            .collect()
    }

    fn added(id: i64) -> Change {
        Change::Added(message(u64::try_from(id).unwrap()))
    }

    fn message(index: u64) -> Box<Message> {
        Box::new(Message {
            conversation: ConversationSid::from_bytes([1; 16]),
            sid: MessageSid::from_bytes([u8::try_from(index).unwrap(); 16]),
            index,
            author: Pii::default(),
            body: None,
            attributes: None,
            media: Vec::new(),
            participant: None,
            created: Timestamp::default(),
            delivery: None,
            door: MessageSource::Live,
        })
    }

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }
}

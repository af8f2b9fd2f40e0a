//! An open seat: its objects, the order of its messages, its participants, what was told of it.
//!
//! Decides what of a page or an event is news, and when more must be read. Pure: what it wants done
//! goes into the outbox. An idle one keeps a few hundred bytes: two subscriptions, the order of its
//! messages, the address of its items.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::value::RawValue;
use url::Url;

use super::model;
use super::outbox::{OutQueue, SeatId};
use super::reads::Part;
use super::resume::ResumePoint;
use super::roster::Roster;
use super::stream::{self, MessageStream, StreamOutput};
use crate::clock::{Moment, Timestamp};
use crate::pii::Pii;
use crate::realtime::event::{Details, Event, MessageSource};
use crate::realtime::sync::book::{Book, ObjectId};
use crate::realtime::sync::event::Change;
use crate::realtime::sync::read::{self, Page};
use crate::realtime::twilsock::requests::Request;
use crate::twilio::sid::ConversationSid;

/// An open seat.
#[derive(Debug)]
pub(super) struct OpenSeat {
    id: SeatId,
    document: ObjectId,
    /// A digest of the details told last; 0 if none were.
    digest: u64,
    /// The date of the last document seen.
    updated: Option<Timestamp>,
    messages: ObjectId,
    /// Where the messages are.
    items: Box<str>,
    stream: MessageStream,
    /// Whether the owner waits for [`Event::CaughtUp`].
    catching_up: bool,
    roster: Option<Box<Roster>>,
}

impl OpenSeat {
    /// A seat that the owner waits to be caught up with, by its document and its list of messages.
    pub fn new(id: SeatId, document: ObjectId, messages: ObjectId, stream: MessageStream) -> Self {
        Self {
            id,
            document,
            digest: 0,
            updated: None,
            messages,
            items: Box::default(),
            stream,
            catching_up: true,
            roster: None,
        }
    }

    /// With what its objects say: where the items are, and what the document holds.
    pub fn with_contents(
        self,
        items: String,
        details: Option<&Details>,
        updated: Option<Timestamp>,
    ) -> Self {
        Self { items: items.into(), digest: details.map_or(0, digest), updated, ..self }
    }

    /// Its objects.
    pub fn objects(&self) -> impl Iterator<Item = ObjectId> {
        let roster = self.roster.as_ref().map(|roster| roster.object());
        [Some(self.document), Some(self.messages), roster].into_iter().flatten()
    }

    /// The highest index delivered, or handled before.
    pub const fn delivered(&self) -> Option<u64> {
        self.stream.delivered()
    }

    /// Where it stands, unless its messages are being read.
    pub fn place<O: Copy>(&self, book: &Book<O>) -> Option<ResumePoint> {
        if self.stream.is_reading() {
            return None;
        }
        let document = book.sid(self.document)?.to_owned();
        let messages = book.sid(self.messages)?.to_owned();
        Some(ResumePoint {
            document: (document, book.last_event_id(self.document)?),
            messages: (messages, self.stream.last_event_id()),
            items: self.items.to_string(),
            delivered: self.stream.delivered(),
            updated: self.updated,
        })
    }

    /// The request for the next page of messages.
    pub fn next_page(&self, request_id: u128) -> Option<Request> {
        let after = self.stream.delivered().map(|index| index.to_string());
        let items: Url = self.items.parse().ok()?;
        Some(read::items_after(&items, after.as_deref(), request_id))
    }

    /// The request for the next page of participants.
    pub fn next_roster_page(&self, request_id: u128) -> Option<Request> {
        let (items, after) = self.roster.as_ref()?.next_page();
        let items: Url = items.parse().ok()?;
        Some(read::items_after(&items, after, request_id))
    }

    /// Takes in the document's new data.
    pub fn document_updated(&mut self, data: &RawValue, out: &mut OutQueue) {
        let Some(details) = model::document(data) else { return };
        let digest = digest(&details);
        self.updated = details.updated.or(self.updated);
        if std::mem::replace(&mut self.digest, digest) != digest {
            let conversation = self.id.conversation;
            out.tell(Event::ConversationUpdated { conversation, details });
        }
    }

    /// Takes in an event of the list of messages.
    pub fn message_event(
        &mut self,
        now: Moment,
        (id, change): (Option<i64>, stream::Change),
        mut room: usize,
        out: &mut OutQueue,
    ) {
        let mut deliveries = Vec::new();
        self.stream.event(now, id, change, &mut room, &mut deliveries);
        self.deliver(deliveries, out);
    }

    /// Takes in the end of the messages' replay: ids up to `last` exist.
    pub fn messages_replayed(&mut self, now: Moment, last: Option<i64>, out: &mut OutQueue) {
        if self.stream.replayed(now, last) {
            out.read(self.id, Part::Items);
        }
    }

    /// Takes in a page of messages.
    pub fn page(&mut self, now: Moment, page: &Page<'_>, mut room: usize, out: &mut OutQueue) {
        let before = self.stream.delivered();
        let mut last = before;
        let mut deliveries = Vec::new();
        for item in &page.items {
            let Some(index) = item.index else { continue };
            last = last.max(Some(index));
            match model::message(self.id.conversation, index, item.data, MessageSource::CatchUp) {
                Some(message) => self.stream.page_item(message, &mut room, &mut deliveries),
                None => self.stream.page_skip(index),
            }
        }
        let more = page.has_more() && last > before && self.stream.is_reading();
        let again = !more && self.stream.pages_done(now, &mut room, &mut deliveries);
        self.deliver(deliveries, out);
        if more || again {
            out.read(self.id, Part::Items);
        }
    }

    /// A missing event was waited for long enough.
    pub fn hold_over(&mut self, now: Moment, out: &mut OutQueue) {
        if self.stream.hold_is_over(now) {
            self.read_anew(out);
        }
    }

    /// The owner has room again.
    pub fn room_again(&mut self, out: &mut OutQueue) {
        if self.stream.room_again() {
            self.read_anew(out);
        }
    }

    /// Where its messages stand, after each change of them; tells the end of catching up.
    pub fn standing(&mut self, out: &mut OutQueue) -> MessagesStanding {
        let is_behind = self.stream.is_behind();
        if self.catching_up && !is_behind && !self.stream.is_reading() {
            self.catching_up = false;
            let (through, updated) = (self.stream.delivered(), self.updated);
            let conversation = self.id.conversation;
            out.tell(Event::CaughtUp { conversation, through, updated });
        }
        MessagesStanding {
            reached: (self.messages, self.stream.last_event_id()),
            hold: self.stream.deadline(),
            is_behind,
        }
    }

    /// Takes in the opened map of participants.
    pub fn roster_opened(
        &mut self,
        object: ObjectId,
        items: String,
        last_event_id: i64,
        out: &mut OutQueue,
    ) {
        self.roster = Some(Box::new(Roster::opened(object, items, last_event_id)));
        out.read(self.id, Part::RosterItems);
    }

    /// Takes in a page of participants.
    pub fn roster_page(&mut self, page: &Page<'_>, out: &mut OutQueue) {
        let Some(roster) = &mut self.roster else { return };
        if roster.page(self.id.conversation, page, out) {
            out.read(self.id, Part::RosterItems);
        }
    }

    /// Takes in an event of the participants; gives up to where nothing is missing.
    pub fn roster_event(
        &mut self,
        id: Option<i64>,
        change: &Change<'_>,
        out: &mut OutQueue,
    ) -> Option<i64> {
        let roster = self.roster.as_mut()?;
        roster.event(self.id.conversation, id, change, out);
        Some(roster.last_event_id())
    }

    /// Takes in the end of the participants' replay: ids up to `last` exist.
    pub fn roster_replayed(&mut self, last: Option<i64>, out: &mut OutQueue) {
        if self.roster.as_mut().is_some_and(|roster| roster.replayed(last)) {
            out.read(self.id, Part::RosterItems);
        }
    }

    /// The map of participants is gone. Messages do not depend on it.
    pub fn roster_gone(&mut self) -> Option<ObjectId> {
        self.roster.take().map(|roster| roster.object())
    }

    fn read_anew(&mut self, out: &mut OutQueue) {
        self.catching_up = true;
        out.read(self.id, Part::Items);
    }

    /// Tells the owner what the stream let through.
    fn deliver(&self, deliveries: Vec<StreamOutput>, out: &mut OutQueue) {
        let conversation = self.id.conversation;
        for delivery in deliveries {
            out.tell(match delivery {
                StreamOutput::Added(message) => Event::MessageAdded(*message),
                StreamOutput::Updated(message) => Event::MessageUpdated(*message),
                StreamOutput::Removed { index, sid } => {
                    Event::MessageRemoved { conversation, index, sid }
                }
            });
        }
    }
}

/// Where the messages of a seat stand.
#[derive(Debug)]
pub(super) struct MessagesStanding {
    /// Their list, and what to subscribe it from.
    pub reached: (ObjectId, i64),
    /// Until when an event that is missing is waited for.
    pub hold: Option<Moment>,
    /// Whether they wait for the owner to have room.
    pub is_behind: bool,
}

/// A digest of what [`Event::ConversationUpdated`] is about; never 0.
fn digest(details: &Details) -> u64 {
    let mut hasher = DefaultHasher::new();
    let Details { attributes, state, friendly_name, unique_name, .. } = details;
    let texts = [attributes, friendly_name, unique_name].map(|text| text.as_ref().map(Pii::reveal));
    texts.hash(&mut hasher);
    std::mem::discriminant(state).hash(&mut hasher);
    hasher.finish().max(1)
}

/// What an event of the list of messages means for their stream.
pub(super) fn list_change(
    conversation: ConversationSid,
    change: Change<'_>,
    is_replay: bool,
) -> stream::Change {
    let read = |index, data: &RawValue| {
        model::message(conversation, index, data, stream::door(is_replay)).map(Box::new)
    };
    match change {
        Change::ListItemSet { index, data, added } => match (read(index, data), added) {
            (Some(message), true) => stream::Change::Added(message),
            (Some(message), false) => stream::Change::Updated(message),
            (None, _) => stream::Change::Other,
        },
        Change::ListItemRemoved { index, data } => {
            let sid = data.and_then(|data| read(index, data)).map(|message| message.sid);
            stream::Change::Removed { index, sid }
        }
        Change::DocumentUpdated(_)
        | Change::MapItemSet { .. }
        | Change::MapItemRemoved { .. }
        | Change::Other
        | Change::Removed
        | Change::Established { .. }
        | Change::Canceled
        | Change::Failed { .. } => stream::Change::Other,
    }
}

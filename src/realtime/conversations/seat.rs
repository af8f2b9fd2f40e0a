//! One seat: what the client keeps of a conversation, and how it comes and goes.
//!
//! Decides when a conversation is opened, joined, left, read again; never parses an event. Pure.
//! An idle open seat keeps a few hundred bytes: two subscriptions, the order of its messages, the
//! address of its items.
//!
//! A seat is `Closed` (known, no seat or given up), `Opening` (document, list and watermark are
//! being fetched), `Retrying` (they were missing; tried again later) or `Open`.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use url::Url;

use super::core::{Core, Output, Tag, opening_delay, seat_read};
use super::model::{self, Listed, Membership, Names};
use super::reads::{Part, Read};
use super::request;
use super::resume::{Place, Resume};
use super::roster::Roster;
use super::stream::Stream;
use crate::clock::{Moment, Timestamp};
use crate::json;
use crate::pii::Pii;
use crate::realtime::event::{Details, Door, Event};
use crate::realtime::sync::book::ObjectId;
use crate::realtime::sync::read::{self, Kind, Opened};
use crate::realtime::twilsock::requests::Request;
use crate::twilio::sid::ConversationSid;

/// How often the objects of a seat are looked for before it is given up until its item changes.
const OPENING_ATTEMPTS: u8 = 6;

/// Whose a Sync object is.
#[derive(Clone, Copy, Debug)]
pub enum Owner {
    /// The map of the user's conversations.
    Channels,
    /// The document of a conversation.
    Document(ConversationSid),
    /// The list of its messages.
    Messages(ConversationSid),
    /// The map of its participants.
    Roster(ConversationSid),
}

/// A reading of the user's conversations, page by page. There is one at a time: pages of two that are
/// mixed up would make seats look gone.
#[derive(Debug)]
pub(super) struct Listing {
    /// The last event of the map known before the first page was asked for: later events outrank it.
    pub since: i64,
    /// The conversations seen.
    pub seen: HashSet<ConversationSid>,
    /// Whether another reading was wanted meanwhile.
    pub again: bool,
}

impl Listing {
    pub fn after(since: i64) -> Self {
        Self { since, seen: HashSet::new(), again: false }
    }
}

/// What the client keeps of a conversation.
#[derive(Debug)]
pub(super) struct Seat {
    /// Counts openings, so that answers to an earlier one are known.
    pub epoch: u32,
    /// The last event of the map that was about it.
    pub map_event: i64,
    /// Its read horizon at the server.
    pub horizon: Option<u64>,
    /// The highest index delivered before it was last closed.
    delivered: Option<u64>,
    /// Whether the owner was told of it.
    announced: bool,
    failures: u8,
    names: Names,
    state: State,
}

#[derive(Debug)]
enum State {
    Closed,
    Opening(Box<Opening>),
    Retrying,
    Open(Box<Open>),
}

#[derive(Debug, Default)]
struct Opening {
    place: Option<Place>,
    document: Option<Opened>,
    messages: Option<Opened>,
    handled: Option<Option<u64>>,
}

/// An open seat.
#[derive(Debug)]
pub(super) struct Open {
    pub document: ObjectId,
    /// A digest of the details told last; 0 if none were.
    pub digest: u64,
    /// The date of the last document seen.
    pub updated: Option<Timestamp>,
    pub messages: ObjectId,
    pub items: Box<str>,
    pub stream: Stream,
    /// Whether the owner waits for [`Event::CaughtUp`].
    pub catching_up: bool,
    pub roster: Option<Box<Roster>>,
}

impl Seat {
    fn new() -> Self {
        Self {
            epoch: 0,
            map_event: -1,
            horizon: None,
            delivered: None,
            announced: false,
            failures: 0,
            names: Names::default(),
            state: State::Closed,
        }
    }

    /// Whether it is open.
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// The open seat.
    pub fn open(&mut self) -> Option<&mut Open> {
        match &mut self.state {
            State::Open(open) => Some(open),
            State::Closed | State::Opening(_) | State::Retrying => None,
        }
    }

    /// The open seat, to look at.
    pub fn open_ref(&self) -> Option<&Open> {
        match &self.state {
            State::Open(open) => Some(open),
            State::Closed | State::Opening(_) | State::Retrying => None,
        }
    }

    fn name(&self, conversation: ConversationSid, part: Part) -> Option<String> {
        let (kept, suffix) = match part {
            Part::Document => (&self.names.document, "channel"),
            Part::Messages => (&self.names.messages, "messages"),
            Part::Roster => (&self.names.roster, "roster"),
            Part::Items | Part::RosterItems => return None,
        };
        Some(kept.as_deref().map_or_else(|| format!("{conversation}.{suffix}"), str::to_owned))
    }
}

impl Core {
    /// Takes in what a page or an event of the map says of a conversation. `event` is the event's
    /// id, or that of the last event before the page was asked for.
    pub(super) fn on_listed(
        &mut self,
        now: Moment,
        conversation: ConversationSid,
        listed: Listed,
        event: i64,
    ) {
        let seat = self.seats.entry(conversation).or_insert_with(Seat::new);
        if seat.map_event > event {
            return;
        }
        seat.map_event = event;
        seat.horizon = seat.horizon.max(listed.horizon);
        seat.names = listed.names;
        match listed.membership {
            Membership::Joined => match seat.state {
                State::Closed => self.start_opening(conversation),
                State::Opening(_) | State::Retrying | State::Open(_) => {}
            },
            Membership::Invited => {
                self.close(conversation, true);
                if self.options.join_invited {
                    self.accept(now, conversation);
                }
            }
            Membership::NotParticipating => self.close(conversation, true),
        }
    }

    /// Takes in the end of a reading: what was not in it is gone.
    pub(super) fn on_listing_done(&mut self, now: Moment) {
        let Some(listing) = self.listing.take() else { return };
        if let Some(channels) = &mut self.channels {
            channels.trail.repaired(listing.since);
            let whole = channels.trail.whole();
            self.book.reached(channels.object, whole);
        }
        let gone: Vec<_> = self
            .seats
            .iter()
            .filter(|(sid, seat)| !listing.seen.contains(sid) && seat.map_event <= listing.since)
            .map(|(sid, _)| *sid)
            .collect();
        for conversation in gone {
            self.remove(conversation);
        }
        self.listed = true;
        // What was not needed of it were seats that the bot has no longer.
        for conversation in self.resume.take().into_iter().flat_map(Resume::into_seats) {
            self.tell(Event::Left { conversation });
        }
        if listing.again {
            self.list_again();
        }
        self.watch_channels(now);
    }

    /// Reads the user's conversations again, because an event of their map is missing; after the
    /// present reading, if there is one.
    pub(super) fn list_again(&mut self) {
        if let Some(listing) = &mut self.listing {
            listing.again = true;
            return;
        }
        let known = self.channels.as_ref().map_or(-1, |channels| channels.trail.known());
        self.listing = Some(Listing::after(known));
        self.reads.push(Read::Listed { token: None });
    }

    /// A conversation is gone from the user's map.
    pub(super) fn remove(&mut self, conversation: ConversationSid) {
        self.close(conversation, true);
        self.seats.remove(&conversation);
        self.typing.remove(&conversation);
    }

    /// The seat's objects are gone although it was not said to be: opens it anew.
    pub(super) fn reopen(&mut self, conversation: ConversationSid) {
        self.close(conversation, false);
        self.start_opening(conversation);
    }

    /// Gives up what is open of a seat.
    fn close(&mut self, conversation: ConversationSid, tell: bool) {
        let Some(seat) = self.seats.get_mut(&conversation) else { return };
        // Also one that the owner would have been told of in a moment.
        let mut is_lost = seat.announced;
        match std::mem::replace(&mut seat.state, State::Closed) {
            State::Opening(_) => {
                is_lost = true;
                self.opening -= 1;
            }
            State::Open(open) => {
                seat.delivered = open.stream.delivered();
                self.book.forget(open.document);
                self.book.forget(open.messages);
                if let Some(roster) = open.roster {
                    self.book.forget(roster.object);
                }
            }
            State::Retrying => is_lost = true,
            State::Closed => {}
        }
        self.behind.remove(&conversation);
        if tell && is_lost {
            seat.announced = false;
            self.tell(Event::Left { conversation });
        }
    }

    fn accept(&mut self, now: Moment, conversation: ConversationSid) {
        let id = self.mutation_id();
        let Some(configuration) = &self.configuration else { return };
        let url = &configuration.links.conversations;
        let identity = configuration.identity.reveal();
        let request = request::join(url, conversation, identity, id);
        self.request(now, Tag::AutoJoin, request);
    }

    fn start_opening(&mut self, conversation: ConversationSid) {
        let place = self.resume.as_mut().and_then(|resume| resume.take(conversation));
        let Some(seat) = self.seats.get_mut(&conversation) else { return };
        seat.epoch = seat.epoch.wrapping_add(1);
        let epoch = seat.epoch;
        let is_resumed = place.is_some();
        seat.state = State::Opening(Box::new(Opening { place, ..Opening::default() }));
        self.opening += 1;
        if !is_resumed {
            self.reads.push(seat_read(conversation, epoch, Part::Messages));
            self.reads.push(seat_read(conversation, epoch, Part::Document));
        }
        self.outputs.push_back(Output::LoadWatermark { conversation, epoch });
    }

    /// The time to look for a seat's objects again has come.
    pub(super) fn retry_opening(&mut self, conversation: ConversationSid) {
        let is_due =
            self.seats.get(&conversation).is_some_and(|seat| matches!(seat.state, State::Retrying));
        if is_due {
            self.start_opening(conversation);
        }
    }

    fn opening_failed(&mut self, now: Moment, conversation: ConversationSid) {
        let Some(seat) = self.seats.get_mut(&conversation) else { return };
        self.opening -= 1;
        seat.failures += 1;
        if seat.failures < OPENING_ATTEMPTS {
            seat.state = State::Retrying;
            self.retries.insert((now + opening_delay(seat.failures), conversation));
        } else {
            // As the official client drops it: until its item changes.
            seat.failures = 0;
            seat.state = State::Closed;
            if std::mem::take(&mut seat.announced) {
                self.tell(Event::Left { conversation });
            }
        }
    }

    /// Takes in a watermark.
    pub(super) fn on_watermark(
        &mut self,
        now: Moment,
        conversation: ConversationSid,
        epoch: u32,
        handled: Option<u64>,
    ) {
        let Some(seat) = self.seats.get_mut(&conversation) else { return };
        match &mut seat.state {
            State::Opening(opening) if seat.epoch == epoch => opening.handled = Some(handled),
            State::Opening(_) | State::Closed | State::Retrying | State::Open(_) => return,
        }
        self.finish_opening(now, conversation);
    }

    /// The request for a part of a seat, if that is still wanted.
    pub(super) fn seat_request(
        &self,
        (conversation, epoch): (ConversationSid, u32),
        part: Part,
        id: u128,
    ) -> Option<Request> {
        let seat = self.seats.get(&conversation).filter(|seat| seat.epoch == epoch)?;
        let sync = &self.options.sync;
        match part {
            Part::Document => {
                Some(read::open(sync, Kind::Document, &seat.name(conversation, part)?, id))
            }
            Part::Messages => {
                Some(read::open(sync, Kind::List, &seat.name(conversation, part)?, id))
            }
            Part::Roster => Some(read::open(sync, Kind::Map, &seat.name(conversation, part)?, id)),
            Part::Items => {
                let open = seat.open_ref()?;
                let after = open.stream.delivered().map(|index| index.to_string());
                let items: Url = open.items.parse().ok()?;
                Some(read::items_after(&items, after.as_deref(), id))
            }
            Part::RosterItems => {
                let roster = seat.open_ref()?.roster.as_ref()?;
                let items: Url = roster.items.parse().ok()?;
                Some(read::items_after(&items, roster.after.as_deref(), id))
            }
        }
    }

    /// Takes in the answer about a part of a seat; no body if there is nothing for us.
    pub(super) fn on_seat_read(
        &mut self,
        now: Moment,
        (conversation, epoch): (ConversationSid, u32),
        part: Part,
        body: Option<Bytes>,
    ) {
        let Some(seat) = self.seats.get_mut(&conversation).filter(|seat| seat.epoch == epoch)
        else {
            return;
        };
        match part {
            Part::Document | Part::Messages => {
                let State::Opening(opening) = &mut seat.state else { return };
                let opened: Option<Opened> = body.and_then(|body| json::from_slice(&body).ok());
                match (opened, part) {
                    (Some(opened), Part::Document) => opening.document = Some(opened),
                    (Some(opened), _) => opening.messages = Some(opened),
                    (None, _) => return self.opening_failed(now, conversation),
                }
                self.finish_opening(now, conversation);
            }
            Part::Items => self.on_items(now, conversation, body.as_deref()),
            Part::Roster => self.on_roster(now, conversation, body.as_deref()),
            Part::RosterItems => self.on_roster_items(conversation, body.as_deref()),
        }
    }

    /// Opens the seat once all its parts are there.
    fn finish_opening(&mut self, now: Moment, conversation: ConversationSid) {
        let Some(seat) = self.seats.get_mut(&conversation) else { return };
        let State::Opening(opening) = &mut seat.state else { return };
        let Some(handled) = opening.handled else { return };
        let (document, messages, items, place, details, updated);
        if let Some(resumed) = opening.place.take() {
            (document, messages) = (resumed.document.clone(), resumed.messages.clone());
            items = resumed.items.clone();
            (details, updated) = (None, resumed.updated);
            place = Some(resumed);
        } else {
            if opening.document.is_none() || opening.messages.is_none() {
                return;
            }
            let (Some(opened), Some(list)) = (opening.document.take(), opening.messages.take())
            else {
                return;
            };
            let Some(address) = list.links.items else {
                return self.opening_failed(now, conversation);
            };
            details = opened.data.as_deref().and_then(model::document);
            updated = details.as_ref().and_then(|details| details.updated);
            document = (opened.sid, opened.last_event_id);
            messages = (list.sid, list.last_event_id);
            items = address;
            place = None;
        }
        seat.failures = 0;
        self.opening -= 1;
        // The owner's own mark first, then Twilio's, then what this client delivered before.
        let handled = handled.or(seat.horizon).max(seat.delivered);
        let stream = starting_stream(place.as_ref(), messages.1, handled);
        let read = stream.is_reading();
        let announce = !std::mem::replace(&mut seat.announced, true);
        let document = self.book.want(
            now,
            &document.0,
            Kind::Document,
            document.1,
            Owner::Document(conversation),
        );
        let messages =
            self.book.want(now, &messages.0, Kind::List, messages.1, Owner::Messages(conversation));
        let digest = details.as_ref().map_or(0, digest);
        let epoch = seat.epoch;
        seat.state = State::Open(Box::new(Open {
            document,
            digest,
            updated,
            messages,
            items: items.into(),
            stream,
            catching_up: true,
            roster: None,
        }));
        self.tell_opened(conversation, details, announce);
        if self.options.roster {
            self.reads.push(seat_read(conversation, epoch, Part::Roster));
        }
        if read {
            self.reads.push(seat_read(conversation, epoch, Part::Items));
        } else {
            self.after_stream(conversation);
        }
    }

    fn tell_opened(
        &mut self,
        conversation: ConversationSid,
        details: Option<Details>,
        is_new: bool,
    ) {
        match details {
            details if is_new => self.tell(Event::Joined { conversation, details }),
            // It may have changed unheard before it was opened anew.
            Some(details) => self.tell(Event::ConversationUpdated { conversation, details }),
            None => {}
        }
    }

    /// Takes in a page of messages.
    fn on_items(&mut self, now: Moment, conversation: ConversationSid, body: Option<&[u8]>) {
        let mut room = self.room();
        let Some(open) = self.seats.get_mut(&conversation).and_then(Seat::open) else { return };
        let Some(page) = body.and_then(|body| serde_json::from_slice::<read::Page<'_>>(body).ok())
        else {
            // The list is gone or cannot be read: look at the whole seat again.
            return self.reopen(conversation);
        };
        let mut out = Vec::new();
        let before = open.stream.delivered();
        let mut last = before;
        for item in &page.items {
            let Some(index) = item.index else { continue };
            last = last.max(Some(index));
            match model::message(conversation, index, item.data, Door::CatchUp) {
                Some(message) => open.stream.page_item(message, &mut room, &mut out),
                None => open.stream.page_skip(index),
            }
        }
        let more = page.has_more() && last > before && open.stream.is_reading();
        let again = !more && open.stream.pages_done(now, &mut room, &mut out);
        self.deliver(conversation, out);
        if more || again {
            self.read_items(conversation);
        }
        self.after_stream(conversation);
    }

    /// Wants the messages after the last one delivered.
    pub(super) fn read_items(&mut self, conversation: ConversationSid) {
        if let Some(seat) = self.seats.get(&conversation) {
            self.reads.push(seat_read(conversation, seat.epoch, Part::Items));
        }
    }

    /// The open seat of a conversation.
    pub(super) fn open_seat(&mut self, conversation: ConversationSid) -> Option<&mut Open> {
        self.seats.get_mut(&conversation)?.open()
    }
}

/// Where a newly opened seat's messages begin.
fn starting_stream(place: Option<&Place>, last_event_id: i64, handled: Option<u64>) -> Stream {
    match place {
        // Everything up to the place was delivered; is it handled too?
        Some(place) if handled >= place.delivered => Stream::flowing(last_event_id, handled),
        Some(_) => Stream::reading(last_event_id, handled),
        // A list that nothing ever happened to has nothing to read.
        None if last_event_id < 0 => Stream::flowing(last_event_id, handled),
        None => Stream::reading(last_event_id, handled),
    }
}

/// A digest of what [`Event::ConversationUpdated`] is about; never 0.
pub(super) fn digest(details: &Details) -> u64 {
    let mut hasher = DefaultHasher::new();
    let Details { attributes, state, friendly_name, unique_name, .. } = details;
    let texts = [attributes, friendly_name, unique_name].map(|text| text.as_ref().map(Pii::reveal));
    texts.hash(&mut hasher);
    std::mem::discriminant(state).hash(&mut hasher);
    hasher.finish().max(1)
}

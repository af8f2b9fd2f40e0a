//! One seat: what the client keeps of a conversation, and how it comes and goes.
//!
//! Decides whether what is said of a conversation is news, when a seat has all it needs to be open,
//! and how often that is tried; never reads, never subscribes. Pure.
//!
//! | state \ input | listed as joined | part found  | all there | part missing      | retry   | closed |
//! |---------------|------------------|-------------|-----------|-------------------|---------|--------|
//! | Closed        | Opening          | =           | =         | =                 | =       | =      |
//! | Opening       | =                | Opening     | Open      | Retrying / Closed | =       | Closed |
//! | Retrying      | =                | =           | =         | =                 | Opening | Closed |
//! | Open          | =                | =           | =         | =                 | =       | Closed |

use std::time::Duration;

use url::Url;

use super::model::{self, ListedConversation, Names, SeatMembership};
use super::open::OpenSeat;
use super::outbox::SeatId;
use super::reads::Part;
use super::resume::ResumePoint;
use super::stream::MessageStream;
use crate::clock::Timestamp;
use crate::realtime::event::Details;
use crate::realtime::sync::read::{self, Kind, OpenedObject};
use crate::realtime::twilsock::requests::Request;
use crate::twilio::sid::ConversationSid;

/// How often the objects of a seat are looked for before it is given up until its item changes.
const OPENING_ATTEMPTS: u8 = 6;

/// What the client keeps of a conversation.
#[derive(Debug)]
pub(super) struct Seat {
    /// Counts openings, so that answers to an earlier one are known.
    epoch: u32,
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
    /// Known, without a seat or given up.
    Closed,
    /// Document, list and watermark are being fetched.
    Opening(Box<Opening>),
    /// They were missing; tried again later.
    Retrying,
    Open(Box<OpenSeat>),
}

/// The owner's watermark.
#[derive(Clone, Copy, Debug, Default)]
enum Handled {
    /// It is not known yet.
    #[default]
    Unasked,
    /// Up to there, if there is one.
    Told(Option<u64>),
}

#[derive(Debug, Default)]
struct Opening {
    place: Option<ResumePoint>,
    document: Option<OpenedObject>,
    messages: Option<OpenedObject>,
    handled: Handled,
}

/// What came of looking whether everything is there that a seat needs.
#[derive(Debug)]
pub(super) enum Ready {
    NotYet,
    /// What is there is not enough.
    Unusable,
    Found(Box<Found>),
}

/// What a seat is opened with: sids and last events of its objects, and what they say.
#[derive(Debug)]
pub(super) struct Found {
    pub document: (String, i64),
    pub messages: (String, i64),
    pub items: String,
    /// What the document says; nothing if it was not read.
    pub details: Option<Details>,
    pub updated: Option<Timestamp>,
    pub stream: MessageStream,
}

/// What becomes of a seat that cannot be opened.
#[derive(Debug)]
pub(super) enum Failed {
    /// It is tried again after this time.
    Retry(Duration),
    /// It is given up; `is_lost` if the owner believes to have it.
    GivenUp { is_lost: bool },
}

/// What was given up with a seat.
#[derive(Debug)]
pub(super) struct Closed {
    pub was_opening: bool,
    /// Whether the owner has it, or would have been told of it in a moment.
    pub is_lost: bool,
    pub open: Option<Box<OpenSeat>>,
}

impl Default for Seat {
    fn default() -> Self {
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
}

impl Seat {
    /// Takes in what is said of the conversation as of an event of the map; gives the membership, if
    /// that is news.
    pub fn listed(&mut self, listed: ListedConversation, event: i64) -> Option<SeatMembership> {
        if self.map_event > event {
            return None;
        }
        self.map_event = event;
        self.horizon = self.horizon.max(listed.horizon);
        self.names = listed.names;
        Some(listed.membership)
    }

    /// Whether it is neither open nor on the way there.
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Whether it waits to be tried again.
    pub const fn is_retrying(&self) -> bool {
        matches!(self.state, State::Retrying)
    }

    /// The open seat.
    pub fn open(&self) -> Option<&OpenSeat> {
        match &self.state {
            State::Open(open) => Some(open),
            State::Closed | State::Opening(_) | State::Retrying => None,
        }
    }

    /// The open seat, to be changed.
    pub fn open_mut(&mut self) -> Option<&mut OpenSeat> {
        match &mut self.state {
            State::Open(open) => Some(open),
            State::Closed | State::Opening(_) | State::Retrying => None,
        }
    }

    /// Its present opening.
    pub const fn id(&self, conversation: ConversationSid) -> SeatId {
        SeatId { conversation, epoch: self.epoch }
    }

    /// The request for a part of it, if there is something to ask for.
    pub fn request(
        &self,
        sync: &Url,
        conversation: ConversationSid,
        part: Part,
        request_id: u128,
    ) -> Option<Request> {
        let kind = match part {
            Part::Document => Kind::Document,
            Part::Messages => Kind::List,
            Part::Roster => Kind::Map,
            Part::Items => return self.open()?.next_page(request_id),
            Part::RosterItems => return self.open()?.next_roster_page(request_id),
        };
        Some(read::open(sync, kind, &self.name(conversation, part)?, request_id))
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

    /// Begins to open it, where an earlier client stopped if that is known.
    pub fn start(&mut self, place: Option<ResumePoint>) {
        self.epoch = self.epoch.wrapping_add(1);
        self.state = State::Opening(Box::new(Opening { place, ..Opening::default() }));
    }

    /// Takes in the owner's watermark, if an opening waits for it.
    pub fn watermark(&mut self, handled: Option<u64>) {
        if let State::Opening(opening) = &mut self.state {
            opening.handled = Handled::Told(handled);
        }
    }

    /// Whether an opening waits for its objects.
    pub const fn is_opening(&self) -> bool {
        matches!(self.state, State::Opening(_))
    }

    /// Takes in one of the objects that an opening waits for.
    pub fn found(&mut self, part: Part, opened: OpenedObject) {
        let State::Opening(opening) = &mut self.state else { return };
        match part {
            Part::Document => opening.document = Some(opened),
            Part::Messages => opening.messages = Some(opened),
            Part::Items | Part::Roster | Part::RosterItems => {}
        }
    }

    /// Looks whether everything is there to open it.
    pub fn ready(&mut self) -> Ready {
        let State::Opening(opening) = &mut self.state else { return Ready::NotYet };
        let is_read = opening.document.is_some() && opening.messages.is_some();
        let Handled::Told(handled) = opening.handled else { return Ready::NotYet };
        if !is_read && opening.place.is_none() {
            return Ready::NotYet;
        }
        // The owner's own mark first, then Twilio's, then what this client delivered before.
        let handled = handled.or(self.horizon).max(self.delivered);
        let found = match std::mem::take(&mut **opening) {
            Opening { place: Some(place), .. } => Found::resumed(place, handled),
            Opening { document: Some(document), messages: Some(messages), .. } => {
                let Some(found) = Found::read(document, messages, handled) else {
                    return Ready::Unusable;
                };
                found
            }
            Opening { .. } => return Ready::NotYet,
        };
        Ready::Found(Box::new(found))
    }

    /// Opens it; says whether the owner is to be told of a new seat.
    pub fn begin(&mut self, open: OpenSeat) -> bool {
        self.failures = 0;
        self.state = State::Open(Box::new(open));
        !std::mem::replace(&mut self.announced, true)
    }

    /// It cannot be opened.
    pub fn fail(&mut self) -> Failed {
        self.failures += 1;
        if self.failures < OPENING_ATTEMPTS {
            self.state = State::Retrying;
            return Failed::Retry(opening_delay(self.failures));
        }
        // As the official client drops it: until its item changes.
        self.failures = 0;
        self.state = State::Closed;
        Failed::GivenUp { is_lost: std::mem::take(&mut self.announced) }
    }

    /// Gives up what is open of it. If it is to be opened anew, the owner keeps believing in it.
    pub fn close(&mut self, is_for_good: bool) -> Closed {
        let mut closed = Closed { was_opening: false, is_lost: self.announced, open: None };
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Opening(_) => {
                closed.was_opening = true;
                closed.is_lost = true;
            }
            State::Open(open) => {
                self.delivered = open.delivered();
                closed.open = Some(open);
            }
            State::Retrying => closed.is_lost = true,
            State::Closed => {}
        }
        closed.is_lost &= is_for_good;
        if closed.is_lost {
            self.announced = false;
        }
        closed
    }
}

impl Found {
    /// Goes on where an earlier client stopped.
    fn resumed(place: ResumePoint, handled: Option<u64>) -> Self {
        let stream = starting_stream(Some(&place), place.messages.1, handled);
        let ResumePoint { document, messages, items, updated, .. } = place;
        Self { document, messages, items, details: None, updated, stream }
    }

    /// Begins with what was opened, if that says where the messages are.
    fn read(document: OpenedObject, messages: OpenedObject, handled: Option<u64>) -> Option<Self> {
        let items = messages.links.items?;
        let details = document.data.as_deref().and_then(model::document);
        Some(Self {
            updated: details.as_ref().and_then(|details| details.updated),
            details,
            document: (document.sid, document.last_event_id),
            stream: starting_stream(None, messages.last_event_id, handled),
            messages: (messages.sid, messages.last_event_id),
            items,
        })
    }
}

/// Delays by number of failures.
fn opening_delay(failures: u8) -> Duration {
    Duration::from_secs(1 << failures.min(6))
}

/// Where a newly opened seat's messages begin.
fn starting_stream(
    place: Option<&ResumePoint>,
    last_event_id: i64,
    handled: Option<u64>,
) -> MessageStream {
    match place {
        // Everything up to the place was delivered; is it handled too?
        Some(place) if handled >= place.delivered => MessageStream::flowing(last_event_id, handled),
        Some(_) => MessageStream::reading(last_event_id, handled),
        // A list that nothing ever happened to has nothing to read.
        None if last_event_id < 0 => MessageStream::flowing(last_event_id, handled),
        None => MessageStream::reading(last_event_id, handled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::realtime::sync::book::Book;
    use crate::realtime::sync::read::ObjectLinks;

    #[test]
    fn a_seat_opens_once_document_list_and_watermark_are_there() {
        let mut seat = Seat::default();
        assert!(matches!(seat.ready(), Ready::NotYet));
        seat.start(None);
        seat.found(Part::Document, opened("ET1"));
        seat.watermark(Some(3));
        assert!(matches!(seat.ready(), Ready::NotYet), "the list is missing");
        seat.found(Part::Messages, opened("ES1"));
        let Ready::Found(found) = seat.ready() else { panic!("{seat:?}") };
        assert_eq!((found.document, found.messages), (("ET1".into(), 7), ("ES1".into(), 7)));
        assert_eq!((found.stream.delivered(), found.stream.is_reading()), (Some(3), true));
        assert!(seat.begin(open()), "the owner does not know it yet");

        let closed = seat.close(false);
        assert!(!closed.is_lost && closed.open.is_some(), "it is opened anew");
        seat.start(None);
        assert!(!seat.begin(open()), "the owner knows it");
        assert!(seat.close(true).is_lost);
        assert!(!seat.close(true).is_lost, "it was told once");
    }

    #[test]
    fn a_list_without_items_is_of_no_use() {
        let mut seat = Seat::default();
        seat.start(None);
        seat.watermark(None);
        seat.found(Part::Document, opened("ET1"));
        seat.found(Part::Messages, OpenedObject { links: ObjectLinks::default(), ..opened("ES1") });
        assert!(matches!(seat.ready(), Ready::Unusable));
    }

    #[test]
    fn a_seat_that_cannot_be_opened_is_tried_later_and_later_and_then_given_up() {
        let mut seat = Seat::default();
        let mut delays = Vec::new();
        let is_lost = loop {
            seat.start(None);
            match seat.fail() {
                Failed::Retry(delay) => delays.push(delay.as_secs()),
                Failed::GivenUp { is_lost } => break is_lost,
            }
            assert!(seat.is_retrying());
        };
        assert_eq!(delays, [2, 4, 8, 16, 32]);
        assert!(!is_lost && seat.is_closed(), "the owner never had it");
        seat.start(None);
        assert!(seat.close(true).is_lost, "the owner may have been about to be told");
    }

    #[test]
    fn what_an_earlier_event_says_is_no_news() {
        let mut seat = Seat::default();
        let listed = |membership| ListedConversation {
            membership,
            horizon: Some(2),
            names: Names::default(),
        };
        assert_eq!(seat.listed(listed(SeatMembership::Joined), 5), Some(SeatMembership::Joined));
        assert_eq!(seat.listed(listed(SeatMembership::NotParticipating), 4), None);
        assert_eq!((seat.map_event, seat.horizon), (5, Some(2)));
    }

    fn opened(sid: &str) -> OpenedObject {
        let links = ObjectLinks { items: Some("https://sync.example/items".to_owned()) };
        OpenedObject { sid: sid.to_owned(), last_event_id: 7, links, data: None }
    }

    fn open() -> OpenSeat {
        let id = Seat::default().id(ConversationSid::from_bytes([1; 16]));
        let mut book = Book::new(1);
        let document = book.want(Moment::ORIGIN, "ET1", Kind::Document, 7, ());
        let messages = book.want(Moment::ORIGIN, "ES1", Kind::List, 7, ());
        OpenSeat::new(id, document, messages, MessageStream::flowing(7, None))
    }
}

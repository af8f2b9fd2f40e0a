//! All seats of a client: which there are, when they are opened, whom an event of Sync concerns.
//!
//! Decides when a conversation is opened, read again, given up; never what a message or a participant
//! means to its own seat. Pure: pages, answers, events and watermarks come in, what is to be done comes
//! out of [`Seats::poll`] and [`Seats::next_event`]. Bounded by the user's conversations; messages stop where the owner has no
//! room and are read again later.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use url::Url;

use super::directory::Directory;
use super::model::{self, ListedConversation, ListedPage, SeatMembership};
use super::open::{OpenSeat, list_change};
use super::outbox::{OutQueue, Output, SeatId};
use super::reads::{Part, Read};
use super::resume::Resume;
use super::seat::{Failed, Ready, Seat};
use super::timers::SeatTimers;
use crate::clock::Moment;
use crate::json;
use crate::pii::Pii;
use crate::realtime::event::Event;
use crate::realtime::sync::book::{Ask, Book, ObjectId, Verdict};
use crate::realtime::sync::event::{self as sync, Change};
use crate::realtime::sync::read::{Kind, OpenedObject, Page};
use crate::realtime::twilsock::backoff::Random;
use crate::realtime::twilsock::requests::Request;
use crate::twilio::sid::ConversationSid;

/// What the owner wants of its seats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// Whether participants are followed.
    pub roster: bool,
    /// Whether an invitation is accepted.
    pub join_invited: bool,
}

/// Whose a Sync object is.
#[derive(Clone, Copy, Debug)]
enum Owner {
    /// The map of the user's conversations.
    Directory,
    /// The document of a conversation.
    Document(ConversationSid),
    /// The list of its messages.
    Messages(ConversationSid),
    /// The map of its participants.
    Roster(ConversationSid),
}

/// How an event of an object came.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventOrigin {
    /// The subscription request that caused it, if it is a result or a replay.
    pub correlation_id: Option<u64>,
    pub is_replay: bool,
}

/// The machine.
#[derive(Debug)]
pub(super) struct Seats {
    options: Options,
    book: Book<Owner>,
    directory: Directory,
    seats: HashMap<ConversationSid, Seat>,
    /// How many of them are being opened.
    opening: usize,
    timers: SeatTimers,
    resume: Option<Resume>,
    out: OutQueue,
}

impl Seats {
    /// No seats yet. `first_correlation` keeps subscription requests of successive clients apart.
    pub fn new(options: Options, resume: Option<Resume>, first_correlation: u64) -> Self {
        Self {
            options,
            book: Book::new(first_correlation),
            directory: Directory::default(),
            seats: HashMap::new(),
            opening: 0,
            timers: SeatTimers::default(),
            resume,
            out: OutQueue::default(),
        }
    }

    /// Gives the next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.poll()
    }

    /// Gives the next event to tell the owner.
    pub fn next_event(&mut self) -> Option<Event> {
        self.out.next_event()
    }

    /// The identity is known: where another one stopped is nothing to go by.
    pub fn identify(&mut self, identity: &Pii) {
        self.resume.take_if(|resume| !resume.is_of(identity));
    }

    /// The connection is up: everything is subscribed again.
    pub fn connection_up(&mut self, now: Moment) {
        self.book.connection_up(now);
    }

    /// The connection is down: nothing is subscribed.
    pub fn connection_down(&mut self) {
        self.book.connection_down();
    }

    /// Gives the next request for subscriptions that may go out.
    pub fn next_subscription(&mut self, now: Moment) -> Option<Ask> {
        self.book.next_request(now)
    }

    /// Takes in the HTTP answer to a request that subscribes: status and body, or none.
    pub fn subscription_answered(
        &mut self,
        now: Moment,
        correlation_id: u64,
        answer: Option<(u16, &[u8])>,
        random: &mut Random,
    ) {
        self.book.answered(now, correlation_id, answer, random);
    }

    /// Takes in the opened map of the user's conversations.
    pub fn map_opened(&mut self, now: Moment, opened: &OpenedObject) {
        let last = opened.last_event_id;
        let object = self.book.want(now, &opened.sid, Kind::Map, last, Owner::Directory);
        if self.directory.opened(object, last) {
            self.out.read_listed(None);
        }
    }

    /// Takes in a page of the user's conversations.
    pub fn page(&mut self, now: Moment, page: ListedPage) {
        let seen = page.listed.iter().map(|(conversation, _)| *conversation);
        let Some(since) = self.directory.page(seen) else { return };
        for (conversation, listed) in page.listed {
            self.listed(conversation, listed, since);
        }
        match page.next {
            Some(token) => self.out.read_listed(Some(token)),
            None => self.listing_done(now),
        }
    }

    /// Takes in a watermark that was asked for.
    pub fn watermark(&mut self, now: Moment, id: SeatId, handled: Option<u64>) {
        let Some(seat) = self.present(id) else { return };
        seat.watermark(handled);
        self.finish_opening(now, id.conversation);
    }

    /// The request for a part of a seat, if that is still wanted.
    pub fn request(&self, sync: &Url, id: SeatId, part: Part, request_id: u128) -> Option<Request> {
        let seat = self.seats.get(&id.conversation)?;
        let is_present = seat.id(id.conversation) == id;
        is_present.then(|| seat.request(sync, id.conversation, part, request_id)).flatten()
    }

    /// Takes in the answer about a part of a seat; no body if there is nothing for us. The owner has
    /// room for so many messages.
    pub fn read(
        &mut self,
        now: Moment,
        id: SeatId,
        (part, body): (Part, Option<Bytes>),
        room: usize,
    ) {
        let conversation = id.conversation;
        let Some(seat) = self.present(id) else { return };
        match part {
            Part::Document | Part::Messages => {
                if !seat.is_opening() {
                    return;
                }
                match body.and_then(|body| json::from_slice(&body).ok()) {
                    Some(opened) => seat.found(part, opened),
                    None => return self.opening_failed(now, conversation),
                }
                self.finish_opening(now, conversation);
            }
            Part::Items => self.items(now, conversation, body.as_deref(), room),
            Part::Roster => self.roster_opened(now, conversation, body.as_deref()),
            Part::RosterItems => {
                let page = body.as_deref().and_then(page_of);
                let open = self.seats.get_mut(&conversation).and_then(Seat::open_mut);
                if let (Some(open), Some(page)) = (open, page) {
                    open.roster_page(&page, &mut self.out);
                }
            }
        }
    }

    /// Takes in what a notification says of an object. The owner has room for so many messages.
    pub fn event(&mut self, now: Moment, event: sync::Event<'_>, origin: EventOrigin, room: usize) {
        // Events of objects nobody wants any more are dropped.
        let Some((object, owner)) = self.book.find(&event.sid) else { return };
        let correlation = origin.correlation_id;
        match event.change {
            Change::Established { interrupted, last_event_id } => {
                let verdict = self.book.established(now, object, correlation, interrupted);
                if verdict == Verdict::Live {
                    self.replayed(now, object, owner, last_event_id);
                }
            }
            Change::Canceled => {
                self.book.canceled(now, object, correlation);
            }
            Change::Failed { status } => {
                if self.book.failed(now, object, correlation, status) == Verdict::Gone {
                    self.object_gone(owner);
                }
            }
            Change::Removed => self.object_gone(owner),
            change => match owner {
                Owner::Directory => self.map_event(now, event.id, &change),
                Owner::Document(conversation) => {
                    self.document_event(conversation, object, event.id, &change);
                }
                Owner::Messages(conversation) => {
                    let change = list_change(conversation, change, origin.is_replay);
                    self.with_messages(conversation, |open, out| {
                        open.message_event(now, (event.id, change), room, out);
                    });
                }
                Owner::Roster(conversation) => {
                    let open = self.seats.get_mut(&conversation).and_then(Seat::open_mut);
                    let reached =
                        open.and_then(|open| open.roster_event(event.id, &change, &mut self.out));
                    if let Some(last) = reached {
                        self.book.reached(object, last);
                    }
                }
            },
        }
    }

    /// Does what is due by now.
    pub fn on_time(&mut self, now: Moment) {
        while let Some(conversation) = self.timers.next_hold(now) {
            if let Some(open) = self.seats.get_mut(&conversation).and_then(Seat::open_mut) {
                open.hold_over(now, &mut self.out);
            }
        }
        while let Some(conversation) = self.timers.next_retry(now) {
            if self.seats.get(&conversation).is_some_and(Seat::is_retrying) {
                self.start_opening(conversation);
            }
        }
        if self.directory.hold_is_over(now) {
            self.list_again();
        }
    }

    /// The owner has room again: reads one of those that are behind; says whether there was one.
    pub fn read_behind(&mut self) -> bool {
        let Some(conversation) = self.timers.next_behind() else { return false };
        if let Some(open) = self.seats.get_mut(&conversation).and_then(Seat::open_mut) {
            open.room_again(&mut self.out);
        }
        true
    }

    /// Whether a seat waits for the owner to have room.
    pub fn is_behind(&self) -> bool {
        self.timers.has_behind()
    }

    /// When [`Seats::on_time`] or [`Seats::next_subscription`] has something to do.
    pub fn deadline(&self) -> Option<Moment> {
        let deadlines = [self.timers.deadline(), self.directory.deadline(), self.book.deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Whether everything that is known is open and subscribed.
    pub fn are_settled(&self) -> bool {
        self.directory.is_read() && self.opening == 0 && self.book.pending() == 0
    }

    /// How many seats are open.
    pub fn open_count(&self) -> usize {
        self.seats.values().filter(|seat| seat.open().is_some()).count()
    }

    /// Whether a conversation is known.
    pub fn knows(&self, conversation: ConversationSid) -> bool {
        self.seats.contains_key(&conversation)
    }

    /// Whether the read horizon of a conversation is below `index`.
    pub fn is_unread(&self, conversation: ConversationSid, index: u64) -> bool {
        let seat = self.seats.get(&conversation);
        seat.is_some_and(|seat| seat.horizon.is_none_or(|horizon| horizon < index))
    }

    /// The read horizon of a conversation stands at `index`, or higher.
    pub fn horizon_is(&mut self, conversation: ConversationSid, index: u64) {
        if let Some(seat) = self.seats.get_mut(&conversation) {
            seat.horizon = seat.horizon.max(Some(index));
        }
    }

    /// Where they stand now. A seat that is still being read for the first time is left out.
    pub fn resume(&self, identity: Pii) -> Resume {
        let places = self.seats.iter().filter_map(|(conversation, seat)| {
            Some((*conversation, seat.open()?.place(&self.book)?))
        });
        Resume::new(identity, places.collect::<BTreeMap<_, _>>())
    }

    /// The seat, if this opening of it is the present one.
    fn present(&mut self, id: SeatId) -> Option<&mut Seat> {
        self.seats.get_mut(&id.conversation).filter(|seat| seat.id(id.conversation) == id)
    }

    /// Takes in what a page or an event of the map says of a conversation. `event` is the event's
    /// id, or that of the last event before the page was asked for.
    fn listed(&mut self, conversation: ConversationSid, listed: ListedConversation, event: i64) {
        let seat = self.seats.entry(conversation).or_default();
        match seat.listed(listed, event) {
            Some(SeatMembership::Joined) if seat.is_closed() => self.start_opening(conversation),
            Some(SeatMembership::Joined) | None => {}
            Some(SeatMembership::Invited) => {
                self.close(conversation, true);
                if self.options.join_invited {
                    self.out.push(Output::Accept(conversation));
                }
            }
            Some(SeatMembership::NotParticipating) => self.close(conversation, true),
        }
    }

    /// Takes in the end of a reading: what was not in it is gone.
    fn listing_done(&mut self, now: Moment) {
        let Some(reading) = self.directory.done() else { return };
        self.note_reached();
        let seats = self.seats.iter();
        let gone = seats.filter(|(sid, seat)| reading.lacks(**sid, seat.map_event));
        let gone: Vec<_> = gone.map(|(sid, _)| *sid).collect();
        for conversation in gone {
            self.remove(conversation);
        }
        // What was not needed of it were seats that the bot has no longer.
        for conversation in self.resume.take().into_iter().flat_map(Resume::into_seats) {
            self.out.tell(Event::Left { conversation });
        }
        if reading.again {
            self.list_again();
        }
        self.directory.watch(now);
    }

    /// Reads the user's conversations again, because an event of their map is missing.
    fn list_again(&mut self) {
        if self.directory.read_again() {
            self.out.read_listed(None);
        }
    }

    fn map_event(&mut self, now: Moment, id: Option<i64>, change: &Change<'_>) {
        let Some(event) = self.directory.event(id) else { return };
        self.note_reached();
        match model::map_change(change) {
            Some((conversation, Some(listed))) => {
                let seat = self.seats.get(&conversation);
                let is_old = seat.is_some_and(|seat| id.is_some_and(|id| id <= seat.map_event));
                if !is_old {
                    self.listed(conversation, listed, event);
                }
            }
            Some((conversation, None)) => {
                let seat = self.seats.get(&conversation);
                let is_news = seat.is_some_and(|seat| seat.map_event < event);
                if is_news {
                    self.remove(conversation);
                }
            }
            None => {}
        }
        self.directory.watch(now);
    }

    /// Notes up to where the map of the user's conversations is known.
    fn note_reached(&mut self) {
        if let Some((object, last)) = self.directory.reached() {
            self.book.reached(object, last);
        }
    }

    /// A conversation is gone from the user's map.
    fn remove(&mut self, conversation: ConversationSid) {
        self.close(conversation, true);
        self.seats.remove(&conversation);
        self.out.push(Output::Gone(conversation));
    }

    /// The seat's objects are gone although it was not said to be: opens it anew.
    fn reopen(&mut self, conversation: ConversationSid) {
        self.close(conversation, false);
        self.start_opening(conversation);
    }

    /// Gives up what is open of a seat.
    fn close(&mut self, conversation: ConversationSid, is_for_good: bool) {
        let Some(seat) = self.seats.get_mut(&conversation) else { return };
        let closed = seat.close(is_for_good);
        self.opening -= usize::from(closed.was_opening);
        for object in closed.open.iter().flat_map(|open| open.objects()) {
            self.book.forget(object);
        }
        self.timers.close(conversation);
        if closed.is_lost {
            self.out.tell(Event::Left { conversation });
        }
    }

    fn start_opening(&mut self, conversation: ConversationSid) {
        let place = self.resume.as_mut().and_then(|resume| resume.take(conversation));
        let Some(seat) = self.seats.get_mut(&conversation) else { return };
        let is_resumed = place.is_some();
        seat.start(place);
        self.opening += 1;
        let id = seat.id(conversation);
        if !is_resumed {
            self.out.read(id, Part::Messages);
            self.out.read(id, Part::Document);
        }
        self.out.push(Output::LoadWatermark(id));
    }

    fn opening_failed(&mut self, now: Moment, conversation: ConversationSid) {
        let Some(seat) = self.seats.get_mut(&conversation) else { return };
        self.opening -= 1;
        match seat.fail() {
            Failed::Retry(delay) => {
                self.timers.retry(now + delay, conversation);
            }
            Failed::GivenUp { is_lost: true } => self.out.tell(Event::Left { conversation }),
            Failed::GivenUp { is_lost: false } => {}
        }
    }

    /// Opens the seat once all its parts are there.
    fn finish_opening(&mut self, now: Moment, conversation: ConversationSid) {
        let Some(seat) = self.seats.get_mut(&conversation) else { return };
        let found = match seat.ready() {
            Ready::NotYet => return,
            Ready::Unusable => return self.opening_failed(now, conversation),
            Ready::Found(found) => *found,
        };
        self.opening -= 1;
        let ((document, last), owner) = (found.document, Owner::Document(conversation));
        let document = self.book.want(now, &document, Kind::Document, last, owner);
        let ((messages, last), owner) = (found.messages, Owner::Messages(conversation));
        let messages = self.book.want(now, &messages, Kind::List, last, owner);
        let (id, must_read) = (seat.id(conversation), found.stream.is_reading());
        let open = OpenSeat::new(id, document, messages, found.stream);
        let is_new =
            seat.begin(open.with_contents(found.items, found.details.as_ref(), found.updated));
        match found.details {
            details if is_new => self.out.tell(Event::Joined { conversation, details }),
            // It may have changed unheard before it was opened anew.
            Some(details) => self.out.tell(Event::ConversationUpdated { conversation, details }),
            None => {}
        }
        if self.options.roster {
            self.out.read(id, Part::Roster);
        }
        if must_read {
            self.out.read(id, Part::Items);
        } else {
            self.with_messages(conversation, |_, _| {});
        }
    }

    /// A replay is complete: whatever exists and did not come is missing.
    fn replayed(&mut self, now: Moment, object: ObjectId, owner: Owner, last: Option<i64>) {
        match owner {
            Owner::Directory => {
                self.directory.replayed(last);
                self.directory.watch(now);
            }
            Owner::Document(_) => {
                let reached = self.book.last_event_id(object).max(last);
                self.book.reached(object, reached.unwrap_or(-1));
            }
            Owner::Messages(conversation) => {
                self.with_messages(conversation, |open, out| {
                    open.messages_replayed(now, last, out);
                });
            }
            Owner::Roster(conversation) => {
                if let Some(open) = self.seats.get_mut(&conversation).and_then(Seat::open_mut) {
                    open.roster_replayed(last, &mut self.out);
                }
            }
        }
    }

    /// An object does not exist any more.
    fn object_gone(&mut self, owner: Owner) {
        match owner {
            Owner::Directory => {
                if let Some(object) = self.directory.gone() {
                    self.book.forget(object);
                }
                self.out.push(Output::Read(Read::Channels));
            }
            Owner::Document(conversation) | Owner::Messages(conversation) => {
                self.reopen(conversation);
            }
            Owner::Roster(conversation) => {
                let open = self.seats.get_mut(&conversation).and_then(Seat::open_mut);
                if let Some(object) = open.and_then(OpenSeat::roster_gone) {
                    self.book.forget(object);
                }
            }
        }
    }

    fn document_event(
        &mut self,
        conversation: ConversationSid,
        object: ObjectId,
        id: Option<i64>,
        change: &Change<'_>,
    ) {
        let Change::DocumentUpdated(data) = change else { return };
        let last = self.book.last_event_id(object).unwrap_or(-1);
        if id.is_some_and(|id| id <= last) {
            return;
        }
        // The whole document comes each time, so what was missed before does not matter.
        self.book.reached(object, id.unwrap_or(last));
        if let Some(open) = self.seats.get_mut(&conversation).and_then(Seat::open_mut) {
            open.document_updated(data, &mut self.out);
        }
    }

    /// Takes in a page of messages.
    fn items(
        &mut self,
        now: Moment,
        conversation: ConversationSid,
        body: Option<&[u8]>,
        room: usize,
    ) {
        if self.seats.get(&conversation).and_then(Seat::open).is_none() {
            return;
        }
        match body.and_then(page_of) {
            Some(page) => {
                self.with_messages(conversation, |open, out| open.page(now, &page, room, out));
            }
            // The list is gone or cannot be read: look at the whole seat again.
            None => self.reopen(conversation),
        }
    }

    /// Takes in the opened map of participants. One that cannot be opened is left alone: messages do
    /// not depend on it.
    fn roster_opened(&mut self, now: Moment, conversation: ConversationSid, body: Option<&[u8]>) {
        let opened = body.and_then(|body| json::from_slice::<OpenedObject>(body).ok());
        let Some(OpenedObject { sid, last_event_id, links, .. }) = opened else { return };
        let open = self.seats.get_mut(&conversation).and_then(Seat::open_mut);
        let (Some(open), Some(items)) = (open, links.items) else { return };
        let owner = Owner::Roster(conversation);
        let object = self.book.want(now, &sid, Kind::Map, last_event_id, owner);
        open.roster_opened(object, items, last_event_id, &mut self.out);
    }

    /// Changes the messages of an open seat, and notes where they stand then: what to subscribe from,
    /// what they wait for.
    fn with_messages(
        &mut self,
        conversation: ConversationSid,
        change: impl FnOnce(&mut OpenSeat, &mut OutQueue),
    ) {
        let Some(open) = self.seats.get_mut(&conversation).and_then(Seat::open_mut) else { return };
        change(open, &mut self.out);
        let standing = open.standing(&mut self.out);
        let (object, last) = standing.reached;
        self.book.reached(object, last);
        if let Some(at) = standing.hold {
            self.timers.hold(at, conversation);
        }
        if standing.is_behind {
            self.timers.fall_behind(conversation);
        }
    }
}

fn page_of(body: &[u8]) -> Option<Page<'_>> {
    serde_json::from_slice(body).ok()
}

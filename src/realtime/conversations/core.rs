//! The client without its socket: session, subscriptions and seats in one pure machine.
//!
//! Decides everything a client does; never touches a socket, a clock, a file or a channel. A driver
//! hands in what happened with the time, carries out what [`Core::poll`] gives until it is `None`,
//! hands [`Core::next_event`] to the owner as fast as the owner takes it, and comes back no later
//! than [`Core::deadline`]. Bounded: messages stop at [`Options::events_max`] and are read again
//! later, requests at the session's bounds, reads at [`Options::reads_in_flight_max`].
//!
//! Start-up follows the official client: configuration, map of the user's conversations and its
//! pages, then document and list of each seat. Source: conversations protocol notes 1, read
//! 2026-11-21.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use url::Url;
use uuid::Uuid;

use super::commands::{Answered, Command, CommandId, CommandTag, Horizons, Parked};
use super::model::{self, Configuration};
use super::reads::{Attempt, Finding, Part, Read, Reads};
use super::request;
use super::resume::Resume;
use super::seat::{Listing, Owner, Seat};
use crate::clock::Moment;
use crate::json;
use crate::realtime::event::Event;
use crate::realtime::sync::book::{Book, ObjectId};
use crate::realtime::sync::read::{self, Kind};
use crate::realtime::sync::trail::Trail;
use crate::realtime::twilsock::backoff::Random;
use crate::realtime::twilsock::frame::Frame;
use crate::realtime::twilsock::requests::{Answer, Request, RequestError};
use crate::realtime::twilsock::session::{self, ConnId, Down, Phase, Session, Token};
use crate::telemetry::flood::Flood;
use crate::twilio::sid::ConversationSid;

/// Addresses, times and bounds of a client.
#[derive(Clone, Debug)]
pub struct Options {
    /// Times and bounds of the session.
    pub session: session::Options,
    /// Host of the Conversations client API, of which only the configuration is asked by name.
    pub api: Url,
    /// Host of Sync.
    pub sync: Url,
    /// Whether participants are followed.
    pub roster: bool,
    /// Whether an invitation is accepted.
    pub join_invited: bool,
    /// Events that may wait for the owner. Messages beyond it are read again later.
    pub events_max: usize,
    /// Reads under way at the same time.
    pub reads_in_flight_max: usize,
    /// Least time between two writes of read horizons.
    pub horizon_interval: Duration,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The owner wants to be connected.
    Start,
    /// A token.
    Token(Token),
    /// The provider had none.
    TokenFailed,
    /// The owner wants a new token.
    Renew,
    /// The WebSocket is open.
    Opened(ConnId),
    /// The WebSocket is gone.
    Lost(ConnId),
    /// The peer showed life.
    Heard(ConnId),
    /// A frame arrived.
    Frame(ConnId, Box<Frame>),
    /// The watermark of a conversation, asked for by [`Output::LoadWatermark`].
    Watermark {
        /// The conversation.
        conversation: ConversationSid,
        /// As it was asked for.
        epoch: u32,
        /// The highest index handled; `None` if there is none.
        handled: Option<u64>,
    },
    /// The owner wants this done.
    Command(CommandId, Command),
    /// Messages up to this one are handled: the read horizon may follow.
    Handled(ConversationSid, u64),
    /// Time has passed, or events were taken.
    Tick,
    /// The owner wants no more.
    Shutdown,
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Open a WebSocket.
    Connect(ConnId),
    /// Write a frame.
    Write(ConnId, Bytes),
    /// Send a WebSocket ping.
    Probe(ConnId),
    /// Flush and close the WebSocket.
    Disconnect(ConnId),
    /// Fetch a token.
    WantToken,
    /// Load a watermark.
    LoadWatermark {
        /// The conversation.
        conversation: ConversationSid,
        /// To be given back.
        epoch: u32,
    },
    /// A command is done.
    Answered(CommandId, Answered),
}

/// What a request is for.
#[derive(Debug)]
pub(super) enum Tag {
    Read(Attempt),
    Subscribe(u64),
    Unsubscribe,
    Horizon(ConversationSid, u64),
    AutoJoin,
    Command(CommandId, CommandTag),
}

/// The map of the user's conversations.
#[derive(Debug)]
pub(super) struct Channels {
    pub object: ObjectId,
    pub trail: Trail,
    pub hold_until: Option<Moment>,
}

/// The machine.
#[derive(Debug)]
pub struct Core {
    pub(super) options: Options,
    pub(super) session: Session<Tag>,
    pub(super) book: Book<Owner>,
    pub(super) reads: Reads,
    pub(super) random: Random,
    pub(super) configuration: Option<Configuration>,
    pub(super) channels: Option<Channels>,
    pub(super) listing: Option<Listing>,
    pub(super) listed: bool,
    pub(super) seats: HashMap<ConversationSid, Seat>,
    pub(super) opening: usize,
    pub(super) holds: BTreeSet<(Moment, ConversationSid)>,
    pub(super) retries: BTreeSet<(Moment, ConversationSid)>,
    pub(super) behind: BTreeSet<ConversationSid>,
    pub(super) resume: Option<Resume>,
    pub(super) parked: VecDeque<Parked>,
    pub(super) typing: HashMap<ConversationSid, Moment>,
    pub(super) horizons: Horizons,
    pub(super) outputs: VecDeque<Output>,
    events: VecDeque<Event>,
    up: bool,
    connected_before: bool,
    live_told: bool,
    requests_made: u64,
    /// Bounds the lines about what cannot be read.
    pub(super) unread: Flood,
}

impl Core {
    /// A client that does nothing yet. `seed` is the source of jitter and ids; `first_correlation`
    /// keeps subscription requests of successive processes apart.
    #[must_use]
    pub fn new(
        options: Options,
        resume: Option<Resume>,
        seed: u64,
        first_correlation: u64,
    ) -> Self {
        Self {
            session: Session::new(options.session, seed),
            book: Book::new(first_correlation),
            reads: Reads::new(options.reads_in_flight_max),
            random: Random::new(seed.wrapping_add(1)),
            configuration: None,
            unread: Flood::default(),
            channels: None,
            listing: None,
            listed: false,
            seats: HashMap::new(),
            opening: 0,
            holds: BTreeSet::new(),
            retries: BTreeSet::new(),
            behind: BTreeSet::new(),
            resume,
            parked: VecDeque::new(),
            typing: HashMap::new(),
            horizons: Horizons::default(),
            outputs: VecDeque::new(),
            events: VecDeque::new(),
            up: false,
            connected_before: false,
            live_told: false,
            requests_made: 0,
            options,
        }
    }

    /// Takes in what happened at `now`.
    pub fn handle(&mut self, now: Moment, input: Input) {
        match input {
            Input::Start => self.session.handle(now, session::Input::Start),
            Input::Token(token) => self.session.handle(now, session::Input::Token(token)),
            Input::TokenFailed => self.session.handle(now, session::Input::TokenFailed),
            Input::Renew => self.session.handle(now, session::Input::Renew),
            Input::Opened(conn) => self.session.handle(now, session::Input::Opened(conn)),
            Input::Lost(conn) => self.session.handle(now, session::Input::Lost(conn)),
            Input::Heard(conn) => self.session.handle(now, session::Input::Heard(conn)),
            Input::Frame(conn, frame) => {
                self.session.handle(now, session::Input::Frame(conn, frame));
            }
            Input::Watermark { conversation, epoch, handled } => {
                self.on_watermark(now, conversation, epoch, handled);
            }
            Input::Command(id, command) => self.on_command(now, id, command),
            Input::Handled(conversation, index) => self.on_handled(now, conversation, index),
            Input::Tick => self.session.handle(now, session::Input::Tick),
            Input::Shutdown => {
                self.refuse_parked();
                self.session.handle(now, session::Input::Shutdown);
            }
        }
        self.on_time(now);
        self.settle(now);
    }

    /// Gives the next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Gives the next event. Hand in [`Input::Tick`] at [`Core::deadline`] afterwards.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// How many events wait for the owner.
    #[must_use]
    pub fn events_waiting(&self) -> usize {
        self.events.len()
    }

    /// The moment at which [`Input::Tick`] is due.
    pub fn deadline(&mut self) -> Option<Moment> {
        let may_read = self.has_room_again() && self.reads.has_capacity();
        let has_room = !self.behind.is_empty() && may_read;
        let room = has_room.then_some(Moment::ORIGIN);
        let hold = self.holds.first().map(|(at, _)| *at);
        let retry = self.retries.first().map(|(at, _)| *at);
        let channels = self.channels.as_ref().and_then(|channels| channels.hold_until);
        let parked = self.parked.front().map(|parked| parked.deadline);
        let up = self.up.then_some(());
        let online = up.and_then(|()| {
            [self.reads.deadline(), self.book.deadline(), self.horizons.deadline()]
                .into_iter()
                .flatten()
                .min()
        });
        [room, hold, retry, channels, parked, online, self.session.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Where the session stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.session.phase()
    }

    /// Whether the server refuses this client.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        self.session.is_refused()
    }

    /// Whether all known seats are subscribed on the present connection.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.live_told
    }

    /// How many proxied requests were made.
    #[must_use]
    pub const fn requests_made(&self) -> u64 {
        self.requests_made
    }

    /// Makes a request through the session.
    pub(super) fn request(&mut self, now: Moment, tag: Tag, request: Request) {
        self.requests_made += 1;
        self.session.handle(now, session::Input::Request(tag, request));
    }

    /// Tells the owner.
    pub(super) fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// How many messages the owner has room for.
    pub(super) fn room(&self) -> usize {
        self.options.events_max.saturating_sub(self.events.len())
    }

    pub(super) fn has_room_again(&self) -> bool {
        self.events.len() <= self.options.events_max / 2
    }

    /// An id for a write of our own.
    pub(super) fn mutation_id(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.random.next_u128().to_be_bytes()).into_uuid()
    }

    fn on_time(&mut self, now: Moment) {
        while let Some((at, conversation)) = self.holds.first().copied() {
            if at > now {
                break;
            }
            self.holds.remove(&(at, conversation));
            self.on_hold_over(now, conversation);
        }
        while let Some((at, conversation)) = self.retries.first().copied() {
            if at > now {
                break;
            }
            self.retries.remove(&(at, conversation));
            self.retry_opening(conversation);
        }
        if let Some(channels) = &mut self.channels
            && channels.hold_until.is_some_and(|at| at <= now)
        {
            channels.hold_until = None;
            self.list_again();
        }
        while self.has_room_again() && self.reads.has_capacity() {
            let Some(conversation) = self.behind.pop_first() else { break };
            self.on_room(conversation);
        }
        self.expire_parked(now);
    }

    /// Lets the parts work for each other until nothing is left to do.
    fn settle(&mut self, now: Moment) {
        loop {
            while let Some(output) = self.session.poll() {
                self.on_session(now, output);
            }
            if !self.up || !self.issue(now) {
                break;
            }
        }
        let live = self.up && self.listed && self.opening == 0 && self.book.pending() == 0;
        if live && !self.live_told {
            self.live_told = true;
            let seats = self.seats.values().filter(|seat| seat.is_open()).count();
            self.tell(Event::Live { seats });
        }
    }

    /// Sends what may be sent; says whether there was anything.
    fn issue(&mut self, now: Moment) -> bool {
        let mut any = false;
        while let Some(attempt) = self.reads.next_attempt(now) {
            any = true;
            match self.read_request(&attempt.read) {
                Some(request) => self.request(now, Tag::Read(attempt), request),
                None => self.reads.unwanted(),
            }
        }
        while let Some(ask) = self.book.next_request(now) {
            any = true;
            let id = self.random.next_u128();
            let request = read::subscriptions(&self.options.sync, ask.body, id);
            let tag = match ask.establishes {
                true => Tag::Subscribe(ask.correlation_id),
                false => Tag::Unsubscribe,
            };
            self.request(now, tag, request);
        }
        any | self.flush_horizons(now)
    }

    fn on_session(&mut self, now: Moment, output: session::Output<Tag>) {
        match output {
            session::Output::Connect(conn) => self.outputs.push_back(Output::Connect(conn)),
            session::Output::Write(conn, bytes) => {
                self.outputs.push_back(Output::Write(conn, bytes));
            }
            session::Output::Probe(conn) => self.outputs.push_back(Output::Probe(conn)),
            session::Output::Disconnect(conn) => self.outputs.push_back(Output::Disconnect(conn)),
            session::Output::WantToken => self.outputs.push_back(Output::WantToken),
            session::Output::Up => self.on_up(now),
            session::Output::Down(down) => self.on_down(down),
            session::Output::Answered(tag, result) => self.on_answer(now, tag, result),
            session::Output::Notified { message_type, payload } => {
                self.on_notified(now, &message_type, &payload);
            }
        }
    }

    fn on_up(&mut self, now: Moment) {
        self.up = true;
        self.live_told = false;
        self.book.connection_up(now);
        if self.configuration.is_none() && !self.connected_before {
            self.reads.push(Read::Configuration);
        }
        let again = std::mem::replace(&mut self.connected_before, true);
        self.tell(Event::Connected { again });
    }

    fn on_down(&mut self, Down { reason, is_fatal }: Down) {
        self.book.connection_down();
        let was_up = std::mem::replace(&mut self.up, false);
        self.live_told = false;
        if was_up {
            self.tell(Event::Disconnected { reason });
        }
        if is_fatal {
            self.tell(Event::Fatal { reason });
        }
    }

    fn on_answer(&mut self, now: Moment, tag: Tag, result: Result<Answer, RequestError>) {
        match tag {
            Tag::Read(attempt) => self.on_read(now, &attempt, result),
            Tag::Subscribe(correlation_id) => {
                let answer = result.ok();
                let answer = answer.as_ref().map(|answer| (answer.status, &answer.body[..]));
                self.book.answered(now, correlation_id, answer, &mut self.random);
            }
            Tag::Unsubscribe => {}
            Tag::Horizon(conversation, index) => {
                self.on_horizon_written(now, conversation, index, result);
            }
            // What comes of an accepted invitation is told by the map.
            Tag::AutoJoin => {}
            Tag::Command(id, command) => self.on_command_answer(now, id, command, result),
        }
    }

    fn on_read(&mut self, now: Moment, attempt: &Attempt, result: Result<Answer, RequestError>) {
        let finding = self.reads.finished(now, attempt, result, &mut self.random);
        let readable = match (&attempt.read, finding) {
            (_, Finding::Again) => true,
            (Read::Seat { conversation, epoch, part }, finding) => {
                let body = match finding {
                    Finding::Body(body) => Some(body),
                    Finding::Missing | Finding::Again => None,
                };
                self.on_seat_read(now, (*conversation, *epoch), *part, body);
                true
            }
            (Read::Configuration, Finding::Body(body)) => self.on_configuration(now, &body),
            (Read::Channels, Finding::Body(body)) => self.on_channels(now, &body),
            (Read::Listed { .. }, Finding::Body(body)) => self.on_page(now, &body),
            (Read::Configuration | Read::Channels | Read::Listed { .. }, Finding::Missing) => false,
        };
        if !readable {
            self.reads.retry_later(now, attempt, None, &mut self.random);
        }
    }

    fn on_configuration(&mut self, now: Moment, body: &[u8]) -> bool {
        let Ok(configuration) = json::from_slice::<Configuration>(body) else { return false };
        if self.resume.as_ref().is_some_and(|resume| !resume.is_of(&configuration.identity)) {
            self.resume = None;
        }
        self.horizons.set_interval(
            self.options.horizon_interval,
            configuration.options.consumption_report_interval.as_deref(),
        );
        self.configuration = Some(configuration);
        self.reads.push(Read::Channels);
        self.release_parked(now);
        true
    }

    fn on_channels(&mut self, now: Moment, body: &[u8]) -> bool {
        let Ok(opened) = json::from_slice::<read::Opened>(body) else { return false };
        let last = opened.last_event_id;
        let object = self.book.want(now, &opened.sid, Kind::Map, last, Owner::Channels);
        self.channels = Some(Channels { object, trail: Trail::from(last), hold_until: None });
        self.list_again();
        true
    }

    fn on_page(&mut self, now: Moment, body: &[u8]) -> bool {
        let Some(page) = model::listed_page(body) else { return false };
        let Some(listing) = &mut self.listing else { return true };
        listing.seen.extend(page.listed.iter().map(|(sid, _)| *sid));
        let since = listing.since;
        for (conversation, listed) in page.listed {
            self.on_listed(now, conversation, listed, since);
        }
        match page.next {
            Some(token) => self.reads.push(Read::Listed { token: Some(token) }),
            None => self.on_listing_done(now),
        }
        true
    }

    fn read_request(&mut self, read: &Read) -> Option<Request> {
        let id = self.random.next_u128();
        match read {
            Read::Configuration => Some(request::configuration(&self.options.api)),
            Read::Channels => {
                let name = &self.configuration.as_ref()?.sync_objects.my_conversations;
                Some(read::open(&self.options.sync, Kind::Map, name.reveal(), id))
            }
            Read::Listed { token } => {
                let url = &self.configuration.as_ref()?.links.my_conversations;
                Some(request::page(url, token.as_deref()))
            }
            Read::Seat { conversation, epoch, part } => {
                self.seat_request((*conversation, *epoch), *part, id)
            }
        }
    }
}

/// Wants a part of a seat to be read.
pub(super) const fn seat_read(conversation: ConversationSid, epoch: u32, part: Part) -> Read {
    Read::Seat { conversation, epoch, part }
}

/// Delays by number of failures, for seats that cannot be opened yet.
pub(super) fn opening_delay(failures: u8) -> Duration {
    Duration::from_secs(1 << failures.min(6))
}

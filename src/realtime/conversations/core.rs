//! The client without its socket: session, reads, seats, commands and horizons, put together.
//!
//! Decides everything a client does, by handing what one of its parts puts out to the next one; never
//! touches a socket, a clock, a file or a channel. A driver
//! hands in what happened with the time, carries out what [`Core::poll`] gives until it is `None`,
//! hands [`Core::next_event`] to the owner as fast as the owner takes it, and comes back no later
//! than [`Core::deadline`]. Bounded: messages stop at [`Options::events_max`] and are read again
//! later, requests at the session's bounds, reads at [`Options::reads_in_flight_max`].
//!
//! Start-up follows the official client: configuration, map of the user's conversations and its
//! pages, then document and list of each seat. Source: conversations protocol notes 1, read
//! 2026-11-21.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use url::Url;

use super::commands::{self, Command, CommandAnswered, CommandId, CommandTag, Commands};
use super::horizons::Horizons;
use super::model::{self, Configuration};
use super::outbox::{self, SeatId};
use super::reads::{Read, ReadAttempt, ReadFinding, Reads};
use super::request;
use super::resume::Resume;
use super::seats::{self, EventOrigin, Seats};
use crate::clock::Moment;
use crate::json;
use crate::pii::Pii;
use crate::realtime::event::Event;
use crate::realtime::sync::event as sync;
use crate::realtime::sync::read::{self, Kind};
use crate::realtime::twilsock::backoff::Random;
use crate::realtime::twilsock::frame::Frame;
use crate::realtime::twilsock::requests::{Answer, Request, RequestError};
use crate::realtime::twilsock::session::{self, ConnId, Down, Phase, Session, Token};
use crate::telemetry::chain::Chain;
use crate::telemetry::flood::Flood;
use crate::telemetry::refusals;
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
    Answered(CommandId, CommandAnswered),
}

/// What a request is for.
#[derive(Debug)]
enum Tag {
    Read(ReadAttempt),
    Subscribe(u64),
    Unsubscribe,
    Horizon(ConversationSid, u64),
    AutoJoin,
    Command(CommandId, CommandTag),
}

/// The machine.
#[derive(Debug)]
pub struct Core {
    options: Options,
    session: Session<Tag>,
    reads: Reads,
    seats: Seats,
    commands: Commands,
    horizons: Horizons,
    random: Random,
    configuration: Option<Configuration>,
    outputs: VecDeque<Output>,
    events: VecDeque<Event>,
    up: bool,
    connected_before: bool,
    live_told: bool,
    requests_made: u64,
    /// Bounds the lines about what cannot be read.
    unread: Flood,
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
        let Options { roster, join_invited, .. } = options;
        Self {
            session: Session::new(options.session, seed),
            reads: Reads::new(options.reads_in_flight_max),
            seats: Seats::new(seats::Options { roster, join_invited }, resume, first_correlation),
            commands: Commands::new(options.session.requests.queue_timeout),
            horizons: Horizons::default(),
            random: Random::new(seed.wrapping_add(1)),
            configuration: None,
            outputs: VecDeque::new(),
            events: VecDeque::new(),
            up: false,
            connected_before: false,
            live_told: false,
            requests_made: 0,
            unread: Flood::default(),
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
                self.seats.watermark(now, SeatId { conversation, epoch }, handled);
            }
            Input::Command(id, command) => {
                let (configuration, random) = (self.configuration.as_ref(), &mut self.random);
                self.commands.command(now, (id, command), configuration, random);
            }
            Input::Handled(conversation, index) => {
                if self.seats.is_unread(conversation, index) {
                    self.horizons.raise(now, conversation, index);
                }
            }
            Input::Tick => self.session.handle(now, session::Input::Tick),
            Input::Shutdown => {
                self.commands.refuse();
                self.follow_commands(now);
                self.session.handle(now, session::Input::Shutdown);
            }
        }
        self.follow_seats(now);
        self.follow_commands(now);
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
        let room = (self.seats.is_behind() && may_read).then_some(Moment::ORIGIN);
        let online = self.up.then(|| [self.reads.deadline(), self.horizons.deadline()]);
        let online = online.into_iter().flatten().flatten().min();
        let parts = [self.seats.deadline(), self.commands.deadline(), self.session.deadline()];
        parts.into_iter().chain([room, online]).flatten().min()
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

    /// Where the client stands now. A seat that is still being read for the first time is left out.
    #[must_use]
    pub fn resume(&self) -> Resume {
        let identity = self.configuration.as_ref().map(|configuration| &configuration.identity);
        self.seats.resume(identity.cloned().unwrap_or_default())
    }

    /// Makes a request through the session.
    fn request(&mut self, now: Moment, tag: Tag, request: Request) {
        self.requests_made += 1;
        self.session.handle(now, session::Input::Request(tag, request));
    }

    /// Tells the owner.
    fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// How many messages the owner has room for.
    fn room(&self) -> usize {
        self.options.events_max.saturating_sub(self.events.len())
    }

    fn has_room_again(&self) -> bool {
        self.events.len() <= self.options.events_max / 2
    }

    fn on_time(&mut self, now: Moment) {
        self.seats.on_time(now);
        self.follow_seats(now);
        while self.has_room_again() && self.reads.has_capacity() && self.seats.read_behind() {
            self.follow_seats(now);
        }
        self.commands.expire(now);
        self.follow_commands(now);
    }

    /// Tells what the seats have to tell, and does what they want done.
    fn follow_seats(&mut self, now: Moment) {
        while let Some(event) = self.seats.next_event() {
            self.tell(event);
        }
        while let Some(output) = self.seats.poll() {
            match output {
                outbox::Output::Read(read) => self.reads.push(read),
                outbox::Output::LoadWatermark(SeatId { conversation, epoch }) => {
                    self.outputs.push_back(Output::LoadWatermark { conversation, epoch });
                }
                outbox::Output::Accept(conversation) => self.accept(now, conversation),
                outbox::Output::Gone(conversation) => self.commands.forget(conversation),
            }
        }
    }

    /// Does what the commands want done.
    fn follow_commands(&mut self, now: Moment) {
        while let Some(output) = self.commands.poll() {
            match output {
                commands::Output::Request(id, tag, request) => {
                    self.request(now, Tag::Command(id, tag), request);
                }
                commands::Output::Answered(id, answered) => {
                    self.outputs.push_back(Output::Answered(id, answered));
                }
                commands::Output::Horizon(conversation, index) => {
                    self.seats.horizon_is(conversation, index);
                }
            }
        }
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
        if self.up && self.seats.are_settled() && !self.live_told {
            self.live_told = true;
            self.tell(Event::Live { seats: self.seats.open_count() });
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
        while let Some(ask) = self.seats.next_subscription(now) {
            any = true;
            let id = self.random.next_u128();
            let request = read::subscriptions(&self.options.sync, ask.body, id);
            let tag = match ask.establishes {
                true => Tag::Subscribe(ask.correlation_id),
                false => Tag::Unsubscribe,
            };
            self.request(now, tag, request);
        }
        any | self.write_horizons(now)
    }

    /// Writes the read horizons that are due; says whether there were any.
    fn write_horizons(&mut self, now: Moment) -> bool {
        let mut any = false;
        while let Some((conversation, index)) = self.horizons.next_write(now) {
            let mutation_id = request::mutation_id(&mut self.random);
            let Some(configuration) = &self.configuration else { break };
            let url = &configuration.links.my_conversations;
            let request = request::horizon(url, conversation, index, mutation_id);
            self.request(now, Tag::Horizon(conversation, index), request);
            any = true;
        }
        any
    }

    /// Accepts an invitation.
    fn accept(&mut self, now: Moment, conversation: ConversationSid) {
        let mutation_id = request::mutation_id(&mut self.random);
        let Some(configuration) = &self.configuration else { return };
        let url = &configuration.links.conversations;
        let identity = configuration.identity.reveal();
        let request = request::join(url, conversation, identity, mutation_id);
        self.request(now, Tag::AutoJoin, request);
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
        self.seats.connection_up(now);
        if self.configuration.is_none() && !self.connected_before {
            self.reads.push(Read::Configuration);
        }
        let again = std::mem::replace(&mut self.connected_before, true);
        self.tell(Event::Connected { again });
    }

    fn on_down(&mut self, Down { reason, is_fatal }: Down) {
        self.seats.connection_down();
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
                let random = &mut self.random;
                self.seats.subscription_answered(now, correlation_id, answer, random);
            }
            Tag::Unsubscribe => {}
            Tag::Horizon(conversation, index) => {
                let outcome = request::done(result, None);
                let (horizon, is_wanted) = ((conversation, index), self.seats.knows(conversation));
                if self.horizons.written(now, horizon, &outcome, is_wanted) {
                    self.seats.horizon_is(conversation, index);
                }
            }
            // What comes of an accepted invitation is told by the map.
            Tag::AutoJoin => {}
            Tag::Command(id, tag) => {
                self.commands.answered(now, id, tag, result);
                self.follow_commands(now);
            }
        }
    }

    fn on_read(
        &mut self,
        now: Moment,
        attempt: &ReadAttempt,
        result: Result<Answer, RequestError>,
    ) {
        let finding = self.reads.finished(now, attempt, result, &mut self.random);
        let readable = match (&attempt.read, finding) {
            (_, ReadFinding::Again) => true,
            (Read::Seat { conversation, epoch, part }, finding) => {
                let body = match finding {
                    ReadFinding::Body(body) => Some(body),
                    ReadFinding::Missing | ReadFinding::Again => None,
                };
                let id = SeatId { conversation: *conversation, epoch: *epoch };
                self.seats.read(now, id, (*part, body), self.room());
                true
            }
            (Read::Configuration, ReadFinding::Body(body)) => self.on_configuration(now, &body),
            (Read::Channels, ReadFinding::Body(body)) => self.on_channels(now, &body),
            (Read::Listed { .. }, ReadFinding::Body(body)) => self.on_page(now, &body),
            (Read::Configuration | Read::Channels | Read::Listed { .. }, ReadFinding::Missing) => {
                false
            }
        };
        self.follow_seats(now);
        if !readable {
            self.reads.retry_later(now, attempt, None, &mut self.random);
        }
    }

    fn on_configuration(&mut self, now: Moment, body: &[u8]) -> bool {
        let Ok(configuration) = json::from_slice::<Configuration>(body) else { return false };
        self.seats.identify(&configuration.identity);
        self.horizons.set_interval(
            self.options.horizon_interval,
            configuration.options.consumption_report_interval.as_deref(),
        );
        self.reads.push(Read::Channels);
        self.commands.release(now, &configuration, &mut self.random);
        self.configuration = Some(configuration);
        self.follow_commands(now);
        true
    }

    fn on_channels(&mut self, now: Moment, body: &[u8]) -> bool {
        let Ok(opened) = json::from_slice::<read::OpenedObject>(body) else { return false };
        self.seats.map_opened(now, &opened);
        true
    }

    fn on_page(&mut self, now: Moment, body: &[u8]) -> bool {
        let Some(page) = model::listed_page(body) else { return false };
        self.seats.page(now, page);
        true
    }

    /// Takes in what arrives by itself: Sync events, results of subscriptions, typing.
    /// Source: Sync protocol notes 3 and 4; notification protocol notes, "Typing", read 2026-11-21.
    fn on_notified(&mut self, now: Moment, message_type: &str, payload: &[u8]) {
        match message_type {
            "twilio.sync.event" => self.on_sync(now, payload, true),
            "com.twilio.rtd.cds.document"
            | "com.twilio.rtd.cds.list"
            | "com.twilio.rtd.cds.map" => self.on_sync(now, payload, false),
            "twilio.ipmsg.typing_indicator" => self.on_typing(payload),
            // Any other type is ignored. Source: notification protocol notes.
            _ => {}
        }
    }

    fn on_sync(&mut self, now: Moment, payload: &[u8], is_replay: bool) {
        let notification = match sync::parse(payload) {
            Ok(notification) => notification,
            Err(error) => {
                if let Some(left_out) = self.unread.admit(None, now) {
                    let text = Chain(&error).to_string();
                    tracing::warn!(
                        error = refusals::cut(&text),
                        left_out,
                        "sync notification dropped"
                    );
                }
                return;
            }
        };
        let origin = EventOrigin { correlation_id: notification.correlation_id, is_replay };
        for event in notification.events {
            let room = self.room();
            self.seats.event(now, event, origin, room);
            self.follow_seats(now);
        }
    }

    fn on_typing(&mut self, payload: &[u8]) {
        #[derive(Deserialize)]
        struct Typing {
            channel_sid: ConversationSid,
            identity: Pii,
        }
        let Ok(typing) = json::from_slice::<Typing>(payload) else { return };
        // The least important event there is: it goes first when room is scarce.
        if self.has_room_again() {
            let Typing { channel_sid: conversation, identity } = typing;
            self.tell(Event::Typing { conversation, identity });
        }
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
                let seat = SeatId { conversation: *conversation, epoch: *epoch };
                self.seats.request(&self.options.sync, seat, *part, id)
            }
        }
    }
}

//! The client's core and a server, joined by a link that delays, breaks, loses, doubles and swaps, in
//! virtual time. Everything follows from a seed. The server is a [`Peer`]: the naive model, or the
//! emulator.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use chimein::clock::Moment;
use chimein::realtime::Event;
use chimein::realtime::conversations::commands::{CommandAnswered, CommandId};
use chimein::realtime::conversations::core::{Core, Input, Options, Output};
use chimein::realtime::twilsock::backoff::Random;
use chimein::realtime::twilsock::frame::{Limits, Method, decode};
use chimein::realtime::twilsock::session::{self, ConnId, Token};
use chimein::twilio::sid::ConversationSid;

use super::server::Server;

/// How bad the link is, in thousandths of what passes it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    pub breaks: u64,
    pub losses: u64,
    pub doubles: u64,
    pub swaps: u64,
    /// The peer falls silent instead of breaking.
    pub silences: u64,
    /// How many milliseconds more everything takes.
    pub slowness: u64,
}

/// The server's end. What it is asked and when follows from the link; what it says goes through it.
pub trait Peer {
    /// A new connection; an older one is gone.
    fn connected(&mut self, now: Moment);
    /// The connection is gone, and the server knows.
    fn gone(&mut self) {}
    /// Takes a message; gives what is sent now.
    fn take(&mut self, now: Moment, bytes: &Bytes) -> Vec<Bytes>;
    /// When the server has something to do by itself.
    fn deadline(&self) -> Option<Moment> {
        None
    }
    /// Does what is due; gives what is sent now.
    fn tick(&mut self, _now: Moment) -> Vec<Bytes> {
        Vec::new()
    }
    /// Whether it hung up, once all is sent.
    fn is_over(&self) -> bool {
        false
    }
    /// A token that it takes.
    fn token(&self, now: Moment) -> Token;
}

impl Peer for Server {
    fn connected(&mut self, _now: Moment) {
        Self::connected(self);
    }

    fn take(&mut self, _now: Moment, bytes: &Bytes) -> Vec<Bytes> {
        self.frame(&decode(bytes, &Limits::default()).expect("the client's frame"))
    }

    fn token(&self, _now: Moment) -> Token {
        Token { jwt: "jwt".into(), valid_for: Duration::from_secs(3600) }
    }
}

/// Both ends and the link.
pub struct Link<P> {
    pub core: Core,
    pub server: P,
    pub now: Moment,
    pub events: Vec<Event>,
    pub answered: Vec<(CommandId, CommandAnswered)>,
    pub connections: u64,
    pub weather: Weather,
    random: Random,
    /// What is under way: when, in which order, of which connection, to whom.
    way: BTreeMap<(Moment, u64), (ConnId, Travel)>,
    sequence: u64,
    conn: Option<ConnId>,
    silent: bool,
    last_arrival: HashMap<bool, Moment>,
    pub handled: HashMap<ConversationSid, u64>,
    /// Whether the owner takes events; without it they pile up.
    pub taking: bool,
}

enum Travel {
    Open,
    Break,
    ToServer(Bytes),
    ToClient(Bytes),
}

/// The options that tests use.
pub fn options() -> Options {
    let url = |host: &str| format!("https://{host}.example").parse().expect("a URL");
    Options {
        session: session::Options::default(),
        api: url("aim"),
        sync: url("cds"),
        roster: false,
        join_invited: true,
        events_max: 64,
        reads_in_flight_max: 16,
        horizon_interval: Duration::from_secs(2),
    }
}

impl<P: Peer> Link<P> {
    pub fn new(server: P, weather: Weather, seed: u64) -> Self {
        let mut link = Self {
            core: Core::new(options(), None, seed, 1),
            server,
            now: Moment::ORIGIN,
            events: Vec::new(),
            answered: Vec::new(),
            connections: 0,
            weather,
            random: Random::new(seed),
            way: BTreeMap::new(),
            sequence: 0,
            conn: None,
            silent: false,
            last_arrival: HashMap::new(),
            handled: HashMap::new(),
            taking: true,
        };
        link.input(Input::Start);
        link
    }

    /// Lets `duration` pass.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let travel = self.way.keys().next().map(|(at, _)| *at);
            let own = self.core.deadline();
            let peer = self.server.deadline();
            let next = [travel, own, peer].into_iter().flatten().min();
            let Some(next) = next.filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            if peer.is_some_and(|at| at <= self.now) {
                let frames = self.server.tick(self.now);
                self.push(frames);
            }
            match self.way.first_entry().filter(|entry| entry.key().0 <= self.now) {
                Some(entry) => {
                    let (conn, travel) = entry.remove();
                    self.arrive(conn, travel);
                }
                None => self.input(Input::Tick),
            }
        }
    }

    /// Frames that the server sends, and perhaps its end.
    pub fn push(&mut self, frames: Vec<Bytes>) {
        for frame in frames {
            self.send_down(frame);
        }
        if let Some(conn) = self.conn.filter(|_| self.server.is_over()) {
            self.server.gone();
            self.travel(conn, Travel::Break, true);
        }
    }

    /// Whether the dice say so.
    pub fn chance(&mut self, thousandths: u64) -> bool {
        self.random.next_u64() % 1000 < thousandths
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.random.next_u64() % u64::try_from(end).unwrap_or(1)).unwrap_or(0)
    }

    fn arrive(&mut self, conn: ConnId, travel: Travel) {
        match travel {
            Travel::Open => {
                self.conn = Some(conn);
                self.silent = false;
                self.connections += 1;
                self.server.connected(self.now);
                self.input(Input::Opened(conn));
            }
            Travel::Break => {
                if self.conn == Some(conn) {
                    self.drop_link(conn);
                }
                self.input(Input::Lost(conn));
            }
            Travel::ToServer(bytes) => {
                if self.conn == Some(conn) && !self.silent {
                    let answers = self.server.take(self.now, &bytes);
                    self.push(answers);
                }
            }
            Travel::ToClient(bytes) => {
                if self.conn == Some(conn) && !self.silent {
                    let frame = decode(&bytes, &Limits::default()).expect("the server's frame");
                    self.input(Input::Frame(conn, Box::new(frame)));
                }
            }
        }
    }

    pub fn input(&mut self, input: Input) {
        self.core.handle(self.now, input);
        while let Some(output) = self.core.poll() {
            self.output(output);
        }
        while self.taking {
            let Some(event) = self.core.next_event() else { break };
            self.events.push(event);
        }
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Connect(conn) => {
                let travel = if self.chance(200) { Travel::Break } else { Travel::Open };
                self.travel(conn, travel, true);
            }
            Output::Write(conn, bytes) => {
                if self.chance(self.weather.breaks) {
                    self.travel(conn, Travel::Break, false);
                } else if self.chance(self.weather.silences) {
                    self.silent = true;
                }
                self.travel(conn, Travel::ToServer(bytes), true);
            }
            // The silence of this peer is complete: it does not answer a ping either.
            Output::Probe(conn) => {
                if !self.silent {
                    self.core.handle(self.now, Input::Heard(conn));
                }
            }
            Output::Disconnect(conn) => self.drop_link(conn),
            Output::WantToken => {
                let token = self.server.token(self.now);
                self.input(Input::Token(token));
            }
            Output::LoadWatermark { conversation, epoch } => {
                let handled = self.handled.get(&conversation).copied();
                self.input(Input::Watermark { conversation, epoch, handled });
            }
            Output::Answered(id, answered) => self.answered.push((id, answered)),
        }
    }

    fn drop_link(&mut self, conn: ConnId) {
        if self.conn == Some(conn) {
            self.conn = None;
            self.server.gone();
            self.way.retain(|_, (of, _)| *of != conn);
        }
    }

    fn send_down(&mut self, frame: Bytes) {
        let Some(conn) = self.conn else { return };
        let is_event = decode(&frame, &Limits::default()).is_ok_and(|frame| {
            frame.header.method == Method::Notification
                && matches!(
                    frame.header.message_type.as_deref(),
                    Some("com.twilio.rtd.cds.list" | "com.twilio.rtd.cds.map")
                )
        });
        if is_event && self.chance(self.weather.losses) {
            return;
        }
        if is_event && self.chance(self.weather.doubles) {
            self.travel(conn, Travel::ToClient(frame.clone()), false);
        }
        let in_order = !(is_event && self.chance(self.weather.swaps));
        self.travel(conn, Travel::ToClient(frame), in_order);
    }

    /// Puts something on its way; in order it does not overtake what left before.
    fn travel(&mut self, conn: ConnId, travel: Travel, in_order: bool) {
        let millis = 5 + self.weather.slowness + self.random.next_u64() % 60;
        let mut at = self.now + Duration::from_millis(millis);
        if in_order {
            let is_down = match travel {
                Travel::Open | Travel::ToServer(_) => false,
                Travel::Break | Travel::ToClient(_) => true,
            };
            let last = self.last_arrival.entry(is_down).or_insert(at);
            at = at.max(*last);
            *last = at;
        }
        self.sequence += 1;
        self.way.insert((at, self.sequence), (conn, travel));
    }
}

//! The session: one client's connection to Twilsock over its whole life, as a pure state machine.
//!
//! Decides when to connect, what to write, when a connection is dead, when a token is wanted, and
//! what became of each request. Never touches a socket or a clock: a driver hands in what happened
//! with the time, carries out what [`Session::poll`] gives until it is `None`, and comes back no
//! later than [`Session::deadline`]. Tokens come in as [`Token`] and leave in `init` and `update`
//! frames only.
//!
//! What each state does with each input (`=` keeps the state; the test `every_pair_is_decided`
//! walks this table):
//!
//! | state \ input  | Start        | Token        | TokenFailed | Opened       | Lost    | Frame            | Tick (own deadline) | Shutdown |
//! |----------------|--------------|--------------|-------------|--------------|---------|------------------|---------------------|----------|
//! | Idle           | AwaitingToken, Connecting | = keep it | =   | =            | =       | =                | =                   | ShutDown |
//! | AwaitingToken  | =            | Connecting   | = ask later | =            | =       | =                | = ask again         | ShutDown |
//! | Waiting        | =            | = keep it    | =           | =            | =       | =                | Connecting, AwaitingToken | ShutDown |
//! | Connecting     | =            | = keep it    | =           | Initialising | Waiting | =                | Waiting             | ShutDown |
//! | Initialising   | =            | = keep it    | =           | =            | Waiting | Connected, AwaitingToken, Waiting, Refused | Waiting | ShutDown |
//! | Connected      | =            | Updating     | =           | =            | Waiting | =, by close code | Waiting (silence)   | ShutDown |
//! | Updating       | =            | = keep it    | =           | =            | Waiting | Connected, AwaitingToken, Waiting, Refused | Waiting | ShutDown |
//! | Refused        | =            | Connecting   | =           | =            | =       | =                | Connecting, AwaitingToken | ShutDown |
//! | ShutDown       | =            | =            | =           | =            | =       | =                | =                   | =        |
//!
//! `Renew` asks for a token and keeps the state; a request is queued, sent, or
//! refused, and `Heard` only feeds the watchdog.
//!
//! `close` by code, in any state with a socket: 410 and 401 to AwaitingToken, 406 and 417 to
//! Refused, 308 and all others to Waiting. Inputs of another connection than the present one are
//! ignored. Source: Twilsock protocol notes 2 and 3, read 2026-11-21.
//!
//! Refused is left after [`Options::refused_backoff_base`], growing to its cap. The official client
//! stays away for good after 406 and 417, and after one refused token; a service that runs for months
//! must come back by itself when the fault was the server's, or once the key is put right.

use std::collections::VecDeque;
use std::time::Duration;

use super::backoff::{Backoff, Random};
use super::frame::{Frame, FrameSecret, Header, Method, Status, encode};
use super::hello;
use super::requests::{NotSent, Request, RequestError, Requests};
pub use super::signals::{ConnId, DisconnectReason, Down, Input, Options, Output, Phase, Token};
use super::tokens::Tokens;
use crate::clock::Moment;

/// Time beyond the limit after which an opening is given up whose driver says nothing.
const CONNECT_SLACK: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum State {
    Idle,
    AwaitingToken,
    Waiting {
        until: Moment,
    },
    Connecting {
        conn: ConnId,
        deadline: Moment,
    },
    Initialising {
        link: OpenLink,
        id: u64,
        deadline: Moment,
    },
    Connected {
        link: OpenLink,
    },
    Updating {
        link: OpenLink,
        id: u64,
        deadline: Moment,
    },
    /// As `Waiting`, for longer: the server refuses this client.
    Refused {
        until: Moment,
    },
    ShutDown,
}

/// What is known of an open WebSocket.
#[derive(Clone, Copy, Debug)]
struct OpenLink {
    conn: ConnId,
    heard: Moment,
    probed: bool,
    /// When the backoff starts over; `None` once it has.
    healthy_at: Option<Moment>,
    /// Which token the server has.
    token: u64,
}

/// The state machine. `T` is the owner's note on each request.
#[derive(Debug)]
pub struct Session<T> {
    options: Options,
    state: State,
    tokens: Tokens,
    token_backoff: Backoff,
    backoff: Backoff,
    refused_backoff: Backoff,
    random: Random,
    requests: Requests<T>,
    continuation: Option<FrameSecret>,
    next_conn: u64,
    denials: u32,
    /// Whether the last word of the server was that somebody must act.
    is_refused: bool,
    outputs: VecDeque<Output<T>>,
}

impl<T> Session<T> {
    /// A session that does nothing yet. `seed` is the source of jitter and frame ids.
    #[must_use]
    pub fn new(options: Options, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let backoff = Backoff::new(options.backoff_base, options.backoff_cap);
        Self {
            state: State::Idle,
            tokens: Tokens::default(),
            token_backoff: backoff.clone(),
            backoff,
            refused_backoff: Backoff::new(
                options.refused_backoff_base,
                options.refused_backoff_cap,
            ),
            requests: Requests::new(options.requests, random.next_u64()),
            random,
            continuation: None,
            next_conn: 0,
            denials: 0,
            is_refused: false,
            outputs: VecDeque::new(),
            options,
        }
    }

    /// Takes in what happened at `now`.
    pub fn handle(&mut self, now: Moment, input: Input<T>) {
        match input {
            Input::Start => {
                if matches!(self.state, State::Idle) {
                    self.connect(now);
                }
            }
            Input::Token(token) => self.on_token(now, token),
            Input::TokenFailed => {
                self.tokens.asking = false;
                self.tokens.ask_at = Some(now + self.token_backoff.next_delay(&mut self.random));
            }
            Input::Renew => {
                if !matches!(self.state, State::ShutDown) {
                    self.ask_for_token();
                }
            }
            Input::Opened(conn) => self.on_opened(now, conn),
            Input::Lost(conn) => {
                if self.conn() == Some(conn) {
                    self.retry(now, DisconnectReason::Lost, false);
                }
            }
            Input::Heard(conn) => {
                self.heard(now, conn);
            }
            Input::Frame(conn, frame) => {
                if self.heard(now, conn) {
                    self.on_frame(now, *frame);
                }
            }
            Input::Request(tag, request) => self.on_request(now, tag, request),
            Input::Tick => {}
            Input::Shutdown => self.shut_down(),
        }
        self.on_time(now);
        self.send_waiting(now);
    }

    /// Gives the next thing to do.
    pub fn poll(&mut self) -> Option<Output<T>> {
        self.outputs.pop_front()
    }

    /// The moment at which [`Input::Tick`] is due.
    pub fn deadline(&mut self) -> Option<Moment> {
        let requests = self.requests.deadline();
        let own = match &self.state {
            State::Idle | State::AwaitingToken | State::ShutDown => None,
            State::Waiting { until } | State::Refused { until } => Some(*until),
            State::Connecting { deadline, .. } => Some(*deadline),
            State::Initialising { link, deadline, .. } | State::Updating { link, deadline, .. } => {
                Some(self.link_deadline(link).min(*deadline))
            }
            State::Connected { link } => Some(self.link_deadline(link)),
        };
        [requests, own, self.token_deadline()].into_iter().flatten().min()
    }

    /// Where the session stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Idle => Phase::Idle,
            State::AwaitingToken => Phase::AwaitingToken,
            State::Waiting { .. } => Phase::Waiting,
            State::Connecting { .. } => Phase::Connecting,
            State::Initialising { .. } => Phase::Initialising,
            State::Connected { .. } => Phase::Connected,
            State::Updating { .. } => Phase::Updating,
            State::Refused { .. } => Phase::Refused,
            State::ShutDown => Phase::ShutDown,
        }
    }

    /// Whether the server refuses this client: from its word on until it takes the client, or the
    /// connection fails for another reason.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        self.is_refused
    }

    fn shut_down(&mut self) {
        if !matches!(self.state, State::ShutDown) {
            self.leave(DisconnectReason::ShutDown, true);
            self.state = State::ShutDown;
            self.refuse_queued(NotSent::ShutDown);
        }
    }

    fn on_token(&mut self, now: Moment, token: Token) {
        self.token_backoff.reset();
        let serial = self.tokens.hold(now, token, self.options.renew_before);
        match self.state {
            State::AwaitingToken | State::Refused { .. } => self.connect(now),
            State::Connected { link } if link.token != serial => self.update(now, link),
            State::Connected { .. }
            | State::Idle
            | State::Waiting { .. }
            | State::Connecting { .. }
            | State::Initialising { .. }
            | State::Updating { .. }
            | State::ShutDown => {}
        }
    }

    fn on_opened(&mut self, now: Moment, conn: ConnId) {
        match self.state {
            State::Connecting { conn: wanted, .. } if wanted == conn => {}
            State::Connecting { .. }
            | State::Idle
            | State::AwaitingToken
            | State::Waiting { .. }
            | State::Initialising { .. }
            | State::Connected { .. }
            | State::Updating { .. }
            | State::Refused { .. }
            | State::ShutDown => return,
        }
        let Some(held) = &self.tokens.current else {
            return self.retry(now, DisconnectReason::Lost, false);
        };
        let id = self.requests.next_number();
        let frame_id = self.requests.frame_id(id);
        let bytes = hello::init(&frame_id, &held.jwt, self.continuation.as_ref());
        let link =
            OpenLink { conn, heard: now, probed: false, healthy_at: None, token: held.serial };
        self.outputs.push_back(Output::Write(conn, bytes));
        let deadline = now + self.options.handshake_timeout;
        self.state = State::Initialising { link, id, deadline };
    }

    fn on_request(&mut self, now: Moment, tag: T, request: Request) {
        let refusal = match self.state {
            State::ShutDown => Err((tag, NotSent::ShutDown)),
            State::Refused { .. } => Err((tag, NotSent::Denied)),
            State::AwaitingToken | State::Connecting { .. } | State::Initialising { .. }
                if self.is_refused || self.denials > 1 =>
            {
                Err((tag, NotSent::Denied))
            }
            State::Idle
            | State::AwaitingToken
            | State::Waiting { .. }
            | State::Connecting { .. }
            | State::Initialising { .. }
            | State::Connected { .. }
            | State::Updating { .. } => {
                self.requests.queue(now, tag, request).map_err(|tag| (tag, NotSent::QueueFull))
            }
        };
        if let Err((tag, reason)) = refusal {
            self.outputs.push_back(Output::Answered(tag, Err(RequestError::NotSent(reason))));
        }
    }

    /// Acknowledges a frame of the present connection and acts on it.
    fn on_frame(&mut self, now: Moment, frame: Frame) {
        let Some(conn) = self.conn() else { return };
        if frame.header.method != Method::Reply {
            // Everything but a reply is answered at once, unknown methods too, before it is acted
            // upon. Source: Twilsock protocol notes 2.
            let bytes = encode(&Header::acknowledgement(&frame.header.id), b"");
            self.outputs.push_back(Output::Write(conn, bytes));
        }
        match frame.header.method {
            Method::Reply => self.on_reply(now, frame),
            Method::Notification => {
                let message_type = frame.header.message_type.unwrap_or_default();
                self.outputs.push_back(Output::Notified { message_type, payload: frame.payload });
            }
            Method::ClientUpdate => {
                // Source: Twilsock protocol notes 2.5; the only type there is.
                if frame.header.client_update_type.as_deref() == Some("token_about_to_expire") {
                    self.ask_for_token();
                }
            }
            Method::Close => self.on_close(now, &frame),
            Method::Ping
            | Method::Init
            | Method::Update
            | Method::Message
            | Method::PutNotificationCtx
            | Method::DeleteNotificationCtx
            | Method::Telemetry
            | Method::Other(_) => {}
        }
    }

    fn on_reply(&mut self, now: Moment, frame: Frame) {
        let number = self.requests.number(&frame.header.id);
        match self.state {
            State::Initialising { link, id, .. } if number == Some(id) => {
                self.on_init_reply(now, link, frame);
            }
            State::Updating { link, id, .. } if number == Some(id) => {
                self.on_update_reply(now, link, frame);
            }
            State::Connected { .. } | State::Updating { .. } => {
                if let Some((tag, result)) = self.requests.answered(frame) {
                    self.outputs.push_back(Output::Answered(tag, result));
                }
            }
            State::Idle
            | State::AwaitingToken
            | State::Waiting { .. }
            | State::Connecting { .. }
            | State::Initialising { .. }
            | State::Refused { .. }
            | State::ShutDown => {}
        }
    }

    fn on_init_reply(&mut self, now: Moment, mut link: OpenLink, frame: Frame) {
        let status = frame.header.status.unwrap_or_else(Status::ok);
        match status.code {
            200..=299 => {
                self.denials = 0;
                self.is_refused = false;
                if let Some(token) = frame.header.continuation_token {
                    self.continuation = Some(token);
                }
                link.healthy_at = Some(now + self.options.healthy_after);
                self.state = State::Connected { link };
                self.outputs.push_back(Output::Up);
                if self.tokens.newer_than(link.token) {
                    self.update(now, link);
                }
            }
            401 | 403 => self.deny(now, &status),
            code => {
                // A 500 is left without a `close` frame. Source: Twilsock protocol notes 3.
                if let Some(least) = hello::backoff_hint(&frame.payload).filter(|_| code == 429) {
                    self.backoff.raise_floor(least);
                }
                self.retry(now, DisconnectReason::Handshake { code: Some(code) }, code != 500);
            }
        }
    }

    fn on_update_reply(&mut self, now: Moment, mut link: OpenLink, frame: Frame) {
        let status = frame.header.status.unwrap_or_else(Status::ok);
        match status.code {
            200..=299 => {
                link.heard = now;
                self.state = State::Connected { link };
                if self.tokens.newer_than(link.token) {
                    self.update(now, link);
                }
            }
            401 | 403 => self.deny(now, &status),
            code => {
                if let Some(least) = hello::backoff_hint(&frame.payload).filter(|_| code == 429) {
                    self.backoff.raise_floor(least);
                }
                self.retry(now, DisconnectReason::Handshake { code: Some(code) }, true);
            }
        }
    }

    /// The server ends the connection. Source: Twilsock protocol notes 2.8.
    fn on_close(&mut self, now: Moment, frame: &Frame) {
        let status = frame.header.status.clone().unwrap_or_default();
        match status.code {
            410 => {
                self.leave(DisconnectReason::TokenExpired, false);
                self.await_token();
            }
            401 => self.deny(now, &status),
            code @ (406 | 417) => {
                self.refuse(now, DisconnectReason::Refused { code });
            }
            code => {
                if let Some(least) = hello::backoff_hint(&frame.payload).filter(|_| code == 308) {
                    self.backoff.raise_floor(least);
                }
                self.retry(now, DisconnectReason::Closed { code }, false);
            }
        }
    }

    fn ask_for_token(&mut self) {
        if self.tokens.ask() {
            self.outputs.push_back(Output::WantToken);
        }
    }

    /// Opens a connection if there is a usable token, else asks for one.
    fn connect(&mut self, now: Moment) {
        if !self.tokens.usable(now) {
            return self.await_token();
        }
        self.next_conn += 1;
        let conn = ConnId(self.next_conn);
        self.outputs.push_back(Output::Connect(conn));
        // The driver gives up by itself at the limit and says how far it had come.
        let deadline = now + self.options.connect_timeout + CONNECT_SLACK;
        self.state = State::Connecting { conn, deadline };
    }

    fn update(&mut self, now: Moment, mut link: OpenLink) {
        let Some(held) = &self.tokens.current else { return };
        let id = self.requests.next_number();
        let bytes = hello::update(&self.requests.frame_id(id), &held.jwt);
        link.token = held.serial;
        self.outputs.push_back(Output::Write(link.conn, bytes));
        let deadline = now + self.options.handshake_timeout;
        self.state = State::Updating { link, id, deadline };
    }

    fn send_waiting(&mut self, now: Moment) {
        let conn = match self.state {
            State::Connected { link } | State::Updating { link, .. } => link.conn,
            State::Idle
            | State::AwaitingToken
            | State::Waiting { .. }
            | State::Connecting { .. }
            | State::Initialising { .. }
            | State::Refused { .. }
            | State::ShutDown => return,
        };
        while let Some(bytes) = self.requests.send_next(now) {
            self.outputs.push_back(Output::Write(conn, bytes));
        }
    }

    /// Notes a sign of life; says whether it is of the present connection.
    fn heard(&mut self, now: Moment, from: ConnId) -> bool {
        match self.link_mut() {
            Some(link) if link.conn == from => {
                link.heard = now;
                link.probed = false;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Does what is due.
    fn on_time(&mut self, now: Moment) {
        while let Some((tag, error)) = self.requests.next_expired(now) {
            self.outputs.push_back(Output::Answered(tag, Err(error)));
        }
        if self.token_deadline().is_some_and(|at| at <= now) {
            self.ask_for_token();
        }
        match &self.state {
            State::Idle | State::AwaitingToken | State::ShutDown => {}
            State::Waiting { until } | State::Refused { until } => {
                if *until <= now {
                    self.connect(now);
                }
            }
            State::Connecting { deadline, .. } => {
                if *deadline <= now {
                    self.retry(now, DisconnectReason::Lost, false);
                }
            }
            State::Initialising { deadline, .. } | State::Updating { deadline, .. }
                if *deadline <= now =>
            {
                self.retry(now, DisconnectReason::Handshake { code: None }, true);
            }
            State::Initialising { link, .. }
            | State::Updating { link, .. }
            | State::Connected { link } => {
                let link = *link;
                self.watch(now, link);
            }
        }
    }

    /// The watchdog: probes a silent peer, then gives it up; a peer that stayed is proof of health.
    fn watch(&mut self, now: Moment, link: OpenLink) {
        let silence = now.since(link.heard);
        if silence >= self.options.silence_max {
            return self.retry(now, DisconnectReason::Silent, false);
        }
        let probe = silence >= self.options.probe_after && !link.probed;
        let healthy = link.healthy_at.is_some_and(|at| at <= now);
        if probe {
            self.outputs.push_back(Output::Probe(link.conn));
        }
        if healthy {
            self.backoff.reset();
            self.refused_backoff.reset();
        }
        if let Some(link) = self.link_mut() {
            link.probed |= probe;
            link.healthy_at = link.healthy_at.filter(|_| !healthy);
        }
    }

    /// The open WebSocket, if there is one.
    fn link_mut(&mut self) -> Option<&mut OpenLink> {
        match &mut self.state {
            State::Initialising { link, .. }
            | State::Connected { link }
            | State::Updating { link, .. } => Some(link),
            State::Idle
            | State::AwaitingToken
            | State::Waiting { .. }
            | State::Connecting { .. }
            | State::Refused { .. }
            | State::ShutDown => None,
        }
    }

    fn link_deadline(&self, link: &OpenLink) -> Moment {
        let dead = link.heard + self.options.silence_max;
        let probe = link.heard + self.options.probe_after;
        let quiet = if link.probed { dead } else { probe.min(dead) };
        link.healthy_at.map_or(quiet, |at| at.min(quiet))
    }

    fn token_deadline(&self) -> Option<Moment> {
        match self.state {
            State::Idle | State::Refused { .. } | State::ShutDown => None,
            State::AwaitingToken
            | State::Waiting { .. }
            | State::Connecting { .. }
            | State::Initialising { .. }
            | State::Connected { .. }
            | State::Updating { .. } => self.tokens.deadline(),
        }
    }

    fn conn(&self) -> Option<ConnId> {
        match &self.state {
            State::Connecting { conn, .. } => Some(*conn),
            State::Initialising { link, .. }
            | State::Connected { link }
            | State::Updating { link, .. } => Some(link.conn),
            State::Idle
            | State::AwaitingToken
            | State::Waiting { .. }
            | State::Refused { .. }
            | State::ShutDown => None,
        }
    }
}

mod leave;
#[cfg(test)]
mod tests;

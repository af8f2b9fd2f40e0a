//! What goes into a session and what comes out of it, and its times and bounds.
//!
//! Decides only which end of a connection somebody must act on; the vocabulary between
//! [`super::session::Session`] and its driver. Pure. A [`Token`] holds a secret that its `Debug` does
//! not show.

use std::time::Duration;

use bytes::Bytes;

use super::frame::{Frame, FrameSecret};
use super::requests::{self, Answer, Request, RequestError};

/// Numbers the connections of one session.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnId(pub u64);

/// An access token and how long it is still good.
#[derive(Clone, Debug)]
pub struct Token {
    /// The JWT.
    pub jwt: FrameSecret,
    /// Time to its expiry, by the provider's word.
    pub valid_for: Duration,
}

/// Times and bounds of a session.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Time for TCP, a proxy, TLS and the WebSocket upgrade.
    pub connect_timeout: Duration,
    /// Time for the answer to `init` and `update`. Source: Twilsock protocol notes 2.2 and 3: 30 s.
    pub handshake_timeout: Duration,
    /// Silence after which the peer is probed. Assumed: any WebSocket server answers a ping.
    pub probe_after: Duration,
    /// Silence after which the connection counts as dead.
    /// Source: Twilsock protocol notes 2.6: the Kotlin client takes 45 s.
    pub silence_max: Duration,
    /// Time connected after which the backoff starts over: long enough that a server which takes
    /// a connection and drops it is met with growing delays, short enough that one whose proxy cuts
    /// it every quarter minute is back after a second each time.
    pub healthy_after: Duration,
    /// First delay before a new connection.
    pub backoff_base: Duration,
    /// Longest delay before a new connection.
    pub backoff_cap: Duration,
    /// First delay before a new connection after the server has refused this client: long enough to
    /// be no burden to a server that means it.
    pub refused_backoff_base: Duration,
    /// Longest delay before a new connection to a server that refuses this client: short enough that
    /// nobody thinks of a restart once the fault is put right.
    pub refused_backoff_cap: Duration,
    /// How long before its expiry a token is renewed, at most a quarter of its life.
    pub renew_before: Duration,
    /// Bounds of the requests.
    pub requests: requests::Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(30),
            probe_after: Duration::from_secs(20),
            silence_max: Duration::from_secs(45),
            healthy_after: Duration::from_secs(5),
            backoff_base: Duration::from_secs(1),
            backoff_cap: Duration::from_secs(60),
            refused_backoff_base: Duration::from_secs(30),
            refused_backoff_cap: Duration::from_secs(300),
            renew_before: Duration::from_secs(300),
            requests: requests::Limits::default(),
        }
    }
}

/// What happened.
#[derive(Debug)]
pub enum Input<T> {
    /// The owner wants to be connected.
    Start,
    /// A token, asked for or not.
    Token(Token),
    /// The provider had none.
    TokenFailed,
    /// The owner wants a new token to be fetched, and a refused session to start over with it.
    Renew,
    /// The WebSocket is open.
    Opened(ConnId),
    /// The WebSocket failed to open or is gone.
    Lost(ConnId),
    /// The peer showed life without a frame: a pong, or junk that was dropped.
    Heard(ConnId),
    /// A frame arrived.
    Frame(ConnId, Box<Frame>),
    /// The owner wants this answered.
    Request(T, Request),
    /// Time has passed.
    Tick,
    /// The owner wants no more.
    Shutdown,
}

/// What is to be done.
#[derive(Debug)]
pub enum Output<T> {
    /// Open a WebSocket; report [`Input::Opened`] or [`Input::Lost`].
    Connect(ConnId),
    /// Write a frame.
    Write(ConnId, Bytes),
    /// Send a WebSocket ping.
    Probe(ConnId),
    /// Flush and close the WebSocket, or stop opening it. Nothing of it is to be reported any more.
    Disconnect(ConnId),
    /// Fetch a token; report [`Input::Token`] or [`Input::TokenFailed`].
    WantToken,
    /// The connection is up: requests flow, subscriptions are to be made anew.
    Up,
    /// The connection is down.
    Down(Down),
    /// A request is done.
    Answered(T, Result<Answer, RequestError>),
    /// A notification arrived.
    Notified {
        /// Its type.
        message_type: String,
        /// Its payload.
        payload: Bytes,
    },
}

/// Which refused token in a row is one too many: the first may have been revoked, the second minted
/// by a clock that is off; after the third somebody must act.
pub(super) const DENIALS_REFUSED: u32 = 3;

/// The end of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Down {
    /// Why there is none.
    pub reason: DisconnectReason,
    /// Whether it is the first of a row of refusals: somebody must act.
    pub is_fatal: bool,
}

/// Judges an end by its reason and by how many tokens were refused in a row: whether the server
/// refuses this client, which only somebody's act can mend, there or here.
pub(super) const fn must_act(reason: DisconnectReason, denials: u32) -> bool {
    match reason {
        DisconnectReason::Refused { .. } => true,
        DisconnectReason::Denied { .. } => denials >= DENIALS_REFUSED,
        DisconnectReason::Lost
        | DisconnectReason::Silent
        | DisconnectReason::Handshake { .. }
        | DisconnectReason::Closed { .. }
        | DisconnectReason::TokenExpired
        | DisconnectReason::ShutDown => false,
    }
}

/// Says why there is no connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The socket was lost or could not be opened.
    Lost,
    /// The peer was silent for too long.
    Silent,
    /// The server did not take the handshake.
    Handshake {
        /// Its code, if it gave one.
        code: Option<u16>,
    },
    /// The server closed the connection.
    Closed {
        /// Its code.
        code: u16,
    },
    /// The token ran out; another is being fetched.
    TokenExpired,
    /// The server refuses the token; others are fetched with growing delays.
    Denied {
        /// 401 or 403.
        code: u16,
        /// Twilio's error code.
        error_code: Option<u32>,
    },
    /// The server refuses this client (406, 417). It tries again after half a minute growing to five
    /// minutes; [`crate::realtime::Client::renew`] tries at once.
    Refused {
        /// The code.
        code: u16,
    },
    /// The owner shut the client down.
    ShutDown,
}

/// Where the session stands, without its data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Not started.
    Idle,
    /// Waits for a token.
    AwaitingToken,
    /// Waits for the time of the next attempt.
    Waiting,
    /// Opens the WebSocket.
    Connecting,
    /// Waits for the answer to `init`.
    Initialising,
    /// Up.
    Connected,
    /// Up, and waits for the answer to `update`.
    Updating,
    /// Refused; waits long for the next attempt, or for a new token.
    Refused,
    /// Done.
    ShutDown,
}

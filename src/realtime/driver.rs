//! The one task of a client: carries out what the core decides.
//!
//! Decides only the order in which it looks at its inputs. All of the client's I/O, time and
//! randomness enter here: the socket, the clock, the token provider, the watermarks, the owner's
//! commands. It starts no task of its own, and ends on the token or when the owner drops the events.
//!
//! Contract with the core: one input or one batch of frames, drain the outputs, wait.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::StreamExt;
use futures::future::{BoxFuture, Fuse};
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::config::{AccessToken, Config, TokenError, TokenProvider, Watermarks};
use super::conversations::commands::{Command, CommandAnswered, CommandId};
use super::conversations::core::{Core, Input, Output};
use super::conversations::resume::Resume;
use super::event::{Event, Outcome, Sent, State};
use super::twilsock::backoff::{Backoff, Random};
use super::twilsock::driver::{Error, IncomingFrame, Options, Socket};
use super::twilsock::frame::FrameSecret;
use super::twilsock::session::{ConnId, Phase, Token};
use crate::clock::{Clock, Moment};
use crate::telemetry::chain::Chain;
use crate::twilio::sid::ConversationSid;

/// Frames taken from the socket before the outputs are drained.
const FRAMES_AT_ONCE: usize = 64;
/// Watermarks loaded at the same time.
const LOADS_MAX: usize = 64;
/// Owner's events waiting, in multiples of the bound for messages, at which the socket rests.
const EVENTS_HARD: usize = 4;

/// What the owner's handle asks for.
#[derive(Debug)]
pub(super) enum OwnerAsk {
    Send(Command, oneshot::Sender<Outcome<Sent>>),
    Do(Command, oneshot::Sender<Outcome<()>>),
    Handled(ConversationSid, u64),
    Renew,
    Resume(oneshot::Sender<Resume>),
    RequestsMade(oneshot::Sender<u64>),
}

#[derive(Debug)]
enum Waiter {
    Sent(oneshot::Sender<Outcome<Sent>>),
    Done(oneshot::Sender<Outcome<()>>),
}

type Connecting = BoxFuture<'static, Result<Box<Socket>, Error>>;
type LoadedMessages = (ConversationSid, u32, Option<u64>);

/// Everything the task owns.
pub(super) struct Driver {
    core: Core,
    clock: Clock,
    socket_options: Options,
    events_max: usize,
    shutdown_grace: Duration,
    socket: Option<(ConnId, Box<Socket>)>,
    connecting: Option<(ConnId, Connecting)>,
    closing: FuturesUnordered<BoxFuture<'static, ()>>,
    tokens: Arc<dyn TokenProvider>,
    token: Fuse<BoxFuture<'static, Result<AccessToken, TokenError>>>,
    watermarks: Arc<dyn Watermarks>,
    to_load: VecDeque<(ConversationSid, u32)>,
    loads: FuturesUnordered<BoxFuture<'static, LoadedMessages>>,
    asks: mpsc::Receiver<OwnerAsk>,
    waiters: HashMap<CommandId, Waiter>,
    next_command: u64,
    events: mpsc::Sender<Event>,
    state: watch::Sender<State>,
    cancel: CancellationToken,
}

/// The ends of the channels that the task holds.
pub(super) struct Ends {
    pub asks: mpsc::Receiver<OwnerAsk>,
    pub events: mpsc::Sender<Event>,
    pub state: watch::Sender<State>,
    pub cancel: CancellationToken,
}

enum ClientHappened {
    Incoming(ConnId, Result<IncomingFrame, Error>),
    Connected(ConnId, Result<Box<Socket>, Error>),
    Token(Result<AccessToken, TokenError>),
    Loaded(LoadedMessages),
    Asked(Option<OwnerAsk>),
    Room,
    Closed,
    Time,
    Stop,
}

impl Driver {
    pub fn new(
        config: Config,
        tokens: Arc<dyn TokenProvider>,
        watermarks: Arc<dyn Watermarks>,
        ends: Ends,
    ) -> Self {
        let options = config.core_options();
        let seed = uuid::Uuid::new_v4().as_u64_pair().0;
        // As the official client does, correlation ids start at the clock's milliseconds.
        let correlation = u64::try_from(config.clock.wall().as_millis()).unwrap_or(1);
        Self {
            socket_options: config.socket_options(),
            events_max: config.events_max,
            shutdown_grace: config.shutdown_grace,
            clock: config.clock,
            core: Core::new(options, config.resume, seed, correlation),
            socket: None,
            connecting: None,
            closing: FuturesUnordered::new(),
            tokens,
            token: Fuse::terminated(),
            watermarks,
            to_load: VecDeque::new(),
            loads: FuturesUnordered::new(),
            asks: ends.asks,
            waiters: HashMap::new(),
            next_command: 0,
            events: ends.events,
            state: ends.state,
            cancel: ends.cancel,
        }
    }

    /// Runs until the client is shut down; gives where it stopped.
    pub async fn run(mut self) -> Resume {
        self.input(Input::Start);
        self.carry_out().await;
        let mut stop_at: Option<Moment> = None;
        loop {
            let happened = self.wait(stop_at).await;
            match happened {
                ClientHappened::Stop => {
                    let over = stop_at.is_some();
                    stop_at.get_or_insert(self.clock.now() + self.shutdown_grace);
                    self.asks.close();
                    if over || self.waiters.is_empty() {
                        break;
                    }
                }
                other => self.take_in(other),
            }
            self.carry_out().await;
            if stop_at.is_some() && self.waiters.is_empty() {
                break;
            }
        }
        let resume = self.core.resume();
        self.input(Input::Shutdown);
        self.carry_out().await;
        while self.closing.next().await.is_some() {}
        self.hand_over();
        resume
    }

    /// Waits for the next thing to happen.
    async fn wait(&mut self, stop_at: Option<Moment>) -> ClientHappened {
        let deadline = self.core.deadline();
        let crowded = self.core.events_waiting() > EVENTS_HARD * self.events_max;
        let has_events = self.core.events_waiting() > 0;
        tokio::select! {
            biased;
            () = self.cancel.cancelled(), if stop_at.is_none() => ClientHappened::Stop,
            () = self.clock.sleep_until_or_never(stop_at), if stop_at.is_some() => ClientHappened::Stop,
            permit = self.events.reserve(), if has_events => match permit {
                Ok(permit) => {
                    if let Some(event) = self.core.next_event() {
                        log(&event);
                        permit.send(event);
                    }
                    ClientHappened::Room
                }
                Err(_) => ClientHappened::Stop,
            },
            () = self.events.closed(), if stop_at.is_none() => ClientHappened::Stop,
            (conn, result) = connected(&mut self.connecting) => ClientHappened::Connected(conn, result),
            result = &mut self.token => ClientHappened::Token(result),
            Some(loaded) = self.loads.next() => ClientHappened::Loaded(loaded),
            Some(()) = self.closing.next() => ClientHappened::Closed,
            ask = self.asks.recv(), if stop_at.is_none() => ClientHappened::Asked(ask),
            (conn, result) = incoming(&mut self.socket), if !crowded => {
                ClientHappened::Incoming(conn, result)
            }
            () = self.clock.sleep_until_or_never(deadline) => ClientHappened::Time,
        }
    }

    fn take_in(&mut self, happened: ClientHappened) {
        match happened {
            ClientHappened::Incoming(conn, result) => self.on_incoming(conn, result),
            ClientHappened::Connected(conn, result) => self.on_connected(conn, result),
            ClientHappened::Token(result) => self.on_token(result),
            ClientHappened::Loaded((conversation, epoch, handled)) => {
                self.input(Input::Watermark { conversation, epoch, handled });
            }
            // All handles are gone; the events alone keep the client going.
            ClientHappened::Asked(None) => {}
            ClientHappened::Asked(Some(ask)) => self.on_ask(ask),
            ClientHappened::Room => {
                self.hand_over();
                self.input(Input::Tick);
            }
            ClientHappened::Time => self.input(Input::Tick),
            ClientHappened::Closed | ClientHappened::Stop => {}
        }
    }

    /// Gives the owner as many events as it has room for.
    fn hand_over(&mut self) {
        while self.core.events_waiting() > 0 {
            let Ok(permit) = self.events.try_reserve() else { break };
            let Some(event) = self.core.next_event() else { break };
            log(&event);
            permit.send(event);
        }
    }

    fn on_incoming(&mut self, conn: ConnId, first: Result<IncomingFrame, Error>) {
        let mut result = first;
        for _ in 0..FRAMES_AT_ONCE {
            match result {
                Ok(IncomingFrame::Frame(frame)) => self.input(Input::Frame(conn, frame)),
                Ok(IncomingFrame::Alive) => self.input(Input::Heard(conn)),
                Err(error) => return self.lost(conn, &error),
            }
            // What the frame led to must reach the peer before its next word is read only if the
            // core gave the connection up; everything else may wait for the batch.
            let Some((_, socket)) = &mut self.socket else { return };
            match socket.receive().now_or_never() {
                Some(next) => result = next,
                None => return,
            }
        }
        // The batch is full: what was taken last is still to be told.
        match result {
            Ok(IncomingFrame::Frame(frame)) => self.input(Input::Frame(conn, frame)),
            Ok(IncomingFrame::Alive) => self.input(Input::Heard(conn)),
            Err(error) => self.lost(conn, &error),
        }
    }

    fn on_connected(&mut self, conn: ConnId, result: Result<Box<Socket>, Error>) {
        match result {
            Ok(socket) => {
                self.socket = Some((conn, socket));
                self.input(Input::Opened(conn));
            }
            Err(error) => {
                tracing::warn!(conn_id = conn.0, error = %Chain(&error), "socket could not be opened");
                self.input(Input::Lost(conn));
            }
        }
    }

    fn lost(&mut self, conn: ConnId, error: &Error) {
        tracing::info!(conn_id = conn.0, error = %Chain(error), "socket lost");
        self.socket = None;
        self.input(Input::Lost(conn));
    }

    fn on_token(&mut self, result: Result<AccessToken, TokenError>) {
        use secrecy::ExposeSecret as _;
        match result {
            Ok(token) => {
                let valid_for = token.expires.since(self.clock.wall());
                let jwt = FrameSecret::from(token.jwt.expose_secret());
                self.input(Input::Token(Token { jwt, valid_for }));
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&*error.0), "access token could not be had");
                self.input(Input::TokenFailed);
            }
        }
    }

    fn on_ask(&mut self, ask: OwnerAsk) {
        match ask {
            OwnerAsk::Send(command, to) => self.command(command, Waiter::Sent(to)),
            OwnerAsk::Do(command, to) => self.command(command, Waiter::Done(to)),
            OwnerAsk::Handled(conversation, index) => {
                self.input(Input::Handled(conversation, index));
            }
            OwnerAsk::Renew => self.input(Input::Renew),
            // The asker may be gone; then nobody minds.
            OwnerAsk::Resume(to) => drop(to.send(self.core.resume())),
            OwnerAsk::RequestsMade(to) => drop(to.send(self.core.requests_made())),
        }
    }

    fn command(&mut self, command: Command, waiter: Waiter) {
        self.next_command += 1;
        let id = CommandId(self.next_command);
        self.waiters.insert(id, waiter);
        self.input(Input::Command(id, command));
    }

    fn input(&mut self, input: Input) {
        self.core.handle(self.clock.now(), input);
    }

    /// Drains the core's outputs until there are none.
    async fn carry_out(&mut self) {
        let mut wrote = false;
        loop {
            while let Some(output) = self.core.poll() {
                if let Err((conn, error)) = self.output(output, &mut wrote).await {
                    self.lost(conn, &error);
                }
            }
            if !std::mem::take(&mut wrote) {
                break;
            }
            if let Some((conn, socket)) = &mut self.socket
                && let Err(error) = socket.flush().await
            {
                let conn = *conn;
                self.lost(conn, &error);
            }
        }
        self.start_loads();
        self.hand_over();
        self.show_state();
    }

    async fn output(&mut self, output: Output, wrote: &mut bool) -> Result<(), (ConnId, Error)> {
        match output {
            Output::Connect(conn) => {
                let options = self.socket_options.clone();
                let connect = async move { Socket::connect(&options).await.map(Box::new) };
                self.connecting = Some((conn, connect.boxed()));
            }
            Output::Write(conn, bytes) => {
                if let Some((_, socket)) = self.socket.as_mut().filter(|(open, _)| *open == conn) {
                    socket.write(bytes).await.map_err(|error| (conn, error))?;
                    *wrote = true;
                }
            }
            Output::Probe(conn) => {
                if let Some((_, socket)) = self.socket.as_mut().filter(|(open, _)| *open == conn) {
                    socket.ping().await.map_err(|error| (conn, error))?;
                    *wrote = true;
                }
            }
            Output::Disconnect(conn) => {
                self.connecting.take_if(|(open, _)| *open == conn);
                if let Some((_, socket)) = self.socket.take_if(|(open, _)| *open == conn) {
                    self.closing.push(socket.close().boxed());
                }
            }
            Output::WantToken => {
                let tokens = Arc::clone(&self.tokens);
                self.token = async move { tokens.token().await }.boxed().fuse();
            }
            Output::LoadWatermark { conversation, epoch } => {
                self.to_load.push_back((conversation, epoch));
            }
            Output::Answered(id, answered) => self.answer(id, answered),
        }
        Ok(())
    }

    fn answer(&mut self, id: CommandId, answered: CommandAnswered) {
        // The asker may be gone; then nobody minds.
        match (self.waiters.remove(&id), answered) {
            (Some(Waiter::Sent(to)), CommandAnswered::Sent(outcome)) => drop(to.send(outcome)),
            (Some(Waiter::Done(to)), CommandAnswered::Done(outcome)) => drop(to.send(outcome)),
            (Some(Waiter::Sent(_)), CommandAnswered::Done(_))
            | (Some(Waiter::Done(_)), CommandAnswered::Sent(_))
            | (None, _) => {}
        }
    }

    fn start_loads(&mut self) {
        while self.loads.len() < LOADS_MAX {
            let Some((conversation, epoch)) = self.to_load.pop_front() else { break };
            let (watermarks, clock) = (Arc::clone(&self.watermarks), self.clock);
            self.loads.push(load(watermarks, clock, conversation, epoch).boxed());
        }
    }

    fn show_state(&self) {
        let state = match self.core.phase() {
            Phase::Refused => State::Refused,
            Phase::AwaitingToken | Phase::Connecting | Phase::Initialising | Phase::Waiting
                if self.core.is_refused() =>
            {
                State::Refused
            }
            Phase::Idle | Phase::AwaitingToken | Phase::Connecting | Phase::Initialising => {
                State::Connecting
            }
            Phase::Waiting => State::Waiting,
            Phase::Connected | Phase::Updating if self.core.is_live() => State::Live,
            Phase::Connected | Phase::Updating => State::Connected,
            Phase::ShutDown => State::ShutDown,
        };
        self.state.send_if_modified(|shown| std::mem::replace(shown, state) != state);
    }
}

/// Logs what concerns the connection; what concerns conversations is the owner's to log.
fn log(event: &Event) {
    match event {
        Event::Connected { again: false } => tracing::info!("realtime connected"),
        Event::Connected { again: true } => tracing::info!("realtime connected again"),
        Event::Live { seats } => tracing::info!("realtime live with {seats} seats"),
        Event::Disconnected { reason } => tracing::info!(?reason, "realtime disconnected"),
        Event::Fatal { reason } => tracing::error!(?reason, "realtime refused by the server"),
        Event::Joined { .. }
        | Event::Left { .. }
        | Event::MessageAdded(_)
        | Event::MessageUpdated(_)
        | Event::MessageRemoved { .. }
        | Event::CaughtUp { .. }
        | Event::ConversationUpdated { .. }
        | Event::ParticipantJoined(_)
        | Event::ParticipantUpdated(_)
        | Event::ParticipantLeft { .. }
        | Event::Typing { .. } => {}
    }
}

/// Loads a watermark, however often it takes: nothing is delivered on a guess.
async fn load(
    watermarks: Arc<dyn Watermarks>,
    clock: Clock,
    conversation: ConversationSid,
    epoch: u32,
) -> LoadedMessages {
    let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(60));
    let mut random = Random::new(u64::from(epoch));
    loop {
        match watermarks.load(conversation).await {
            Ok(handled) => return (conversation, epoch, handled),
            Err(error) => {
                tracing::warn!(
                    conversation_sid = %conversation,
                    error = %Chain(&*error.0),
                    "watermark could not be read"
                );
                clock.sleep(backoff.next_delay(&mut random)).await;
            }
        }
    }
}

async fn connected(
    connecting: &mut Option<(ConnId, Connecting)>,
) -> (ConnId, Result<Box<Socket>, Error>) {
    match connecting {
        Some((conn, connect)) => {
            let result = (*conn, connect.await);
            *connecting = None;
            result
        }
        None => std::future::pending().await,
    }
}

async fn incoming(
    socket: &mut Option<(ConnId, Box<Socket>)>,
) -> (ConnId, Result<IncomingFrame, Error>) {
    match socket {
        Some((conn, socket)) => (*conn, socket.receive().await),
        None => std::future::pending().await,
    }
}

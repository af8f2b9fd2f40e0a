//! Drives one connection: reads and writes frames, keeps the pings going, obeys orders, and runs the
//! proxied requests side by side.
//!
//! Ends when the client goes, a fault cuts it, or the emulator stops; then every request under way is
//! dropped and the hub forgets the connection.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;

use super::call::SocketCaller;
use super::client_api;
use super::session::{Output, Session, TokenAuthority};
use crate::clock::Moment;
use crate::emulator::defects::{self, Defect};
use crate::emulator::faults::{Action, Occasion};
use crate::emulator::hub::Hub;
use crate::emulator::record::Happening;
use crate::emulator::sockets::{DriverOrder, ORDERS_MAX, close_name};
use crate::pii::Pii;
use crate::realtime::twilsock::frame::{self, Frame, Header, Limits, Method};
use crate::telemetry::chain::Chain;
use crate::twilio::sid::ChatServiceSid;

/// Proxied requests of one connection under way at once; further frames wait in the socket.
/// Source: 500 requests a second and connection, REST notes 4; the number in flight is assumed.
const REQUESTS_MAX: usize = 500;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// What a task of a connection ends with: a frame to send, perhaps.
type Done = Option<(Box<Header>, Bytes)>;

struct DriverConnection {
    hub: Arc<Hub>,
    conn_id: u64,
    socket: Socket,
    session: Session,
    tasks: JoinSet<Done>,
    cut: CancellationToken,
    who: Option<SocketCaller>,
    next_ping: Option<Moment>,
    /// Frames that wait for the end of a freeze.
    frozen: Option<VecDeque<(Box<Header>, Bytes)>>,
}

/// Why a connection ended.
enum ConnectionEnd {
    /// Say goodbye to the WebSocket.
    Close(&'static str),
    /// Just let go.
    Cut(&'static str),
}

/// Drives a connection to its end.
pub(super) async fn run(hub: Arc<Hub>, upgraded: Upgraded) {
    let limits = Limits::default();
    let config = WebSocketConfig::default()
        .max_message_size(Some(limits.frame_bytes_max()))
        .max_frame_size(Some(limits.frame_bytes_max()))
        .read_buffer_size(16 * 1024);
    let socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let now = hub.clock().now();
    let Attached { conn_id, session, orders, cut } = attach(&hub, now);
    let mut connection = DriverConnection {
        session,
        next_ping: hub.options.ping_interval.map(|interval| now + interval),
        hub: Arc::clone(&hub),
        conn_id,
        socket,
        tasks: JoinSet::new(),
        cut,
        who: None,
        frozen: None,
    };
    let reason = match connection.drive(orders).await {
        ConnectionEnd::Cut(reason) => reason,
        ConnectionEnd::Close(reason) => {
            // The client may be gone already; then there is nobody to say goodbye to.
            let goodbye = connection.socket.close(None);
            let _ = tokio::time::timeout(GOODBYE, goodbye).await;
            reason
        }
    };
    connection.tasks.shutdown().await;
    detach(&hub, conn_id, reason);
}

/// A connection that the hub knows of.
pub(super) struct Attached {
    pub(super) conn_id: u64,
    pub(super) session: Session,
    pub(super) orders: mpsc::Receiver<DriverOrder>,
    pub(super) cut: CancellationToken,
}

/// Makes a new connection known to the hub.
pub(super) fn attach(hub: &Hub, now: Moment) -> Attached {
    let (orders_tx, orders) = mpsc::channel(ORDERS_MAX);
    let cut = CancellationToken::new();
    let (conn_id, ids) = hub.with(|core, _| {
        let ids = crate::emulator::state::ids::Ids::seeded(core.world.ids_mut().below(u64::MAX));
        (core.sockets.open(orders_tx, cut.clone()), ids)
    });
    hub.record(Happening::SocketOpened { conn_id });
    let authority = TokenAuthority {
        account: hub.credentials.account_sid,
        key: hub.credentials.api_key,
        secret: hub.credentials.api_secret.clone(),
        warning: hub.options.token_warning,
        defect: hub.options.defect,
    };
    Attached { conn_id, session: Session::new(authority, ids, now), orders, cut }
}

/// Lets the hub forget a connection.
pub(super) fn detach(hub: &Hub, conn_id: u64, reason: &'static str) {
    hub.with(|core, at| {
        if let Some((service, identity)) = core.sockets.close(conn_id)
            && !hub.has(Defect::AlwaysOnline)
        {
            core.world.set_online(at, service, identity.reveal(), false);
        }
    });
    hub.record(Happening::SocketClosed { conn_id, reason });
}

/// Notes who is at the other end.
pub(super) fn identified(
    hub: &Hub,
    conn_id: u64,
    known: (ChatServiceSid, Pii),
    message_types: HashSet<String>,
) -> SocketCaller {
    let (service, identity) = known.clone();
    let user = hub.with(|core, at| {
        core.sockets.identify(conn_id, known, message_types);
        core.world.set_online(at, service, identity.reveal(), true)
    });
    hub.record(Happening::SocketInitialised { conn_id, identity: identity.clone() });
    SocketCaller { conn_id, service, identity, user }
}

/// The reply of a fault to an init.
pub(super) fn refused_init(header: &Header, status: u16, code: Option<u32>) -> Header {
    let mut refused = frame::Status::new(status, "REFUSED");
    refused.error_code = code;
    Header { status: Some(refused), ..Header::new(Method::Reply, header.id.clone()) }
}

/// A frame as it goes over the wire.
pub(super) fn encoded(hub: &Hub, header: &Header, payload: &Bytes) -> Bytes {
    let mut bytes = frame::encode(header, payload);
    // The real server puts an uncounted CRLF after a payload.
    // Source: Twilsock protocol notes 1, read 2026-11-21.
    if !payload.is_empty() && hub.has_trailing_crlf() {
        let mut longer = Vec::with_capacity(bytes.len() + 2);
        longer.extend_from_slice(&bytes);
        longer.extend_from_slice(b"\r\n");
        bytes = Bytes::from(longer);
    }
    match defects::spoil_frame(hub.options.defect, &bytes, payload) {
        Some(spoilt) => Bytes::from(spoilt),
        None => bytes,
    }
}

/// How long the closing handshake may take.
const GOODBYE: Duration = Duration::from_millis(500);

impl DriverConnection {
    async fn drive(&mut self, mut orders: mpsc::Receiver<DriverOrder>) -> ConnectionEnd {
        let (cut, stop, clock) = (self.cut.clone(), self.hub.stop.clone(), self.hub.clock());
        loop {
            if let Err(end) = self.flush().await {
                return end;
            }
            let deadline = [self.session.deadline(), self.next_ping].into_iter().flatten().min();
            let may_read = self.frozen.is_none() && self.tasks.len() < REQUESTS_MAX;
            tokio::select! {
                biased;
                () = cut.cancelled() => return ConnectionEnd::Cut("cut"),
                () = stop.cancelled() => return ConnectionEnd::Close("the emulator stops"),
                Some(order) = orders.recv() => {
                    if let Err(end) = self.obey(order).await {
                        return end;
                    }
                }
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Ok(Some((header, payload))) = done
                        && let Err(end) = self.write(header, payload).await
                    {
                        return end;
                    }
                }
                message = self.socket.next(), if may_read => match message {
                    Some(Ok(message)) => self.read(message),
                    Some(Err(_)) => return ConnectionEnd::Cut("the connection broke"),
                    None => return ConnectionEnd::Cut("the client went"),
                },
                () = clock.sleep_until_or_never(deadline) => self.tick(),
            }
        }
    }

    fn tick(&mut self) {
        let now = self.hub.clock().now();
        if self.next_ping.is_some_and(|due| now >= due) {
            self.session.ping();
            self.next_ping = self.hub.options.ping_interval.map(|interval| now + interval);
        }
        self.session.tick(now);
    }

    fn read(&mut self, message: Message) {
        // Only binary messages are frames; what does not parse is dropped without an answer.
        // Source: Twilsock protocol notes 1, read 2026-11-21.
        let Message::Binary(bytes) = message else { return };
        match frame::decode(&bytes, &Limits::default()) {
            Ok(frame) => self.take(frame),
            Err(error) => {
                tracing::debug!(conn_id = self.conn_id, error = %Chain(&error), "a frame was dropped");
            }
        }
    }

    fn take(&mut self, frame: Frame) {
        if frame.header.method == Method::Init {
            match self.hub.fault(Occasion::SocketInit) {
                Some(Action::Answer { status, code, .. }) => {
                    return self.refuse_init(&frame.header, status, code);
                }
                Some(Action::Close { code }) => {
                    let status = frame::Status::new(code, close_name(code));
                    return self.session.close(self.hub.clock().now(), status, Bytes::new());
                }
                Some(Action::BreakBefore) => return self.cut.cancel(),
                Some(Action::Silence) => return,
                Some(Action::Delay { ms }) => self.freeze_for(ms),
                Some(_) | None => {}
            }
        }
        let clock = self.hub.clock();
        self.session.frame(clock.now(), clock.wall(), frame);
    }

    fn refuse_init(&mut self, header: &Header, status: u16, code: Option<u32>) {
        let reply = refused_init(header, status, code);
        self.tasks.spawn(async move { Some((Box::new(reply), Bytes::new())) });
    }

    /// Holds everything back for a while; a task ends the freeze.
    fn freeze_for(&mut self, ms: u64) {
        self.frozen.get_or_insert_default();
        let (hub, conn_id) = (Arc::clone(&self.hub), self.conn_id);
        self.tasks.spawn(async move {
            hub.sleep(Duration::from_millis(ms)).await;
            hub.with(|core, _| core.sockets.thaw(conn_id));
            None
        });
    }

    async fn obey(&mut self, order: DriverOrder) -> Result<(), ConnectionEnd> {
        match order {
            DriverOrder::Send(header, payload) => self.write(header, payload).await,
            DriverOrder::SendLater(delay, header, payload) => {
                let hub = Arc::clone(&self.hub);
                self.tasks.spawn(async move {
                    hub.sleep(delay).await;
                    Some((header, payload))
                });
                Ok(())
            }
            DriverOrder::Close(status, payload) => {
                self.session.close(self.hub.clock().now(), status, payload);
                Ok(())
            }
            DriverOrder::Freeze => {
                self.frozen.get_or_insert_default();
                Ok(())
            }
            DriverOrder::Thaw => {
                for (header, payload) in self.frozen.take().into_iter().flatten() {
                    self.write(header, payload).await?;
                }
                Ok(())
            }
            DriverOrder::WarnToken => {
                self.session.warn();
                Ok(())
            }
        }
    }

    /// Does what the session wants done.
    async fn flush(&mut self) -> Result<(), ConnectionEnd> {
        while let Some(output) = self.session.poll() {
            match output {
                Output::Send(header, payload) => self.write(header, payload).await?,
                Output::Identify { service, identity, message_types } => {
                    let known = (service, identity);
                    self.who = Some(identified(&self.hub, self.conn_id, known, message_types));
                }
                Output::Refused { status, code } => {
                    let conn_id = self.conn_id;
                    self.hub.record(Happening::SocketRefused { conn_id, status, code });
                }
                Output::Request { id, request, payload } => {
                    if let Some(who) = self.who.clone() {
                        let (hub, cut) = (Arc::clone(&self.hub), self.cut.clone());
                        self.tasks.spawn(async move {
                            let request = (id, *request, payload);
                            if client_api::serve(&hub, &who, request).await.is_err() {
                                cut.cancel();
                            }
                            None
                        });
                    }
                }
                Output::HangUp(reason) => return Err(ConnectionEnd::Close(reason)),
            }
        }
        Ok(())
    }

    async fn write(&mut self, header: Box<Header>, payload: Bytes) -> Result<(), ConnectionEnd> {
        if let Some(waiting) = &mut self.frozen {
            if waiting.len() >= ORDERS_MAX {
                return Err(ConnectionEnd::Cut("too much waits for a frozen socket"));
            }
            waiting.push_back((header, payload));
            return Ok(());
        }
        let bytes = encoded(&self.hub, &header, &payload);
        let (cut, stop) = (self.cut.clone(), self.hub.stop.clone());
        tokio::select! {
            biased;
            sent = self.socket.send(Message::Binary(bytes)) => {
                sent.map_err(|_| ConnectionEnd::Cut("the connection broke"))
            }
            () = cut.cancelled() => Err(ConnectionEnd::Cut("cut")),
            () = stop.cancelled() => Err(ConnectionEnd::Cut("the emulator stops")),
        }
    }
}

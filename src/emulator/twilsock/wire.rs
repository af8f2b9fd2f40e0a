//! A connection without a socket: bytes and the time go in, bytes come out, nothing waits.
//!
//! Decides nothing that the driver decides otherwise: session, hub, faults and orders are the same.
//! For tests in virtual time; public but hidden, because they live outside this crate and the
//! emulator must not use the client. What would take time here is left out: a request that a fault
//! delays or a pre-action webhook holds up is not answered, and a freeze holds back only what is sent.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::call::SocketCaller;
use super::client_api;
use super::driver::{self, Attached};
use super::session::{Output, Session};
use crate::clock::{Moment, Timestamp};
use crate::emulator::faults::{Action, Occasion};
use crate::emulator::hub::Hub;
use crate::emulator::record::Happening;
use crate::emulator::sockets::{DriverOrder, ORDERS_MAX, close_name};
use crate::realtime::twilsock::frame::{self, Header, Limits, Method};

/// One connection, as the server sees it. Dropping it is the end of the connection.
pub struct ServerWire {
    hub: Arc<Hub>,
    conn_id: u64,
    session: Session,
    orders: mpsc::Receiver<DriverOrder>,
    cut: CancellationToken,
    who: Option<SocketCaller>,
    next_ping: Option<Moment>,
    sent: VecDeque<Bytes>,
    /// Frames that faults delay, in the order in which they are due.
    later: BTreeMap<(Moment, u64), Bytes>,
    delayed: u64,
    is_frozen: bool,
    is_over: bool,
}

impl fmt::Debug for ServerWire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("conn_id", &self.conn_id).finish_non_exhaustive()
    }
}

impl ServerWire {
    pub(in crate::emulator) fn open(hub: Arc<Hub>, now: Moment) -> Self {
        let Attached { conn_id, session, orders, cut } = driver::attach(&hub, now);
        Self {
            next_ping: hub.options.ping_interval.map(|interval| now + interval),
            hub,
            conn_id,
            session,
            orders,
            cut,
            who: None,
            sent: VecDeque::new(),
            later: BTreeMap::new(),
            delayed: 0,
            is_frozen: false,
            is_over: false,
        }
    }

    /// Takes a message from the client. `wall` is what tokens are held against.
    pub fn take(&mut self, now: Moment, wall: Timestamp, bytes: &Bytes) {
        let Ok(frame) = frame::decode(bytes, &Limits::default()) else { return };
        if frame.header.method == Method::Init {
            match self.hub.fault(Occasion::SocketInit) {
                Some(Action::Answer { status, code, .. }) => {
                    let reply = driver::refused_init(&frame.header, status, code);
                    return self.send(&reply, &Bytes::new());
                }
                Some(Action::Close { code }) => {
                    let status = frame::Status::new(code, close_name(code));
                    self.session.close(now, status, Bytes::new());
                    return self.settle(now);
                }
                Some(Action::BreakBefore) => return self.cut.cancel(),
                Some(Action::Silence) => return,
                Some(_) | None => {}
            }
        }
        self.session.frame(now, wall, frame);
        self.settle(now);
    }

    /// When [`ServerWire::tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        let later = self.later.keys().next().map(|(at, _)| *at);
        [self.session.deadline(), self.next_ping, later].into_iter().flatten().min()
    }

    /// Lets the time do its work.
    pub fn tick(&mut self, now: Moment) {
        if self.next_ping.is_some_and(|due| now >= due) {
            self.session.ping();
            self.next_ping = self.hub.options.ping_interval.map(|interval| now + interval);
        }
        self.session.tick(now);
        self.settle(now);
    }

    /// Gives the next message to the client, also of what happened elsewhere in the emulator.
    pub fn poll(&mut self, now: Moment) -> Option<Bytes> {
        self.settle(now);
        if self.is_frozen { None } else { self.sent.pop_front() }
    }

    /// Whether the server has let go, which counts once [`ServerWire::poll`] gives nothing more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over || self.cut.is_cancelled()
    }

    /// Carries out what session and orders want, until they want nothing.
    fn settle(&mut self, now: Moment) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            self.sent.push_back(entry.remove());
        }
        loop {
            if let Some(output) = self.session.poll() {
                self.output(output);
            } else if let Ok(order) = self.orders.try_recv() {
                self.obey(now, order);
            } else {
                return;
            }
        }
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Send(header, payload) => self.send(&header, &payload),
            Output::Identify { service, identity, message_types } => {
                let known = (service, identity);
                self.who = Some(driver::identified(&self.hub, self.conn_id, known, message_types));
            }
            Output::Refused { status, code } => {
                self.hub.record(Happening::SocketRefused { conn_id: self.conn_id, status, code });
            }
            Output::Request { id, request, payload } => {
                let Some(who) = &self.who else { return };
                let request = (id, *request, payload);
                let served = client_api::serve(&self.hub, who, request).now_or_never();
                if served.is_some_and(|served| served.is_err()) {
                    self.cut.cancel();
                }
            }
            Output::HangUp(_) => self.is_over = true,
        }
    }

    fn obey(&mut self, now: Moment, order: DriverOrder) {
        match order {
            DriverOrder::Send(header, payload) => self.send(&header, &payload),
            DriverOrder::SendLater(delay, header, payload) => {
                self.delayed += 1;
                let bytes = driver::encoded(&self.hub, &header, &payload);
                self.later.insert((now + delay, self.delayed), bytes);
            }
            DriverOrder::Close(status, payload) => self.session.close(now, status, payload),
            DriverOrder::Freeze => self.is_frozen = true,
            DriverOrder::Thaw => self.is_frozen = false,
            DriverOrder::WarnToken => self.session.warn(),
        }
    }

    fn send(&mut self, header: &Header, payload: &Bytes) {
        if self.sent.len() >= ORDERS_MAX {
            return self.cut.cancel();
        }
        self.sent.push_back(driver::encoded(&self.hub, header, payload));
    }
}

impl Drop for ServerWire {
    fn drop(&mut self) {
        driver::detach(&self.hub, self.conn_id, "the connection was dropped");
    }
}

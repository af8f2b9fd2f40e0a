//! The open sockets as the rest of the emulator sees them: who is connected, what each subscribed
//! to, and the orders for its driver.
//!
//! Orders are bounded; a socket that cannot take one more is cut, as a client that slow would be.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::faults::{Action, SWAPPED_FOR_MAX};
use super::state::ids::Ids;
use super::state::sync::{Emitted, Kind};
use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::realtime::twilsock::frame::{Header, Method, Status};
use crate::twilio::sid::{ChatServiceSid, ConversationSid, ParticipantSid};

/// Orders that may wait for one socket.
pub(super) const ORDERS_MAX: usize = 20_000;

/// What a socket's driver is to do.
#[derive(Clone, Debug)]
pub(super) enum DriverOrder {
    /// Send this frame.
    Send(Box<Header>, Bytes),
    /// Send this frame later.
    SendLater(Duration, Box<Header>, Bytes),
    /// Send a close frame and let the client go.
    Close(Status, Bytes),
    /// Neither read nor write any more, but stay open.
    Freeze,
    /// Go on after a freeze.
    Thaw,
    /// Warn that the token runs out.
    WarnToken,
}

/// One open socket.
#[derive(Debug)]
pub(super) struct Socket {
    orders: mpsc::Sender<DriverOrder>,
    cut: CancellationToken,
    identity: Option<(ChatServiceSid, Pii)>,
    message_types: HashSet<String>,
    subscriptions: HashSet<String>,
    /// A frame held back until the next one has gone, a fault, and when it goes at the latest.
    swapped: Option<(Timestamp, Box<Header>, Bytes)>,
}

/// All open sockets.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    open: BTreeMap<u64, Socket>,
    /// When the first of the frames that are held back goes at the latest, or earlier.
    release_due: Option<Timestamp>,
    last: u64,
}

impl Sockets {
    /// Takes a new socket in; gives its number.
    pub(super) fn open(
        &mut self,
        orders: mpsc::Sender<DriverOrder>,
        cut: CancellationToken,
    ) -> u64 {
        self.last = self.last.saturating_add(1);
        let socket = Socket {
            orders,
            cut,
            identity: None,
            message_types: HashSet::new(),
            subscriptions: HashSet::new(),
            swapped: None,
        };
        self.open.insert(self.last, socket);
        self.last
    }

    /// Notes who is there and which notifications are wanted.
    pub(super) fn identify(
        &mut self,
        conn_id: u64,
        (service, identity): (ChatServiceSid, Pii),
        message_types: HashSet<String>,
    ) {
        if let Some(socket) = self.open.get_mut(&conn_id) {
            socket.identity = Some((service, identity));
            socket.message_types = message_types;
        }
    }

    /// Notes a subscription.
    pub(super) fn subscribe(&mut self, conn_id: u64, object: &str) {
        if let Some(socket) = self.open.get_mut(&conn_id) {
            socket.subscriptions.insert(object.to_owned());
        }
    }

    /// Forgets a subscription.
    pub(super) fn unsubscribe(&mut self, conn_id: u64, object: &str) {
        if let Some(socket) = self.open.get_mut(&conn_id) {
            socket.subscriptions.remove(object);
        }
    }

    /// Takes a socket out; tells its identity if nobody else is connected under it now.
    pub(super) fn close(&mut self, conn_id: u64) -> Option<(ChatServiceSid, Pii)> {
        let identity = self.open.remove(&conn_id)?.identity?;
        let is_last = !self.open.values().any(|other| other.identity.as_ref() == Some(&identity));
        is_last.then_some(identity)
    }

    /// Cuts connections: all, or those of one identity. Gives how many.
    pub(super) fn cut(&self, identity: Option<&str>) -> usize {
        self.chosen(identity).inspect(|socket| socket.cut.cancel()).count()
    }

    /// Gives an order to all sockets, or to those of one identity. Gives how many.
    pub(super) fn order(&self, identity: Option<&str>, order: &DriverOrder) -> usize {
        self.chosen(identity).inspect(|socket| socket.give(order.clone())).count()
    }

    /// Ends the freeze of one socket.
    pub(super) fn thaw(&self, conn_id: u64) {
        if let Some(socket) = self.open.get(&conn_id) {
            socket.give(DriverOrder::Thaw);
        }
    }

    /// Who is connected: number, identity, subscriptions.
    pub(super) fn list(&self) -> impl Iterator<Item = (u64, Option<&Pii>, usize)> {
        self.open.iter().map(|(conn_id, socket)| {
            let identity = socket.identity.as_ref().map(|(_, identity)| identity);
            (*conn_id, identity, socket.subscriptions.len())
        })
    }

    /// Sends a frame to one socket.
    pub(super) fn send(&self, conn_id: u64, header: Box<Header>, payload: Bytes) {
        if let Some(socket) = self.open.get(&conn_id) {
            socket.give(DriverOrder::Send(header, payload));
        }
    }

    /// Whether anybody is to be told of a Sync event.
    pub(super) fn is_wanted(&self, emitted: &Emitted) -> bool {
        self.open.values().any(|socket| socket.subscriptions.contains(&emitted.object))
    }

    /// Tells the subscribers of a Sync event, each in its own frame.
    pub(super) fn publish(
        &mut self,
        at: Timestamp,
        emitted: &Emitted,
        fault: Option<Action>,
        ids: &mut Ids,
    ) {
        let due = at + SWAPPED_FOR_MAX;
        if fault == Some(Action::Swap) {
            self.release_due.get_or_insert(due);
        }
        let message_type = live_type(emitted.kind);
        let payload = Bytes::from(
            json!({
                "event_type": emitted.event_type,
                "event_protocol_version": 4,
                "event": emitted.event,
            })
            .to_string(),
        );
        for socket in self.open.values_mut() {
            if socket.subscriptions.contains(&emitted.object)
                && socket.message_types.contains(message_type)
            {
                let header = notification(ids, message_type);
                socket.publish(header, payload.clone(), fault.as_ref(), due);
            }
        }
    }

    /// When [`Sockets::release`] has something to look at.
    pub(super) const fn deadline(&self) -> Option<Timestamp> {
        self.release_due
    }

    /// Sends what waits for a next one that does not come.
    pub(super) fn release(&mut self, at: Timestamp) {
        if self.release_due.is_none_or(|due| due > at) {
            return;
        }
        for socket in self.open.values_mut() {
            if let Some((_, header, payload)) = socket.swapped.take_if(|(due, ..)| *due <= at) {
                socket.give(DriverOrder::Send(header, payload));
            }
        }
        let held = self.open.values().filter_map(|socket| socket.swapped.as_ref());
        self.release_due = held.map(|(due, ..)| *due).min();
    }

    /// Tells the listening identities that somebody types.
    pub(super) fn publish_typing(
        &self,
        (conversation, participant, identity): (ConversationSid, ParticipantSid, &str),
        listeners: &[String],
        ids: &mut Ids,
    ) {
        let payload = Bytes::from(
            json!({
                "channel_sid": conversation,
                "identity": identity,
                "participant_sid": participant,
                // One second more than the typist was told.
                // Source: notification protocol notes, "Typing", read 2026-11-21.
                "typing_timeout": TYPING_TIMEOUT_S + 1,
            })
            .to_string(),
        );
        for socket in self.open.values() {
            let listens = socket.identity.as_ref().is_some_and(|(_, identity)| {
                listeners.iter().any(|listener| listener == identity.reveal())
            });
            if listens && socket.message_types.contains(TYPING) {
                socket.give(DriverOrder::Send(notification(ids, TYPING), payload.clone()));
            }
        }
    }

    fn chosen<'a>(&'a self, identity: Option<&'a str>) -> impl Iterator<Item = &'a Socket> {
        self.open.values().filter(move |socket| {
            identity.is_none_or(|wanted| {
                socket.identity.as_ref().is_some_and(|(_, identity)| identity.reveal() == wanted)
            })
        })
    }
}

impl Socket {
    fn give(&self, order: DriverOrder) {
        if self.orders.try_send(order).is_err() {
            self.cut.cancel();
        }
    }

    fn publish(
        &mut self,
        header: Box<Header>,
        payload: Bytes,
        fault: Option<&Action>,
        due: Timestamp,
    ) {
        let held = self.swapped.take();
        match fault {
            Some(Action::Lose) => {}
            Some(Action::Swap) => self.swapped = Some((due, header, payload)),
            Some(Action::Duplicate) => {
                self.give(DriverOrder::Send(header.clone(), payload.clone()));
                self.give(DriverOrder::Send(header, payload));
            }
            Some(Action::Delay { ms }) => {
                self.give(DriverOrder::SendLater(Duration::from_millis(*ms), header, payload));
            }
            Some(_) | None => self.give(DriverOrder::Send(header, payload)),
        }
        if let Some((_, header, payload)) = held {
            self.give(DriverOrder::Send(header, payload));
        }
    }
}

/// Seconds for which typing counts, as the sender is told.
/// Source: Conversations protocol notes, 4, "Typing", read 2026-11-21.
pub(super) const TYPING_TIMEOUT_S: u64 = 5;

const TYPING: &str = "twilio.ipmsg.typing_indicator";

/// The message type of replayed events and subscription results.
pub(super) const SYNC_EVENT: &str = "twilio.sync.event";

/// The message type of live events.
pub(super) const fn live_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Document => "com.twilio.rtd.cds.document",
        Kind::List => "com.twilio.rtd.cds.list",
        Kind::Map => "com.twilio.rtd.cds.map",
    }
}

/// The header of a notification.
pub(super) fn notification(ids: &mut Ids, message_type: &str) -> Box<Header> {
    Box::new(Header {
        payload_type: Some("application/json".to_owned()),
        message_type: Some(message_type.to_owned()),
        notification_ctx_id: Some(String::new()),
        ..Header::new(Method::Notification, ids.raw("TM"))
    })
}

/// What a close frame with this code says.
/// Source: Twilsock protocol notes 2.8, read 2026-11-21; some names are assumed.
pub(super) const fn close_name(code: u16) -> &'static str {
    match code {
        308 => "OFFLOAD",
        401 => "UNAUTHORIZED",
        406 => "NOT_ACCEPTABLE",
        410 => "TOKEN_EXPIRED",
        417 => "EXPECTATION_FAILED",
        _ => "CLOSED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::state::sync::EventType;

    #[test]
    fn what_is_swapped_goes_after_the_next_one_or_alone_after_a_while() {
        let (mut sockets, mut ids) = (Sockets::default(), Ids::seeded(1));
        let (orders, mut got) = mpsc::channel(ORDERS_MAX);
        let conn_id = sockets.open(orders, CancellationToken::new());
        let who = (ChatServiceSid::from_bytes([1; 16]), Pii::new("bot"));
        sockets.identify(conn_id, who, HashSet::from([live_type(Kind::List).to_owned()]));
        sockets.subscribe(conn_id, "ES1");
        let start = Timestamp::from_millis(1_000);
        let mut tell = |sockets: &mut Sockets, n: u8, fault| {
            let emitted = Emitted {
                object: "ES1".to_owned(),
                kind: Kind::List,
                event_type: EventType::ListItemAdded,
                event: json!({ "n": n }),
            };
            sockets.publish(start, &emitted, fault, &mut ids);
        };
        let mut sent = move || {
            let order = got.try_recv().ok()?;
            let DriverOrder::Send(_, payload) = order else { panic!("{order:?}") };
            serde_json::from_slice::<serde_json::Value>(&payload).unwrap()["event"]["n"].as_u64()
        };

        tell(&mut sockets, 1, Some(Action::Swap));
        assert_eq!(sent(), None);
        tell(&mut sockets, 2, None);
        assert_eq!([sent(), sent(), sent()], [Some(2), Some(1), None]);

        let due = start + SWAPPED_FOR_MAX;
        sockets.release(due);
        assert_eq!(sockets.deadline(), None);
        tell(&mut sockets, 3, Some(Action::Swap));
        assert_eq!(sockets.deadline(), Some(due));
        sockets.release(start);
        assert_eq!(sent(), None);
        sockets.release(due);
        assert_eq!([sent(), sent()], [Some(3), None]);
        assert_eq!(sockets.deadline(), None);
    }
}

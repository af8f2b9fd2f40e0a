//! What arrives by itself: Sync events, results of subscriptions, typing.
//!
//! Decides whom an event concerns and hands it to the seat's stream; never drops one because its
//! subscription is not established yet. Pure.
//! Source: Sync protocol notes 3 and 4; notification protocol notes, "Typing", read 2026-11-21.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::core::Core;
use super::model;
use super::reads::{Part, Read};
use super::seat::{Owner, digest};
use super::stream::{self, Delivery};
use crate::clock::Moment;
use crate::json;
use crate::pii::Pii;
use crate::realtime::event::Event;
use crate::realtime::sync::book::{ObjectId, Verdict};
use crate::realtime::sync::event::{self, Change};
use crate::telemetry::chain::Chain;
use crate::telemetry::refusals;
use crate::twilio::sid::ConversationSid;

impl Core {
    /// Takes in a notification.
    pub(super) fn on_notified(&mut self, now: Moment, message_type: &str, payload: &[u8]) {
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
        let notification = match event::parse(payload) {
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
        for event in notification.events {
            // Events of objects nobody wants any more are dropped.
            let Some((object, owner)) = self.book.find(&event.sid) else { continue };
            let correlation = notification.correlation_id;
            match event.change {
                Change::Established { interrupted, last_event_id } => {
                    let verdict = self.book.established(now, object, correlation, interrupted);
                    if verdict == Verdict::Live {
                        self.on_established(now, object, owner, last_event_id);
                    }
                }
                Change::Canceled => {
                    self.book.canceled(now, object, correlation);
                }
                Change::Failed { status } => {
                    if self.book.failed(now, object, correlation, status) == Verdict::Gone {
                        self.on_gone(owner);
                    }
                }
                Change::Removed => self.on_gone(owner),
                change => match owner {
                    Owner::Channels => self.on_channel_event(now, object, event.id, &change),
                    Owner::Document(conversation) => {
                        self.on_document_event(conversation, object, event.id, &change);
                    }
                    Owner::Messages(conversation) => {
                        let change = list_change(conversation, change, is_replay);
                        self.on_message_event(now, conversation, event.id, change);
                    }
                    Owner::Roster(conversation) => {
                        self.on_roster_event(conversation, object, event.id, &change);
                    }
                },
            }
        }
    }

    /// A replay is complete: whatever exists and did not come is missing.
    fn on_established(&mut self, now: Moment, object: ObjectId, owner: Owner, last: Option<i64>) {
        match owner {
            Owner::Channels => {
                if let Some(channels) = &mut self.channels {
                    channels.trail.exists(last.unwrap_or(-1));
                }
                self.watch_channels(now);
            }
            Owner::Document(_) => {
                let reached = self.book.last_event_id(object).max(last);
                self.book.reached(object, reached.unwrap_or(-1));
            }
            Owner::Messages(conversation) => {
                let Some(open) = self.open_seat(conversation) else { return };
                if open.stream.replayed(now, last) {
                    self.read_items(conversation);
                }
                self.after_stream(conversation);
            }
            Owner::Roster(conversation) => {
                let Some(roster) = self.roster(conversation) else { return };
                roster.trail.exists(last.unwrap_or(-1));
                if roster.trail.has_hole() {
                    let epoch = self.seats.get(&conversation).map_or(0, |seat| seat.epoch);
                    self.reads.push(super::core::seat_read(conversation, epoch, Part::RosterItems));
                }
            }
        }
    }

    /// An object does not exist any more.
    fn on_gone(&mut self, owner: Owner) {
        match owner {
            Owner::Channels => {
                if let Some(channels) = self.channels.take() {
                    self.book.forget(channels.object);
                }
                self.reads.push(Read::Channels);
            }
            Owner::Document(conversation) | Owner::Messages(conversation) => {
                self.reopen(conversation);
            }
            Owner::Roster(conversation) => {
                let gone = self.open_seat(conversation).and_then(|open| open.roster.take());
                if let Some(roster) = gone {
                    self.book.forget(roster.object);
                }
            }
        }
    }

    fn on_channel_event(
        &mut self,
        now: Moment,
        object: ObjectId,
        id: Option<i64>,
        change: &Change<'_>,
    ) {
        let Some(channels) = &mut self.channels else { return };
        let event = match id {
            // Not to be dropped for a higher id of another item: each item has its own order.
            Some(id) => {
                channels.trail.note(id);
                id
            }
            None => channels.trail.known(),
        };
        let whole = channels.trail.whole();
        self.book.reached(object, whole);
        match change {
            Change::MapItemSet { key, data, .. } => {
                let Ok(conversation) = key.parse::<ConversationSid>() else { return };
                let is_old = self
                    .seats
                    .get(&conversation)
                    .is_some_and(|seat| id.is_some_and(|id| id <= seat.map_event));
                if let Some(listed) = model::channel_item(conversation, data).filter(|_| !is_old) {
                    self.on_listed(now, conversation, listed, event);
                }
            }
            Change::MapItemRemoved { key } => {
                let Ok(conversation) = key.parse::<ConversationSid>() else { return };
                if self.seats.get(&conversation).is_some_and(|seat| seat.map_event < event) {
                    self.remove(conversation);
                }
            }
            Change::DocumentUpdated(_)
            | Change::ListItemSet { .. }
            | Change::ListItemRemoved { .. }
            | Change::Other
            | Change::Removed
            | Change::Established { .. }
            | Change::Canceled
            | Change::Failed { .. } => {}
        }
        self.watch_channels(now);
    }

    /// Waits for an event of the map that is missing, if one is.
    pub(super) fn watch_channels(&mut self, now: Moment) {
        let Some(channels) = &mut self.channels else { return };
        if !channels.trail.has_hole() {
            channels.hold_until = None;
        } else if channels.hold_until.is_none() {
            channels.hold_until = Some(now + stream::HOLD);
        }
    }

    fn on_document_event(
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
        let Some(details) = model::document(data) else { return };
        let Some(open) = self.open_seat(conversation) else { return };
        let digest = digest(&details);
        open.updated = details.updated.or(open.updated);
        if std::mem::replace(&mut open.digest, digest) != digest {
            self.tell(Event::ConversationUpdated { conversation, details });
        }
    }

    fn on_message_event(
        &mut self,
        now: Moment,
        conversation: ConversationSid,
        id: Option<i64>,
        change: stream::Change,
    ) {
        let mut room = self.room();
        let mut out = Vec::new();
        let Some(open) = self.open_seat(conversation) else { return };
        open.stream.event(now, id, change, &mut room, &mut out);
        self.deliver(conversation, out);
        self.after_stream(conversation);
    }

    /// Tells the owner what a stream let through.
    pub(super) fn deliver(&mut self, conversation: ConversationSid, out: Vec<Delivery>) {
        for delivery in out {
            match delivery {
                Delivery::Added(message) => self.tell(Event::MessageAdded(*message)),
                Delivery::Updated(message) => self.tell(Event::MessageUpdated(*message)),
                Delivery::Removed { index, sid } => {
                    self.tell(Event::MessageRemoved { conversation, index, sid })
                }
            }
        }
    }

    /// Notes where a stream stands now: what to subscribe from, what it waits for.
    pub(super) fn after_stream(&mut self, conversation: ConversationSid) {
        let Some(open) = self.open_seat(conversation) else { return };
        let (object, reached) = (open.messages, open.stream.last_event_id());
        let (hold, is_behind) = (open.stream.deadline(), open.stream.is_behind());
        let (through, updated) = (open.stream.delivered(), open.updated);
        let caught_up = open.catching_up && !is_behind && !open.stream.is_reading();
        open.catching_up &= !caught_up;
        self.book.reached(object, reached);
        if let Some(at) = hold {
            self.holds.insert((at, conversation));
        }
        if is_behind {
            self.behind.insert(conversation);
        }
        if caught_up {
            self.tell(Event::CaughtUp { conversation, through, updated });
        }
    }

    /// A stream waited long enough for a missing event.
    pub(super) fn on_hold_over(&mut self, now: Moment, conversation: ConversationSid) {
        let Some(open) = self.open_seat(conversation) else { return };
        if open.stream.hold_is_over(now) {
            open.catching_up = true;
            self.read_items(conversation);
        }
    }

    /// The owner has room again for a stream that is behind.
    pub(super) fn on_room(&mut self, conversation: ConversationSid) {
        let Some(open) = self.open_seat(conversation) else { return };
        if open.stream.room_again() {
            open.catching_up = true;
            self.read_items(conversation);
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
}

fn list_change(
    conversation: ConversationSid,
    change: Change<'_>,
    is_replay: bool,
) -> stream::Change {
    let read = |index, data: &RawValue| {
        model::message(conversation, index, data, stream::door(is_replay)).map(Box::new)
    };
    match change {
        Change::ListItemSet { index, data, added } => match (read(index, data), added) {
            (Some(message), true) => stream::Change::Added(message),
            (Some(message), false) => stream::Change::Updated(message),
            (None, _) => stream::Change::Other,
        },
        Change::ListItemRemoved { index, data } => {
            let sid = data.and_then(|data| read(index, data)).map(|message| message.sid);
            stream::Change::Removed { index, sid }
        }
        Change::DocumentUpdated(_)
        | Change::MapItemSet { .. }
        | Change::MapItemRemoved { .. }
        | Change::Other
        | Change::Removed
        | Change::Established { .. }
        | Change::Canceled
        | Change::Failed { .. } => stream::Change::Other,
    }
}

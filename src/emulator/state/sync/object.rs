//! One Sync object: its items, its event log, and how a change takes the number of an event.
//!
//! Pure: the time is an argument.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::emulator::state::words::words;
use crate::twilio::sid::ChatServiceSid;

/// Where a new object belongs.
#[derive(Clone, Debug)]
pub struct ObjectName {
    /// The chat service.
    pub service: ChatServiceSid,
    /// The unique name in the service.
    pub name: String,
}

/// The three kinds of objects that Conversations uses.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One JSON object.
    Document,
    /// Items with an index given by the server.
    List,
    /// Items with a key.
    Map,
}

impl Kind {
    /// The first letters of its sids.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Document => "ET",
            Self::List => "ES",
            Self::Map => "MP",
        }
    }

    /// Its name in frames.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::List => "list",
            Self::Map => "map",
        }
    }

    /// Its place in paths.
    #[must_use]
    pub const fn collection(self) -> &'static str {
        match self {
            Self::Document => "Documents",
            Self::List => "Lists",
            Self::Map => "Maps",
        }
    }

    /// Reads its place in paths.
    #[must_use]
    pub fn from_collection(text: &str) -> Option<Self> {
        [Self::Document, Self::List, Self::Map].into_iter().find(|kind| kind.collection() == text)
    }

    /// The code of "not found" when asked by sid. Lists and maps are assumed.
    /// Source: Sync protocol notes, 2, read 2026-11-21.
    #[must_use]
    pub const fn not_found_code(self) -> u32 {
        match self {
            Self::Document => 54100,
            Self::List => 54150,
            Self::Map => 54200,
        }
    }
}

words! {
    /// The event types of the three kinds.
    EventType {
        /// A document has new data.
        DocumentUpdated = "document_updated",
        /// A document is gone.
        DocumentRemoved = "document_removed",
        /// A list has a new item.
        ListItemAdded = "list_item_added",
        /// A list's item has new data.
        ListItemUpdated = "list_item_updated",
        /// A list's item is gone.
        ListItemRemoved = "list_item_removed",
        /// A list is gone.
        ListRemoved = "list_removed",
        /// A map has a new item.
        MapItemAdded = "map_item_added",
        /// A map's item has new data.
        MapItemUpdated = "map_item_updated",
        /// A map's item is gone.
        MapItemRemoved = "map_item_removed",
        /// A map is gone.
        MapRemoved = "map_removed",
    }
}

/// An event in an object's log.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Logged {
    /// Its number in the object.
    pub id: u64,
    /// What happened.
    pub event_type: EventType,
    /// The event itself.
    pub event: Value,
}

/// One item of a list or a map.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Item {
    pub(super) data: Value,
    pub(super) event: u64,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
}

/// Which items are wanted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ItemsQuery {
    /// Only this key or index.
    pub only: Option<String>,
    /// First key or index, inclusive.
    pub from: Option<String>,
    /// At most so many; 100 is the server's own limit.
    pub page_size: usize,
    /// From the highest down.
    pub descending: bool,
}

/// A page of items: their keys, the items, and whether there are more in the same direction.
#[derive(Debug)]
pub struct Items<'a> {
    pub(super) items: Vec<(Key<'a>, &'a Item)>,
    pub(super) more: bool,
}

/// The name of an item.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key<'a> {
    Index(u64),
    Name(&'a str),
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum ObjectContent {
    Document(Value),
    List(BTreeMap<u64, Item>),
    Map(BTreeMap<String, Item>),
}

/// A document, a list or a map.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Object {
    sid: String,
    service: ChatServiceSid,
    name: String,
    created: Timestamp,
    updated: Timestamp,
    next_event: u64,
    events: VecDeque<Logged>,
    content: ObjectContent,
}

/// The server's largest page. Source: Sync protocol notes, 2, read 2026-11-21.
const PAGE_SIZE_MAX: usize = 100;

impl Object {
    pub(super) fn document(sid: String, place: ObjectName, at: Timestamp, data: Value) -> Self {
        Self { next_event: 1, ..Self::new(sid, place, at, ObjectContent::Document(data)) }
    }

    pub(super) fn collection(sid: String, kind: Kind, place: ObjectName, at: Timestamp) -> Self {
        let content = match kind {
            Kind::Document => ObjectContent::Document(Value::Null),
            Kind::List => ObjectContent::List(BTreeMap::new()),
            Kind::Map => ObjectContent::Map(BTreeMap::new()),
        };
        Self::new(sid, place, at, content)
    }

    fn new(sid: String, place: ObjectName, at: Timestamp, content: ObjectContent) -> Self {
        let ObjectName { service, name } = place;
        let events = VecDeque::new();
        Self { sid, service, name, created: at, updated: at, next_event: 0, events, content }
    }

    /// The sid.
    #[must_use]
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// The unique name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The chat service it belongs to.
    #[must_use]
    pub const fn service(&self) -> ChatServiceSid {
        self.service
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self.content {
            ObjectContent::Document(_) => Kind::Document,
            ObjectContent::List(_) => Kind::List,
            ObjectContent::Map(_) => Kind::Map,
        }
    }

    /// The number of its newest event, -1 before the first.
    #[must_use]
    pub fn last_event_id(&self) -> i64 {
        i64::try_from(self.next_event).unwrap_or(i64::MAX) - 1
    }

    /// The events after `last`, oldest first.
    pub fn events_after(&self, last: i64) -> impl Iterator<Item = &Logged> {
        self.events.iter().filter(move |event| i64::try_from(event.id).is_ok_and(|id| id > last))
    }

    pub(super) const fn next_event(&self) -> u64 {
        self.next_event
    }

    pub(super) const fn dates(&self) -> (Timestamp, Timestamp) {
        (self.created, self.updated)
    }

    pub(super) const fn document_data(&self) -> Option<&Value> {
        match &self.content {
            ObjectContent::Document(data) => Some(data),
            ObjectContent::List(_) | ObjectContent::Map(_) => None,
        }
    }

    pub(super) fn map_item(&self, key: &str) -> Option<&Value> {
        match &self.content {
            ObjectContent::Map(items) => items.get(key).map(|item| &item.data),
            ObjectContent::Document(_) | ObjectContent::List(_) => None,
        }
    }

    pub(super) fn items(&self, query: &ItemsQuery) -> Items<'_> {
        let all: Vec<(Key<'_>, &Item)> = match &self.content {
            ObjectContent::Document(_) => Vec::new(),
            ObjectContent::List(items) => select(items, query, |text| text.parse().ok())
                .map(|(index, item)| (Key::Index(*index), item))
                .collect(),
            ObjectContent::Map(items) => select(items, query, |text| Some(text.to_owned()))
                .map(|(key, item)| (Key::Name(key), item))
                .collect(),
        };
        let size = query.page_size.clamp(1, PAGE_SIZE_MAX);
        let more = all.len() > size;
        Items { items: all.into_iter().take(size).collect(), more }
    }

    pub(super) fn set_document(&mut self, at: Timestamp, data: Value) -> Option<Changed<'static>> {
        match &mut self.content {
            ObjectContent::Document(now) => *now = data,
            ObjectContent::List(_) | ObjectContent::Map(_) => return None,
        }
        let id = self.advance(at);
        Some(Changed { id, at, event_type: EventType::DocumentUpdated, item: None })
    }

    pub(super) fn set_map_item<'k>(
        &mut self,
        at: Timestamp,
        key: &'k str,
        data: Value,
    ) -> Option<Changed<'k>> {
        let event = self.next_event;
        let ObjectContent::Map(items) = &mut self.content else { return None };
        let known = items.get(key).map(|item| item.created);
        let item = Item { data, event, created: known.unwrap_or(at), updated: at };
        items.insert(key.to_owned(), item.clone());
        let event_type = match known {
            Some(_) => EventType::MapItemUpdated,
            None => EventType::MapItemAdded,
        };
        Some(self.changed(at, event_type, Key::Name(key), item))
    }

    pub(super) fn remove_map_item<'k>(
        &mut self,
        at: Timestamp,
        key: &'k str,
    ) -> Option<Changed<'k>> {
        let ObjectContent::Map(items) = &mut self.content else { return None };
        let item = items.remove(key)?;
        Some(self.changed(at, EventType::MapItemRemoved, Key::Name(key), item))
    }

    pub(super) fn push(&mut self, at: Timestamp, data: Value) -> Option<Changed<'static>> {
        let event = self.next_event;
        let ObjectContent::List(items) = &mut self.content else { return None };
        let item = Item { data, event, created: at, updated: at };
        items.insert(event, item.clone());
        Some(self.changed(at, EventType::ListItemAdded, Key::Index(event), item))
    }

    pub(super) fn set_list_item(
        &mut self,
        at: Timestamp,
        index: u64,
        data: Value,
    ) -> Option<Changed<'static>> {
        let event = self.next_event;
        let ObjectContent::List(items) = &mut self.content else { return None };
        let item = items.get_mut(&index)?;
        *item = Item { data, event, created: item.created, updated: at };
        let item = item.clone();
        Some(self.changed(at, EventType::ListItemUpdated, Key::Index(index), item))
    }

    pub(super) fn remove_list_item(
        &mut self,
        at: Timestamp,
        index: u64,
    ) -> Option<Changed<'static>> {
        let ObjectContent::List(items) = &mut self.content else { return None };
        let item = items.remove(&index)?;
        Some(self.changed(at, EventType::ListItemRemoved, Key::Index(index), item))
    }

    /// Keeps an event for replay, and of all events the newest `events_kept`.
    pub(super) fn log(&mut self, event: Logged, events_kept: usize) {
        self.events.push_back(event);
        while self.events.len() > events_kept {
            self.events.pop_front();
        }
    }

    fn changed<'k>(
        &mut self,
        at: Timestamp,
        event_type: EventType,
        key: Key<'k>,
        item: Item,
    ) -> Changed<'k> {
        let id = self.advance(at);
        Changed { id, at, event_type, item: Some((key, item)) }
    }

    fn advance(&mut self, at: Timestamp) -> u64 {
        let id = self.next_event;
        self.next_event = id.saturating_add(1);
        self.updated = at;
        id
    }
}

/// A change that was made, of which an event is to be written.
pub(super) struct Changed<'k> {
    /// The event's number.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub event_type: EventType,
    /// The item, unless it is a document.
    pub item: Option<(Key<'k>, Item)>,
}

fn select<'a, K: Ord>(
    items: &'a BTreeMap<K, Item>,
    query: &ItemsQuery,
    read: impl Fn(&str) -> Option<K>,
) -> Box<dyn Iterator<Item = (&'a K, &'a Item)> + 'a> {
    if let Some(only) = &query.only {
        return Box::new(read(only).and_then(|key| items.get_key_value(&key)).into_iter());
    }
    let from = query.from.as_deref().and_then(read);
    match (from, query.descending) {
        (None, false) => Box::new(items.iter()),
        (None, true) => Box::new(items.iter().rev()),
        (Some(from), false) => Box::new(items.range(from..)),
        (Some(from), true) => Box::new(items.range(..=from).rev()),
    }
}

//! The Sync objects that clients see conversations through: documents, lists and maps, each with
//! the log of its events.
//!
//! Pure: the time and the ids are arguments. Every change gives one [`Emitted`] event, which the
//! caller hands to whoever is subscribed; the same event stays in the object's log for replay.
//!
//! Event ids count up from 0 per object; the revision of a collection is the last event id + 1 and
//! that of an item or a document its event id, both in hexadecimal. A list's new item takes the
//! event id as its index, which is why message indexes skip over edits and removals.
//! Source: Sync protocol notes, 2 and 4, and Conversations protocol notes, 2, public and observed,
//! read 2026-11-21.

mod object;
mod render;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use object::{EventType, Items, ItemsQuery, Kind, Logged, Object, ObjectName};

use object::Changed;

use super::ids::Ids;
use crate::clock::Timestamp;
use crate::twilio::sid::{AccountSid, ChatServiceSid};

/// One event of one object, as subscribers get it.
#[derive(Clone, Debug, PartialEq)]
pub struct Emitted {
    /// The object's sid.
    pub object: String,
    /// The object's kind.
    pub kind: Kind,
    /// What happened.
    pub event_type: EventType,
    /// The event itself.
    pub event: Value,
}

/// All Sync objects of an account.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SyncStore {
    account: AccountSid,
    events_kept: usize,
    objects: BTreeMap<String, Object>,
    names: HashMap<String, String>,
}

impl SyncStore {
    /// Starts empty; every object keeps its `events_kept` newest events.
    #[must_use]
    pub fn new(account: AccountSid, events_kept: usize) -> Self {
        Self { account, events_kept, objects: BTreeMap::new(), names: HashMap::new() }
    }

    /// Makes a document, which starts at event 0.
    pub fn create_document(
        &mut self,
        ids: &mut Ids,
        at: Timestamp,
        place: ObjectName,
        data: Value,
    ) -> String {
        let sid = ids.raw(Kind::Document.prefix());
        self.add(Object::document(sid.clone(), place, at, data));
        sid
    }

    /// Makes an empty list or map; its first event is 0.
    pub fn create_collection(
        &mut self,
        ids: &mut Ids,
        at: Timestamp,
        kind: Kind,
        place: ObjectName,
    ) -> String {
        let sid = ids.raw(kind.prefix());
        self.add(Object::collection(sid.clone(), kind, place, at));
        sid
    }

    /// Finds an object by sid or, inside a service, by unique name.
    #[must_use]
    pub fn find(&self, service: ChatServiceSid, kind: Kind, sid_or_name: &str) -> Option<&Object> {
        self.objects
            .get(sid_or_name)
            .or_else(|| self.objects.get(self.names.get(&name_key(service, sid_or_name))?))
            .filter(|object| object.kind() == kind && object.service() == service)
    }

    /// The object as `GET` answers it.
    #[must_use]
    pub fn describe(&self, object: &Object, with_items: bool) -> Value {
        render::object(&self.account, object, with_items)
    }

    /// A page of an object's items.
    #[must_use]
    pub fn items(&self, object: &Object, query: &ItemsQuery) -> Value {
        let page = object.items(query);
        render::items(&self.account, object, query, &page)
    }

    /// The data of one map item.
    #[must_use]
    pub fn map_item(&self, sid: &str, key: &str) -> Option<&Value> {
        self.objects.get(sid)?.map_item(key)
    }

    /// The index that the next item of a list gets.
    #[must_use]
    pub fn next_index(&self, sid: &str) -> u64 {
        self.objects.get(sid).map_or(0, Object::next_event)
    }

    /// Replaces a document's data.
    pub fn set_document(&mut self, sid: &str, at: Timestamp, data: Value) -> Option<Emitted> {
        self.change(sid, |object| object.set_document(at, data))
    }

    /// Adds or replaces a map item.
    pub fn set_item(
        &mut self,
        sid: &str,
        at: Timestamp,
        key: &str,
        data: Value,
    ) -> Option<Emitted> {
        self.change(sid, |object| object.set_map_item(at, key, data))
    }

    /// Removes a map item.
    pub fn remove_item(&mut self, sid: &str, at: Timestamp, key: &str) -> Option<Emitted> {
        self.change(sid, |object| object.remove_map_item(at, key))
    }

    /// Appends to a list; the item's index is [`SyncStore::next_index`] from before.
    pub fn push(&mut self, sid: &str, at: Timestamp, data: Value) -> Option<Emitted> {
        self.change(sid, |object| object.push(at, data))
    }

    /// Replaces a list item.
    pub fn set_index(
        &mut self,
        sid: &str,
        at: Timestamp,
        index: u64,
        data: Value,
    ) -> Option<Emitted> {
        self.change(sid, |object| object.set_list_item(at, index, data))
    }

    /// Removes a list item.
    pub fn remove_index(&mut self, sid: &str, at: Timestamp, index: u64) -> Option<Emitted> {
        self.change(sid, |object| object.remove_list_item(at, index))
    }

    /// Removes a whole object.
    pub fn remove(&mut self, sid: &str) -> Option<Emitted> {
        let object = self.objects.remove(sid)?;
        self.names.remove(&name_key(object.service(), object.name()));
        let (event_type, event) = render::object_removed(&object);
        Some(Emitted { object: sid.to_owned(), kind: object.kind(), event_type, event })
    }

    fn add(&mut self, object: Object) {
        self.names.insert(name_key(object.service(), object.name()), object.sid().to_owned());
        self.objects.insert(object.sid().to_owned(), object);
    }

    fn change<'k>(
        &mut self,
        sid: &str,
        change: impl FnOnce(&mut Object) -> Option<Changed<'k>>,
    ) -> Option<Emitted> {
        let object = self.objects.get_mut(sid)?;
        let changed = change(object)?;
        let (id, event_type, event) =
            (changed.id, changed.event_type, render::event(object, &changed));
        object.log(Logged { id, event_type, event: event.clone() }, self.events_kept);
        Some(Emitted { object: sid.to_owned(), kind: object.kind(), event_type, event })
    }
}

fn name_key(service: ChatServiceSid, name: &str) -> String {
    format!("{service}/{name}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_new_map_is_at_minus_one_and_a_new_document_at_zero() {
        let (mut store, mut ids) = store();
        let map = store.create_collection(&mut ids, at(0), Kind::Map, place("bot.channels"));
        let document = store.create_document(&mut ids, at(0), place("CH.channel"), json!({"a":1}));
        let map = store.describe(store.find(service(), Kind::Map, &map).unwrap(), false);
        assert_eq!((&map["last_event_id"], &map["revision"]), (&json!(-1), &json!("0")));
        assert_eq!(map["unique_name"], "bot.channels");
        assert!(map["links"]["items"].as_str().unwrap().ends_with("/Items"));
        let document = store.find(service(), Kind::Document, &document).unwrap();
        let document = store.describe(document, false);
        assert_eq!((&document["last_event_id"], &document["revision"]), (&json!(0), &json!("0")));
        assert_eq!(document["data"], json!({"a":1}));
    }

    #[test]
    fn an_edit_takes_the_number_that_the_next_message_would_have_had() {
        let (mut store, mut ids) = store();
        let list = store.create_collection(&mut ids, at(0), Kind::List, place("CH.messages"));
        assert_eq!(store.next_index(&list), 0);
        let added = store.push(&list, at(1), json!("first")).unwrap();
        assert_eq!(added.event["item_index"], 0);
        let edited = store.set_index(&list, at(2), 0, json!("edited")).unwrap();
        assert_eq!((&edited.event["id"], &edited.event["item_index"]), (&json!(1), &json!(0)));
        let second = store.push(&list, at(3), json!("second")).unwrap();
        assert_eq!(second.event["item_index"], 2);
        assert_eq!(second.event["list_revision"], "3");
        let removed = store.remove_index(&list, at(4), 0).unwrap();
        assert_eq!(removed.event_type, EventType::ListItemRemoved);
        assert_eq!(removed.event["item_data"], "edited");
        assert_eq!(store.set_index(&list, at(5), 0, json!("late")), None);
    }

    #[test]
    fn replay_gives_what_came_later_oldest_first() {
        let (mut store, mut ids) = store();
        let map = store.create_collection(&mut ids, at(0), Kind::Map, place("m"));
        for key in ["a", "b", "a"] {
            store.set_item(&map, at(1), key, json!(key)).unwrap();
        }
        store.remove_item(&map, at(2), "b").unwrap();
        let object = store.find(service(), Kind::Map, "m").unwrap();
        let after = |last| {
            object.events_after(last).map(|event| (event.id, event.event_type)).collect::<Vec<_>>()
        };
        assert_eq!(
            after(-1),
            [
                (0, EventType::MapItemAdded),
                (1, EventType::MapItemAdded),
                (2, EventType::MapItemUpdated),
                (3, EventType::MapItemRemoved)
            ]
        );
        assert_eq!(after(2), [(3, EventType::MapItemRemoved)]);
        assert_eq!(after(3), []);
    }

    #[test]
    fn pages_start_at_from_and_say_whether_there_is_more() {
        let (mut store, mut ids) = store();
        let list = store.create_collection(&mut ids, at(0), Kind::List, place("l"));
        for number in 0..7 {
            store.push(&list, at(number), json!(number)).unwrap();
        }
        let object = store.find(service(), Kind::List, "l").unwrap();
        let page = |from: Option<&str>, size, descending| {
            let query = ItemsQuery {
                only: None,
                from: from.map(str::to_owned),
                page_size: size,
                descending,
            };
            let page = store.items(object, &query);
            let indexes: Vec<u64> = page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["index"].as_u64().unwrap())
                .collect();
            (indexes, !page["meta"]["next_token"].is_null())
        };
        assert_eq!(page(None, 3, true), (vec![6, 5, 4], true));
        assert_eq!(page(Some("4"), 4, true), (vec![4, 3, 2, 1], true));
        assert_eq!(page(Some("1"), 4, true), (vec![1, 0], false));
        assert_eq!(page(Some("5"), 10, false), (vec![5, 6], false));
        assert_eq!(page(None, 7, false), (vec![0, 1, 2, 3, 4, 5, 6], false));
    }

    #[test]
    fn the_log_forgets_its_oldest_events_at_the_bound() {
        let mut ids = Ids::seeded(1);
        let mut store = SyncStore::new(account(), 2);
        let map = store.create_collection(&mut ids, at(0), Kind::Map, place("m"));
        for number in 0..5 {
            store.set_item(&map, at(number), "k", json!(number)).unwrap();
        }
        let object = store.find(service(), Kind::Map, "m").unwrap();
        assert_eq!(object.events_after(-1).map(|event| event.id).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn a_removed_object_cannot_be_found_by_either_name() {
        let (mut store, mut ids) = store();
        let sid = store.create_document(&mut ids, at(0), place("d"), json!({}));
        let removed = store.remove(&sid).unwrap();
        assert_eq!(removed.event_type, EventType::DocumentRemoved);
        assert!(store.find(service(), Kind::Document, "d").is_none());
        assert!(store.find(service(), Kind::Document, &sid).is_none());
    }

    fn store() -> (SyncStore, Ids) {
        (SyncStore::new(account(), 100), Ids::seeded(1))
    }

    fn account() -> AccountSid {
        AccountSid::from_bytes([1; 16])
    }

    fn service() -> ChatServiceSid {
        ChatServiceSid::from_bytes([2; 16])
    }

    fn place(name: &str) -> ObjectName {
        ObjectName { service: service(), name: name.to_owned() }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }
}

//! How Sync objects, items and events look in JSON.
//!
//! Pure. Source: Sync protocol notes, 2 and 4, and the recorded flows, read 2026-11-21.

use serde_json::{Value, json};

use super::object::{Changed, EventType, Item, Items, ItemsQuery, Key, Kind, Object};
use crate::twilio::sid::AccountSid;

/// The host that Sync answers under; a label inside frames, never dialled.
const HOST: &str = "https://cds.us1.twilio.com";

fn url(object: &Object) -> String {
    format!(
        "{HOST}/v3/Services/{}/{}/{}",
        object.service(),
        object.kind().collection(),
        object.sid()
    )
}

fn item_url(object: &Object, key: Key<'_>) -> String {
    match key {
        Key::Index(index) => format!("{}/Items/{index}", url(object)),
        Key::Name(name) => format!("{}/Items/{name}", url(object)),
    }
}

fn revision(object: &Object) -> String {
    match object.kind() {
        Kind::Document => format!("{:x}", object.next_event().saturating_sub(1)),
        Kind::List | Kind::Map => format!("{:x}", object.next_event()),
    }
}

pub(super) fn object(account: &AccountSid, object: &Object, with_items: bool) -> Value {
    let (created, updated) = object.dates();
    let mut described = json!({
        "sid": object.sid(),
        "unique_name": object.name(),
        "account_sid": account,
        "service_sid": object.service(),
        "url": url(object),
        "revision": revision(object),
        "last_event_id": object.last_event_id(),
        "date_created": created.to_string(),
        "date_updated": updated.to_string(),
        "date_expires": null,
        "created_by": "system",
        "type": object.kind().as_str(),
    });
    let base = url(object);
    match object.kind() {
        Kind::Document => {
            described["data"] = object.document_data().cloned().unwrap_or(Value::Null);
        }
        Kind::List => {
            described["links"] = json!({
                "items": format!("{base}/Items"),
                "context": format!("{base}/Context"),
                "permissions": format!("{base}/Permissions"),
            });
        }
        Kind::Map => {
            described["links"] = json!({
                "items": format!("{base}/Items"),
                "permissions": format!("{base}/Permissions"),
            });
        }
    }
    if with_items {
        let query = ItemsQuery { page_size: usize::MAX, ..ItemsQuery::default() };
        described["items"] = object
            .items(&query)
            .items
            .iter()
            .map(|(key, value)| item(account, object, *key, value))
            .collect();
    }
    described
}

fn item(account: &AccountSid, object: &Object, key: Key<'_>, item: &Item) -> Value {
    let mut described = match key {
        Key::Index(index) => json!({"index": index, "list_sid": object.sid()}),
        Key::Name(name) => json!({"key": name, "map_sid": object.sid()}),
    };
    described["url"] = json!(item_url(object, key));
    described["revision"] = json!(format!("{:x}", item.event));
    described["last_event_id"] = json!(item.event);
    described["data"] = item.data.clone();
    described["account_sid"] = json!(account);
    described["service_sid"] = json!(object.service());
    described["created_by"] = json!("system");
    described["date_created"] = json!(item.created.to_string());
    described["date_updated"] = json!(item.updated.to_string());
    described["date_expires"] = Value::Null;
    described
}

/// A page. Clients read of the tokens only whether they are null.
pub(super) fn items(
    account: &AccountSid,
    object: &Object,
    query: &ItemsQuery,
    page: &Items<'_>,
) -> Value {
    let items: Vec<Value> =
        page.items.iter().map(|(key, value)| item(account, object, *key, value)).collect();
    let next = page.more.then(|| format!("after {}", items.len()));
    json!({
        "items": items,
        "meta": {
            "previous_token": query.from.as_ref().map(|from| format!("before {from}")),
            "next_token": next,
            "encode_token": false,
            "direct_token": true,
        },
    })
}

/// The event that tells of a change.
pub(super) fn event(object: &Object, changed: &Changed<'_>) -> Value {
    match &changed.item {
        None => document_event(object, changed),
        Some((key, item)) => item_event(object, changed, *key, item),
    }
}

fn document_event(object: &Object, Changed { id, at, .. }: &Changed<'_>) -> Value {
    json!({
        "id": id,
        "date_created": at.to_string(),
        "document_sid": object.sid(),
        "document_unique_name": object.name(),
        "document_revision": format!("{id:x}"),
        "document_data": object.document_data(),
        "date_expires": null,
    })
}

fn item_event(
    object: &Object,
    Changed { id, at, event_type, .. }: &Changed<'_>,
    key: Key<'_>,
    item: &Item,
) -> Value {
    let mut event = json!({
        "id": id,
        "date_created": at.to_string(),
        "item_url": item_url(object, key),
        "item_revision": format!("{id:x}"),
        "item_data": item.data,
        "date_expires": null,
    });
    match key {
        Key::Index(index) => {
            event["list_sid"] = json!(object.sid());
            event["list_revision"] = json!(revision(object));
            event["item_index"] = json!(index);
        }
        Key::Name(name) => {
            event["map_sid"] = json!(object.sid());
            event["map_revision"] = json!(revision(object));
            event["item_key"] = json!(name);
        }
    }
    debug_assert!(
        !matches!(event_type, EventType::DocumentUpdated | EventType::DocumentRemoved),
        "documents have no items"
    );
    event
}

pub(super) fn object_removed(object: &Object) -> (EventType, Value) {
    match object.kind() {
        Kind::Document => (EventType::DocumentRemoved, json!({"document_sid": object.sid()})),
        Kind::List => (EventType::ListRemoved, json!({"list_sid": object.sid()})),
        Kind::Map => (EventType::MapRemoved, json!({"map_sid": object.sid()})),
    }
}

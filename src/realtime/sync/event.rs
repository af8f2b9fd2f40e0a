//! What a Sync notification says: changes of objects and results of subscriptions.
//!
//! Decides how a payload is read, liberally: `event` or `events`, an index as number or text,
//! unknown types and fields. Never applies anything. Pure, and borrows from the payload.
//! Source: Sync protocol notes 3 and 4, read 2026-11-21.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json;

/// Says why a payload is no Sync notification.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("sync notification is malformed at column {column}")]
pub struct Error {
    column: usize,
}

/// One notification.
#[derive(Debug)]
pub struct Notification<'a> {
    /// The subscription request that caused it, if it is a result or a replay.
    pub correlation_id: Option<u64>,
    /// What it says.
    pub events: Vec<Event<'a>>,
}

/// One statement about one object.
#[derive(Debug)]
pub struct Event<'a> {
    /// The object.
    pub sid: Cow<'a, str>,
    /// The event's id in its object, where it has one.
    pub id: Option<i64>,
    /// What happened.
    pub change: Change<'a>,
}

/// What happened to an object or to its subscription.
#[derive(Debug)]
pub enum Change<'a> {
    /// The document has this data.
    DocumentUpdated(&'a RawValue),
    /// A map item has this data.
    MapItemSet {
        /// Its key.
        key: Cow<'a, str>,
        /// Its data.
        data: &'a RawValue,
        /// Whether the server calls it new.
        added: bool,
    },
    /// A map item is gone.
    MapItemRemoved {
        /// Its key.
        key: Cow<'a, str>,
    },
    /// A list item has this data.
    ListItemSet {
        /// Its index.
        index: u64,
        /// Its data.
        data: &'a RawValue,
        /// Whether the server calls it new.
        added: bool,
    },
    /// A list item is gone.
    ListItemRemoved {
        /// Its index.
        index: u64,
        /// Its last data.
        data: Option<&'a RawValue>,
    },
    /// Something that only takes an event id: a list's context, a kind this code does not know.
    Other,
    /// The object is gone.
    Removed,
    /// Events flow from here on, or the replay was broken off.
    Established {
        /// Whether the replay was broken off; it is to be asked for again.
        interrupted: bool,
        /// The last event of the object.
        last_event_id: Option<i64>,
    },
    /// The subscription is no more.
    Canceled,
    /// There is no subscription.
    Failed {
        /// HTTP-like status; 404 means that the object is gone.
        status: u16,
    },
}

/// Reads a payload. Entries that cannot be read are left out; the others stand.
///
/// # Errors
///
/// The payload as a whole is not what it should be.
pub fn parse(payload: &[u8]) -> Result<Notification<'_>, Error> {
    #[derive(Deserialize)]
    struct PayloadEnvelope<'a> {
        #[serde(borrow)]
        event_type: Cow<'a, str>,
        #[serde(default)]
        correlation_id: Option<u64>,
        #[serde(borrow, default)]
        event: Option<&'a RawValue>,
        #[serde(borrow, default)]
        events: Option<Vec<&'a RawValue>>,
    }
    let envelope: PayloadEnvelope<'_> =
        serde_json::from_slice(payload).map_err(|error| Error { column: error.column() })?;
    let kind = envelope.event_type;
    let events = envelope.event.into_iter().chain(envelope.events.into_iter().flatten());
    let events = events
        .filter_map(|entry| serde_json::from_str::<EntryFields<'_>>(entry.get()).ok()?.read(&kind))
        .collect();
    Ok(Notification { correlation_id: envelope.correlation_id, events })
}

/// The union of all fields of an entry.
#[derive(Deserialize)]
struct EntryFields<'a> {
    #[serde(default)]
    id: Option<i64>,
    #[serde(
        borrow,
        alias = "document_sid",
        alias = "map_sid",
        alias = "list_sid",
        alias = "stream_sid"
    )]
    object_sid: Cow<'a, str>,
    #[serde(borrow, default)]
    item_key: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    item_index: Option<Index<'a>>,
    #[serde(borrow, default, alias = "document_data")]
    item_data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    replay_status: Option<Cow<'a, str>>,
    #[serde(default)]
    last_event_id: Option<i64>,
    #[serde(default)]
    error: Option<EventFailure>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Index<'a> {
    Number(u64),
    #[serde(borrow)]
    Text(Cow<'a, str>),
}

#[derive(Deserialize)]
struct EventFailure {
    #[serde(default, deserialize_with = "json::null_as_default")]
    status: u16,
}

impl<'a> EntryFields<'a> {
    fn read(self, kind: &str) -> Option<Event<'a>> {
        let index = match &self.item_index {
            Some(Index::Number(index)) => Some(*index),
            Some(Index::Text(text)) => text.parse().ok(),
            None => None,
        };
        let change = match kind {
            "document_updated" => Change::DocumentUpdated(self.item_data?),
            "map_item_added" | "map_item_updated" => Change::MapItemSet {
                key: self.item_key?,
                data: self.item_data?,
                added: kind == "map_item_added",
            },
            "map_item_removed" => Change::MapItemRemoved { key: self.item_key? },
            "list_item_added" | "list_item_updated" => Change::ListItemSet {
                index: index?,
                data: self.item_data?,
                added: kind == "list_item_added",
            },
            "list_item_removed" => Change::ListItemRemoved { index: index?, data: self.item_data },
            "document_removed" | "map_removed" | "list_removed" => Change::Removed,
            "subscription_established" => Change::Established {
                interrupted: self.replay_status.as_deref() == Some("interrupted"),
                last_event_id: self.last_event_id,
            },
            "subscription_canceled" => Change::Canceled,
            "subscription_failed" => {
                Change::Failed { status: self.error.map_or(0, |error| error.status) }
            }
            _ => Change::Other,
        };
        Some(Event { sid: self.object_sid, id: self.id, change })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_and_both_kinds_of_index_are_read() {
        for payload in [
            r#"{"event_type":"list_item_added","event":{"id":3,"list_sid":"ES1","item_index":7,"item_data":{"sid":"x"}}}"#,
            r#"{"event_type":"list_item_added","correlation_id":8,"events":[{"id":3,"list_sid":"ES1","item_index":"7","item_data":{"sid":"x"}}]}"#,
        ] {
            let notification = parse(payload.as_bytes()).unwrap();
            let event = &notification.events[0];
            assert_eq!((event.sid.as_ref(), event.id), ("ES1", Some(3)));
            match &event.change {
                Change::ListItemSet { index: 7, data, added: true } => {
                    assert_eq!(data.get(), r#"{"sid":"x"}"#);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn results_are_read() {
        let payload = r#"{"event_type":"subscription_failed","correlation_id":1,"events":[{"object_sid":"ET1","object_type":"document","error":{"status":404,"code":54100}}]}"#;
        let notification = parse(payload.as_bytes()).unwrap();
        assert_eq!(notification.correlation_id, Some(1));
        assert!(matches!(notification.events[0].change, Change::Failed { status: 404 }));
        let payload = r#"{"event_type":"subscription_established","events":[{"object_sid":"MP1","replay_status":"interrupted","last_event_id":2}]}"#;
        let change = &parse(payload.as_bytes()).unwrap().events[0].change;
        assert!(matches!(
            change,
            Change::Established { interrupted: true, last_event_id: Some(2) }
        ));
    }

    #[test]
    fn unknown_types_keep_their_id_and_junk_is_an_error() {
        let payload = r#"{"event_type":"list_context_updated","event":{"id":9,"list_sid":"ES1","context_data":{}}}"#;
        let event = &parse(payload.as_bytes()).unwrap().events[0];
        assert!(matches!((&event.change, event.id), (Change::Other, Some(9))));
        for junk in [&b""[..], b"[]", b"{}", b"{\"event_type\":3}", b"\xff\xfe"] {
            assert!(parse(junk).is_err());
        }
        let no_index =
            r#"{"event_type":"list_item_added","event":{"list_sid":"ES1","item_data":{}}}"#;
        assert!(parse(no_index.as_bytes()).unwrap().events.is_empty());
    }
}

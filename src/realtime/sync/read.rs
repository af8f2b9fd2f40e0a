//! Reading Sync objects: opening by name, items page by page.
//!
//! Decides how requests look and how answers are read; never when. Pure. Pages follow the official
//! client: no page token, `From=<last index>` and what is already there is dropped.
//! Source: Sync protocol notes 2, observed, read 2026-11-21.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use url::Url;

use crate::json;
use crate::realtime::twilsock::frame::{HttpRequest, Param};
use crate::realtime::twilsock::requests::Request;

/// The most items that the server gives at once. Source: Sync protocol notes 2.
pub const PAGE_SIZE: u32 = 100;

/// The kinds of object in use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// One JSON object.
    Document,
    /// Items with an index given by the server.
    List,
    /// Items with a key.
    Map,
}

impl Kind {
    /// The name in subscription requests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::List => "list",
            Self::Map => "map",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Document => "/v3/Documents/",
            Self::List => "/v3/Lists/",
            Self::Map => "/v3/Maps/",
        }
    }
}

/// An opened object: what its `GET` answered.
#[derive(Debug, Deserialize)]
pub struct OpenedObject {
    /// Its sid; opaque.
    pub sid: String,
    /// Its last event, −1 if there was none.
    #[serde(default = "none", deserialize_with = "none_if_null")]
    pub last_event_id: i64,
    /// Where its items are, for lists and maps.
    #[serde(default, deserialize_with = "json::null_as_default")]
    pub links: ObjectLinks,
    /// The data of a document.
    #[serde(default)]
    pub data: Option<Box<RawValue>>,
}

/// Where parts of an object are.
#[derive(Debug, Default, Deserialize)]
pub struct ObjectLinks {
    /// The items.
    #[serde(default)]
    pub items: Option<String>,
}

/// A page of items.
#[derive(Debug, Deserialize)]
pub struct Page<'a> {
    /// The items, in the order asked for.
    #[serde(borrow)]
    pub items: Vec<Item<'a>>,
    #[serde(default, deserialize_with = "json::null_as_default")]
    meta: PageMeta,
}

/// One item of a list or map.
#[derive(Debug, Deserialize)]
pub struct Item<'a> {
    /// Its index, in a list.
    #[serde(default)]
    pub index: Option<u64>,
    /// Its key, in a map.
    #[serde(default)]
    pub key: Option<String>,
    /// Its last event.
    #[serde(default = "none", deserialize_with = "none_if_null")]
    pub last_event_id: i64,
    /// Its data.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

#[derive(Debug, Default, Deserialize)]
struct PageMeta {
    #[serde(default)]
    next_token: Option<serde::de::IgnoredAny>,
}

impl Page<'_> {
    /// Whether there are more items after these.
    #[must_use]
    pub const fn has_more(&self) -> bool {
        self.meta.next_token.is_some()
    }
}

const fn none() -> i64 {
    -1
}

fn none_if_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(none))
}

/// Asks for an object by its unique name or sid.
#[must_use]
pub fn open(sync: &Url, kind: Kind, name: &str, request_id: u128) -> Request {
    let encoded: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    let path = format!("{}{}", kind.path(), encoded.replace('+', "%20"));
    get(host(sync), path, BTreeMap::new(), request_id)
}

/// Asks for items after `after`, in ascending order; all if there is none.
#[must_use]
pub fn items_after(items: &Url, after: Option<&str>, request_id: u128) -> Request {
    let mut params = BTreeMap::from([
        ("HideExpired".to_owned(), Param::One("true".to_owned())),
        ("PageSize".to_owned(), Param::One(PAGE_SIZE.to_string())),
        ("Order".to_owned(), Param::One("asc".to_owned())),
    ]);
    if let Some(after) = after {
        params.insert("From".to_owned(), Param::One(after.to_owned()));
    }
    get(host(items), items.path().to_owned(), params, request_id)
}

/// The request that subscribes.
#[must_use]
pub fn subscriptions(sync: &Url, body: Bytes, request_id: u128) -> Request {
    let mut request = get(host(sync), "/v4/Subscriptions".to_owned(), BTreeMap::new(), request_id);
    "POST".clone_into(&mut request.http.method);
    request.body = body;
    request
}

/// The host with its port, as frames name it.
#[must_use]
pub fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn get(host: String, path: String, params: BTreeMap<String, Param>, request_id: u128) -> Request {
    // Source: Sync protocol notes 1, observed; the client info is free text for statistics.
    let client = concat!(
        r#"{"sdk":"chimein","sdkVer":""#,
        env!("CARGO_PKG_VERSION"),
        r#"","os":null,"osVer":null,"pl":"Rust","plVer":null}"#
    );
    let headers = BTreeMap::from([
        ("Content-Type".to_owned(), "application/json".to_owned()),
        ("Twilio-Sync-Client-Info".to_owned(), client.to_owned()),
        ("Twilio-Request-Id".to_owned(), format!("RQ{request_id:032x}")),
    ]);
    let http = HttpRequest { host, path, method: "GET".to_owned(), params, headers };
    Request { http, body: Bytes::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_percent_encoded_and_ports_kept() {
        let sync: Url = "https://cds.us1.twilio.com".parse().unwrap();
        let http = open(&sync, Kind::Map, "my bot@x.channels", 5).http;
        assert_eq!(http.host, "cds.us1.twilio.com");
        assert_eq!(http.path, "/v3/Maps/my%20bot%40x.channels");
        assert_eq!(http.headers["Twilio-Request-Id"], "RQ00000000000000000000000000000005");
        let items: Url = "http://127.0.0.1:8080/v3/Lists/ES1/Items".parse().unwrap();
        let http = items_after(&items, Some("41"), 0).http;
        assert_eq!(
            (http.host.as_str(), http.path.as_str()),
            ("127.0.0.1:8080", "/v3/Lists/ES1/Items")
        );
        assert_eq!(http.params["From"], Param::One("41".to_owned()));
    }

    #[test]
    fn pages_say_whether_there_is_more() {
        let page =
            r#"{"items":[{"index":0,"last_event_id":0,"data":{}}],"meta":{"next_token":"x"}}"#;
        assert!(serde_json::from_str::<Page<'_>>(page).unwrap().has_more());
        let last = r#"{"items":[],"meta":{"previous_token":null,"next_token":null}}"#;
        assert!(!serde_json::from_str::<Page<'_>>(last).unwrap().has_more());
    }
}

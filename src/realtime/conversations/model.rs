//! The JSON of the Conversations client API and of its Sync objects, read into our types.
//!
//! Decides which fields matter and how to be liberal with them; never fetches. Pure.
//! Source: conversations protocol notes 1 and 2, read 2026-11-21.

use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use crate::clock::Timestamp;
use crate::json::{self, Members};
use crate::pii::Pii;
use crate::realtime::event::{
    ConversationState, DeliveryCount, Details, Media, Message, MessageSource, Participant, Share,
};
use crate::realtime::sync::event::Change;
use crate::twilio::sid::{ConversationSid, ParticipantSid};

/// What the server says at start: the client builds no address by itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Configuration {
    /// The identity the token speaks for.
    pub identity: Pii,
    /// Names of Sync objects.
    pub sync_objects: SyncNames,
    /// Addresses.
    pub links: ConversationLinks,
    /// Numbers.
    #[serde(default, deserialize_with = "json::null_as_default")]
    pub options: Numbers,
}

/// Names of Sync objects.
#[derive(Clone, Debug, Deserialize)]
pub struct SyncNames {
    /// The map of the user's conversations.
    pub my_conversations: Pii,
}

/// Addresses of the client API.
#[derive(Clone, Debug, Deserialize)]
pub struct ConversationLinks {
    /// The user's conversations, as pages and by sid.
    pub my_conversations: Url,
    /// All conversations, by sid.
    pub conversations: Url,
    /// Typing.
    #[serde(default)]
    pub typing: Option<Url>,
}

/// Numbers of the client API.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Numbers {
    /// Least time between two writes of a read horizon, as ISO 8601 duration.
    #[serde(default)]
    pub consumption_report_interval: Option<String>,
}

/// The membership of the user in a conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SeatMembership {
    /// A seat.
    Joined,
    /// An invitation, which older servers send.
    Invited,
    /// Known, without a seat.
    NotParticipating,
}

/// One conversation of the user, from a page or from the map.
#[derive(Debug)]
pub struct ListedConversation {
    /// Seat or not.
    pub membership: SeatMembership,
    /// The read horizon.
    pub horizon: Option<u64>,
    /// The names of its objects.
    pub names: Names,
}

/// The names of a conversation's objects, where they are not the usual ones.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Names {
    /// The document.
    pub document: Option<Box<str>>,
    /// The list of messages.
    pub messages: Option<Box<str>>,
    /// The map of participants.
    pub roster: Option<Box<str>>,
}

impl Names {
    /// Keeps only what differs from `<sid>.<suffix>`, which costs a seat no memory.
    fn unusual(sid: ConversationSid, names: [Option<String>; 3]) -> Self {
        let keep = |name: Option<String>, suffix: &str| {
            name.filter(|name| *name != format!("{sid}.{suffix}")).map(String::into_boxed_str)
        };
        let [document, messages, roster] = names;
        Self {
            document: keep(document, "channel"),
            messages: keep(messages, "messages"),
            roster: keep(roster, "roster"),
        }
    }
}

fn membership(status: Option<&str>) -> SeatMembership {
    match status {
        Some("joined") => SeatMembership::Joined,
        Some("invited") => SeatMembership::Invited,
        _ => SeatMembership::NotParticipating,
    }
}

/// Reads the data of an item of `<identity>.channels`.
#[must_use]
pub fn channel_item(sid: ConversationSid, data: &RawValue) -> Option<ListedConversation> {
    let mut room = Vec::new();
    let data = members(data, &mut room)?;
    Some(ListedConversation {
        membership: membership(data.get::<String>("status").as_deref()),
        horizon: data.number("lastConsumedMessageIndex"),
        names: Names::unusual(sid, ["channel", "messages", "roster"].map(|name| data.get(name))),
    })
}

/// What an event of the map of the user's conversations says of one of them; nothing if it is gone.
#[must_use]
pub fn map_change(change: &Change<'_>) -> Option<(ConversationSid, Option<ListedConversation>)> {
    match change {
        Change::MapItemSet { key, data, .. } => {
            let conversation = key.parse().ok()?;
            Some((conversation, Some(channel_item(conversation, data)?)))
        }
        Change::MapItemRemoved { key } => Some((key.parse().ok()?, None)),
        Change::DocumentUpdated(_)
        | Change::ListItemSet { .. }
        | Change::ListItemRemoved { .. }
        | Change::Other
        | Change::Removed
        | Change::Established { .. }
        | Change::Canceled
        | Change::Failed { .. } => None,
    }
}

/// A page of the user's conversations: them and the token of the next page.
#[derive(Debug)]
pub struct ListedPage {
    /// The conversations that could be read.
    pub listed: Vec<(ConversationSid, ListedConversation)>,
    /// The token of the next page.
    pub next: Option<String>,
}

/// Reads a page of the user's conversations; those that cannot be read are left out.
#[must_use]
pub fn listed_page(body: &[u8]) -> Option<ListedPage> {
    let mut room = Vec::new();
    let page: Members<'_> = json::lend(body, &mut room).ok()?;
    let entries: Vec<&RawValue> = serde_json::from_str(page.raw("conversations")?.get()).ok()?;
    let next = match page.object("meta").raw("next_token") {
        // A listing that ends too early looks like one without the rest.
        Some(token) => Some(json::from_str(token.get()).ok()?),
        None => None,
    };
    let listed = entries.into_iter().filter_map(|entry| {
        let mut room = Vec::new();
        let entry = members(entry, &mut room)?;
        let sid: ConversationSid = entry.get("conversation_sid")?;
        let objects = entry.object("sync_objects");
        let names = ["conversation", "messages", "participants"].map(|name| objects.get(name));
        let listed = ListedConversation {
            membership: membership(entry.get::<String>("status").as_deref()),
            horizon: entry.number("last_read_message_index"),
            names: Names::unusual(sid, names),
        };
        Some((sid, listed))
    });
    Some(ListedPage { listed: listed.collect(), next })
}

/// Reads the data of a conversation's document.
#[must_use]
pub fn document(data: &RawValue) -> Option<Details> {
    let mut room = Vec::new();
    let data = members(data, &mut room)?;
    let state = match data.object("state").get::<String>("current").as_deref() {
        Some("inactive") => ConversationState::Inactive,
        Some("closed") => ConversationState::Closed,
        _ => ConversationState::Active,
    };
    Some(Details {
        attributes: attributes(&data),
        state,
        friendly_name: data.get("friendlyName"),
        unique_name: data.get("uniqueName"),
        last_message_index: data.object("lastMessage").number("index"),
        updated: time(&data, "dateUpdated"),
    })
}

/// Reads the data of an item of a conversation's list of messages.
#[must_use]
pub fn message(
    conversation: ConversationSid,
    index: u64,
    data: &RawValue,
    door: MessageSource,
) -> Option<Message> {
    let mut room = Vec::new();
    let data = members(data, &mut room)?;
    let media = match data.raw("medias") {
        Some(_) => data.list::<Box<RawValue>>("medias"),
        None => data.get("media").into_iter().collect(),
    };
    Some(Message {
        conversation,
        sid: data.get("sid")?,
        index,
        author: data.get("author").unwrap_or_default(),
        body: data.get("text"),
        attributes: attributes(&data),
        media: media.iter().filter_map(|raw| file(raw)).collect(),
        participant: data.get("memberSid"),
        created: time(&data, "timestamp").unwrap_or_default(),
        delivery: delivery(&data.object("delivery")),
        door,
    })
}

fn file(raw: &RawValue) -> Option<Media> {
    let mut room = Vec::new();
    let data = members(raw, &mut room)?;
    Some(Media {
        sid: data.get("sid")?,
        content_type: data.get("contentType"),
        size: data.number("size"),
        filename: data.get("filename"),
        category: data.get("category"),
    })
}

fn delivery(data: &Members<'_>) -> Option<DeliveryCount> {
    let share = |name: &str| data.get::<Share>(name).unwrap_or_default();
    Some(DeliveryCount {
        total: data.get("total")?,
        sent: share("sent"),
        delivered: share("delivered"),
        read: share("read"),
        failed: share("failed"),
        undelivered: share("undelivered"),
    })
}

/// Reads the data of an item of a conversation's map of participants.
#[must_use]
pub fn participant(
    conversation: ConversationSid,
    key: &str,
    data: &RawValue,
) -> Option<Participant> {
    let sid: ParticipantSid = key.parse().ok()?;
    let mut room = Vec::new();
    let data = members(data, &mut room)?;
    Some(Participant {
        conversation,
        sid,
        identity: data.get("identity"),
        kind: data.get("type"),
        attributes: attributes(&data),
    })
}

fn members<'a>(raw: &'a RawValue, room: &'a mut Vec<u8>) -> Option<Members<'a>> {
    json::lend(raw.get().as_bytes(), room).ok()
}

fn time(data: &Members<'_>, name: &str) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(&data.get::<String>(name)?)
}

/// Attributes come as JSON text or as an object; either becomes text.
fn attributes(data: &Members<'_>) -> Option<Pii> {
    let raw = data.raw("attributes")?;
    data.get("attributes").or_else(|| Some(Pii::new(raw.get())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_from_the_documented_item() {
        let data = raw(
            r#"{"sid":"IM00000000000000000000000000000001","author":"+15550001111","text":"hello","type":"text","subject":null,"contentSid":null,"attributes":"{\"k\":1}","timestamp":"2026-11-20T21:01:16.887Z","dateUpdated":"2026-11-20T21:01:16.887Z","lastUpdatedBy":null,"memberSid":"MB00000000000000000000000000000002","channelMetadata":false,"delivery":{"total":2,"sent":"all","delivered":"some","read":"none","failed":"none","undelivered":"none"}}"#,
        );
        let message = message(sid(), 7, &data, MessageSource::Live).unwrap();
        assert_eq!(message.body.unwrap().reveal(), "hello");
        assert_eq!(message.attributes.unwrap().reveal(), "{\"k\":1}");
        assert_eq!(message.created.to_string(), "2026-11-20T21:01:16.887Z");
        assert_eq!(message.delivery.unwrap().delivered, Share::Some);
        assert!(message.participant.is_some());
    }

    #[test]
    fn attributes_may_be_text_an_object_or_null() {
        for (json, wanted) in [
            (r#"{"attributes":{"a":1}}"#, Some(r#"{"a":1}"#)),
            (r#"{"attributes":"{\"a\":1}"}"#, Some(r#"{"a":1}"#)),
            (r#"{"attributes":null}"#, None),
            ("{}", None),
        ] {
            let details = document(&raw(json)).unwrap();
            assert_eq!(details.attributes.as_ref().map(Pii::reveal), wanted, "{json}");
        }
    }

    #[test]
    fn what_is_odd_in_an_item_costs_nothing_but_itself() {
        let data = raw(r#"{"sid":"IM00000000000000000000000000000001","author":7,"text":"a\ud83d",
            "attributes":"{\"a\":\"\\ud83d\"}\ude00","timestamp":false,"memberSid":"",
            "medias":[{"sid":"ME00000000000000000000000000000003","size":"12"},{"sid":""},null],
            "delivery":{"total":1,"sent":"most","read":null,"failed":"all"}}"#);
        let message = message(sid(), 7, &data, MessageSource::Live).unwrap();
        assert_eq!(message.body.unwrap().reveal(), "a\u{fffd}");
        assert_eq!(message.attributes.unwrap().reveal(), "{\"a\":\"\\ud83d\"}\u{fffd}");
        assert_eq!(message.media.iter().map(|file| file.size).collect::<Vec<_>>(), [Some(12)]);
        let delivery = message.delivery.unwrap();
        assert_eq!((delivery.failed, delivery.sent), (Share::All, Share::None));
        let odd = r#"{"state":{"current":null},"friendlyName":"\ud83d","lastMessage":[],
            "attributes":{"a":"\ud83d","b":1e400}}"#;
        let details = document(&raw(odd)).unwrap();
        assert_eq!(details.friendly_name.unwrap().reveal(), "\u{fffd}");
        assert_eq!(details.attributes.unwrap().reveal(), r#"{"a":"\ud83d","b":1e400}"#);
    }

    #[test]
    fn a_page_whose_token_cannot_be_read_is_not_the_last_one() {
        assert!(listed_page(br#"{"conversations":[],"meta":{"next_token":7}}"#).is_none());
        for last in ["{}", "null", r#"{"next_token":null}"#] {
            let page = format!(r#"{{"conversations":[],"meta":{last}}}"#);
            assert!(listed_page(page.as_bytes()).unwrap().next.is_none(), "{last}");
        }
    }

    #[test]
    fn only_unusual_names_are_kept() {
        let usual = format!(
            r#"{{"status":"joined","channel":"{0}.channel","messages":"{0}.messages","roster":"x"}}"#,
            sid()
        );
        let listed = channel_item(sid(), &raw(&usual)).unwrap();
        assert_eq!(listed.membership, SeatMembership::Joined);
        assert_eq!(listed.names, Names { roster: Some("x".into()), ..Names::default() });
    }

    #[test]
    fn pages_leave_out_what_cannot_be_read() {
        let page = format!(
            r#"{{"conversations":[{{"conversation_sid":"junk"}},{{"conversation_sid":"{}","status":"invited","last_read_message_index":4}}],"meta":{{"next_token":"t"}}}}"#,
            sid()
        );
        let page = listed_page(page.as_bytes()).unwrap();
        assert_eq!(page.next.as_deref(), Some("t"));
        assert_eq!(page.listed.len(), 1);
        assert_eq!(page.listed[0].1.membership, SeatMembership::Invited);
        assert_eq!(page.listed[0].1.horizon, Some(4));
    }

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    fn sid() -> ConversationSid {
        ConversationSid::from_bytes([7; 16])
    }
}

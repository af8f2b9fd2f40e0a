//! The JSON of the Conversations client API and of its Sync objects, read into our types.
//!
//! Decides which fields matter and how to be liberal with them; never fetches. Pure.
//! Source: conversations protocol notes 1 and 2, read 2026-11-21.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::realtime::event::{
    ConversationState, Delivery, Details, Door, Media, Message, Participant, Share,
};
use crate::twilio::sid::{ConversationSid, MediaSid, MessageSid, ParticipantSid};

/// What the server says at start: the client builds no address by itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Configuration {
    /// The identity the token speaks for.
    pub identity: Pii,
    /// Names of Sync objects.
    pub sync_objects: SyncNames,
    /// Addresses.
    pub links: Links,
    /// Numbers.
    #[serde(default)]
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
pub struct Links {
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
pub enum Membership {
    /// A seat.
    Joined,
    /// An invitation, which older servers send.
    Invited,
    /// Known, without a seat.
    NotParticipating,
}

/// One conversation of the user, from a page or from the map.
#[derive(Debug)]
pub struct Listed {
    /// Seat or not.
    pub membership: Membership,
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
    fn unusual(sid: ConversationSid, names: [Option<Cow<'_, str>>; 3]) -> Self {
        let keep = |name: Option<Cow<'_, str>>, suffix: &str| {
            name.filter(|name| *name != format!("{sid}.{suffix}")).map(|name| Box::from(&*name))
        };
        let [document, messages, roster] = names;
        Self {
            document: keep(document, "channel"),
            messages: keep(messages, "messages"),
            roster: keep(roster, "roster"),
        }
    }
}

fn membership(status: Option<&str>) -> Membership {
    match status {
        Some("joined") => Membership::Joined,
        Some("invited") => Membership::Invited,
        _ => Membership::NotParticipating,
    }
}

/// Reads the data of an item of `<identity>.channels`.
#[must_use]
pub fn channel_item(sid: ConversationSid, data: &RawValue) -> Option<Listed> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow, default)]
        status: Option<Cow<'a, str>>,
        #[serde(default, rename = "lastConsumedMessageIndex")]
        horizon: Option<u64>,
        #[serde(borrow, default)]
        channel: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        messages: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        roster: Option<Cow<'a, str>>,
    }
    let data: Data<'_> = serde_json::from_str(data.get()).ok()?;
    Some(Listed {
        membership: membership(data.status.as_deref()),
        horizon: data.horizon,
        names: Names::unusual(sid, [data.channel, data.messages, data.roster]),
    })
}

/// A page of the user's conversations: them and the token of the next page.
#[derive(Debug)]
pub struct ListedPage {
    /// The conversations that could be read.
    pub listed: Vec<(ConversationSid, Listed)>,
    /// The token of the next page.
    pub next: Option<String>,
}

/// Reads a page of the user's conversations.
#[must_use]
pub fn listed_page(body: &[u8]) -> Option<ListedPage> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        conversations: Vec<Entry<'a>>,
        #[serde(default)]
        meta: Meta,
    }
    #[derive(Default, Deserialize)]
    struct Meta {
        #[serde(default)]
        next_token: Option<String>,
    }
    #[derive(Deserialize)]
    struct Entry<'a> {
        #[serde(borrow)]
        conversation_sid: Cow<'a, str>,
        #[serde(borrow, default)]
        status: Option<Cow<'a, str>>,
        #[serde(default)]
        last_read_message_index: Option<u64>,
        #[serde(borrow, default)]
        sync_objects: Option<Objects<'a>>,
    }
    #[derive(Default, Deserialize)]
    struct Objects<'a> {
        #[serde(borrow, default)]
        conversation: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        messages: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        participants: Option<Cow<'a, str>>,
    }
    let page: Page<'_> = serde_json::from_slice(body).ok()?;
    let listed = page.conversations.into_iter().filter_map(|entry| {
        let sid: ConversationSid = entry.conversation_sid.parse().ok()?;
        let objects = entry.sync_objects.unwrap_or_default();
        let names = [objects.conversation, objects.messages, objects.participants];
        let listed = Listed {
            membership: membership(entry.status.as_deref()),
            horizon: entry.last_read_message_index,
            names: Names::unusual(sid, names),
        };
        Some((sid, listed))
    });
    Some(ListedPage { listed: listed.collect(), next: page.meta.next_token })
}

/// Reads the data of a conversation's document.
#[must_use]
pub fn document(data: &RawValue) -> Option<Details> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow, default)]
        attributes: Option<&'a RawValue>,
        #[serde(default)]
        state: Option<State>,
        #[serde(default, rename = "friendlyName")]
        friendly_name: Option<Pii>,
        #[serde(default, rename = "uniqueName")]
        unique_name: Option<Pii>,
        #[serde(default, rename = "lastMessage")]
        last_message: Option<Last>,
        #[serde(borrow, default, rename = "dateUpdated")]
        updated: Option<Cow<'a, str>>,
    }
    #[derive(Deserialize)]
    struct State {
        #[serde(default)]
        current: String,
    }
    #[derive(Deserialize)]
    struct Last {
        #[serde(default)]
        index: Option<u64>,
    }
    let data: Data<'_> = serde_json::from_str(data.get()).ok()?;
    let state = match data.state.as_ref().map(|state| state.current.as_str()) {
        Some("inactive") => ConversationState::Inactive,
        Some("closed") => ConversationState::Closed,
        _ => ConversationState::Active,
    };
    Some(Details {
        attributes: data.attributes.and_then(json_text),
        state,
        friendly_name: data.friendly_name,
        unique_name: data.unique_name,
        last_message_index: data.last_message.and_then(|last| last.index),
        updated: data.updated.and_then(|at| Timestamp::parse_rfc3339(&at)),
    })
}

/// Attributes come as JSON text or as an object; either becomes text.
fn json_text(raw: &RawValue) -> Option<Pii> {
    match raw.get().as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(raw.get()).ok().map(Pii::from),
        Some(b'n') | None => None,
        Some(_) => Some(Pii::new(raw.get())),
    }
}

/// Reads the data of an item of a conversation's list of messages.
#[must_use]
pub fn message(
    conversation: ConversationSid,
    index: u64,
    data: &RawValue,
    door: Door,
) -> Option<Message> {
    #[derive(Deserialize)]
    struct Data<'a> {
        sid: MessageSid,
        #[serde(default)]
        author: Option<Pii>,
        #[serde(default)]
        text: Option<Pii>,
        #[serde(borrow, default)]
        attributes: Option<&'a RawValue>,
        #[serde(borrow, default)]
        timestamp: Option<Cow<'a, str>>,
        #[serde(default, rename = "memberSid")]
        member_sid: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        media: Option<&'a RawValue>,
        #[serde(borrow, default)]
        medias: Option<Vec<&'a RawValue>>,
        #[serde(borrow, default)]
        delivery: Option<&'a RawValue>,
    }
    let data: Data<'_> = serde_json::from_str(data.get()).ok()?;
    let medias = data.medias.unwrap_or_else(|| data.media.into_iter().collect());
    Some(Message {
        conversation,
        sid: data.sid,
        index,
        author: data.author.unwrap_or_default(),
        body: data.text,
        attributes: data.attributes.and_then(json_text),
        media: medias.into_iter().filter_map(media).collect(),
        participant: data.member_sid.and_then(|sid| sid.parse().ok()),
        created: data.timestamp.and_then(|at| Timestamp::parse_rfc3339(&at)).unwrap_or_default(),
        delivery: data.delivery.and_then(delivery),
        door,
    })
}

fn media(raw: &RawValue) -> Option<Media> {
    #[derive(Deserialize)]
    struct Data {
        sid: MediaSid,
        #[serde(default, rename = "contentType")]
        content_type: Option<String>,
        #[serde(default)]
        size: Option<u64>,
        #[serde(default)]
        filename: Option<Pii>,
        #[serde(default)]
        category: Option<String>,
    }
    let data: Data = serde_json::from_str(raw.get()).ok()?;
    Some(Media {
        sid: data.sid,
        content_type: data.content_type,
        size: data.size,
        filename: data.filename,
        category: data.category,
    })
}

fn delivery(raw: &RawValue) -> Option<Delivery> {
    #[derive(Deserialize)]
    struct Data {
        total: u32,
        #[serde(default)]
        sent: Share,
        #[serde(default)]
        delivered: Share,
        #[serde(default)]
        read: Share,
        #[serde(default)]
        failed: Share,
        #[serde(default)]
        undelivered: Share,
    }
    let data: Data = serde_json::from_str(raw.get()).ok()?;
    Some(Delivery {
        total: data.total,
        sent: data.sent,
        delivered: data.delivered,
        read: data.read,
        failed: data.failed,
        undelivered: data.undelivered,
    })
}

/// Reads the data of an item of a conversation's map of participants.
#[must_use]
pub fn participant(
    conversation: ConversationSid,
    key: &str,
    data: &RawValue,
) -> Option<Participant> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(default)]
        identity: Option<Pii>,
        #[serde(default, rename = "type")]
        kind: Option<String>,
        #[serde(borrow, default)]
        attributes: Option<&'a RawValue>,
    }
    let sid: ParticipantSid = key.parse().ok()?;
    let data: Data<'_> = serde_json::from_str(data.get()).ok()?;
    Some(Participant {
        conversation,
        sid,
        identity: data.identity,
        kind: data.kind,
        attributes: data.attributes.and_then(json_text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_from_the_documented_item() {
        let data = raw(
            r#"{"sid":"IM00000000000000000000000000000001","author":"+15550001111","text":"hello","type":"text","subject":null,"contentSid":null,"attributes":"{\"k\":1}","timestamp":"2026-11-20T21:01:16.887Z","dateUpdated":"2026-11-20T21:01:16.887Z","lastUpdatedBy":null,"memberSid":"MB00000000000000000000000000000002","channelMetadata":false,"delivery":{"total":2,"sent":"all","delivered":"some","read":"none","failed":"none","undelivered":"none"}}"#,
        );
        let message = message(sid(), 7, &data, Door::Live).unwrap();
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
    fn only_unusual_names_are_kept() {
        let usual = format!(
            r#"{{"status":"joined","channel":"{0}.channel","messages":"{0}.messages","roster":"x"}}"#,
            sid()
        );
        let listed = channel_item(sid(), &raw(&usual)).unwrap();
        assert_eq!(listed.membership, Membership::Joined);
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
        assert_eq!(page.listed[0].1.membership, Membership::Invited);
        assert_eq!(page.listed[0].1.horizon, Some(4));
    }

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    fn sid() -> ConversationSid {
        ConversationSid::from_bytes([7; 16])
    }
}

//! A Twilsock server of a few hundred lines: the naive model that the client's core is held against.
//!
//! It keeps every conversation as a list of events and answers requests from it. It knows nothing of
//! time, sockets and faults; `link.rs` adds those.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use chimein::realtime::twilsock::frame::{
    Frame, Header, HttpRequest, Method, Param, Status, encode,
};
use chimein::twilio::sid::{ConversationSid, MessageSid};
use serde_json::{Value, json};

/// The model.
#[derive(Default)]
pub struct Server {
    conversations: Vec<Conversation>,
    /// The events of the user's map: the conversation's number and its read horizon.
    channels: Vec<(usize, Option<u64>)>,
    subscribed: HashSet<String>,
    mutations: HashMap<String, Value>,
    next_frame: u64,
    /// Events kept for replay by each list; older ones are gone.
    pub kept: usize,
    pub requests: usize,
}

#[derive(Default)]
struct Conversation {
    events: Vec<(u64, Value)>,
    items: BTreeMap<u64, (usize, Value)>,
    documents: i64,
    topic: u32,
}

/// The sid of a conversation by its number.
pub fn conversation(number: usize) -> ConversationSid {
    ConversationSid::from_bytes(u128::try_from(number).unwrap_or(0).to_be_bytes())
}

impl Server {
    pub fn new(kept: usize) -> Self {
        Self { kept, ..Self::default() }
    }

    /// A new connection knows no subscriptions.
    pub fn connected(&mut self) {
        self.subscribed.clear();
    }

    /// Adds a conversation with the bot in it; gives the frames this causes.
    pub fn add_conversation(&mut self) -> Vec<Bytes> {
        let number = self.conversations.len();
        self.conversations.push(Conversation::default());
        self.channel(number, None)
    }

    fn channel(&mut self, number: usize, horizon: Option<u64>) -> Vec<Bytes> {
        self.channels.push((number, horizon));
        let at = self.channels.len() - 1;
        let event = self.channel_event(at);
        self.push("MP1", "com.twilio.rtd.cds.map", "map_item_updated", &event)
    }

    /// Stores a message; gives its index and the frames this causes.
    pub fn store(&mut self, number: usize, body: &str) -> (u64, Vec<Bytes>) {
        let kept = &mut self.conversations[number];
        let id = kept.events.len();
        let index = u64::try_from(id).unwrap_or(0);
        let sid = message(number, index);
        let data = json!({"sid": sid.to_string(), "text": body, "author": "+15550001111",
            "attributes": "{}", "timestamp": "2026-11-20T21:01:16.887Z", "memberSid": null});
        kept.events.push((index, data.clone()));
        kept.items.insert(index, (id, data));
        kept.documents += 1;
        let event = list_event(number, id, kept);
        let list = format!("ES{number}");
        (index, self.push(&list, "com.twilio.rtd.cds.list", "list_item_added", &event))
    }

    /// Edits a message, which takes an event id.
    pub fn edit(&mut self, number: usize, index: u64) -> Vec<Bytes> {
        let kept = &mut self.conversations[number];
        let id = kept.events.len();
        let Some((last, data)) = kept.items.get_mut(&index) else { return Vec::new() };
        *last = id;
        let data = data.clone();
        kept.events.push((index, data));
        let event = list_event(number, id, kept);
        let list = format!("ES{number}");
        self.push(&list, "com.twilio.rtd.cds.list", "list_item_updated", &event)
    }

    /// Changes a conversation's attributes and removes its document for another one to take its
    /// place; only the second is told.
    pub fn replace_document(&mut self, number: usize) -> Vec<Bytes> {
        self.conversations[number].topic += 1;
        let object = format!("ET{number}");
        let event = json!({"id": 1, "document_sid": object});
        self.push(&object, "com.twilio.rtd.cds.document", "document_removed", &event)
    }

    /// How many messages a conversation has.
    pub fn stored(&self, number: usize) -> Vec<u64> {
        self.conversations[number].items.keys().copied().collect()
    }

    /// Takes a frame in; gives the answers.
    pub fn frame(&mut self, frame: &Frame) -> Vec<Bytes> {
        match frame.header.method {
            Method::Init | Method::Update => {
                let mut header = Header::acknowledgement(&frame.header.id);
                header.continuation_token = Some("continuation".into());
                vec![encode(&header, b"")]
            }
            Method::Message => {
                self.requests += 1;
                let Some(request) = &frame.header.http_request else { return Vec::new() };
                let (status, body, then) = self.answer(request, &frame.payload);
                let mut header = Header::acknowledgement(&frame.header.id);
                header.http_status = Some(Status::new(status, ""));
                let mut frames = vec![encode(&header, body.to_string().as_bytes())];
                frames.extend(then);
                frames
            }
            _ => Vec::new(),
        }
    }

    fn answer(&mut self, request: &HttpRequest, payload: &[u8]) -> (u16, Value, Vec<Bytes>) {
        let path: Vec<&str> = request.path.split('/').filter(|part| !part.is_empty()).collect();
        let body: Value = serde_json::from_slice(payload).unwrap_or(Value::Null);
        match path[..] {
            ["Client", "v2", "Configuration"] => (200, configuration(), Vec::new()),
            ["v3", "Maps", _] => (200, self.opened("MP1", self.channels.len(), None), Vec::new()),
            ["v3", "Documents", name] => match self.number(name) {
                Some(number) => {
                    let events = usize::try_from(self.conversations[number].documents).unwrap_or(0);
                    let topic = self.conversations[number].topic;
                    let data =
                        json!({"attributes": {"topic": topic}, "state": {"current": "active"}});
                    (200, self.opened(&format!("ET{number}"), events, Some(data)), Vec::new())
                }
                None => (404, json!({"code": 54300}), Vec::new()),
            },
            ["v3", "Lists", name] => match self.number(name) {
                Some(number) => {
                    let events = self.conversations[number].events.len();
                    (200, self.opened(&format!("ES{number}"), events, None), Vec::new())
                }
                None => (404, json!({"code": 54300}), Vec::new()),
            },
            ["v3", "Lists", list, "Items"] => (200, self.items(list, request), Vec::new()),
            ["v4", "Subscriptions"] => {
                let reply = json!({"estimated_delivery_in_ms": 2000, "max_batch_size": 1000, "ttl_in_s": 600});
                let then = self.subscribe(&body);
                (202, reply, then)
            }
            ["mine"] => (200, self.page(request), Vec::new()),
            ["mine", sid] => {
                let horizon = body["last_read_message_index"].as_u64();
                let number = self.number(sid);
                let then = number.map(|number| self.channel(number, horizon)).unwrap_or_default();
                (200, json!({"unread_messages_count": 0}), then)
            }
            ["all", sid, "Messages"] => self.send(sid, request, &body),
            _ => (404, json!({"code": 20404}), Vec::new()),
        }
    }

    fn send(&mut self, sid: &str, request: &HttpRequest, body: &Value) -> (u16, Value, Vec<Bytes>) {
        let mutation = request.headers["X-Twilio-Mutation-Id"].clone();
        if let Some(stored) = self.mutations.get(&mutation) {
            return (201, stored.clone(), Vec::new());
        }
        let Some(number) = self.number(sid) else { return (404, json!({}), Vec::new()) };
        let (index, frames) = self.store(number, body["body"].as_str().unwrap_or_default());
        let stored = json!({"sid": message(number, index).to_string(), "index": index});
        self.mutations.insert(mutation, stored.clone());
        (201, stored, frames)
    }

    fn number(&self, name: &str) -> Option<usize> {
        let sid: ConversationSid = name.split('.').next()?.parse().ok()?;
        let number = usize::try_from(u128::from_be_bytes(*sid.as_bytes())).ok()?;
        Some(number).filter(|number| *number < self.conversations.len())
    }

    fn opened(&self, sid: &str, events: usize, data: Option<Value>) -> Value {
        let last = i64::try_from(events).unwrap_or(0) - 1;
        json!({"sid": sid, "last_event_id": last, "data": data,
            "links": {"items": format!("https://cds.example/v3/Lists/{sid}/Items")}})
    }

    fn items(&self, list: &str, request: &HttpRequest) -> Value {
        let from = match request.params.get("From") {
            Some(Param::One(from)) => from.parse().unwrap_or(0),
            _ => 0,
        };
        let number: usize = list[2..].parse().unwrap_or(0);
        let all = &self.conversations[number].items;
        let items: Vec<Value> = all
            .range(from..)
            .take(100)
            .map(|(index, (id, data))| json!({"index": index, "last_event_id": id, "data": data}))
            .collect();
        let more = all.range(from..).count() > 100;
        json!({"items": items, "meta": {"next_token": more.then_some("more")}})
    }

    fn page(&self, request: &HttpRequest) -> Value {
        let from: usize = match request.params.get("PageToken") {
            Some(Param::One(token)) => token.parse().unwrap_or(0),
            _ => 0,
        };
        let to = (from + 100).min(self.conversations.len());
        let mut horizons = HashMap::new();
        for (number, horizon) in &self.channels {
            horizons.insert(*number, *horizon);
        }
        let page: Vec<Value> = (from..to)
            .map(|number| {
                json!({"conversation_sid": conversation(number).to_string(), "status": "joined",
                    "last_read_message_index": horizons.get(&number)})
            })
            .collect();
        let next = (to < self.conversations.len()).then(|| to.to_string());
        json!({"conversations": page, "meta": {"next_token": next}})
    }

    /// Subscribes, and replays what is newer and still kept.
    fn subscribe(&mut self, body: &Value) -> Vec<Bytes> {
        if body["action"] == "cancel" {
            return Vec::new();
        }
        let correlation = &body["correlation_id"];
        let mut frames = Vec::new();
        let mut results = Vec::new();
        for request in body["requests"].as_array().into_iter().flatten() {
            let sid = request["object_sid"].as_str().unwrap_or_default().to_owned();
            let after = request["last_event_id"].as_i64().unwrap_or(-1);
            let (events, kind) = self.since(&sid, after);
            let last = match sid.as_bytes() {
                [b'M', ..] => self.channels.len(),
                [b'E', b'S', ..] => self.conversations[sid[2..].parse().unwrap_or(0)].events.len(),
                _ => usize::try_from(after + 1).unwrap_or(0),
            };
            if !events.is_empty() {
                let payload =
                    json!({"event_type": kind, "correlation_id": correlation, "events": events});
                frames.push(self.notification("twilio.sync.event", &payload));
            }
            results.push(json!({"object_sid": sid, "replay_status": "completed",
                "last_event_id": i64::try_from(last).unwrap_or(0) - 1}));
            self.subscribed.insert(sid);
        }
        let payload = json!({"event_type": "subscription_established",
            "correlation_id": correlation, "events": results});
        frames.push(self.notification("twilio.sync.event", &payload));
        frames
    }

    fn since(&self, sid: &str, after: i64) -> (Vec<Value>, &'static str) {
        let first = usize::try_from(after + 1).unwrap_or(0);
        match sid.as_bytes() {
            [b'M', ..] => {
                let ids = first.max(self.channels.len().saturating_sub(self.kept));
                let events = (ids..self.channels.len()).map(|id| self.channel_event(id));
                (events.collect(), "map_item_updated")
            }
            [b'E', b'S', ..] => {
                let number = sid[2..].parse().unwrap_or(0);
                let kept = &self.conversations[number];
                let ids = first.max(kept.events.len().saturating_sub(self.kept));
                let events = (ids..kept.events.len()).map(|id| list_event(number, id, kept));
                (events.collect(), "list_item_added")
            }
            _ => (Vec::new(), "document_updated"),
        }
    }

    fn channel_event(&self, id: usize) -> Value {
        let (number, horizon) = self.channels[id];
        let sid = conversation(number);
        let data = json!({"status": "joined", "channel": format!("{sid}.channel"),
            "messages": format!("{sid}.messages"), "roster": format!("{sid}.roster"),
            "lastConsumedMessageIndex": horizon});
        json!({"id": id, "map_sid": "MP1", "item_key": sid.to_string(), "item_data": data})
    }

    fn push(&mut self, object: &str, message_type: &str, kind: &str, event: &Value) -> Vec<Bytes> {
        if !self.subscribed.contains(object) {
            return Vec::new();
        }
        let payload = json!({"event_type": kind, "event_protocol_version": 4, "event": event});
        vec![self.notification(message_type, &payload)]
    }

    fn notification(&mut self, message_type: &str, payload: &Value) -> Bytes {
        self.next_frame += 1;
        let mut header = Header::new(Method::Notification, format!("TM{:032x}", self.next_frame));
        header.payload_type = Some("application/json".to_owned());
        header.message_type = Some(message_type.to_owned());
        encode(&header, payload.to_string().as_bytes())
    }
}

/// The sid of a message by its place.
pub fn message(number: usize, index: u64) -> MessageSid {
    let number = u64::try_from(number).unwrap_or(0);
    MessageSid::from_bytes((u128::from(number) << 64 | u128::from(index)).to_be_bytes())
}

fn list_event(number: usize, id: usize, kept: &Conversation) -> Value {
    let (index, data) = &kept.events[id];
    json!({"id": id, "list_sid": format!("ES{number}"), "item_index": index, "item_data": data})
}

fn configuration() -> Value {
    json!({"identity": "bot", "sync_objects": {"my_conversations": "bot.channels"},
        "links": {"my_conversations": "https://aim.example/mine",
            "conversations": "https://aim.example/all",
            "typing": "https://aim.example/typing"},
        "options": {"consumption_report_interval": "PT1S"}})
}

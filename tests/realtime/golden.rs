//! Recorded flows of the official client, played to the core: the server's frames as they were, the
//! answers by what is asked for.
//!
//! Source: `tests/data/twilsock/SOURCE.md`. The core asks in another order and for less than the
//! official client, so answers are found by method and path, and subscriptions are confirmed as
//! asked for; pushed and replayed events are the recorded ones, in the recorded order.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use chimein::clock::Moment;
use chimein::realtime::Event;
use chimein::realtime::conversations::core::{Core, Input, Output};
use chimein::realtime::twilsock::frame::{Frame, Header, Limits, Method, Status, decode};
use chimein::realtime::twilsock::session::{ConnId, Token};
use serde_json::{Value, json};

use super::link::options;
use super::rig::text;

#[test]
fn added_to_a_conversation_and_removed_again() {
    let flow = include_str!("../data/twilsock/02-added.jsonl");
    let told = Player::new(flow, ("MP2d3104", -1)).play();
    assert_eq!(told, ["joined CHd81072", "caught up -", "left CHd81072"]);
}

#[test]
fn messages_arrive_are_edited_and_removed() {
    let flow = include_str!("../data/twilsock/04-received.jsonl");
    let told = Player::new(flow, ("MPa487f7", -1)).play();
    assert_eq!(
        told,
        [
            "joined CH27e214",
            "caught up -",
            "Live 0 héllo 👋",
            "Live 1 second",
            "updated 1 second, edited",
            "removed 1",
            "Live 4 third",
        ]
    );
}

#[test]
fn own_messages_and_replayed_ones_are_told_once() {
    let flow = include_str!("../data/twilsock/05-sent.jsonl");
    let told = Player::new(flow, ("MPeccf1a", 0)).play();
    assert_eq!(told[..2], ["joined CHf56191", "caught up -"]);
    assert_eq!(told[2], "Replay 0 hello from the bot");
    assert_eq!(told.iter().filter(|line| line.starts_with("Live")).count(), 2);
    assert_eq!(told.last().map(String::as_str), Some("Live 2 with picture"));
}

#[test]
fn after_a_lost_socket_the_replay_comes_in_order_and_once() {
    let flow = include_str!("../data/twilsock/08-lost.jsonl");
    let mut player = Player::new(flow, ("MPaab161", 0));
    player.seat("CHbbafbe", ("ET04a393", 1), ("ES5fd4c7", 0));
    let told = player.play();
    assert_eq!(told[..2], ["joined CHbbafbe", "caught up 0"]);
    let messages: Vec<_> = told.iter().filter(|line| !line.contains("caught up")).collect();
    assert_eq!(messages[1], "joined CH6778a7", "{told:?}");
    assert_eq!(messages[2..5].iter().filter(|line| line.starts_with("Replay")).count(), 3);
    assert_eq!(messages[5], "Live 4 after");
    assert_eq!(messages.len(), 6);
}

/// A core and the recording that it is played.
struct Player {
    core: Core,
    now: Moment,
    conn: ConnId,
    connections: u64,
    lines: Vec<Value>,
    answers: HashMap<(String, String), (u16, Value)>,
    channels: (String, i64),
    told: Vec<String>,
}

impl Player {
    fn new(flow: &str, channels: (&str, i64)) -> Self {
        let lines: Vec<Value> =
            flow.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        let mut asked = HashMap::new();
        let mut answers = HashMap::new();
        for line in &lines {
            let id = line["header"]["id"].as_str().unwrap_or_default().to_owned();
            let request = &line["header"]["http_request"];
            if let (Some(method), Some(path)) =
                (request["method"].as_str(), request["path"].as_str())
            {
                asked.insert(id, (method.to_owned(), path.to_owned()));
            } else if let Some(asked) = asked.remove(&id) {
                let code = line["header"]["http_status"]["code"].as_u64().unwrap_or(200);
                let status = u16::try_from(code).unwrap_or(200);
                answers.insert(asked, (status, line["payload"].clone()));
            }
        }
        Self {
            core: Core::new(options(), None, 1, 1),
            now: Moment::ORIGIN,
            conn: ConnId(0),
            connections: 0,
            lines,
            answers,
            channels: (full(channels.0), channels.1),
            told: Vec::new(),
        }
    }

    /// A seat that the client had before the recording begins.
    fn seat(&mut self, sid: &str, document: (&str, i64), messages: (&str, i64)) {
        let sid = full(sid);
        let opened = |(object, last): (&str, i64)| {
            let object = full(object);
            let items = format!("https://cds.us1.twilio.com/v3/Lists/{object}/Items");
            json!({"sid": object, "last_event_id": last, "data": {}, "links": {"items": items}})
        };
        let page = json!({"conversations": [{"conversation_sid": sid, "status": "joined",
            "last_read_message_index": 0}], "meta": {"next_token": null}});
        for (path, answer) in [
            (format!("/v3/Documents/{sid}.channel"), opened(document)),
            (format!("/v3/Lists/{sid}.messages"), opened(messages)),
            ("/mine".to_owned(), page),
        ] {
            self.answers.insert(("GET".to_owned(), path), (200, answer));
        }
    }

    fn play(mut self) -> Vec<String> {
        self.input(Input::Start);
        self.settle();
        for line in std::mem::take(&mut self.lines) {
            if line["socket"] == "closed" && line["conn"] == 1 && self.connections == 1 {
                let conn = self.conn;
                self.input(Input::Lost(conn));
                self.settle();
            }
            if line["header"]["method"] == "notification" {
                let mut header = Header::new(Method::Notification, "TM1");
                header.message_type =
                    line["header"]["message_type"].as_str().map(ToOwned::to_owned);
                self.frame(header, &line["payload"]);
                self.settle();
            }
        }
        self.told
    }

    /// Lets half a minute pass, so that everything asked for is answered.
    fn settle(&mut self) {
        let end = self.now + Duration::from_secs(30);
        while let Some(at) = self.core.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Tick);
            let conn = self.conn;
            self.input(Input::Heard(conn));
        }
        self.now = end;
        let conn = self.conn;
        self.input(Input::Heard(conn));
    }

    fn input(&mut self, input: Input) {
        self.core.handle(self.now, input);
        while let Some(output) = self.core.poll() {
            match output {
                Output::Connect(conn) => {
                    self.conn = conn;
                    self.connections += 1;
                    self.input(Input::Opened(conn));
                }
                Output::Write(_, bytes) => self.answer(&bytes),
                Output::WantToken => {
                    let token = Token { jwt: "jwt".into(), valid_for: Duration::from_secs(86_400) };
                    self.input(Input::Token(token));
                }
                Output::LoadWatermark { conversation, epoch } => {
                    self.input(Input::Watermark { conversation, epoch, handled: None });
                }
                Output::Probe(_) | Output::Disconnect(_) | Output::Answered(..) => {}
            }
        }
        while let Some(event) = self.core.next_event() {
            self.told.extend(line(&event));
        }
    }

    fn answer(&mut self, bytes: &Bytes) {
        let frame = decode(bytes, &Limits::default()).expect("a frame");
        let mut header = Header::acknowledgement(&frame.header.id);
        if frame.header.method == Method::Init {
            return self.frame(header, &Value::Null);
        }
        let Some(request) = frame.header.http_request else { return };
        let (status, body) = self.find(&request.method, &request.path);
        header.http_status = Some(Status::new(status, ""));
        self.frame(header, &body);
        if request.path == "/v4/Subscriptions" {
            let asked: Value = serde_json::from_slice(&frame.payload).expect("JSON");
            let mut results = asked["requests"].clone();
            for result in results.as_array_mut().into_iter().flatten() {
                result["replay_status"] = json!("completed");
            }
            let payload = json!({"event_type": "subscription_established",
                "correlation_id": asked["correlation_id"], "events": results});
            let mut header = Header::new(Method::Notification, "TM2");
            header.message_type = Some("twilio.sync.event".to_owned());
            self.frame(header, &payload);
        }
    }

    fn find(&self, method: &str, path: &str) -> (u16, Value) {
        let recorded = |path: &str| self.answers.get(&(method.to_owned(), path.to_owned()));
        match path {
            "/Client/v2/Configuration" => {
                let mine = self.answers.keys().map(|(_, path)| path.as_str());
                let mine = mine.clone().find(|path| path.ends_with("/Conversations"));
                let mine = format!("https://aim.us1.twilio.com{}", mine.unwrap_or("/mine"));
                let links = json!({"my_conversations": mine,
                    "conversations": "https://aim.us1.twilio.com/all"});
                let names = json!({"my_conversations": "bot.channels"});
                (200, json!({"identity": "bot", "sync_objects": names, "links": links}))
            }
            "/v3/Maps/bot.channels" => {
                (200, json!({"sid": self.channels.0, "last_event_id": self.channels.1}))
            }
            "/v4/Subscriptions" => (
                202,
                json!({"estimated_delivery_in_ms": 10000,
                "max_batch_size": 1000, "ttl_in_s": 86400}),
            ),
            path if path.ends_with("/Items") => {
                (200, json!({"items": [], "meta": {"next_token": null}}))
            }
            path => recorded(path).cloned().unwrap_or_else(|| match path {
                "/mine" => (200, json!({"conversations": [], "meta": {"next_token": null}})),
                _ => (404, json!({"code": 54300})),
            }),
        }
    }

    fn frame(&mut self, header: Header, payload: &Value) {
        let payload = match payload {
            Value::Null => Bytes::new(),
            payload => Bytes::from(payload.to_string()),
        };
        let conn = self.conn;
        self.input(Input::Frame(conn, Box::new(Frame { header, payload })));
    }
}

/// An event as a line; connection events and details are left out.
fn line(event: &Event) -> Option<String> {
    let short = |sid: &dyn ToString| sid.to_string()[..8].to_owned();
    match event {
        Event::Joined { conversation, .. } => Some(format!("joined {}", short(conversation))),
        Event::Left { conversation } => Some(format!("left {}", short(conversation))),
        Event::MessageAdded(message) => {
            Some(format!("{:?} {} {}", message.door, message.index, text(message)))
        }
        Event::MessageUpdated(message) => {
            Some(format!("updated {} {}", message.index, text(message)))
        }
        Event::MessageRemoved { index, .. } => Some(format!("removed {index}")),
        Event::CaughtUp { through, .. } => {
            let through = through.map_or_else(|| "-".to_owned(), |index| index.to_string());
            Some(format!("caught up {through}"))
        }
        _ => None,
    }
}

/// A sid as the data has it: filled up with zeros.
fn full(short: &str) -> String {
    format!("{short:0<34}")
}

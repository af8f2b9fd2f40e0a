//! Recorded flows of the official client, played to the core: the server's frames as they were, the
//! answers by what is asked for.
//!
//! Source: `tests/data/twilsock/SOURCE.md`. The core asks in another order and for less than the
//! official client, so answers are found by method and path, and subscriptions are confirmed as
//! asked for; pushed and replayed events are the recorded ones, in the recorded order.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use chimein::clock::Moment;
use chimein::realtime::conversations::commands::{Command, CommandAnswered, CommandId};
use chimein::realtime::conversations::core::{Core, Input, Output};
use chimein::realtime::twilsock::frame::{Frame, Header, Limits, Method, Status, decode};
use chimein::realtime::twilsock::session::{ConnId, Token};
use chimein::realtime::{Event, SendMessage};
use serde_json::{Value, json};
use uuid::Uuid;

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
    player.is_losing = true;
    let told = player.play();
    assert_eq!(told[..2], ["joined CHbbafbe", "caught up 0"]);
    let messages: Vec<_> = told.iter().filter(|line| !line.contains("caught up")).collect();
    assert_eq!(messages[1], "joined CH6778a7", "{told:?}");
    assert_eq!(messages[2..5].iter().filter(|line| line.starts_with("Replay")).count(), 3);
    assert_eq!(messages[5], "Live 4 after");
    assert_eq!(messages.len(), 6);
}

/// A core and the recording that it is played.
pub struct Player {
    core: Core,
    now: Moment,
    conn: ConnId,
    connections: u64,
    lines: Vec<Value>,
    answers: HashMap<(String, String), VecDeque<(u16, Value)>>,
    /// The statuses of recorded answers to init and update; then all is well.
    greetings: VecDeque<Value>,
    channels: (String, i64),
    /// Whether the core is told to do what the recorded client was told to do.
    pub is_acting: bool,
    /// Whether the first socket is lost where the recording says so; else it was by the client.
    pub is_losing: bool,
    pub told: Vec<String>,
    /// The frames of the core, replies to events left out.
    pub written: Vec<Frame>,
    /// What became of commands.
    pub answered: Vec<CommandAnswered>,
    /// When the core connected.
    pub connected_at: Vec<Moment>,
}

impl Player {
    pub fn new(flow: &str, channels: (&str, i64)) -> Self {
        let lines: Vec<Value> =
            flow.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        let mut asked = HashMap::new();
        let mut answers: HashMap<_, VecDeque<_>> = HashMap::new();
        let mut greeting = HashSet::new();
        let mut greetings = VecDeque::new();
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
                answers.entry(asked).or_default().push_back((status, line["payload"].clone()));
            } else if matches!(line["header"]["method"].as_str(), Some("init" | "update")) {
                greeting.insert(id);
            } else if greeting.remove(&id) {
                greetings.push_back(line["header"]["status"].clone());
            }
        }
        Self {
            core: Core::new(options(), None, 1, 1),
            now: Moment::ORIGIN,
            conn: ConnId(0),
            connections: 0,
            lines,
            answers,
            greetings,
            channels: (full(channels.0), channels.1),
            is_acting: false,
            is_losing: false,
            told: Vec::new(),
            written: Vec::new(),
            answered: Vec::new(),
            connected_at: Vec::new(),
        }
    }

    /// A seat that the client had before the recording begins.
    pub fn seat(&mut self, sid: &str, document: (&str, i64), messages: (&str, i64)) {
        let sid = full(sid);
        let opened = |(object, last): (&str, i64)| {
            let object = full(object);
            let items = format!("https://cds.us1.twilio.com/v3/Lists/{object}/Items");
            json!({"sid": object, "last_event_id": last, "data": {}, "links": {"items": items}})
        };
        let horizon = u64::try_from(messages.1).ok();
        let page = json!({"conversations": [{"conversation_sid": sid, "status": "joined",
            "last_read_message_index": horizon}], "meta": {"next_token": null}});
        for (path, answer) in [
            (format!("/v3/Documents/{sid}.channel"), opened(document)),
            (format!("/v3/Lists/{sid}.messages"), opened(messages)),
            ("/mine".to_owned(), page),
        ] {
            self.answers.insert(("GET".to_owned(), path), [(200, answer)].into());
        }
    }

    fn play(mut self) -> Vec<String> {
        self.play_on();
        self.told
    }

    /// The recording begins after a first connection, which went well.
    pub fn greet_first(&mut self) {
        self.greetings.push_front(json!({"code": 200, "status": "OK"}));
    }

    pub fn play_on(&mut self) {
        self.input(Input::Start);
        self.settle();
        for line in std::mem::take(&mut self.lines) {
            if self.is_losing && line["socket"] == "closed" && self.connections == 1 {
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
            if matches!(line["header"]["method"].as_str(), Some("client_update" | "close"))
                && line["from"] == "server"
            {
                let header = serde_json::from_value(line["header"].clone()).expect("a header");
                self.frame(header, &line["payload"]);
                self.settle();
            }
            if self.is_acting && line["conn"] == 1 && line["from"] == "client" {
                self.act(&line);
            }
        }
    }

    /// Has the core do what the recorded client did, if that was by its owner's wish.
    fn act(&mut self, line: &Value) {
        let request = &line["header"]["http_request"];
        let path = request["path"].as_str().unwrap_or_default();
        let segments: Vec<&str> = path.split('/').collect();
        let sid = |text: &str| text.parse().expect("a sid");
        let command = match (request["method"].as_str(), segments.as_slice()) {
            (Some("POST"), [.., sid_text, "Messages"]) => {
                let body = line["payload"]["body"].as_str().expect("a text");
                let id = Uuid::from_u128(u128::try_from(self.answered.len()).expect("few"));
                Command::Send(Box::new(SendMessage::text(sid(sid_text), id, body)))
            }
            (Some("POST"), [.., sid_text, "Participants"]) => Command::Join(sid(sid_text)),
            (Some("DELETE"), [.., sid_text, "Participants", _]) => Command::Leave(sid(sid_text)),
            (Some("POST"), [.., "Typing"]) => {
                let form = line["payload"].as_str().expect("a form");
                Command::Typing(sid(form.trim_start_matches("ChannelSid=")))
            }
            _ => return,
        };
        let id = CommandId(u64::try_from(self.written.len()).expect("few"));
        self.input(Input::Command(id, command));
        self.settle();
    }

    /// Lets half a minute pass, so that everything asked for is answered.
    pub fn settle(&mut self) {
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

    pub fn input(&mut self, input: Input) {
        self.core.handle(self.now, input);
        while let Some(output) = self.core.poll() {
            match output {
                Output::Connect(conn) => {
                    self.conn = conn;
                    self.connections += 1;
                    self.connected_at.push(self.now);
                    self.input(Input::Opened(conn));
                }
                Output::Write(_, bytes) => self.answer(&bytes),
                Output::WantToken => {
                    // Each token is another one.
                    let jwt = format!("jwt-{}", self.written.len()).as_str().into();
                    let token = Token { jwt, valid_for: Duration::from_secs(86_400) };
                    self.input(Input::Token(token));
                }
                Output::LoadWatermark { conversation, epoch } => {
                    self.input(Input::Watermark { conversation, epoch, handled: None });
                }
                Output::Answered(_, answered) => self.answered.push(answered),
                Output::Probe(_) | Output::Disconnect(_) => {}
            }
        }
        while let Some(event) = self.core.next_event() {
            self.told.extend(line(&event));
        }
    }

    fn answer(&mut self, bytes: &Bytes) {
        let frame = decode(bytes, &Limits::default()).expect("a frame");
        let mut header = Header::acknowledgement(&frame.header.id);
        if frame.header.method != Method::Reply {
            self.written.push(frame.clone());
        }
        if matches!(frame.header.method, Method::Init | Method::Update) {
            if let Some(status) = self.greetings.pop_front() {
                header.status = serde_json::from_value(status).expect("a status");
            }
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

    fn find(&mut self, method: &str, path: &str) -> (u16, Value) {
        let answers = self.answers.get_mut(&(method.to_owned(), path.to_owned()));
        // In their order; the last one holds on.
        let recorded = answers.and_then(|answers| match answers.len() {
            0 | 1 => answers.front().cloned(),
            _ => answers.pop_front(),
        });
        match path {
            "/Client/v2/Configuration" if recorded.as_ref().is_some_and(|of| of.0 >= 500) => {
                recorded.expect("it was looked at")
            }
            "/Client/v2/Configuration" => {
                let mine = self.answers.keys().map(|(_, path)| path.as_str());
                let mine = mine.clone().find(|path| path.ends_with("/Conversations"));
                let mine = format!("https://aim.us1.twilio.com{}", mine.unwrap_or("/mine"));
                let service = full("IS") + "/";
                let service = service.replace("0/", "3/");
                let links = json!({"my_conversations": mine,
                "typing": format!("https://aim.us1.twilio.com/v1/Instances/{service}Typing"),
                "conversations": format!(
                    "https://aim.us1.twilio.com/Client/v2/Services/{service}Conversations"
                )});
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
            path => recorded.unwrap_or_else(|| match path {
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
        Event::Typing { conversation, identity } => {
            Some(format!("{} types in {}", identity.reveal(), short(conversation)))
        }
        Event::CaughtUp { through, .. } => {
            let through = through.map_or_else(|| "-".to_owned(), |index| index.to_string());
            Some(format!("caught up {through}"))
        }
        _ => None,
    }
}

/// A sid as the data has it: filled up with zeros.
pub fn full(short: &str) -> String {
    format!("{short:0<34}")
}

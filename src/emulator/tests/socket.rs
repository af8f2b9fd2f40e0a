//! The socket, spoken to frame by frame with the codec and a plain WebSocket.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::emulator::control::SocketOrder;
use crate::emulator::faults::Fault;
use crate::realtime::twilsock::frame::{
    self, Frame, Header, HttpRequest, Limits, Method, Param, Registration,
};
use crate::twilio::access_token;

/// A client as simple as can be: it acknowledges everything and keeps what it gets in order.
struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Frames that came while another was awaited.
    waiting: VecDeque<Frame>,
    service: String,
    next: u64,
}

const TYPES: [&str; 5] = [
    "twilio.ipmsg.typing_indicator",
    "twilio.sync.event",
    "com.twilio.rtd.cds.document",
    "com.twilio.rtd.cds.list",
    "com.twilio.rtd.cds.map",
];

fn token(twilio: &Twilio, identity: &str, lifetime: Duration, now: Timestamp) -> String {
    let credentials = twilio.emulator.credentials();
    let request = access_token::Request {
        account_sid: credentials.account_sid,
        key_sid: credentials.api_key,
        service_sid: credentials.service_sid,
        identity: identity.to_owned(),
        lifetime,
        region: None,
    };
    let token = access_token::mint(&request, &credentials.api_secret, now).unwrap();
    token.jwt.expose_secret().to_owned()
}

impl Client {
    async fn open(twilio: &Twilio) -> Self {
        let url = twilio.emulator.urls().twilsock.to_string();
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        Self { socket, waiting: VecDeque::new(), service: twilio.service(), next: 0 }
    }

    async fn connect(twilio: &Twilio, identity: &str) -> Self {
        let hour = Duration::from_secs(3600);
        let mut client = Self::open(twilio).await;
        let reply = client.init(token(twilio, identity, hour, Clock::start().wall())).await;
        assert_eq!(reply.header.status.unwrap().code, 200);
        client
    }

    async fn send(&mut self, header: Header, payload: &str) {
        let bytes = frame::encode(&header, payload.as_bytes());
        self.socket.send(Message::Binary(bytes)).await.unwrap();
    }

    /// The next frame, `None` at the end of the connection.
    async fn receive(&mut self) -> Option<Frame> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next())
                .await
                .expect("a frame came in time")?;
            match message {
                Ok(Message::Binary(bytes)) => {
                    let frame = frame::decode(&bytes, &Limits::default()).unwrap();
                    if frame.header.method != Method::Reply {
                        let ack = Header::acknowledgement(frame.header.id.clone());
                        self.send(ack, "").await;
                    }
                    return Some(frame);
                }
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    async fn until(&mut self, mut wanted: impl FnMut(&Frame) -> bool) -> Frame {
        if let Some(at) = self.waiting.iter().position(&mut wanted) {
            return self.waiting.remove(at).unwrap();
        }
        loop {
            let frame = self.receive().await.expect("the connection is open");
            if wanted(&frame) {
                return frame;
            }
            self.waiting.push_back(frame);
        }
    }

    fn id(&mut self) -> String {
        self.next += 1;
        format!("TM{}", self.next)
    }

    async fn ask(&mut self, header: Header, payload: &str) -> Frame {
        let id = header.id.clone();
        self.send(header, payload).await;
        self.until(|frame| frame.header.method == Method::Reply && frame.header.id == id).await
    }

    async fn init(&mut self, token: String) -> Frame {
        let registration = Registration {
            product: "ip_messaging".into(),
            kind: "ers".into(),
            notification_protocol_version: 0,
            message_types: TYPES.map(str::to_owned).to_vec(),
        };
        let header = Header {
            token: Some(token.into()),
            registrations: Some(vec![registration]),
            ..Header::new(Method::Init, self.id())
        };
        self.ask(header, "").await
    }

    async fn update(&mut self, token: String) -> u32 {
        let header = Header { token: Some(token.into()), ..Header::new(Method::Update, self.id()) };
        self.ask(header, "").await.header.status.unwrap().error_code.unwrap_or(0)
    }

    async fn http(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        self.http_with(method, path, body, None).await
    }

    async fn http_with(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
        mutation: Option<&str>,
    ) -> (u16, Value) {
        let header = Header {
            http_request: Some(request(method, path, mutation)),
            ..Header::new(Method::Message, self.id())
        };
        let reply = self.ask(header, body).await;
        assert_eq!(reply.header.status.unwrap().code, 200);
        let body = serde_json::from_slice(&reply.payload).unwrap_or(Value::Null);
        (reply.header.http_status.unwrap().code, body)
    }

    /// Opens an object by name; gives its sid and last event.
    async fn object(&mut self, collection: &str, name: &str) -> (String, i64) {
        let (status, object) = self.http("GET", &format!("/v3/{collection}/{name}"), "").await;
        assert_eq!((status, &object["unique_name"]), (200, &json!(name)), "{object}");
        (object["sid"].as_str().unwrap().to_owned(), object["last_event_id"].as_i64().unwrap())
    }

    /// Subscribes; gives the replayed events and the results.
    async fn subscribe(&mut self, objects: &[(&str, &str, i64)]) -> (Vec<Value>, Vec<Value>) {
        let correlation = self.next;
        let requests: Vec<Value> = objects
            .iter()
            .map(|(sid, kind, last)| {
                json!({"object_sid": sid, "object_type": kind, "last_event_id": last})
            })
            .collect();
        let body = json!({
            "event_protocol_version": 4, "action": "establish", "correlation_id": correlation,
            "retried_requests": 0, "ttl_in_s": -1, "requests": requests,
        });
        let (status, accepted) = self.http("POST", "/v4/Subscriptions", &body.to_string()).await;
        assert_eq!((status, &accepted["ttl_in_s"]), (202, &json!(86_400)));
        let (mut events, mut results) = (Vec::new(), Vec::new());
        while results.len() < objects.len() {
            let note = self.notification("twilio.sync.event").await;
            assert_eq!(note["correlation_id"], json!(correlation));
            let kind = note["event_type"].as_str().unwrap().to_owned();
            for event in note["events"].as_array().unwrap() {
                if kind.starts_with("subscription_") {
                    results.push(event.clone());
                } else {
                    events.push(event.clone());
                }
            }
        }
        (events, results)
    }

    async fn notification(&mut self, message_type: &str) -> Value {
        let frame =
            self.until(|frame| frame.header.message_type.as_deref() == Some(message_type)).await;
        assert_eq!(frame.header.method, Method::Notification);
        serde_json::from_slice(&frame.payload).unwrap()
    }
}

fn request(method: &str, path: &str, mutation: Option<&str>) -> HttpRequest {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let params = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), Param::One(value.to_owned())))
        .collect();
    let mutation = mutation.map(|id| ("X-Twilio-Mutation-Id".to_owned(), id.to_owned()));
    HttpRequest {
        host: "aim.us1.twilio.com".into(),
        path: path.into(),
        method: method.into(),
        params,
        headers: mutation.into_iter().collect(),
    }
}

#[tokio::test]
async fn a_client_starts_up_as_recorded() {
    let twilio = Twilio::start().await;
    let mut client = Client::open(&twilio).await;
    let hour = Duration::from_secs(3600);
    let reply = client.init(token(&twilio, "bot", hour, Clock::start().wall())).await.header;
    assert_eq!(reply.capabilities.unwrap(), ["client_update", "offline_storage"]);
    assert_eq!(reply.continuation_token_status.unwrap()["reissue_reason"], "MISSING");
    assert!(reply.continuation_token.is_some());
    let (status, configuration) = client.http("GET", "/Client/v2/Configuration", "").await;
    assert_eq!((status, &configuration["identity"]), (200, &json!("bot")));
    let objects = &configuration["sync_objects"];
    assert_eq!(objects["my_conversations"], "bot.channels");
    let info = format!("/v3/Maps/{}?Include=items", objects["my_user_info"].as_str().unwrap());
    let (_, info) = client.http("GET", &info, "").await;
    let keys: Vec<_> = info["items"].as_array().unwrap().iter().map(|item| &item["key"]).collect();
    assert_eq!(keys, ["attributes", "friendlyName", "reachability"]);
    let (sid, last) = client.object("Maps", "bot.channels").await;
    assert_eq!(last, -1);
    let (events, results) = client.subscribe(&[(&sid, "map", last)]).await;
    assert!(events.is_empty());
    assert_eq!(
        results,
        [json!({
            "object_sid": sid, "object_type": "map",
            "replay_status": "completed", "last_event_id": -1,
        })]
    );
    let own = configuration["links"]["my_conversations"].as_str().unwrap();
    let own = own.strip_prefix("https://aim.us1.twilio.com").unwrap();
    let (_, none) = client.http("GET", own, "").await;
    assert_eq!(none["conversations"], json!([]));
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn being_added_and_written_to_is_told_live_in_the_recorded_shapes() {
    let twilio = Twilio::start().await;
    let mut client = Client::connect(&twilio, "bot").await;
    let (channels, last) = client.object("Maps", "bot.channels").await;
    client.subscribe(&[(&channels, "map", last)]).await;
    let sid = twilio.conversation_with("bot").await;
    let added = client.notification("com.twilio.rtd.cds.map").await;
    assert_eq!(added["event_type"], "map_item_added");
    let event = &added["event"];
    assert_eq!((&event["id"], &event["item_key"]), (&json!(0), &json!(sid)));
    assert_eq!((&event["map_revision"], &event["item_revision"]), (&json!("1"), &json!("0")));
    assert_eq!(
        event["item_data"],
        json!({
            "channel_sid": sid, "channel": format!("{sid}.channel"),
            "messages": format!("{sid}.messages"), "roster": format!("{sid}.roster"),
            "status": "joined", "lastConsumedMessageIndex": null,
            "notificationLevel": "default",
        })
    );
    // The three objects are there before the item is.
    let (document, at) = client.object("Documents", &format!("{sid}.channel")).await;
    assert_eq!(at, 0);
    let (list, none) = client.object("Lists", &format!("{sid}.messages")).await;
    let (roster, one) = client.object("Maps", &format!("{sid}.roster")).await;
    assert_eq!((none, one), (-1, 0));
    let objects = [(&*document, "document", at), (&*list, "list", none), (&*roster, "map", one)];
    client.subscribe(&objects).await;
    let path = format!("/v1/Conversations/{sid}/Messages");
    twilio.call("POST", &path, &[("Author", "human"), ("Body", "héllo")]).await;
    let added = client.notification("com.twilio.rtd.cds.list").await;
    assert_eq!(added["event_type"], "list_item_added");
    assert_eq!(added["event"]["item_index"], 0);
    let data = &added["event"]["item_data"];
    assert_eq!((&data["text"], &data["attributes"]), (&json!("héllo"), &json!("{}")));
    assert_eq!(data["memberSid"], Value::Null);
    let updated = client.notification("com.twilio.rtd.cds.document").await;
    assert_eq!(updated["event"]["document_data"]["lastMessage"]["index"], 0);
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn a_repeated_mutation_id_is_answered_with_what_it_made() {
    let twilio = Twilio::start().await;
    let sid = twilio.conversation_with("bot").await;
    let mut client = Client::connect(&twilio, "bot").await;
    let base = format!("/Client/v2/Services/{}/Conversations/{sid}", client.service);
    let body = json!({"body": "once", "attributes": "{\"k\":[1,\"ü\"]}"}).to_string();
    let path = format!("{base}/Messages");
    let (status, sent) = client.http_with("POST", &path, &body, Some("m-1")).await;
    assert_eq!((status, &sent["index"], &sent["author"]), (201, &json!(0), &json!("bot")));
    let (status, again) = client.http_with("POST", &path, &body, Some("m-1")).await;
    assert_eq!(status, 202);
    let url = again["resource_url"].as_str().unwrap();
    let path = url.strip_prefix("https://aim.us1.twilio.com").unwrap();
    assert_eq!(client.http("GET", path, "").await.1["sid"], sent["sid"]);
    assert_eq!(twilio.control().messages(sid.parse().unwrap()).len(), 1);
    // Not a member any more: not allowed to write.
    let (status, _) = client.http("DELETE", &format!("{base}/Participants/bot"), "{}").await;
    assert_eq!(status, 204);
    let (status, refused) = client.http("POST", &format!("{base}/Messages"), &body).await;
    assert_eq!((status, &refused["code"]), (403, &json!(50430)));
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn what_was_missed_is_replayed_after_a_cut() {
    let twilio = Twilio::start().await;
    let sid = twilio.conversation_with("bot").await;
    let path = format!("/v1/Conversations/{sid}/Messages");
    let mut client = Client::connect(&twilio, "bot").await;
    let (list, last) = client.object("Lists", &format!("{sid}.messages")).await;
    client.subscribe(&[(&list, "list", last)]).await;
    assert_eq!(twilio.control().sockets(Some("bot"), &SocketOrder::Drop), 1);
    while client.receive().await.is_some() {}
    for number in 0..3 {
        let body = format!("missed {number}");
        assert_eq!(twilio.call("POST", &path, &[("Body", &body)]).await.0, 201);
    }
    let mut client = Client::connect(&twilio, "bot").await;
    let (events, results) = client.subscribe(&[(&list, "list", last)]).await;
    let texts: Vec<_> = events.iter().map(|event| &event["item_data"]["text"]).collect();
    assert_eq!(texts, ["missed 0", "missed 1", "missed 2"]);
    assert_eq!(results[0]["last_event_id"], 2);
    // The same again, interrupted half-way: one event, then the client asks for the rest.
    let fault = r#"{"where":{"place":"replay"},"do":{"action":"interrupt"}}"#;
    twilio.control().add_fault(serde_json::from_str::<Fault>(fault).unwrap()).unwrap();
    let (events, results) = client.subscribe(&[(&list, "list", last)]).await;
    assert_eq!((events.len(), &results[0]["replay_status"]), (1, &json!("interrupted")));
    let reached = results[0]["last_event_id"].as_i64().unwrap();
    let (events, results) = client.subscribe(&[(&list, "list", reached)]).await;
    assert_eq!((events.len(), &results[0]["replay_status"]), (2, &json!("completed")));
    // And overtaken by its own newest event.
    let fault = r#"{"where":{"place":"replay"},"do":{"action":"overtake"}}"#;
    twilio.control().add_fault(serde_json::from_str::<Fault>(fault).unwrap()).unwrap();
    let (events, _) = client.subscribe(&[(&list, "list", -1)]).await;
    assert_eq!(events.len(), 2);
    let live = client.notification("com.twilio.rtd.cds.list").await;
    assert_eq!(live["event"]["item_data"]["text"], "missed 2");
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn an_unknown_object_fails_its_subscription_and_no_other() {
    let twilio = Twilio::start().await;
    let mut client = Client::connect(&twilio, "bot").await;
    let (channels, last) = client.object("Maps", "bot.channels").await;
    let objects = [(&*channels, "map", last), ("ET0", "document", 0)];
    let (_, results) = client.subscribe(&objects).await;
    assert_eq!(results[0]["replay_status"], "completed");
    assert_eq!(results[1]["error"]["code"], 54100);
    let (status, missing) = client.http("GET", "/v3/Documents/CH0.channel", "").await;
    assert_eq!((status, &missing["code"]), (404, &json!(54300)));
    assert_eq!(client.http("GET", "/v3/Maps/other.channels", "").await.0, 403);
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn tokens_are_checked_warned_about_replaced_and_ended() {
    let twilio = Twilio::start().await;
    let (hour, now) = (Duration::from_secs(3600), Clock::start().wall());
    for (bad, code) in
        [("nonsense".to_owned(), 20101), (token(&twilio, "bot", hour, now.before(hour * 2)), 20104)]
    {
        let status = Client::open(&twilio).await.init(bad).await.header.status.unwrap();
        assert_eq!((status.code, status.status.as_str()), (401, "UNAUTHORIZED"));
        assert_eq!(status.error_code, Some(code));
    }
    let mut client = Client::open(&twilio).await;
    // Shorter than the warning time: warned at once, ended when it ends.
    client.init(token(&twilio, "bot", Duration::from_secs(3), now)).await;
    let warned = client.until(|frame| frame.header.method == Method::ClientUpdate).await.header;
    assert_eq!(warned.client_update_type.as_deref(), Some("token_about_to_expire"));
    let closed = client.until(|frame| frame.header.method == Method::Close).await.header;
    let status = closed.status.unwrap();
    assert_eq!((status.code, status.error_code), (410, Some(51207)));
    let mut client = Client::connect(&twilio, "bot").await;
    assert_eq!(client.update(token(&twilio, "bot", hour * 2, now)).await, 0);
    assert_eq!(client.update(token(&twilio, "other", hour, now)).await, 51215);
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn typing_and_reading_reach_the_others() {
    let twilio = Twilio::start().await;
    let sid = twilio.conversation_with("bot").await;
    let participants = format!("/v1/Conversations/{sid}/Participants");
    twilio.call("POST", &participants, &[("Identity", "human")]).await;
    let mut bot = Client::connect(&twilio, "bot").await;
    let mut human = Client::connect(&twilio, "human").await;
    let path = format!("/v1/Instances/{}/Typing", bot.service);
    let (status, answer) = bot.http("POST", &path, &format!("ChannelSid={sid}")).await;
    assert_eq!((status, answer), (200, json!({"typing_timeout": 5})));
    let typing = human.notification("twilio.ipmsg.typing_indicator").await;
    assert_eq!((&typing["channel_sid"], &typing["identity"]), (&json!(sid), &json!("bot")));
    assert_eq!(typing["typing_timeout"], 6);
    let messages = format!("/v1/Conversations/{sid}/Messages");
    twilio.call("POST", &messages, &[("Body", "read me")]).await;
    let (roster, last) = human.object("Maps", &format!("{sid}.roster")).await;
    human.subscribe(&[(&roster, "map", last)]).await;
    let path = format!("/Client/v2/Services/{}/Users/bot/Conversations/{sid}", bot.service);
    let (status, read) = bot.http("POST", &path, r#"{"last_read_message_index":0}"#).await;
    assert_eq!((status, &read["unread_messages_count"]), (200, &json!(0)));
    let updated = human.notification("com.twilio.rtd.cds.map").await;
    assert_eq!(updated["event_type"], "map_item_updated");
    assert_eq!(updated["event"]["item_data"]["lastConsumedMessageIndex"], 0);
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn sockets_are_pinged_offloaded_frozen_and_refused_on_demand() {
    let options = Options { ping_interval: Some(Duration::from_millis(50)), ..Options::default() };
    let twilio = Twilio::with(options).await;
    let control = twilio.control();
    let mut client = Client::connect(&twilio, "bot").await;
    client.until(|frame| frame.header.method == Method::Ping).await;
    let mut watcher = control.watch();
    assert_eq!(control.sockets(None, &SocketOrder::Freeze), 1);
    let answer = tokio::time::timeout(Duration::from_millis(200), async {
        loop {
            // Pings that were on their way are answered; then it is silent.
            client.receive().await;
            client.http("GET", "/Client/v2/Configuration", "").await;
        }
    });
    assert!(answer.await.is_err(), "a frozen socket answers nothing");
    assert_eq!(control.sockets(None, &SocketOrder::Thaw), 1);
    client.until(|frame| frame.header.method == Method::Ping).await;
    let close = SocketOrder::Close {
        code: 308,
        status: None,
        error_code: None,
        reconnect_min_ms: Some(1500),
    };
    assert_eq!(control.sockets(None, &close), 1);
    let closing = client.until(|frame| frame.header.method == Method::Close).await;
    assert_eq!(closing.header.status.unwrap().status, "OFFLOAD");
    let payload: Value = serde_json::from_slice(&closing.payload).unwrap();
    assert_eq!(payload["backoff_policy"]["reconnect_min_ms"], 1500);
    client.send(Header::new(Method::Close, "TMx"), "").await;
    until(&mut watcher, |what| matches!(what, Happening::SocketClosed { .. }).then_some(())).await;
    let fault = r#"{"where":{"place":"socket_open"},"do":{"action":"answer","status":503}}"#;
    control.add_fault(serde_json::from_str::<Fault>(fault).unwrap()).unwrap();
    let url = twilio.emulator.urls().twilsock.to_string();
    assert!(tokio_tungstenite::connect_async(url).await.is_err());
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn a_message_is_kept_although_its_answer_is_lost_with_the_socket() {
    let twilio = Twilio::start().await;
    let sid = twilio.conversation_with("bot").await;
    let fault = r#"{"where":{"place":"socket_request","method":"POST","path":"/Messages"},
                    "do":{"action":"break_after"}}"#;
    twilio.control().add_fault(serde_json::from_str::<Fault>(fault).unwrap()).unwrap();
    let mut client = Client::connect(&twilio, "bot").await;
    let path = format!("/Client/v2/Services/{}/Conversations/{sid}/Messages", client.service);
    let header = Header {
        http_request: Some(request("POST", &path, Some("m-2"))),
        ..Header::new(Method::Message, "TM9")
    };
    client.send(header, r#"{"body":"kept"}"#).await;
    while let Some(frame) = client.receive().await {
        assert_ne!(frame.header.id, "TM9");
    }
    assert_eq!(twilio.control().messages(sid.parse().unwrap()).len(), 1);
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn a_payload_is_followed_by_a_line_end_only_if_wanted() {
    let twilio = Twilio::start().await;
    for on in [true, false] {
        twilio.control().set_trailing_crlf(on);
        let mut client = Client::connect(&twilio, "bot").await;
        let header = Header {
            http_request: Some(request("GET", "/Client/v2/Configuration", None)),
            ..Header::new(Method::Message, "TM1")
        };
        client.send(header, "").await;
        let bytes: Bytes = loop {
            match client.socket.next().await.unwrap().unwrap() {
                Message::Binary(bytes) if bytes.len() > 500 => break bytes,
                _ => {}
            }
        };
        assert_eq!(bytes.ends_with(b"}\r\n"), on);
    }
    twilio.emulator.shutdown().await;
}

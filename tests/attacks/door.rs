//! Strangers at the door: what they hold, what they send, what they leave unread, and whether Twilio's
//! webhooks are answered all the same.

use std::process::Stdio;
use std::time::Duration;

use chimein::clock::{Clock, Moment};
use chimein::emulator::{self, Control, Emulator, Received};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::child::measure::resident_mebibytes;
use super::child::siege::{Kind, Siege, Twilio, ask, connect_from, late_head};
use super::child::{self, NUMBER, Service};

/// What the agent signs with.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// How long anything may take on a machine that does much else; the bench says how long it does.
const PATIENCE: Duration = Duration::from_secs(30);
/// Strangers have much longer for each part of a request, so that only making room lets others in.
const STRANGERS_TIME: [(&str, &str); 3] = [
    ("CHIMEIN_SERVER_HEADER_READ_TIMEOUT", "5m"),
    ("CHIMEIN_SERVER_BODY_READ_TIMEOUT", "5m"),
    ("CHIMEIN_SERVER_WRITE_TIMEOUT", "5m"),
];

/// No address of this machine, so that its own are strangers'.
const NOBODY_TRUSTED: (&str, &str) = ("CHIMEIN_SERVER_TRUSTED_PROXIES", "192.0.2.1");

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_answered_while_strangers_hold_every_place() {
    let few = ("CHIMEIN_SERVER_CONNECTIONS_MAX", "100");
    let house = House::start(&[&STRANGERS_TIME, &[few, NOBODY_TRUSTED][..]].concat()).await;
    for kind in Kind::ALL {
        for addresses in [1, 40] {
            let siege = Siege::begin(house.port(), kind, 300, addresses);
            house.is_full(100).await;
            let took = house.twilio.knock(10, PATIENCE).await;
            assert!(took.iter().all(Option::is_some), "{}, {addresses}: {took:?}", kind.name());
            siege.lift().await;
        }
    }
    house.the_bot_answers("+15555550124").await;
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_through_a_proxy_are_answered_while_strangers_come_through_it_too() {
    // All of them come from addresses that are trusted by default.
    let few = ("CHIMEIN_SERVER_CONNECTIONS_MAX", "100");
    let house = House::start(&[&STRANGERS_TIME[..], &[few]].concat()).await;
    for kind in [Kind::Idle, Kind::TrickledBody] {
        let siege = Siege::begin(house.port(), kind, 300, 1);
        house.is_full(100).await;
        let took = house.twilio.knock(10, PATIENCE).await;
        assert!(took.iter().all(Option::is_some), "{}: {took:?}", kind.name());
        siege.lift().await;
    }
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_keeps_no_more_than_its_share_once_places_are_short() {
    let house = House::start(&[
        ("CHIMEIN_SERVER_CONNECTIONS_MAX", "40"),
        ("CHIMEIN_SERVER_CONNECTIONS_PER_ADDRESS", "5"),
        NOBODY_TRUSTED,
    ])
    .await;
    let mut others = Vec::new();
    for number in 1..=15 {
        others.push(house.kept([127, 2, 0, number]).await);
    }
    for _ in 0..30 {
        let _ = house.kept([127, 3, 0, 1]).await;
    }
    for (number, stream) in others.iter_mut().enumerate() {
        stream.write_all(GET).await.unwrap();
        assert!(answer(stream).await.starts_with("HTTP/1.1 200"), "{number} was ended");
    }
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_part_of_a_request_has_its_time_in_all() {
    let house = House::start(&[
        ("CHIMEIN_SERVER_HEADER_READ_TIMEOUT", "300ms"),
        ("CHIMEIN_SERVER_BODY_READ_TIMEOUT", "300ms"),
        ("CHIMEIN_SERVER_WRITE_TIMEOUT", "300ms"),
        ("CHIMEIN_WEBHOOK_READ_TIMEOUT", "300ms"),
    ])
    .await;
    assert_eq!(house.ask(b"").await, "", "nothing");
    assert_eq!(house.ask(b"GET / HTTP/1.1\r\nhost:").await, "", "half a head");
    let webhook = "POST /webhooks/twilio HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n";
    for begun in [late_head(100), format!("{}{{\"repl", late_head(100)), webhook.to_owned()] {
        let answer = house.ask(begun.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{begun}: {answer}");
        assert!(answer.contains(r#""error":"too_slow""#), "{answer}");
    }
    let mut stream = connect_from(([127, 0, 0, 1], 0).into(), house.port()).await.unwrap();
    let never_read = async { while stream.write_all(&GET.repeat(1_000)).await.is_ok() {} };
    let ended = tokio::time::timeout(Duration::from_secs(30), never_read).await;
    assert!(ended.is_ok(), "one that takes no answer is still held");
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_head_shows_to_be_wrong_is_refused_before_its_body() {
    let house = House::start(&[]).await;
    let good = late_head(250_000);
    for (what, head, status) in [
        ("unsigned", good.replace("webhook-signature", "other"), "401"),
        ("no signature's form", good.replace("v1,AAAA", "v1,A"), "401"),
        ("without an id", good.replace("webhook-id", "other"), "401"),
        ("stale", good.replace("webhook-timestamp: 1", "webhook-timestamp: "), "401"),
        ("too large", good.replace("250000", "262145"), "413"),
    ] {
        let answer = house.ask(head.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{what}: {answer}");
        assert!(answer.contains("content-type: application/json"), "{what}: {answer}");
    }
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_send_is_bounded_all_together_and_given_back() {
    let house = House::start(&[NOBODY_TRUSTED]).await;
    let _ = house.twilio.knock(3, PATIENCE).await;
    let before = resident_mebibytes(house.pid());
    let siege = Siege::begin(house.port(), Kind::UnendedBody, 400, 40);
    let mut most = before;
    let mut took = Vec::new();
    for _ in 0..20 {
        took.extend(house.twilio.knock(1, PATIENCE).await);
        most = most.max(resident_mebibytes(house.pid()));
    }
    assert!(took.iter().all(Option::is_some), "{took:?}");
    // 100 MB are offered; 8 MiB are held, and what the connections themselves take.
    assert!(most - before < 48.0, "{before:.1} MiB before, {most:.1} MiB at most");
    siege.lift().await;
    let back = child::within(PATIENCE, || resident_mebibytes(house.pid()) - before < 40.0);
    assert!(back.await, "{before:.1} MiB before, {:.1} after", resident_mebibytes(house.pid()));
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_can_be_read_in_two_ways_or_cost_too_much_are_refused() {
    let house = House::start(&[]).await;
    let two_hosts = "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n";
    let answer = house.ask(two_hosts.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let long = "x".repeat(64 * 1024);
    let large_head = format!("GET / HTTP/1.1\r\nhost: a\r\nlong: {long}\r\n\r\n");
    let answer = house.ask(large_head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let answer = house.twilio.post(&"a&".repeat(32_000)).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_never_take_the_descriptors_that_the_work_needs() {
    let mut house = House::ready(&[NOBODY_TRUSTED]).await;
    house.service.start_with_descriptors(300);
    house.is_up().await;
    let siege = Siege::begin(house.port(), Kind::Idle, 600, 40);
    house.is_full(100).await;
    let took = house.twilio.knock(10, PATIENCE).await;
    assert!(took.iter().all(Option::is_some), "{took:?}");
    // The socket is cut off, and finds a descriptor to come again.
    let _dropped = house.control.sockets(None, &emulator::control::SocketOrder::Drop);
    house.the_bot_answers("+15555550125").await;
    assert!(child::connected(&house.control).await, "the sockets did not come again");
    siege.lift().await;
    let log = house.service.log().concat();
    assert!(log.contains("allows fewer connections"), "{log}");
    assert!(!log.contains("cannot accept"), "{log}");
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_asked_where_no_stranger_stands() {
    let admin = format!("127.0.0.1:{}", child::free_port());
    let house = House::start(&[
        ("CHIMEIN_ADMIN_LISTEN", &admin),
        ("CHIMEIN_SERVER_CONNECTIONS_MAX", "100"),
    ])
    .await;
    let siege = Siege::begin(house.port(), Kind::UnsentBody, 300, 40);
    house.is_full(100).await;
    let health = Command::new(env!("CARGO_BIN_EXE_chimein"))
        .arg("health")
        .env_clear()
        .env("CHIMEIN_ADMIN_LISTEN", &admin)
        // Nobody listens there, so it was not asked.
        .env("SERVICE_PORT", child::free_port().to_string())
        .stdin(Stdio::null())
        .output();
    let health = health.await.unwrap();
    assert!(health.status.success(), "{health:?}");
    siege.lift().await;
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_no_stranger() {
    for kind in [Kind::Idle, Kind::Kept, Kind::TrickledHead, Kind::UnsentBody] {
        let mut house = House::start(&[NOBODY_TRUSTED]).await;
        let siege = Siege::begin(house.port(), kind, 200, 20);
        house.is_full(200).await;
        let clock = Clock::start();
        house.service.tell_to_stop().await;
        let ended = house.service.ended(Duration::from_secs(15)).await;
        let took = clock.now().since(Moment::ORIGIN);
        assert!(ended.is_some_and(|status| status.success()), "{}: {ended:?}", kind.name());
        // The grace is 8 s; 2 s are the aim on a machine that does nothing else.
        assert!(took < Duration::from_secs(6), "{}: {took:?}", kind.name());
        siege.lift().await;
        house.emulator.shutdown().await;
    }
}

const GET: &[u8] = b"GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";

/// A service against an emulator, and a conversation that webhooks tell of.
struct House {
    emulator: Emulator,
    control: Control,
    service: Service,
    twilio: Twilio,
}

impl House {
    async fn start(extra: &[(&str, &str)]) -> Self {
        let mut house = Self::ready(extra).await;
        house.service.start(&[]);
        house.is_up().await;
        house
    }

    /// All but the process.
    async fn ready(extra: &[(&str, &str)]) -> Self {
        let mut options = emulator::Options { seed: Some(7), ..emulator::Options::default() };
        options.limits.service_writes = 100_000;
        let emulator = Emulator::start(options).await.unwrap();
        let control = emulator.control();
        let secret = [("CHIMEIN_AGENT_SECRET", SECRET)];
        let service = Service::of(&emulator, &[&secret[..], extra].concat());
        let received = control.receive_sms("+15555550123", NUMBER, "hello").await.unwrap();
        let Received::Stored { conversation, .. } = received else { panic!("{received:?}") };
        let twilio = Twilio::of(&emulator, service.port(), &conversation.to_string());
        Self { emulator, control, service, twilio }
    }

    async fn is_up(&self) {
        assert!(self.service.is_listening().await, "{}", self.service.log_tail());
        assert!(child::connected(&self.control).await, "{}", self.service.log_tail());
    }

    fn port(&self) -> u16 {
        self.service.port()
    }

    fn pid(&self) -> u32 {
        self.service.pid()
    }

    /// Waits until the service has so many sockets open, of whichever kind.
    async fn is_full(&self, sockets: usize) {
        let folder = format!("/proc/{}/fd", self.pid());
        let open = || std::fs::read_dir(&folder).map_or(0, Iterator::count);
        assert!(child::within(PATIENCE, || open() >= sockets).await, "{} are open", open());
    }

    async fn ask(&self, request: &[u8]) -> String {
        let answer = tokio::time::timeout(PATIENCE, ask(self.port(), request)).await;
        answer.expect("the service ends it")
    }

    /// A connection from an address that was answered once and is kept.
    async fn kept(&self, from: [u8; 4]) -> TcpStream {
        let mut stream = connect_from((from, 0).into(), self.port()).await.unwrap();
        stream.write_all(GET).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
        stream
    }

    /// Somebody writes, and hears the bot.
    async fn the_bot_answers(&self, phone: &str) {
        let received = self.control.receive_sms(phone, NUMBER, "are you there").await.unwrap();
        let Received::Stored { conversation, .. } = received else { panic!("{received:?}") };
        let answered = child::eventually(|| {
            let messages = self.control.messages(conversation);
            messages.iter().any(|message| child::BOTS.contains(&message.author.as_str()))
        });
        assert!(answered.await, "{}", self.service.log_tail());
    }

    async fn end(mut self) {
        self.service.kill().await;
        self.emulator.shutdown().await;
    }
}

/// Reads one short answer.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 2_048];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await;
    let count = read.expect("it is answered").unwrap_or(0);
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

//! What the realtime client costs: `cargo bench --bench realtime` prints one table.
//!
//! Frames to events without a socket and through one on this machine, memory by seats, and the time
//! from connect to all seats live. The model server of the tests stands at the other end; for the
//! starts it is the emulator.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chimein::clock::{Clock, Moment};
use chimein::realtime::conversations::core::{Core, Input, Output};
use chimein::realtime::twilsock::frame::{Limits, Method, decode};
use chimein::realtime::twilsock::session::{ConnId, Token};
use chimein::realtime::{Client, Config, Event, NoWatermarks};
use comfy_table::Table;
use futures::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

#[path = "../realtime/rig.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod rig;
#[path = "../realtime/server.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod server;

use server::Server;

/// Messages per measurement of speed.
const MESSAGES: usize = 200_000;
/// Bytes of a frame, about.
const FRAME_BYTES: usize = 1024;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, what, seats, identities] = &arguments[..]
        && what == "memory"
    {
        let count = |text: &String| text.parse().expect("a count");
        println!("{}", measure(count(seats), count(identities)));
        return;
    }
    let mut table = Table::new();
    table.set_header(["measurement", "result", "aim"]);
    let rate = without_socket();
    table.add_row([
        "frames to events, no socket, one core".to_owned(),
        format!("{rate}/s"),
        "200000/s".to_owned(),
    ]);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    println!("{table}");
    let rate = runtime.block_on(through_socket());
    table.add_row([
        "frames to events, loopback socket".to_owned(),
        format!("{rate}/s"),
        "50000/s".to_owned(),
    ]);
    for (seats, identities) in [(1_000, 1), (10_000, 10), (100_000, 100)] {
        let bytes = memory(seats, identities);
        let name = format!("memory a seat, {seats} seats, {identities} identities");
        table.add_row([name, format!("{bytes} bytes"), "1024 bytes".to_owned()]);
    }
    for (name, took, requests) in runtime.block_on(starts()) {
        table.add_row([
            name.to_owned(),
            format!("{} ms, {requests} requests", took.as_millis()),
            "500 ms, 100 requests".to_owned(),
        ]);
    }
    println!("{table}");
}

/// A core that is live on a model server with so many conversations.
fn live_core(conversations: usize) -> (Core, Server) {
    let mut server = Server::new(1000);
    for _ in 0..conversations {
        drop(server.add_conversation());
    }
    let url = |host: &str| format!("https://{host}.example").parse().expect("a URL");
    let mut config = Config::for_urls(url("x"), url("aim"), url("cds"));
    config.events_max = 1 << 20;
    let mut core = Core::new(config_options(&config), None, 1, 1);
    let mut now = Moment::ORIGIN;
    drive(&mut core, &mut server, now, Input::Start);
    while !core.is_live() {
        now = core.deadline().expect("something to wait for").max(now);
        drive(&mut core, &mut server, now, Input::Tick);
    }
    (core, server)
}

fn config_options(config: &Config) -> chimein::realtime::conversations::core::Options {
    chimein::realtime::conversations::core::Options {
        session: config.session,
        api: config.api_url.clone(),
        sync: config.sync_url.clone(),
        roster: false,
        join_invited: true,
        events_max: config.events_max,
        reads_in_flight_max: config.reads_in_flight_max,
        horizon_interval: config.horizon_interval,
    }
}

/// Hands an input in and lets both ends talk until they have nothing to say.
fn drive(core: &mut Core, server: &mut Server, now: Moment, input: Input) {
    core.handle(now, input);
    while let Some(output) = core.poll() {
        match output {
            Output::Connect(conn) => {
                server.connected();
                core.handle(now, Input::Opened(conn));
            }
            Output::Write(conn, bytes) => {
                let frame = decode(&bytes, &Limits::default()).expect("a frame");
                for answer in server.frame(&frame) {
                    let frame = decode(&answer, &Limits::default()).expect("a frame");
                    core.handle(now, Input::Frame(conn, Box::new(frame)));
                }
            }
            Output::WantToken => {
                let token = Token { jwt: "jwt".into(), valid_for: Duration::from_secs(3600) };
                core.handle(now, Input::Token(token));
            }
            Output::LoadWatermark { conversation, epoch } => {
                core.handle(now, Input::Watermark { conversation, epoch, handled: None });
            }
            Output::Probe(_) | Output::Disconnect(_) | Output::Answered(..) => {}
        }
        // The owner takes events as they come.
        while core.next_event().is_some() {}
    }
}

/// Message frames of about a kilobyte, over a hundred conversations.
fn frames(server: &mut Server, count: usize) -> Vec<Bytes> {
    let body = "x".repeat(FRAME_BYTES - 560);
    (0..count).flat_map(|number| server.store(number % 100, &body).1).collect()
}

fn without_socket() -> u64 {
    let (mut core, mut server) = live_core(100);
    let frames = frames(&mut server, MESSAGES);
    let average = frames.iter().map(Bytes::len).sum::<usize>() / frames.len();
    assert!((900..1200).contains(&average), "{average}");
    let now = core.deadline().unwrap_or_default();
    let clock = Clock::start();
    let mut events = 0;
    for bytes in &frames {
        let frame = decode(bytes, &Limits::default()).expect("a frame");
        core.handle(now, Input::Frame(ConnId(1), Box::new(frame)));
        while core.poll().is_some() {}
        while let Some(event) = core.next_event() {
            events += usize::from(matches!(event, Event::MessageAdded(_)));
        }
    }
    assert_eq!(events, MESSAGES);
    rate(clock.now().since(Moment::ORIGIN))
}

/// The model server behind a WebSocket; once a client is live it is sent everything at once.
async fn through_socket() -> u64 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut socket = tokio_tungstenite::accept_async(stream).await.expect("an upgrade");
        let mut server = Server::new(1000);
        for _ in 0..100 {
            drop(server.add_conversation());
        }
        loop {
            let Some(Ok(message)) = socket.next().await else { return };
            let Ok(frame) = decode(&message.into_data(), &Limits::default()) else { return };
            if frame.header.method == Method::Close {
                return;
            }
            let path = frame.header.http_request.as_ref().map(|request| request.path.clone());
            for answer in server.frame(&frame) {
                socket.send(Message::Binary(answer)).await.expect("sent");
            }
            // The typing call is the start signal. Acknowledgements are read meanwhile, as a real
            // server does.
            if path.as_deref() == Some("/typing") {
                let (mut to, mut from) = socket.split();
                let write = async {
                    for bytes in frames(&mut server, MESSAGES) {
                        to.feed(Message::Binary(bytes)).await.expect("sent");
                    }
                    to.flush().await.expect("sent");
                };
                let read = async { while let Some(Ok(_)) = from.next().await {} };
                futures::future::join(write, read).await;
                return;
            }
        }
    });
    let url = format!("ws://{address}").parse().expect("a URL");
    let host = |name: &str| format!("https://{name}.example").parse().expect("a URL");
    let mut config = Config::for_urls(url, host("aim"), host("cds"));
    // Without room the client would read the list again, and this server only sends.
    config.events_max = MESSAGES;
    let minter = rig::Rig::start().await.minter("bot");
    let (client, events) = Client::connect(config, minter, Arc::new(NoWatermarks));
    let mut watch = rig::Watch::new(events);
    assert_eq!(watch.live().await, 100);
    let _ = client.typing(server::conversation(0)).await;
    let mut start = None;
    for _ in 0..MESSAGES {
        drop(watch.message().await);
        start.get_or_insert_with(Clock::start);
    }
    let took = start.expect("a message").now().since(Moment::ORIGIN);
    client.shutdown().await;
    server.abort();
    rate(took)
}

/// Asks a process of its own what a seat costs it in resident memory.
fn memory(seats: usize, identities: usize) -> usize {
    let program = std::env::current_exe().expect("this program");
    let output = std::process::Command::new(program)
        .args(["memory", &seats.to_string(), &identities.to_string()])
        .output()
        .expect("the child runs");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}

/// Growth of resident memory a seat; the model server's leftovers are in it.
fn measure(seats: usize, identities: usize) -> usize {
    drop(live_core(1));
    let before = resident();
    let cores: Vec<Core> = (0..identities).map(|_| live_core(seats / identities).0).collect();
    let used = resident().saturating_sub(before);
    drop(cores);
    used / seats
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    let kib: usize = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0);
    kib * 1024
}

/// From connect to all of a thousand seats live, against the emulator: cold, then resumed.
async fn starts() -> Vec<(&'static str, Duration, u64)> {
    let mut options = chimein::emulator::Options::default();
    options.limits.service_writes = usize::MAX;
    let rig = rig::Rig::start_with(options).await;
    for phone in 0..1_000 {
        let conversation = rig.text(&format!("+1555{phone:07}"), "first").await;
        rig.rest.add_participant(conversation, "bot").await.expect("added");
    }
    let mut rows = Vec::new();
    let mut resume = None;
    for name in ["1,000 seats live, cold", "1,000 seats live, resumed"] {
        let mut config = rig.config();
        config.resume = resume.take();
        config.events_max = 10_000;
        let clock = Clock::start();
        let (client, events) = Client::connect(config, rig.minter("bot"), Arc::new(FirstHandled));
        let mut watch = rig::Watch::new(events);
        assert_eq!(watch.live().await, 1_000);
        let took = clock.now().since(Moment::ORIGIN);
        rows.push((name, took, client.requests_made().await.unwrap_or(0)));
        // Lets the last reads finish, so that the next start has every place.
        let mut caught_up = 0;
        while name.ends_with("cold") && caught_up < 1_000 {
            match client.resume().await {
                Some(resume) => caught_up = resume.seats(),
                None => break,
            }
        }
        resume = client.shutdown().await;
    }
    rig.emulator.shutdown().await;
    rows
}

/// An owner that has handled the first message of every conversation.
struct FirstHandled;

impl chimein::realtime::Watermarks for FirstHandled {
    fn load(
        &self,
        _conversation: chimein::twilio::sid::ConversationSid,
    ) -> futures::future::BoxFuture<'_, Result<Option<u64>, chimein::realtime::WatermarkError>>
    {
        Box::pin(std::future::ready(Ok(Some(0))))
    }
}

fn rate(took: Duration) -> u64 {
    u64::try_from(MESSAGES).unwrap_or(0) * 1_000_000 / u64::try_from(took.as_micros()).unwrap_or(1)
}

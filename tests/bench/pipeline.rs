//! What the whole service adds to a message, and what it costs: socket in, disk, echo agent, disk,
//! socket out; and beside it the same on plain numbers: webhook in, REST out, callbacks.
//!
//! `cargo bench --bench pipeline`. The service is a child process; Twilio is the emulator in this
//! one, on the same cores. The time is from before a phone's message is handed to the emulator until
//! the bot's answer is stored there, so the emulator's own work and both ways of the socket are in
//! it: the service alone takes less. Beside it the time of one bare fsync, in the same run; and what the
//! timeline costs, by the same parts once more without one.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run stops where it cannot")]

#[path = "../child/mod.rs"]
mod child;

use std::collections::HashMap;
use std::time::Duration;

use chimein::clock::{Clock, Moment};
use chimein::emulator::control::Webhook;
use chimein::emulator::record::Happening;
use chimein::emulator::state::messaging::Number;
use chimein::emulator::{self, Control, Emulator, Incoming};
use chimein::webhook::TEXT_ROUTES;
use comfy_table::Table;
use futures::{StreamExt as _, stream};
use tokio::sync::broadcast;

use crate::child::measure::{bare_fsync, cpu_time};
use crate::child::tally::Tally;
use crate::child::{BOTS, NUMBER, Service};

/// Phones, each with a conversation of its own.
const PHONES: u32 = 1000;
/// Plain numbers of ours; each may send at most 1,000 segments a second.
const NUMBERS: u32 = 20;
/// Messages a second of the paced part, and for how long.
const PACED_RATE: u32 = 100;
const PACED_SECONDS: u32 = 20;
/// Messages of the saturated part, and how many are handed over at the same time.
const SATURATED_MESSAGES: u32 = 20_000;
const AT_ONCE: usize = 64;
/// About the size of a stored turn.
const RECORD_BYTES: usize = 500;
/// How long nothing new may be seen for the saturated part to be over.
const QUIET: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() {
    let fsync = bare_fsync(RECORD_BYTES, Duration::from_secs(3));
    let socket = measure(Road::Socket, true).await;
    let bare_socket = measure(Road::Socket, false).await;
    let direct = measure(Road::Direct, true).await;
    let bare_direct = measure(Road::Direct, false).await;
    let mut table = Table::new();
    table.set_header([
        "",
        "socket",
        "x bare fsync",
        "plain number",
        "x bare fsync",
        "aim of the socket",
    ]);
    let mut row = |name: &str, of: fn(&Figures) -> Duration, aim: &str| {
        let [socket, direct] = [&socket, &direct].map(|figures| {
            let value = of(figures);
            let ratio = value.as_secs_f64() / fsync.as_secs_f64();
            [format!("{:.3} ms", value.as_secs_f64() * 1e3), format!("{ratio:.2}")]
        });
        let cells = [name.to_owned()].into_iter().chain(socket).chain(direct);
        table.add_row(cells.chain([aim.to_owned()]));
    };
    row("answer p50 at 100/s", |of| of.p50, "2.5 ms");
    row("answer p99 at 100/s", |of| of.p99, "10 ms");
    row("CPU a message at 100/s", |of| of.paced_cpu, "");
    row("CPU a message, saturated", |of| of.saturated_cpu, "0.060 ms");
    row("time a message, saturated", |of| of.saturated_time, "");
    println!("{table}\nbare fsync {:.3} ms", fsync.as_secs_f64() * 1e3);
    println!("{}", timelines([(&socket, &bare_socket), (&direct, &bare_direct)]));
}

/// What the timeline adds to a message's processor time, by road: with, without, and the share.
fn timelines(roads: [(&Figures, &Figures); 2]) -> Table {
    let mut table = Table::new();
    table.set_header([
        "CPU a message with and without a timeline",
        "socket",
        "plain number",
        "aim",
    ]);
    let mut row = |name: &str, of: fn(&Figures) -> Duration| {
        let cells = roads.map(|(with, without)| {
            let [with, without] = [of(with), of(without)].map(|cpu| cpu.as_secs_f64() * 1e3);
            format!("{with:.3} / {without:.3} ms, {:+.1} %", (with / without - 1.0) * 100.0)
        });
        let cells = [name.to_owned()].into_iter().chain(cells);
        table.add_row(cells.chain(["5 %".to_owned()]));
    };
    row("at 100/s", |of| of.paced_cpu);
    row("saturated", |of| of.saturated_cpu);
    table
}

/// The way of a message and of its answer.
#[derive(Clone, Copy)]
enum Road {
    /// In and out by the socket, of a conversation.
    Socket,
    /// In by a number's webhook, out by REST, and the callbacks of what became of it.
    Direct,
}

/// What one road takes.
struct Figures {
    p50: Duration,
    p99: Duration,
    paced_cpu: Duration,
    saturated_cpu: Duration,
    saturated_time: Duration,
}

async fn measure(road: Road, has_timeline: bool) -> Figures {
    let emulator = start_emulator().await;
    let control = emulator.control();
    let mut service = road.service(&emulator, has_timeline);
    if matches!(road, Road::Direct) {
        service.start(&[]);
        assert!(service.is_listening().await, "{}", service.log_tail());
    }
    for phone in 0..PHONES {
        road.say(&control, phone, "hello").await;
    }
    if matches!(road, Road::Socket) {
        service.start(&[]);
    }
    let joined = child::eventually(|| road.tally(&control).is_complete()).await;
    assert!(joined, "the service does not answer\n{}", service.log_tail());
    let pid = service.pid();
    let (mut latencies, paced_cpu) = measured(pid, paced(road, &control)).await;
    latencies.sort_unstable();
    let (took, saturated_cpu) = measured(pid, saturated(road, &control)).await;
    let tally = road.tally(&control);
    assert!(tally.is_kept(), "{tally}\n{:?}\n{}", tally.wrong, service.log_tail());
    service.stop().await;
    emulator.shutdown().await;
    Figures {
        p50: percentile(&latencies, 50),
        p99: percentile(&latencies, 99),
        paced_cpu: paced_cpu / u32::try_from(latencies.len()).unwrap(),
        saturated_cpu: saturated_cpu / SATURATED_MESSAGES,
        saturated_time: took / SATURATED_MESSAGES,
    }
}

impl Road {
    /// A service to which Twilio tells of messages by this road alone.
    fn service(self, emulator: &Emulator, has_timeline: bool) -> Service {
        let control = emulator.control();
        let mut extra = vec![
            ("CHIMEIN_SEND_CONVERSATION_RATE", "30".to_owned()),
            ("CHIMEIN_TIMELINE_ENABLED", has_timeline.to_string()),
        ];
        if matches!(self, Self::Direct) {
            extra.extend([
                ("TWILIO_PHONE_NUMBER", list("")),
                ("CHIMEIN_MESSAGING_SENDER_RATES", list("=1000")),
                ("CHIMEIN_MESSAGING_SOURCES", list("=direct")),
            ]);
        }
        let extra: Vec<_> = extra.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let service = Service::of(emulator, &extra);
        control.set_webhook(Webhook::default());
        if matches!(self, Self::Direct) {
            let url = format!("http://127.0.0.1:{}{}", service.port(), TEXT_ROUTES[0]);
            for nth in 0..NUMBERS {
                control.set_number(Number::told_to(number(nth), url.as_str())).unwrap();
            }
        }
        service
    }

    /// Somebody writes, from a phone that always writes to the same number.
    async fn say(self, control: &Control, phone: u32, body: &str) {
        let from = format!("+1555{phone:07}");
        match self {
            Self::Socket => {
                let _received = control.receive_sms(&from, NUMBER, body).await.unwrap();
            }
            Self::Direct => {
                let incoming = Incoming::new(&from, &number(phone % NUMBERS), body);
                let _texted = control.text(incoming).await.unwrap();
            }
        }
    }

    /// What the bot says, if something that happened at Twilio is that.
    fn answer(self, what: &Happening) -> Option<&str> {
        match (self, what) {
            (Self::Socket, Happening::MessageAdded { author, body: Some(body), .. })
                if BOTS.contains(&author.reveal()) =>
            {
                Some(body.reveal())
            }
            (Self::Direct, Happening::TextSent { body, .. }) => Some(body.reveal()),
            _ => None,
        }
    }

    fn tally(self, control: &Control) -> Tally {
        match self {
            Self::Socket => Tally::of(control),
            Self::Direct => Tally::of_texts(control, |_| true),
        }
    }
}

/// One of our plain numbers.
fn number(nth: u32) -> String {
    format!("+155555501{nth:02}")
}

/// Each of our plain numbers with something behind it, as a setting takes them.
fn list(behind: &str) -> String {
    (0..NUMBERS).map(|nth| number(nth) + behind).collect::<Vec<_>>().join(",")
}

/// Runs a part and gives the processor time that the service spent on it.
async fn measured<T>(pid: u32, part: impl Future<Output = T>) -> (T, Duration) {
    let before = cpu_time(pid);
    let result = part.await;
    (result, cpu_time(pid).saturating_sub(before))
}

/// Messages at an even pace; gives how long each answer took.
async fn paced(road: Road, control: &Control) -> Vec<Duration> {
    let clock = Clock::start();
    let mut twilio = control.watch();
    let mut said = HashMap::new();
    let mut latencies = Vec::new();
    let count = PACED_RATE * PACED_SECONDS;
    for number in 0..count {
        let due = Moment::ORIGIN + Duration::from_secs(1) / PACED_RATE * number;
        let pause = clock.sleep_until(due);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                biased;
                record = twilio.recv() => {
                    take((road, record.unwrap().what), clock, &said, &mut latencies);
                }
                () = &mut pause => break,
            }
        }
        let body = format!("paced {number}");
        said.insert(body.clone(), clock.now());
        road.say(control, number % PHONES, &body).await;
    }
    while latencies.len() < said.len() {
        let record = tokio::time::timeout(QUIET * 5, twilio.recv()).await.expect("an answer");
        take((road, record.unwrap().what), clock, &said, &mut latencies);
    }
    latencies
}

fn take(
    (road, what): (Road, Happening),
    clock: Clock,
    said: &HashMap<String, Moment>,
    latencies: &mut Vec<Duration>,
) {
    if let Some(at) = road.answer(&what).and_then(|body| said.get(body)) {
        latencies.push(clock.now().since(*at));
    }
}

/// Messages as fast as the emulator takes them; gives the time until the last answer.
async fn saturated(road: Road, control: &Control) -> Duration {
    let clock = Clock::start();
    let mut twilio = control.watch();
    let sending = stream::iter(0..SATURATED_MESSAGES)
        .map(|number| async move {
            road.say(control, number % PHONES, &format!("fast {number}")).await;
        })
        .buffer_unordered(AT_ONCE)
        .collect::<()>();
    let watching = async {
        let mut last = clock.now();
        loop {
            match tokio::time::timeout(QUIET, twilio.recv()).await {
                Ok(Ok(record)) if road.answer(&record.what).is_some() => last = clock.now(),
                Ok(Ok(_) | Err(broadcast::error::RecvError::Lagged(_))) => {}
                Ok(Err(broadcast::error::RecvError::Closed)) => return last,
                Err(_) if road.tally(control).is_complete() => return last,
                Err(_) => {}
            }
        }
    };
    let ((), last) = futures::join!(sending, watching);
    last.since(Moment::ORIGIN)
}

/// An emulator that takes as much as it can, from phones and from the bot.
async fn start_emulator() -> Emulator {
    let mut options = emulator::Options::default();
    options.limits.service_writes = 1_000_000;
    options.limits.conversation_writes = 1_000_000;
    options.limits.long_code_rate = 1_000_000;
    options.limits.plain_messages = 1_000_000;
    Emulator::start(options).await.unwrap()
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

//! What the whole service adds to a message, and what it costs: socket in, disk, echo agent, disk,
//! socket out.
//!
//! `cargo bench --bench pipeline`. The service is a child process; Twilio is the emulator in this
//! one, on the same cores. The time is from before a phone's message is handed to the emulator until
//! the bot's answer is stored there, so the emulator's own work and both ways of the socket are in
//! it: the service alone takes less. Beside it the time of one bare fsync, in the same run.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run stops where it cannot")]

#[path = "../child/mod.rs"]
mod child;

use std::collections::HashMap;
use std::time::Duration;

use chimein::clock::{Clock, Moment};
use chimein::emulator::control::Webhook;
use chimein::emulator::record::Happening;
use chimein::emulator::{self, Control, Emulator};
use comfy_table::Table;
use futures::{StreamExt as _, stream};
use tokio::sync::broadcast;

use crate::child::measure::{bare_fsync, cpu_time};
use crate::child::tally::Tally;
use crate::child::{BOTS, NUMBER, Service};

/// Phones, each with a conversation of its own.
const PHONES: u32 = 1000;
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
    let emulator = start_emulator().await;
    let control = emulator.control();
    let rates = [("CHIMEIN_SEND_CONVERSATION_RATE", "30"), ("CHIMEIN_SEND_SERVICE_RATE", "10000")];
    let mut service = Service::of(&emulator, &rates);
    // The socket alone brings the messages.
    control.set_webhook(Webhook::default());
    for phone in 0..PHONES {
        say(&control, phone, "hello").await;
    }
    service.start(&[]);
    let joined = child::eventually(|| Tally::of(&control).is_complete()).await;
    assert!(joined, "the service does not answer\n{}", service.log_tail());
    let pid = service.pid();
    let fsync = bare_fsync(RECORD_BYTES, Duration::from_secs(3));
    let (mut latencies, paced_cpu) = measured(pid, paced(&control)).await;
    latencies.sort_unstable();
    let (took, saturated_cpu) = measured(pid, saturated(&control)).await;
    let tally = Tally::of(&control);
    assert!(tally.is_kept(), "{tally}\n{:?}\n{}", tally.wrong, service.log_tail());
    let paced_messages = u32::try_from(latencies.len()).unwrap();
    let mut table = Table::new();
    table.set_header(["", "value", "x bare fsync", "aim"]);
    let mut row = |name: &str, value: Duration, aim: &str| {
        let ratio = value.as_secs_f64() / fsync.as_secs_f64();
        let millis = format!("{:.3} ms", value.as_secs_f64() * 1e3);
        table.add_row([name.to_owned(), millis, format!("{ratio:.2}"), aim.to_owned()]);
    };
    row("bare fsync", fsync, "");
    row("answer p50 at 100/s", percentile(&latencies, 50), "2.5 ms");
    row("answer p99 at 100/s", percentile(&latencies, 99), "10 ms");
    row("CPU a message at 100/s", paced_cpu / paced_messages, "");
    row("CPU a message, saturated", saturated_cpu / SATURATED_MESSAGES, "0.060 ms");
    row("time a message, saturated", took / SATURATED_MESSAGES, "");
    println!("{table}");
    service.stop().await;
    emulator.shutdown().await;
}

/// Runs a part and gives the processor time that the service spent on it.
async fn measured<T>(pid: u32, part: impl Future<Output = T>) -> (T, Duration) {
    let before = cpu_time(pid);
    let result = part.await;
    (result, cpu_time(pid).saturating_sub(before))
}

/// Messages at an even pace; gives how long each answer took.
async fn paced(control: &Control) -> Vec<Duration> {
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
                record = twilio.recv() => take(record.unwrap().what, clock, &said, &mut latencies),
                () = &mut pause => break,
            }
        }
        let body = format!("paced {number}");
        said.insert(body.clone(), clock.now());
        say(control, number % PHONES, &body).await;
    }
    while latencies.len() < said.len() {
        let record = tokio::time::timeout(QUIET * 5, twilio.recv()).await.expect("an answer");
        take(record.unwrap().what, clock, &said, &mut latencies);
    }
    latencies
}

fn take(
    what: Happening,
    clock: Clock,
    said: &HashMap<String, Moment>,
    latencies: &mut Vec<Duration>,
) {
    if let Some(at) = answer(&what).and_then(|body| said.get(body)) {
        latencies.push(clock.now().since(*at));
    }
}

/// Messages as fast as the emulator takes them; gives the time until the last answer.
async fn saturated(control: &Control) -> Duration {
    let clock = Clock::start();
    let mut twilio = control.watch();
    let sending = stream::iter(0..SATURATED_MESSAGES)
        .map(|number| async move { say(control, number % PHONES, &format!("fast {number}")).await })
        .buffer_unordered(AT_ONCE)
        .collect::<()>();
    let watching = async {
        let mut last = clock.now();
        loop {
            match tokio::time::timeout(QUIET, twilio.recv()).await {
                Ok(Ok(record)) if answer(&record.what).is_some() => last = clock.now(),
                Ok(Ok(_) | Err(broadcast::error::RecvError::Lagged(_))) => {}
                Ok(Err(broadcast::error::RecvError::Closed)) => return last,
                Err(_) if Tally::of(control).is_complete() => return last,
                Err(_) => {}
            }
        }
    };
    let ((), last) = futures::join!(sending, watching);
    last.since(Moment::ORIGIN)
}

fn answer(what: &Happening) -> Option<&str> {
    match what {
        Happening::MessageAdded { author, body: Some(body), .. }
            if BOTS.contains(&author.reveal()) =>
        {
            Some(body.reveal())
        }
        _ => None,
    }
}

async fn say(control: &Control, phone: u32, body: &str) {
    control.receive_sms(&format!("+1555{phone:07}"), NUMBER, body).await.unwrap();
}

/// An emulator that takes as much as it can, from phones and from the bot.
async fn start_emulator() -> Emulator {
    let mut options = emulator::Options::default();
    options.limits.service_writes = 1_000_000;
    options.limits.conversation_writes = 1_000_000;
    Emulator::start(options).await.unwrap()
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

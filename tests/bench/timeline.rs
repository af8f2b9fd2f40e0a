//! How fast a page of the timeline is read among a million records, and what that costs.
//!
//! The records of each thread are spread over all segments, which is the worst for a search. Prints the times
//! of pages of one thread and of one message, with the newest steps and behind a cursor, and the memory that
//! the process has before and after. The aim: a page in less than 200 ms, and no more memory for more records.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::time::Duration;

use chimein::clock::{Clock, Timestamp};
use chimein::telemetry::journal::{Journal, Record, Stage};
use chimein::telemetry::metrics::Metrics;
use chimein::thread::{MessageId, ThreadId};
use chimein::timeline::keeper::Keeper;
use chimein::timeline::{Subject, Timeline, TimelineQuery, segments};
use chimein::twilio::sid::{ConversationSid, MessageSid};
use comfy_table::Table;

const RECORDS: u64 = 1_000_000;
const THREADS: u64 = 50_000;
/// How many are told before it is waited for their being written.
const CHUNK: u64 = 50_000;
/// How many pages are read of each kind.
const PAGES: u64 = 200;

#[tokio::main]
async fn main() {
    let place = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    let timeline = segments::open(segments::Options {
        folder: place.path().join("timeline"),
        retention: Duration::from_secs(7 * 24 * 60 * 60),
        bytes_max: 1 << 30,
        clock,
    });
    let journal = Journal::new(1 << 16);
    let keeper = Keeper::start(&journal, timeline.clone(), Metrics::new(), clock);
    let began = clock.now();
    for chunk in 0..RECORDS / CHUNK {
        for n in chunk * CHUNK..(chunk + 1) * CHUNK {
            journal.record(record(clock.wall(), n));
        }
        written(&timeline, (chunk + 1) * CHUNK - 1).await;
    }
    let size: u64 = std::fs::read_dir(place.path().join("timeline"))
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    println!(
        "{RECORDS} records of {THREADS} threads, {} MiB on disk, told and written in {:.1} s",
        size >> 20,
        clock.now().since(began).as_secs_f64()
    );
    let mut table = Table::new();
    table.set_header(["page", "records", "median ms", "slowest ms", "memory MiB before", "after"]);
    let kinds: [(&str, Ask); 4] = [
        ("a thread's newest", |n| (Subject::Thread(thread(n)), None)),
        ("a thread's first ones behind a cursor", |n| {
            (Subject::Thread(thread(n)), Some("0-0.0".to_owned()))
        }),
        ("a message's", |n| (Subject::Message(message(n * RECORDS / THREADS)), None)),
        ("of a thread that is not there", |n| (Subject::Thread(thread(THREADS + n)), None)),
    ];
    for (name, of) in kinds {
        table.add_row(measured((&timeline, clock), name, |page| of(page * THREADS / PAGES)).await);
    }
    println!("{table}");
    keeper.close().await;
}

type Ask = fn(u64) -> (Subject, Option<String>);

async fn measured(
    (timeline, clock): (&Timeline, Clock),
    name: &str,
    of: impl Fn(u64) -> (Subject, Option<String>),
) -> [String; 6] {
    let before = memory_mib();
    let (mut times, mut records) = (Vec::new(), 0);
    for page in 0..PAGES {
        let (subject, after) = of(page);
        let began = clock.now();
        let found = timeline.read(TimelineQuery { subject, after, limit: 200 }).await.unwrap();
        times.push(clock.now().since(began));
        records = found.records.len();
    }
    times.sort_unstable();
    let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1000.0);
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    [name.to_owned(), records.to_string(), ms(median), ms(slowest), before, memory_mib()]
}

/// Waits until a record is there.
async fn written(timeline: &Timeline, n: u64) {
    loop {
        let subject = Subject::Message(message(n));
        let ask = TimelineQuery { subject, after: None, limit: 1 };
        if !timeline.read(ask).await.unwrap().records.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn record(at: Timestamp, n: u64) -> Record {
    let message = Some(message(n));
    Record { at, thread: thread(n % THREADS), message, reply_id: None, stage: Stage::TurnStarted }
}

fn thread(n: u64) -> ThreadId {
    ConversationSid::from_bytes(u128::from(n).to_be_bytes()).into()
}

fn message(n: u64) -> MessageId {
    MessageSid::from_bytes(u128::from(n).to_be_bytes()).into()
}

fn memory_mib() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kib.map_or_else(|| "?".to_owned(), |kib| (kib / 1024).to_string())
}

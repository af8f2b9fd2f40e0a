//! How fast the queue is on this machine, beside what the disk and SQLite give by themselves.
//!
//! `cargo bench --bench queue`. Takes about a minute. Each row is a fresh file or a fresh server;
//! latencies are of one caller's append, from the call until it is on disk. The server of the engine on
//! NATS runs on the same machine and calls `fsync` for every message; its CPU is not counted.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run stops where it cannot")]

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use chimein::clock::{Clock, Moment};
use chimein::queue::embedded::Options;
use chimein::queue::{Append, JobId, Key, Queue, QueueName, Store};
use comfy_table::Table;
use rusqlite::{Connection, params};
use tempfile::TempDir;
use tokio::task::JoinSet;

#[cfg(feature = "nats")]
#[path = "../nats_server/mod.rs"]
mod nats_server;

const PAYLOAD_BYTES: usize = 700;
const KEYS: usize = 1000;
const CALLERS: [usize; 4] = [1, 8, 64, 512];
const TIME_PER_ROW: Duration = Duration::from_secs(4);
const OPEN_JOBS: usize = 100_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let fsyncs = bare_fsyncs();
    println!("bare: append {PAYLOAD_BYTES} bytes and fsync, one at a time: {fsyncs:.0}/s\n");
    let mut table = Table::new();
    table.set_header([
        "engine",
        "callers",
        "appends/s",
        "x fsync",
        "p50 ms",
        "p99 ms",
        "CPU µs each",
        "SQLite batch/s",
        "x SQLite",
    ]);
    for callers in CALLERS {
        let sqlite = sqlite_batches(callers);
        let mut add = |engine: &str, run: &Run| {
            table.add_row([
                engine.to_owned(),
                callers.to_string(),
                format!("{:.0}", run.rate),
                format!("{:.2}", run.rate / fsyncs),
                format!("{:.2}", run.p50.as_secs_f64() * 1e3),
                format!("{:.2}", run.p99.as_secs_f64() * 1e3),
                format!("{:.0}", run.cpu_each.as_secs_f64() * 1e6),
                format!("{sqlite:.0}"),
                format!("{:.2}", run.rate / sqlite),
            ]);
        };
        add("embedded", &runtime.block_on(embedded_appends(callers)));
        #[cfg(feature = "nats")]
        add("nats", &runtime.block_on(on_nats::appends(callers)));
    }
    println!("{table}\n");
    runtime.block_on(consume());
    #[cfg(feature = "nats")]
    runtime.block_on(on_nats::consume());
}

struct Run {
    rate: f64,
    p50: Duration,
    p99: Duration,
    cpu_each: Duration,
}

async fn embedded_appends(callers: usize) -> Run {
    let (_dir, path) = place();
    appends(Store::open(Options::new(&path)).unwrap(), callers).await
}

/// Many callers, each appending one job after the other.
async fn appends(store: Store, callers: usize) -> Run {
    let (clock, cpu) = (Clock::start(), cpu_time());
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        tasks.spawn(append_until(store.queue(QueueName::Inbox), caller, clock));
    }
    let mut latencies = tasks.join_all().await.concat();
    let elapsed = clock.now().since(Moment::ORIGIN);
    latencies.sort_unstable();
    let count = u32::try_from(latencies.len()).unwrap();
    let run = Run {
        rate: f64::from(count) / elapsed.as_secs_f64(),
        p50: latencies[latencies.len() / 2],
        p99: latencies[latencies.len() * 99 / 100],
        cpu_each: cpu_time().saturating_sub(cpu) / count,
    };
    store.close().await;
    run
}

async fn append_until(queue: Queue, caller: usize, clock: Clock) -> Vec<Duration> {
    let mut latencies = Vec::new();
    for round in 0.. {
        let began = clock.now();
        if began.since(Moment::ORIGIN) > TIME_PER_ROW {
            break;
        }
        queue.append(vec![job(caller, round)]).await.unwrap();
        latencies.push(clock.now().since(began));
    }
    latencies
}

/// Opening with many open jobs, and taking and acknowledging them all.
async fn consume() {
    let (_dir, path) = place();
    let store = Store::open(Options::new(&path)).unwrap();
    let queue = store.queue(QueueName::Inbox);
    for first in (0..OPEN_JOBS).step_by(1000) {
        queue.append((first..first + 1000).map(|n| job(n, 0)).collect()).await.unwrap();
    }
    store.close().await;
    let clock = Clock::start();
    let resident = resident_kib();
    let store = Store::open(Options::new(&path)).unwrap();
    println!(
        "open with {OPEN_JOBS} open jobs: {:.0} ms, {} KiB more resident",
        clock.now().since(Moment::ORIGIN).as_secs_f64() * 1e3,
        resident_kib().saturating_sub(resident)
    );
    take_all(&store, OPEN_JOBS).await;
    store.close().await;
    println!("file afterwards: {} KiB", std::fs::metadata(&path).unwrap().len() / 1024);
}

/// Takes and acknowledges all jobs.
async fn take_all(store: &Store, jobs: usize) {
    let (clock, cpu) = (Clock::start(), cpu_time());
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let queue = store.queue(QueueName::Inbox);
        tasks.spawn(async move {
            for _ in 0..jobs / 64 {
                queue.next().await.unwrap().ack().await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let elapsed = clock.now().since(Moment::ORIGIN).as_secs_f64();
    let count = u32::try_from(jobs / 64 * 64).unwrap();
    println!(
        "take and acknowledge, 64 consumers: {:.0}/s, {} CPU µs each",
        f64::from(count) / elapsed,
        (cpu_time().saturating_sub(cpu) / count).as_micros()
    );
}

/// One writer that appends to a plain file and waits for the disk each time.
fn bare_fsyncs() -> f64 {
    let (_dir, path) = place();
    let mut file = File::create(path).unwrap();
    let clock = Clock::start();
    let mut count = 0_u32;
    while clock.now().since(Moment::ORIGIN) < TIME_PER_ROW {
        file.write_all(&[7; PAYLOAD_BYTES]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    f64::from(count) / clock.now().since(Moment::ORIGIN).as_secs_f64()
}

/// SQLite without anything around it: a table with unique ids, `batch` rows a transaction.
fn sqlite_batches(batch: usize) -> f64 {
    let (_dir, path) = place();
    let mut db = connect(&path);
    let clock = Clock::start();
    let mut count = 0_u32;
    while clock.now().since(Moment::ORIGIN) < TIME_PER_ROW {
        let transaction = db.transaction().unwrap();
        for _ in 0..batch {
            count += 1;
            let id = JobId::digest("bench", &[&count.to_be_bytes()]);
            transaction
                .prepare_cached("INSERT INTO jobs (id, payload) VALUES (?1, ?2)")
                .unwrap()
                .execute(params![id.as_bytes(), [7_u8; PAYLOAD_BYTES]])
                .unwrap();
        }
        transaction.commit().unwrap();
    }
    f64::from(count) / clock.now().since(Moment::ORIGIN).as_secs_f64()
}

fn connect(path: &Path) -> Connection {
    let db = Connection::open(path).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;
         CREATE TABLE jobs (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, payload BLOB);",
    )
    .unwrap();
    db
}

fn job(caller: usize, round: usize) -> Append {
    Append {
        id: JobId::digest("bench", &[&caller.to_be_bytes(), &round.to_be_bytes()]),
        key: Key::new(format!("CH{:032x}", (caller + round * 31) % KEYS)).unwrap(),
        position: u64::try_from(round).ok(),
        not_before: None,
        payload: vec![7; PAYLOAD_BYTES],
    }
}

/// The engine on NATS, with a server of its own.
#[cfg(feature = "nats")]
mod on_nats {
    use chimein::queue::jetstream::{Everything, Options};

    use super::nats_server::NatsServer;
    use super::*;

    /// As many as are taken; each costs the server one `fsync` to append and one to acknowledge.
    const TAKEN: usize = 6400;

    pub async fn appends(callers: usize) -> Run {
        let (_server, store) = open().await;
        super::appends(store, callers).await
    }

    pub async fn consume() {
        let (_server, store) = open().await;
        let queue = store.queue(QueueName::Inbox);
        for first in (0..TAKEN).step_by(100) {
            queue.append((first..first + 100).map(|n| job(n, 0)).collect()).await.unwrap();
        }
        print!("on NATS: ");
        take_all(&store, TAKEN).await;
        store.close().await;
    }

    async fn open() -> ((TempDir, NatsServer), Store) {
        let (dir, _) = place();
        let config = format!(
            "jetstream {{ store_dir: \"{}\", sync_interval: always }}\n",
            dir.path().display()
        );
        let server = NatsServer::start_plain(&nats_server::newest(), &config);
        let client = async_nats::connect(server.url()).await.unwrap();
        let holdings = Everything::of(Options::PARTITIONS);
        let store = Store::open_jetstream(Options::new(client), holdings).await.unwrap();
        ((dir, server), store)
    }
}

/// A file in a new directory on the disk that holds the build, which is no memory disk.
fn place() -> (TempDir, std::path::PathBuf) {
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = dir.path().join("queue.db");
    (dir, path)
}

/// The processor time of this process. Source: proc(5), /proc/pid/schedstat has it per thread only,
/// so ticks of 10 ms from /proc/pid/stat, fields 14 and 15, read 2026-11-21.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

//! How Twilio's webhooks fare while strangers hold the door: 10,000 connections of each kind, from one
//! address and from 200.
//!
//! `cargo bench --bench attacks` takes some six minutes and 11,000 descriptors (`ulimit -n`);
//! `CHIMEIN_ATTACKS_CONNECTIONS=2000` makes it smaller, and `-- read 200` takes those rows alone that
//! have all these words in their first columns. The service is a child process on defaults, but
//! that no address is trusted; the strangers, Twilio and its webhooks are in this one, each on threads
//! of their own, so all of them share the machine. Whoever is cut off comes again after 100 ms.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run stops where it cannot")]

#[path = "../child/mod.rs"]
mod child;

use std::time::Duration;

use chimein::clock::{Clock, Moment};
use chimein::emulator::{self, Emulator, Received};
use comfy_table::Table;

use crate::child::measure::resident_mebibytes;
use crate::child::siege::{Kind, Siege, Twilio};
use crate::child::{NUMBER, Service};

/// Connections unless the environment says otherwise.
const CONNECTIONS: u32 = 10_000;
/// Webhooks before and during a siege.
const WEBHOOKS: u32 = 100;
/// Within what they are to be answered.
const AIM: Duration = Duration::from_secs(1);
/// The time between two webhooks during a siege; all of them take longer than any time limit.
const EVERY: Duration = Duration::from_millis(120);
/// How long after a siege memory is looked at.
const REST: Duration = Duration::from_secs(10);
/// Sockets that the service has at least when its places are taken.
const FULL: usize = 4_096;

/// The strangers have one thread, and the webhooks another.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() {
    let given = std::env::var("CHIMEIN_ATTACKS_CONNECTIONS").ok();
    let connections = given.map_or(CONNECTIONS, |text| text.parse().expect("a number"));
    let mut table = Table::new();
    table.set_header([
        "strangers",
        "addresses",
        "answered in 1 s before",
        "p50 / p99 ms",
        "answered in 1 s during",
        "p50 / p99 ms",
        "memory MiB before",
        "at most",
        "after",
    ]);
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    for kind in Kind::ALL {
        for addresses in [1, 200] {
            let name = format!("{} {addresses}", kind.name());
            if !wanted.iter().all(|word| name.split(' ').any(|one| one == word)) {
                continue;
            }
            let row = besiege(kind, connections, addresses).await;
            println!("{}", row.join("; "));
            table.add_row(row);
        }
    }
    println!("{connections} connections\n{table}");
}

/// One siege, as a row of the table.
async fn besiege(kind: Kind, connections: u32, addresses: u32) -> Vec<String> {
    let mut options = emulator::Options { seed: Some(7), ..emulator::Options::default() };
    options.limits.service_writes = 100_000;
    let emulator = Emulator::start(options).await.unwrap();
    let control = emulator.control();
    let extra = [
        ("CHIMEIN_AGENT_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("CHIMEIN_SERVER_TRUSTED_PROXIES", "192.0.2.1"),
    ];
    let mut service = Service::of(&emulator, &extra);
    service.start(&[]);
    assert!(service.is_listening().await && child::connected(&control).await);
    let received = control.receive_sms("+15555550123", NUMBER, "hello").await.unwrap();
    let Received::Stored { conversation, .. } = received else { panic!("{received:?}") };
    let twilio = Twilio::of(&emulator, service.port(), &conversation.to_string());
    let pid = service.pid();
    let (before, _) = knock(&twilio, pid, Duration::from_millis(5));
    let memory_before = resident_mebibytes(pid);
    let siege = Siege::begin(service.port(), kind, connections, addresses);
    // From one address half of the places are taken, from many all of them.
    let enough = if addresses == 1 { FULL / 2 } else { FULL };
    let folder = format!("/proc/{pid}/fd");
    let is_full = || {
        let open = std::fs::read_dir(&folder).map_or(0, Iterator::count);
        open >= enough.min(usize::try_from(connections).unwrap())
    };
    let was_full = child::within(Duration::from_secs(20), is_full).await;
    let (during, memory_most) = knock(&twilio, pid, EVERY);
    siege.lift().await;
    tokio::time::sleep(REST).await;
    let memory_after = resident_mebibytes(pid);
    service.stop().await;
    emulator.shutdown().await;
    let note = if was_full { "" } else { ", places were left" };
    vec![
        format!("{}{note}", kind.name()),
        addresses.to_string(),
        share(&before),
        quantiles(&before),
        share(&during),
        quantiles(&during),
        format!("{memory_before:.1}"),
        format!("{memory_most:.1}"),
        format!("{memory_after:.1}"),
    ]
}

/// Sends webhooks, evenly; gives how long each took, and the most memory that was seen. On a thread of
/// its own, so that no stranger's doings are counted.
fn knock(twilio: &Twilio, pid: u32, every: Duration) -> (Vec<Option<Duration>>, f64) {
    let knocking = async {
        let (clock, mut took, mut most) = (Clock::start(), Vec::new(), 0.0_f64);
        for number in 0..WEBHOOKS {
            clock.sleep_until(Moment::ORIGIN + every * number).await;
            took.extend(twilio.knock(1, Duration::from_secs(5)).await);
            most = most.max(resident_mebibytes(pid));
        }
        (took, most)
    };
    let apart = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(knocking)
    };
    std::thread::scope(|scope| scope.spawn(apart).join().unwrap())
}

fn share(took: &[Option<Duration>]) -> String {
    let good = took.iter().flatten().filter(|took| **took <= AIM).count();
    format!("{good} of {}", took.len())
}

fn quantiles(took: &[Option<Duration>]) -> String {
    let mut all: Vec<Duration> = took.iter().flatten().copied().collect();
    all.sort_unstable();
    let at = |hundredths: usize| {
        let index = (all.len() * hundredths / 100).min(all.len().saturating_sub(1));
        all.get(index)
            .map_or_else(|| "–".to_owned(), |took| format!("{:.1}", took.as_secs_f64() * 1e3))
    };
    format!("{} / {}", at(50), at(99))
}

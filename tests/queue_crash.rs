//! Kills a process that works on a queue, twenty times on one file, and looks what is left.
//!
//! The child is this test binary again, told by the environment to work instead of to test. It says
//! on its standard output what it was promised: `A` after an append was acknowledged, `B` before it
//! acknowledges a delivery, `K` after that was stored. What it said before it died must hold.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chimein::clock::Clock;
use chimein::queue::embedded::Options;
use chimein::queue::{Append, Appended, JobId, Key, Queue, QueueName, Store};
use tempfile::TempDir;
use tokio::task::JoinSet;

const KILLS: u32 = 20;
const KILLS_MAX: u32 = 200;
const PRODUCERS: u32 = 6;
const CONSUMERS: u32 = 3;
const PLACE: &str = "CHIMEIN_TEST_CRASH_PLACE";
const ROUND: &str = "CHIMEIN_TEST_CRASH_ROUND";

#[test]
fn what_was_promised_before_a_kill_holds_after_it() {
    let dir = TempDir::new().unwrap();
    let mut promised = Promised::default();
    let mut seed = 20_261_121_u64;
    // A busy machine gets less done between two kills, so it gets more of them.
    let is_enough =
        |promised: &Promised| promised.appended.len() > 500 && promised.acked.len() > 50;
    for round in 0..KILLS_MAX {
        if round >= KILLS && is_enough(&promised) {
            break;
        }
        let mut child = spawn_worker(dir.path(), round);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let output = child.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).collect()
        });
        std::thread::sleep(Duration::from_millis(40 + (seed >> 33) % 160));
        child.kill().unwrap();
        child.wait().unwrap();
        let lines: Vec<String> = reader.join().unwrap();
        promised.read(&lines);
        check(dir.path(), &mut promised);
    }
    assert!(promised.appended.len() > 500, "only {} appends", promised.appended.len());
    assert!(promised.acked.len() > 50, "only {} acknowledged", promised.acked.len());
}

/// Not a test of its own: the process that is killed.
#[test]
fn worker() {
    let (Ok(place), Ok(round)) = (std::env::var(PLACE), std::env::var(ROUND)) else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(work(place.into(), round.parse().unwrap()));
}

/// A job: the round and the producer make its key, the number its place.
type Name = (u32, u32, u32);

/// What the killed processes said.
#[derive(Default)]
struct Promised {
    appended: BTreeSet<Name>,
    ack_begun: BTreeSet<Name>,
    acked: BTreeSet<Name>,
}

impl Promised {
    fn read(&mut self, lines: &[String]) {
        for line in lines {
            let mut words = line.split(' ');
            let verb = words.next().unwrap_or_default();
            let numbers: Vec<u32> = words.filter_map(|word| word.parse().ok()).collect();
            // Lines of the test harness, and a last line that was cut off, have no end mark.
            let (&[round, producer, number], true) = (&numbers[..], line.ends_with(" .")) else {
                continue;
            };
            let name = (round, producer, number);
            match verb {
                "A" => self.appended.insert(name),
                "B" => self.ack_begun.insert(name),
                "K" => self.acked.insert(name),
                _ => false,
            };
        }
    }
}

/// Opens what the kill left, holds it against what was promised, and empties it.
fn check(place: &Path, promised: &mut Promised) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = Store::open(options(place)).unwrap();
        let queue = store.queue(QueueName::Inbox);
        let names: Vec<Name> = promised.appended.iter().copied().collect();
        for names in names.chunks(Queue::APPEND_JOBS_MAX) {
            let answers = queue.append(names.iter().copied().map(job).collect()).await.unwrap();
            for (name, answer) in names.iter().zip(answers) {
                assert_eq!(answer, Appended::Duplicate, "{name:?} was acknowledged and is lost");
            }
        }
        let mut delivered = BTreeSet::new();
        let mut last_of_key = BTreeMap::new();
        while queue.stats().await.unwrap().oldest_age.is_some() {
            let delivery = tokio::time::timeout(Duration::from_secs(10), queue.next()).await;
            let delivery = delivery.expect("an open job never came").unwrap();
            let name = name_of(delivery.payload());
            assert!(delivery.redelivered(), "{name:?} was open when the store was opened");
            assert!(!promised.acked.contains(&name), "{name:?} was done and comes again");
            let last = last_of_key.insert((name.0, name.1), name.2);
            assert!(last < Some(name.2), "{name:?} came after {last:?}");
            delivered.insert(name);
            delivery.ack().await.unwrap();
        }
        for name in promised.appended.difference(&promised.ack_begun) {
            assert!(delivered.contains(name), "{name:?} was promised and never came");
        }
        promised.ack_begun.extend(&delivered);
        promised.acked.extend(&delivered);
        store.close().await;
    });
}

async fn work(place: PathBuf, round: u32) {
    // Ends the line that the test harness has begun.
    std::io::stdout().lock().write_all(b"\n").unwrap();
    let store = Store::open(options(&place)).unwrap();
    let mut tasks = JoinSet::new();
    for producer in 0..PRODUCERS {
        let queue = store.queue(QueueName::Inbox);
        tasks.spawn(async move {
            for number in 0.. {
                let name = (round, producer, number);
                assert_eq!(queue.append(vec![job(name)]).await.unwrap(), [Appended::Added]);
                say("A", name);
            }
        });
    }
    let clock = Clock::start();
    for _ in 0..CONSUMERS {
        let queue = store.queue(QueueName::Inbox);
        tasks.spawn(async move {
            loop {
                let delivery = queue.next().await.unwrap();
                let name = name_of(delivery.payload());
                say("B", name);
                delivery.ack().await.unwrap();
                say("K", name);
                // Slower than the producers, so that there is always something open to lose.
                clock.sleep_until(clock.now() + Duration::from_millis(1)).await;
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

fn say(verb: &str, (round, producer, number): Name) {
    // One write a line: a kill cuts at most the last one.
    let line = format!("{verb} {round} {producer} {number} .\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

fn spawn_worker(place: &Path, round: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "worker", "--nocapture", "--test-threads=1"])
        .env(PLACE, place)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn options(place: &Path) -> Options {
    Options::new(place.join("queue.db"))
}

fn job(name: Name) -> Append {
    let (round, producer, number) = name;
    let payload = format!("{round} {producer} {number}").into_bytes();
    Append {
        id: JobId::digest("crash", &[&payload]),
        key: Key::new(format!("{round}-{producer}")).unwrap(),
        position: None,
        not_before: None,
        payload,
    }
}

fn name_of(payload: &[u8]) -> Name {
    let text = std::str::from_utf8(payload).unwrap();
    let numbers: Vec<u32> = text.split(' ').map(|word| word.parse().unwrap()).collect();
    (numbers[0], numbers[1], numbers[2])
}

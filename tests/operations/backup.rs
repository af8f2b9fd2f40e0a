//! An operator copies the store while the service works, and puts it back.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chimein::clock::{Clock, Moment};
use chimein::fault_points::{Point, VARIABLE};
use chimein::queue::{Append, JobId, Key, Queue, QueueName, Store, embedded};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// How many lanes are written to at once.
const LANES: u32 = 16;
/// What lies in the store before, so that copying it takes a while: jobs of 64 KiB.
const FILLER: u32 = 500;
/// How long an append may take while the store is copied, on a machine with much else to do.
const APPEND_MAX: Duration = Duration::from_secs(5);
/// What a process that was armed dies of.
const SIGABRT: i32 = 6;
/// How long anything else may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_has_all_that_was_acknowledged_before_it_in_order() {
    let place = Place::new();
    let store = Store::open(embedded::Options::new(place.store())).unwrap();
    let filler = |n| append("filler", n, vec![7; 64 << 10]);
    for n in (0..FILLER).step_by(50) {
        let jobs = (n..n + 50).map(filler).collect();
        store.queue(QueueName::Inbox).append(jobs).await.unwrap();
    }
    let load = Load::start(&store.queue(QueueName::Outbox));
    load.reaches(20).await;
    let before = load.acknowledged();
    load.forget_slowest();
    let output = place.run_beside(&["backup", &place.path("copy.db")]).await;
    let during = load.acknowledged();
    let slowest = load.slowest();
    load.end().await;
    store.close().await;
    assert!(output.status.success(), "{}", told(&output));
    assert!(during.iter().zip(&before).all(|(during, before)| during > before), "no load");
    println!("{}slowest append meanwhile: {} ms", shown(&output), slowest.as_millis());
    assert!(slowest < APPEND_MAX, "an append waited {slowest:?}");

    let output = place.run(&["restore", &place.path("copy.db"), "--to", &place.path("again.db")]);
    assert!(output.status.success(), "{}", told(&output));
    let again = Store::open(embedded::Options::new(place.path("again.db"))).unwrap();
    assert_eq!(again.queue(QueueName::Inbox).stats().await.unwrap().ready, u64::from(FILLER));
    let outbox = again.queue(QueueName::Outbox);
    let delivered = drain(&outbox).await;
    for (lane, before) in before.iter().enumerate() {
        let numbers = &delivered[&name(u32::try_from(lane).unwrap())];
        assert!(
            numbers.iter().copied().eq(0..u32::try_from(numbers.len()).unwrap()),
            "{numbers:?}"
        );
        assert!(numbers.len() >= *before, "{} of {before}", numbers.len());
    }
    outbox.append(vec![append("lane 0", u32::MAX, vec![1])]).await.unwrap();
    let delivery = tokio::time::timeout(PATIENCE, outbox.next()).await.unwrap().unwrap();
    assert!(!delivery.redelivered(), "it is new");
    delivery.ack().await.unwrap();
    again.close().await;
}

#[tokio::test]
async fn a_backup_is_for_this_user_alone_and_goes_over_nothing_unasked() {
    let place = Place::new();
    let copy = place.path("copy.db");
    let nowhere = place.run(&["backup", &copy]);
    assert!(told(&nowhere).contains("there is no store at"), "{}", told(&nowhere));
    Store::open(embedded::Options::new(place.store())).unwrap().close().await;
    assert!(place.run(&["backup", &copy]).status.success());
    assert_eq!(chimein::files::rights_of_others(Path::new(&copy)).unwrap(), None);
    assert_eq!(look(Path::new(&copy), "PRAGMA integrity_check"), "ok");
    std::fs::write(&copy, "mine").unwrap();
    let refused = place.run(&["backup", &copy]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(told(&refused).contains("--force"), "{}", told(&refused));
    assert_eq!(std::fs::read(&copy).unwrap(), b"mine");
    let forced = place.run(&["backup", &copy, "--force"]);
    assert!(forced.status.success(), "{}", told(&forced));
    assert!(told(&forced).contains("what people wrote"), "{}", told(&forced));
    let before = std::fs::read(place.store()).unwrap();
    for itself in [&place.path("queue.db"), &place.path("./queue.db")] {
        let refused = place.run(&["backup", itself, "--force"]);
        assert!(told(&refused).contains("another file than the store"), "{}", told(&refused));
    }
    assert_eq!(std::fs::read(place.store()).unwrap(), before);
    assert_eq!(place.files(), ["copy.db", "queue.db", "queue.db.lock"]);
}

#[tokio::test]
async fn a_restore_that_is_killed_leaves_a_whole_store_and_can_be_done_again() {
    // After the kill the place has what was there, or what was to come, whole.
    for (point, is_restored) in
        [(Point::CopyWritten, false), (Point::ReplacedKept, false), (Point::RestoredPlaced, true)]
    {
        let place = Place::new();
        let copy = place.path("copy.db");
        let store = Store::open(embedded::Options::new(place.store())).unwrap();
        let inbox = store.queue(QueueName::Inbox);
        inbox.append(vec![append("a", 1, Vec::new())]).await.unwrap();
        assert!(place.run(&["backup", &copy]).status.success());
        inbox.append(vec![append("a", 2, Vec::new())]).await.unwrap();
        store.close().await;

        let mut restore = place.program(&["restore", &copy]);
        restore.env(VARIABLE, format!("{}:1", point.as_str()));
        let killed = restore.output().unwrap().status;
        assert_eq!(killed.signal(), Some(SIGABRT), "{point:?}");
        let left = if is_restored { 1 } else { 2 };
        assert_eq!(place.open_jobs().await, left, "{point:?}");
        let again = place.run(&["restore", &copy]);
        assert!(again.status.success(), "{point:?}: {}", told(&again));
        assert_eq!(place.open_jobs().await, 1, "{point:?}");
        let files = place.files();
        assert!(!files.iter().any(|name| name.ends_with(".restoring")), "{point:?}: {files:?}");
    }
}

#[tokio::test]
async fn queues_on_nats_are_for_its_own_tools() {
    let place = Place::new();
    for command in ["backup", "restore"] {
        let copy = place.path("copy.db");
        let mut program = place.program(&[command, &copy]);
        let refused = program.env("CHIMEIN_QUEUE_ENGINE", "nats").output().unwrap();
        assert_eq!(refused.status.code(), Some(1));
        let told = told(&refused);
        assert!(told.contains("nats stream backup") && told.contains("KV_chimein-marks"), "{told}");
    }
}

/// A folder with a store's place.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    fn store(&self) -> PathBuf {
        self.0.path().join("queue.db")
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// The names of what is there; SQLite's own files may stay after somebody has looked.
    fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.0.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> =
            names.filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm")).collect();
        names.sort();
        names
    }

    /// How many jobs wait in the store.
    async fn open_jobs(&self) -> u64 {
        let store = Store::open(embedded::Options::new(self.store())).unwrap();
        let ready = store.queue(QueueName::Inbox).stats().await.unwrap().ready;
        store.close().await;
        ready
    }

    fn program(&self, arguments: &[&str]) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_chimein"));
        program.args(arguments).env_clear().env("CHIMEIN_QUEUE_PATH", self.store());
        program
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.program(arguments).output().unwrap()
    }

    /// Runs it while this process goes on.
    async fn run_beside(&self, arguments: &[&str]) -> Output {
        let mut program = self.program(arguments);
        tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap()
    }
}

/// Many who append, each to a lane of its own, one job after the other.
struct Load {
    lanes: Arc<Vec<Mutex<usize>>>,
    slowest: Arc<Mutex<Duration>>,
    stop: CancellationToken,
    tasks: tokio_util::task::TaskTracker,
}

impl Load {
    fn start(queue: &Queue) -> Self {
        let load = Self {
            lanes: Arc::new((0..LANES).map(|_| Mutex::default()).collect()),
            slowest: Arc::default(),
            stop: CancellationToken::new(),
            tasks: tokio_util::task::TaskTracker::new(),
        };
        for lane in 0..LANES {
            let (queue, stop) = (queue.clone(), load.stop.clone());
            let (lanes, slowest) = (Arc::clone(&load.lanes), Arc::clone(&load.slowest));
            load.tasks.spawn(async move {
                for n in 0.. {
                    if stop.is_cancelled() {
                        return;
                    }
                    let clock = Clock::start();
                    queue.append(vec![append(&name(lane), n, vec![1; 500])]).await.unwrap();
                    let took = clock.now().since(Moment::ORIGIN);
                    *lanes[usize::try_from(lane).unwrap()].lock().unwrap() += 1;
                    let mut slowest = slowest.lock().unwrap();
                    *slowest = took.max(*slowest);
                }
            });
        }
        load.tasks.close();
        load
    }

    /// How many jobs of each lane are acknowledged.
    fn acknowledged(&self) -> Vec<usize> {
        self.lanes.iter().map(|lane| *lane.lock().unwrap()).collect()
    }

    async fn reaches(&self, jobs: usize) {
        let reached = tokio::time::timeout(PATIENCE, async {
            while self.acknowledged().iter().any(|lane| *lane < jobs) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        reached.await.expect("the appends stand still");
    }

    fn forget_slowest(&self) {
        *self.slowest.lock().unwrap() = Duration::ZERO;
    }

    /// How long the slowest append took since that was forgotten.
    fn slowest(&self) -> Duration {
        *self.slowest.lock().unwrap()
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

fn name(lane: u32) -> String {
    format!("lane {lane}")
}

fn append(lane: &str, n: u32, mut payload: Vec<u8>) -> Append {
    payload.splice(0..0, n.to_be_bytes());
    Append {
        id: JobId::digest("test", &[lane.as_bytes(), &n.to_be_bytes()]),
        key: Key::new(lane).unwrap(),
        position: None,
        not_before: None,
        payload,
    }
}

/// Takes all that is open; gives each lane's numbers in the order in which they came.
async fn drain(queue: &Queue) -> BTreeMap<String, Vec<u32>> {
    let delivered = Mutex::new(BTreeMap::<String, Vec<u32>>::new());
    let worker = || async {
        while queue.stats().await.unwrap().ready > 0 {
            let next = tokio::time::timeout(Duration::from_millis(200), queue.next()).await;
            // The last ones of other lanes are out.
            let Ok(delivery) = next else { continue };
            let delivery = delivery.unwrap();
            assert!(delivery.redelivered(), "it was open in a backup");
            let n = u32::from_be_bytes(delivery.payload()[..4].try_into().unwrap());
            let lane = delivery.key().as_str().to_owned();
            delivered.lock().unwrap().entry(lane).or_default().push(n);
            delivery.ack().await.unwrap();
        }
    };
    futures::future::join_all((0..LANES).map(|_| worker())).await;
    delivered.into_inner().unwrap()
}

fn look(path: &Path, query: &str) -> String {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    db.query_row(query, [], |row| row.get(0)).unwrap()
}

fn shown(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

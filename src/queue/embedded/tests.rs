//! What the contract cannot ask of every engine: files, disks and what breaks them.

use std::io::{Seek as _, SeekFrom, Write as _};

use tempfile::TempDir;

use super::*;
use crate::clock::Timestamp;
use crate::queue::{Cause, Delivery, Queue, Retry, Store};

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_second_opening_is_refused_and_told_who_has_it() {
    let place = Place::empty();
    let _store = place.open();
    let error = Store::open(place.options()).unwrap_err();
    // As the system's own program tells it.
    let host = std::process::Command::new("uname").arg("-n").output().unwrap().stdout;
    let host = String::from_utf8(host).unwrap();
    let expected = format!("process {} on {}", std::process::id(), host.trim());
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    assert!(error.to_string().contains(&expected), "{error}");
}

#[test]
fn a_dropped_store_frees_its_file() {
    let place = Place::empty();
    for _ in 0..3 {
        drop(place.open());
    }
}

#[test]
fn the_directory_is_made() {
    let place = Place::empty();
    let path = place.0.path().join("var/lib/queue.db");
    drop(Store::open(Options::new(&path)).unwrap());
    assert!(path.exists());
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_what_people_wrote() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::empty();
    let store = place.open();
    store.queue(QueueName::Inbox).append(vec![job("a", 1)]).await.unwrap();
    for name in ["queue.db", "queue.db-wal", "queue.db-shm"] {
        let mode = std::fs::metadata(place.0.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    store.close().await;
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let place = Place::empty();
    drop(place.open());
    place.sqlite().execute_batch("PRAGMA user_version = 99").unwrap();
    let before = std::fs::read(place.path()).unwrap();
    let error = Store::open(place.options()).unwrap_err();
    assert!(matches!(error, Error::Newer { found: 99, known: 4, .. }), "{error}");
    let told = error.to_string();
    for part in ["format 99", "up to 4", env!("CARGO_PKG_VERSION"), "chimein restore FILE"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    for copy in ["queue.db.format-98", "queue.db.format-2", "queue.db.format-4"] {
        std::fs::write(place.0.path().join(copy), "").unwrap();
    }
    let told = Store::open(place.options()).unwrap_err().to_string();
    assert!(told.ends_with("queue.db.format-4`"), "the latest that it can read: {told}");
    assert_eq!(std::fs::read(place.path()).unwrap(), before, "untouched");
}

#[test]
fn a_migration_once_released_never_changes() {
    let texts = [
        include_str!("0001_first.sql"),
        include_str!("0002_documents.sql"),
        include_str!("0003_passing.sql"),
        include_str!("0004_short_lived.sql"),
    ];
    let digests = texts.map(|text| JobId::digest("migration", &[text.as_bytes()]).to_string());
    assert_eq!(
        digests,
        [
            "e701aa4ff66c674f4542104bf3569967",
            "a5f4977fd8e3f60672fd5ad67cfe0cab",
            "7acd13dfdf51c4a73b2e5fb81574cea3",
            "1a6284cb15f1c0694f7288ce5988e1a5"
        ]
    );
}

#[test]
fn a_file_that_is_no_queue_is_refused_unchanged() {
    let place = Place::empty();
    let text = "Dear diary, ".repeat(1000);
    std::fs::write(place.path(), &text).unwrap();
    let error = Store::open(place.options()).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(place.path()).unwrap(), text);
}

#[test]
fn places_that_cannot_be_written_are_told() {
    let place = Place::empty();
    std::fs::create_dir(place.path()).unwrap();
    let is_directory = Store::open(place.options()).unwrap_err();
    let file = place.0.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below_a_file = Store::open(Options::new(file.join("queue.db"))).unwrap_err();
    for error in [is_directory, below_a_file] {
        assert!(matches!(error, Error::NotWritable { .. } | Error::Storage { .. }), "{error:?}");
    }
}

#[test]
fn each_result_code_becomes_the_error_that_says_what_to_do() {
    let fault = Fault::new(Path::new("queue.db"));
    let of = |code: i32| {
        fault.sqlite("test", rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None))
    };
    // Source: SQLite, "Result and Error Codes", read 2026-11-21.
    let (full, read_only, cannot_open, corrupt, no_database) = (13, 8, 14, 11, 26);
    let (busy, locked, io, io_fsync) = (5, 6, 10, 1034);
    assert!(matches!(of(full), Error::Full { .. }));
    assert!(matches!(of(read_only), Error::NotWritable { .. }));
    assert!(matches!(of(cannot_open), Error::NotWritable { .. }));
    assert!(matches!(of(corrupt), Error::Corrupt { .. }));
    assert!(matches!(of(no_database), Error::Corrupt { .. }));
    assert!(matches!(of(busy), Error::Locked { .. }));
    assert!(matches!(of(locked), Error::Locked { .. }));
    assert!(matches!(of(io), Error::Storage { .. }));
    assert!(matches!(of(io_fsync), Error::Storage { .. }));
    assert_eq!((of(full).retry(), of(corrupt).retry()), (Retry::Backoff, Retry::No));
    assert!(std::error::Error::source(&of(io)).is_some(), "the engine's own words are kept");
}

#[tokio::test]
async fn a_full_disk_refuses_appends_whole_and_recovers_by_acks() {
    let place = Place::empty();
    let store = Store::open(Options { bytes_max: 80 * PAGE_BYTES, ..place.options() }).unwrap();
    let queue = store.queue(QueueName::Inbox);
    let mut stored = 0_u32;
    let error = loop {
        match queue.append(vec![job("a", stored), job("b", stored + 1_000_000)]).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert!(stored > 10, "{stored} fitted");
    assert!(store.is_failing() && queue.is_kept(), "what ends is kept and makes room");
    let stats = queue.stats().await.unwrap();
    assert_eq!(stats.ready, u64::from(2 * stored), "half an append is never there");
    for _ in 0..2 * stored {
        // Settling needs no room, or a full disk would stay full.
        next(&queue).await.ack().await.unwrap();
    }
    let answers = queue.append(vec![job("a", stored)]).await.unwrap();
    assert_eq!(answers, [Appended::Added], "what was refused was not remembered");
    assert_eq!(next(&queue).await.payload(), job("a", stored).payload);
    let recovered = async {
        while store.is_failing() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, recovered).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_appended_in_one_go_is_seen_in_one_go() {
    let place = Place::empty();
    let store = place.open();
    let queue = store.queue(QueueName::Inbox);
    let eager = {
        let queue = queue.clone();
        tokio::spawn(async move {
            let mut seen = Vec::new();
            for _ in 0..200 {
                let first = next(&queue).await;
                seen.push(1 + first.absorb(Delivery::ABSORB_MAX).await.unwrap().len());
                first.ack().await.unwrap();
            }
            seen
        })
    };
    for n in 0..200 {
        let key = n.to_string();
        queue.append((0..8).map(|m| job(&key, 8 * n + m)).collect()).await.unwrap();
    }
    assert_eq!(eager.await.unwrap(), [8; 200]);
    store.close().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_written_says_so_until_it_can_although_nobody_writes() {
    let place = Place::empty();
    let store = place.open();
    let queue = store.queue(QueueName::Inbox);
    assert!(!store.is_failing() && queue.is_kept());
    let intruder = place.sqlite();
    intruder.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(queue.append(vec![job("a", 1)]).await.is_err());
    assert!(store.is_failing() && !queue.is_kept());
    assert!(queue.kept().now_or_never().is_none());
    intruder.execute_batch("ROLLBACK").unwrap();
    tokio::time::timeout(PATIENCE, queue.kept()).await.unwrap();
    assert!(!store.is_failing());
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'probe'";
    let count: i64 = intruder.query_row(tables, [], |row| row.get(0)).unwrap();
    assert_eq!(count, 0, "nothing is left of the probe");
    store.close().await;
}

#[tokio::test]
async fn work_goes_on_while_what_was_deleted_is_written_over() {
    let place = Place::empty();
    let store = place.open();
    let queue = store.queue(QueueName::Inbox);
    queue.append(vec![job("a", 1)]).await.unwrap();
    let reader = place.sqlite();
    reader.execute_batch("BEGIN; SELECT count(*) FROM jobs").unwrap();
    queue.append(vec![job("a", 2)]).await.unwrap();
    let mut over = Box::pin(store.write_over());
    assert!(over.as_mut().now_or_never().is_none(), "it is asked for");
    let appended = tokio::time::timeout(PATIENCE, queue.append(vec![job("a", 3)])).await;
    assert_eq!(appended.unwrap().unwrap(), [Appended::Added]);
    assert!(over.as_mut().now_or_never().is_none(), "the log is still read");
    reader.execute_batch("ROLLBACK").unwrap();
    tokio::time::timeout(PATIENCE, over).await.unwrap().unwrap();
    store.close().await;
}

#[tokio::test]
async fn what_could_not_be_settled_comes_again_after_a_while() {
    let place = Place::empty();
    let store = place.open();
    let queue = store.queue(QueueName::Inbox);
    queue.append(vec![job("a", 1)]).await.unwrap();
    let delivery = next(&queue).await;
    let intruder = place.sqlite();
    intruder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let acked = delivery.ack().await;
    assert!(matches!(acked, Err(Error::Locked { .. })), "{acked:?}");
    let at_once = tokio::time::timeout(Duration::from_millis(100), queue.next()).await;
    assert!(at_once.is_err(), "a disk in trouble must not make a storm");
    let appended = queue.append(vec![job("b", 2)]).await;
    assert!(matches!(appended, Err(Error::Locked { .. })), "{appended:?}");
    intruder.execute_batch("ROLLBACK").unwrap();
    assert_eq!(queue.append(vec![job("a", 2)]).await.unwrap(), [Appended::Added]);
    let again = next(&queue).await;
    assert_eq!((again.payload(), again.attempt()), (&*job("a", 1).payload, 2));
    assert!(again.redelivered());
    again.ack().await.unwrap();
}

#[tokio::test]
async fn who_gives_up_settling_before_the_writer_has_it_gives_the_job_back() {
    let place = Place::empty();
    let store = place.open();
    let queue = store.queue(QueueName::Inbox);
    queue.append(vec![job("a", 0)]).await.unwrap();
    let delivery = next(&queue).await;
    // The writer is held up and more appends wait than it lets in.
    let intruder = place.sqlite();
    intruder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let crowd = writer::OPS_WAITING_MAX + writer::OPS_PER_BATCH_MAX + 100;
    let appends = (0..u32::try_from(crowd).unwrap()).map(|n| queue.append(vec![job("b", n)]));
    let mut appends = Box::pin(futures::future::join_all(appends));
    assert!(futures::poll!(&mut appends).is_pending());
    let mut ack = Box::pin(delivery.ack());
    assert!(futures::poll!(&mut ack).is_pending());
    assert_eq!(queue.stats().await.unwrap().leased, 1, "it is being settled");
    drop(ack);
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.leased, stats.ready), (0, 1));
    intruder.execute_batch("ROLLBACK").unwrap();
    drop(appends);
    // Those of the crowd that the writer took meanwhile may go first.
    let mut again = next(&queue).await;
    while again.payload() != job("a", 0).payload {
        again.ack().await.unwrap();
        again = next(&queue).await;
    }
    assert_eq!(again.attempt(), 2);
}

#[tokio::test]
async fn a_damaged_page_is_told_and_nothing_is_acknowledged_on_it() {
    let place = Place::empty();
    let store = place.open();
    let queue = store.queue(QueueName::Inbox);
    queue.append((0..100).map(|n| job("a", n)).collect()).await.unwrap();
    store.close().await;
    place.damage_table("payloads");
    let store = place.open();
    let queue = store.queue(QueueName::Inbox);
    let error = queue.next().await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    let answer = queue.append(vec![job("b", 1000)]).await;
    assert!(matches!(answer, Err(Error::Corrupt { .. })), "{answer:?}");
    let soon = tokio::time::timeout(Duration::from_millis(50), queue.next()).await;
    assert!(soon.is_err(), "what cannot be read is held back, not tried in a loop");
    assert_eq!(queue.stats().await.unwrap().delayed, 1);
    store.close().await;
    place.damage_table("jobs");
    let error = Store::open(place.options()).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn the_file_stops_growing_when_work_is_done_as_it_comes() {
    let place = Place::empty();
    let store = place.open();
    let queue = store.queue(QueueName::Inbox);
    let mut sizes = Vec::new();
    for round in 0..6_u32 {
        let first = round * 500;
        queue.append((first..first + 500).map(|n| job(&n.to_string(), n)).collect()).await.unwrap();
        let mut out = Vec::new();
        for _ in 0..500 {
            out.push(next(&queue).await);
        }
        // Together, so that they share commits.
        let acks = futures::future::join_all(out.into_iter().map(Delivery::ack)).await;
        assert!(acks.iter().all(Result::is_ok));
        sizes.push(place.pages());
    }
    // 3,000 remembered ids at 130 bytes are about a hundred pages; payloads were 500 pages.
    assert!(sizes[5] < sizes[0] + 150, "{sizes:?}");
}

#[tokio::test]
async fn nothing_that_was_acknowledged_is_in_the_file_after_a_clean_stop() {
    let place = Place::empty();
    let store = place.open();
    let queue = store.queue(QueueName::Inbox);
    let text = |n: u32| format!("planted{n:05}.");
    let planted = |n: u32| {
        let times = [3, 20, 60, 100, 700][usize::try_from(n % 5).unwrap()];
        Append { payload: text(n).repeat(times).into_bytes(), ..job(&n.to_string(), n) }
    };
    let mut open = Vec::new();
    for round in 0..20_u32 {
        queue.append((0..50).map(|n| planted(round * 50 + n)).collect()).await.unwrap();
        while let Some(Ok(delivery)) = queue.next().now_or_never() {
            open.push(delivery);
        }
        // In an order that is nobody's, so that rows move between pages.
        open.sort_by_key(|delivery| JobId::digest("shuffle", &[delivery.id().as_bytes()]));
        let acked = open.drain(..open.len() * 3 / 4).map(Delivery::ack);
        futures::future::try_join_all(acked).await.unwrap();
    }
    let left: Vec<_> = open.iter().map(|delivery| delivery.payload().to_vec()).collect();
    drop(open);
    store.close().await;
    let folder = std::fs::read_dir(place.0.path()).unwrap().map(|file| file.unwrap().path());
    let files: Vec<u8> = folder.flat_map(|path| std::fs::read(path).unwrap()).collect();
    let files = String::from_utf8_lossy(&files);
    let found = (0..1000).filter(|n| files.contains(&text(*n)));
    let is_open = |n: &u32| left.iter().any(|payload| payload.starts_with(text(*n).as_bytes()));
    let stale: Vec<_> = found.filter(|n| !is_open(n)).collect();
    assert!(stale.is_empty(), "{} of 1000 are left, first {:?}", stale.len(), stale.first());
}

#[tokio::test]
async fn raised_marks_reach_the_disk_within_about_a_second() {
    let place = Place::empty();
    let store = place.open();
    store.marks().raise("CH1", 7).await.unwrap();
    let (clock, reader) = (Clock::start(), place.sqlite());
    while rows::mark(&reader, "CH1").unwrap() != Some(7) {
        assert!(clock.now().since(crate::clock::Moment::ORIGIN) < PATIENCE, "it never came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    store.close().await;
}

#[tokio::test]
async fn more_raised_marks_than_may_wait_are_written_at_once() {
    let place = Place::empty();
    let store = place.open();
    for n in 0..marks::DIRTY_MAX + 2 {
        store.marks().raise(&format!("CH{n}"), 7).await.unwrap();
    }
    assert_eq!(rows::mark(&place.sqlite(), "CH0").unwrap(), Some(7));
}

#[test]
fn old_ids_and_letters_are_forgotten_and_open_jobs_never() {
    let place = Place::empty();
    drop(place.open());
    let db = place.sqlite();
    let hour = Duration::from_secs(3600);
    let retention = Retention { done: hour, dead: 3 * hour, pages_max: i64::MAX };
    let start = Timestamp::from_millis(1_000_000_000);
    for n in 0..600 {
        insert(&db, n, start);
        match n % 3 {
            0 => {}
            1 => rows::finish(&db, n + 1, start, false).unwrap(),
            _ => bury(&db, n, start),
        }
    }
    let left_at = |hours: u32| {
        let mut sweep = Sweep::new(retention);
        sweep.tick(&db, start + hours * hour).unwrap();
        while sweep.is_behind() {
            sweep.step(&db).unwrap();
        }
        states(&db)
    };
    assert_eq!(left_at(0), (200, 200, 200));
    assert_eq!(left_at(1), (200, 0, 200));
    assert_eq!(left_at(2), (200, 0, 200));
    assert_eq!(left_at(3), (200, 0, 0));
    let orphans = "SELECT (SELECT count(*) FROM payloads) + (SELECT count(*) FROM attempts)
        + (SELECT count(*) FROM dead)";
    assert_eq!(db.query_row(orphans, [], |row| row.get::<_, i64>(0)).unwrap(), 200);
}

#[test]
fn when_room_is_short_the_oldest_ids_go_first_and_then_letters() {
    let place = Place::empty();
    drop(place.open());
    let db = place.sqlite();
    let (long, now) = (Duration::from_secs(1 << 30), Timestamp::from_millis(1_000_000_000));
    for n in 0..1500 {
        insert(&db, n, now);
        match n {
            0..500 => rows::finish(&db, n + 1, now, false).unwrap(),
            500..1000 => bury(&db, n, now),
            _ => {}
        }
    }
    let (_, done, _) = states(&db);
    assert_eq!(done, 500);
    // Room for about the open jobs alone.
    let mut sweep = Sweep::new(Retention { done: long, dead: long, pages_max: 230 });
    let mut walk = || {
        sweep.tick(&db, now).unwrap();
        while sweep.is_behind() {
            sweep.step(&db).unwrap();
        }
        states(&db)
    };
    assert_eq!(walk(), (500, 0, 500), "ids go first");
    let _nothing_more_to_take_but_letters = walk();
    let (open, done, dead) = walk();
    assert_eq!((open, done), (500, 0));
    assert!(dead < 500, "{dead} letters left");
}

struct Place(TempDir);

impl Place {
    fn empty() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("queue.db")
    }

    fn options(&self) -> Options {
        Options::new(self.path())
    }

    fn open(&self) -> Store {
        Store::open(self.options()).unwrap()
    }

    /// A connection such as an operator's shell has, but it does not wait for the disk.
    fn sqlite(&self) -> Connection {
        let db = Connection::open(self.path()).unwrap();
        db.execute_batch("PRAGMA synchronous = OFF").unwrap();
        db
    }

    fn pages(&self) -> i64 {
        self.sqlite().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap()
    }

    /// Overwrites the first page of a table.
    fn damage_table(&self, table: &str) {
        let page: u64 = self
            .sqlite()
            .query_row("SELECT rootpage FROM sqlite_master WHERE name = ?1", [table], |row| {
                row.get::<_, i64>(0)
            })
            .map(|page| page.unsigned_abs())
            .unwrap();
        let mut file = std::fs::OpenOptions::new().write(true).open(self.path()).unwrap();
        file.seek(SeekFrom::Start((page - 1) * PAGE_BYTES)).unwrap();
        file.write_all(&[0xFF; 4096]).unwrap();
    }
}

fn job(key: &str, n: u32) -> Append {
    Append {
        id: JobId::digest("test", &[&n.to_be_bytes()]),
        key: Key::new(key).unwrap(),
        position: None,
        not_before: None,
        payload: [&n.to_be_bytes()[..], &[7; 1500]].concat(),
    }
}

async fn next(queue: &Queue) -> Delivery {
    tokio::time::timeout(PATIENCE, queue.next()).await.expect("it never came").unwrap()
}

fn insert(db: &Connection, n: i64, at: Timestamp) {
    let job = job("a", u32::try_from(n).unwrap());
    assert!(rows::insert(db, n + 1, (QueueName::Inbox, &job), at).unwrap());
}

fn bury(db: &Connection, n: i64, at: Timestamp) {
    rows::record_attempt(db, n + 1, at, &Cause::new("refused")).unwrap();
    rows::bury(db, n + 1, QueueName::Inbox, at).unwrap();
}

/// Counts open, done and dead jobs.
fn states(db: &Connection) -> (i64, i64, i64) {
    let count = |state: i64| {
        db.query_row("SELECT count(*) FROM jobs WHERE state = ?1", [state], |row| row.get(0))
            .unwrap()
    };
    (count(0), count(1), count(2))
}

mod backup;
mod full_disk;

//! What the files do on a disk that is full, and on one that hangs.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use super::*;
use crate::telemetry::journal::{Record, Stage};
use crate::timeline::Subject;
use crate::twilio::sid::ConversationSid;

/// A disk of which a test says how much it takes, and when it hangs.
pub(super) struct HeldDisk {
    room: AtomicUsize,
    hangs: Mutex<Option<mpsc::Receiver<()>>>,
    waiting: AtomicUsize,
}

impl Default for HeldDisk {
    fn default() -> Self {
        let room = AtomicUsize::new(usize::MAX);
        Self { room, hangs: Mutex::default(), waiting: AtomicUsize::new(0) }
    }
}

impl HeldDisk {
    /// How many of so many bytes it takes; returns once it does not hang.
    pub(super) fn takes(&self, bytes: usize) -> usize {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        if let Some(over) = self.hangs.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = over.recv();
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.room.load(Ordering::SeqCst).min(bytes)
    }

    fn hang(&self) -> mpsc::Sender<()> {
        let (over, hangs) = mpsc::channel();
        *self.hangs.lock().unwrap() = Some(hangs);
        over
    }
}

#[tokio::test]
async fn a_full_disk_leaves_no_empty_segments_and_no_halves_of_lines() {
    let place = tempfile::tempdir().unwrap();
    let engine = engine(place.path());
    engine.shared.disk.room.store(7, Ordering::SeqCst);
    for _ in 0..10 {
        assert!(engine.write(lines(1)).await.is_err(), "there is no room");
    }
    assert_eq!(files_in(place.path()), 0, "what held nothing is removed");
    engine.shared.disk.room.store(usize::MAX, Ordering::SeqCst);
    engine.write(lines(2)).await.unwrap();
    let written = only_text(place.path());
    engine.shared.disk.room.store(7, Ordering::SeqCst);
    for _ in 0..10 {
        assert!(engine.write(lines(3)).await.is_err());
    }
    assert_eq!(only_text(place.path()), written, "one file, and in it what it had");
    engine.shared.disk.room.store(usize::MAX, Ordering::SeqCst);
    engine.write(lines(4)).await.unwrap();
    assert_eq!(found(&engine).await, 6, "there is room again, in the same file");
    assert_eq!(files_in(place.path()), 1);
}

#[tokio::test]
async fn a_disk_that_hangs_costs_one_thread_however_often_it_is_written_to() {
    let place = tempfile::tempdir().unwrap();
    let engine = engine(place.path());
    let over = engine.shared.disk.hang();
    let late = Duration::from_millis(20);
    for _ in 0..20 {
        let written = tokio::time::timeout(late, engine.write(lines(1))).await;
        assert!(written.is_err(), "it hangs");
        let tidied = tokio::time::timeout(late, engine.tidy()).await;
        assert!(tidied.is_err(), "who tidies waits as well");
    }
    assert_eq!(engine.shared.disk.waiting.load(Ordering::SeqCst), 1, "one thread is in it");
    assert_eq!(engine.writing.available_permits(), 0, "and has the only place");
    over.send(()).unwrap();
    engine.write(lines(1)).await.unwrap();
    assert_eq!(found(&engine).await, 2, "the first one ended, those that waited were given up");
}

#[tokio::test]
async fn segments_that_are_full_get_an_index_by_which_all_is_found() {
    let place = tempfile::tempdir().unwrap();
    let engine = engine(place.path());
    for _ in 0..8 {
        engine.write(lines(40)).await.unwrap();
    }
    let endings = |ending: &str| {
        let names = fs::read_dir(place.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(ending)).count()
    };
    assert!(endings(".jsonl") > 2, "there are several");
    assert_eq!(endings(".ids"), endings(".jsonl") - 1, "all but the newest have one");
    let by_index = found(&engine).await;
    for entry in fs::read_dir(place.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "ids") {
            fs::remove_file(path).unwrap();
        }
    }
    assert_eq!((found(&engine).await, by_index), (320, 320), "with and without");
}

#[tokio::test]
async fn nothing_of_an_erased_thread_is_in_an_index() {
    let place = tempfile::tempdir().unwrap();
    let engine = engine(place.path());
    for _ in 0..8 {
        engine.write(lines(40)).await.unwrap();
    }
    assert_eq!(engine.erase(vec![thread()], true).await.unwrap(), [320]);
    for entry in fs::read_dir(place.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "ids") {
            let mut index =
                index::SegmentIndex::open(&path, &path.with_extension("jsonl")).unwrap();
            let places = index.places(index::digest(&thread().to_string())).unwrap();
            assert!(places.is_empty(), "{path:?}");
        }
    }
}

fn engine(folder: &Path) -> Segments {
    let options = Options {
        folder: folder.to_owned(),
        retention: Duration::from_secs(3600),
        bytes_max: 1 << 17,
        clock: Clock::start(),
    };
    Segments::new(Shared { options, state: Mutex::default(), disk: HeldDisk::default() })
}

fn thread() -> ThreadId {
    ConversationSid::from_bytes([1; 16]).into()
}

fn lines(count: usize) -> Vec<Line> {
    let at = Clock::start().wall();
    let record =
        Record { at, thread: thread(), message: None, reply_id: None, stage: Stage::TurnStarted };
    vec![Line::of(record); count]
}

async fn found(engine: &Segments) -> usize {
    let ask = TimelineQuery { subject: Subject::Thread(thread()), after: None, limit: 1000 };
    engine.find(ask).await.unwrap().lines.len()
}

fn files_in(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

fn only_text(folder: &Path) -> String {
    assert_eq!(files_in(folder), 1);
    fs::read_to_string(fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()).unwrap()
}

//! The files under the contract, and what is only theirs.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::claims::{eventually, read, record, thread, write};
use super::{BOUNDS, Bounds, Harness};
use crate::clock::Clock;
use crate::telemetry::journal::{Journal, Stage};
use crate::telemetry::metrics::Metrics;
use crate::timeline::keeper::Keeper;
use crate::timeline::{Error, Subject, Timeline, TimelineQuery, segments};

struct Files(TempDir);

impl Harness for Files {
    fn empty() -> Self {
        Self(TempDir::new().unwrap())
    }

    async fn open(&self, Bounds { retention, bytes_max }: Bounds) -> Timeline {
        let (folder, clock) = (self.folder(), Clock::start());
        segments::open(segments::Options { folder, retention, bytes_max, clock })
    }
}

impl Files {
    fn folder(&self) -> PathBuf {
        segments::folder_beside(&self.0.path().join("queue.db"))
    }

    fn texts(&self) -> Vec<String> {
        let files = fs::read_dir(self.folder()).unwrap();
        let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        files.map(|file| read(file.unwrap().path())).collect()
    }
}

super::contract!(Files);

#[tokio::test]
async fn the_folder_never_is_larger_than_it_may_become() {
    let place = Files::empty();
    let bytes_max = 256 * 1024;
    let timeline = place.open(Bounds { bytes_max, ..BOUNDS }).await;
    let now = Clock::start().wall().as_millis();
    for _ in 0..60 {
        let batch = (0..100).map(|n| record(now + n, 1, Some(1), Stage::TurnStarted)).collect();
        write(&timeline, batch).await;
        let files = fs::read_dir(place.folder()).unwrap();
        let size: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(size <= 256 * 1024, "{size} bytes");
    }
    assert!(place.texts().len() > 8, "they are cut finely enough to lose little at once");
}

#[tokio::test]
async fn what_is_too_old_leaves_the_disk() {
    let place = Files::empty();
    let retention = Duration::from_millis(300);
    let timeline = place.open(Bounds { retention, ..BOUNDS }).await;
    let now = Clock::start().wall().as_millis();
    write(&timeline, vec![record(now, 1, Some(1), Stage::TurnStarted)]).await;
    let gone = async {
        while !place.texts().is_empty() {
            timeline.engine.tidy().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("nobody writes any more");
}

#[tokio::test]
async fn who_follows_starts_over_once_all_segments_are_gone() {
    let place = Files::empty();
    let timeline = place.open(BOUNDS).await;
    let now = Clock::start().wall().as_millis();
    let told = |at| vec![record(at, 1, Some(1), Stage::TurnStarted)];
    write(&timeline, [told(now), told(now + 1), told(now + 2)].concat()).await;
    let next = read(&timeline, Subject::Thread(thread(1)), None, 9).await.next.unwrap();
    drop(timeline);
    fs::remove_dir_all(place.folder()).unwrap();
    let timeline = place.open(BOUNDS).await;
    let before = read(&timeline, Subject::Thread(thread(1)), Some(next.clone()), 9).await;
    assert!(before.records.is_empty() && before.next.is_some(), "it goes on asking");
    // A segment's name has its time in milliseconds.
    while Clock::start().wall().as_millis() <= now + 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    write(&timeline, told(now + 3)).await;
    let page = read(&timeline, Subject::Thread(thread(1)), Some(next), 9).await;
    assert_eq!(page.records.len(), 1, "what is told since is not behind a place that is gone");
}

#[tokio::test]
async fn a_place_beyond_its_file_or_within_a_line_is_refused() {
    let place = Files::empty();
    let timeline = place.open(BOUNDS).await;
    let now = Clock::start().wall().as_millis();
    write(&timeline, vec![record(now, 1, Some(1), Stage::TurnStarted)]).await;
    let next = read(&timeline, Subject::Thread(thread(1)), None, 9).await.next.unwrap();
    let (name, offset) = next.split_once('.').unwrap();
    let offset: u64 = offset.parse().unwrap();
    for offset in [offset + 1, offset + 1000, offset - 1, 1] {
        let after = Some(format!("{name}.{offset}"));
        let ask = TimelineQuery { subject: Subject::Thread(thread(1)), after, limit: 1 };
        assert!(matches!(timeline.read(ask).await, Err(Error::Cursor)), "{offset}");
    }
}

#[tokio::test]
async fn nothing_of_an_erased_thread_is_in_any_file() {
    let place = Files::empty();
    let timeline = place.open(BOUNDS).await;
    let now = Clock::start().wall().as_millis();
    let both = vec![
        record(now, 1, Some(1), Stage::TurnStarted),
        record(now, 2, Some(2), Stage::TurnStarted),
    ];
    write(&timeline, both).await;
    let name = thread(1).to_string();
    assert!(place.texts().concat().contains(&name), "it was there");
    timeline.erase(&[thread(1)]).await.unwrap();
    let left = place.texts().concat();
    assert!(!left.contains(&name) && !left.contains(&format!("IM{}", "01".repeat(16))), "{left}");
    write(&timeline, vec![record(now, 2, Some(2), Stage::Held)]).await;
    eventually(&timeline, Subject::Thread(thread(2)), 2).await;
}

#[tokio::test]
async fn a_line_that_a_crash_cut_in_two_costs_nothing_else() {
    let place = Files::empty();
    let timeline = place.open(BOUNDS).await;
    let now = Clock::start().wall().as_millis();
    write(&timeline, vec![record(now, 1, Some(1), Stage::TurnStarted)]).await;
    let file = fs::read_dir(place.folder()).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}{}", &text[..text.len() / 2])).unwrap();
    let timeline = place.open(BOUNDS).await;
    write(&timeline, vec![record(now, 1, Some(1), Stage::Held)]).await;
    eventually(&timeline, Subject::Thread(thread(1)), 2).await;
}

#[tokio::test]
async fn a_disk_that_fails_drops_records_counts_them_and_holds_up_nobody() {
    let place = Files::empty();
    // A file where the folder should be: nothing can be written.
    fs::write(place.folder(), "").unwrap();
    let (journal, metrics, clock) = (Journal::new(64), Metrics::new(), Clock::start());
    let timeline = place.open(BOUNDS).await;
    let keeper = Keeper::start(&journal, timeline.clone(), metrics.clone(), clock);
    let tell = || {
        let now = clock.wall().as_millis();
        for n in 0..10 {
            journal.record(record(now + n, 1, Some(1), Stage::TurnStarted));
        }
    };
    tell();
    let dropped = |count: u64| format!("chimein_timeline_dropped_total {count}\n");
    until(|| metrics.page().contains(&dropped(10))).await;
    fs::remove_file(place.folder()).unwrap();
    tell();
    eventually(&timeline, Subject::Thread(thread(1)), 10).await;
    assert!(metrics.page().contains(&dropped(10)), "no more were lost");
    keeper.close().await;
}

#[tokio::test]
async fn what_falls_out_of_the_ring_is_counted_and_the_stop_writes_the_rest() {
    let place = Files::empty();
    let (journal, metrics, clock) = (Journal::new(8), Metrics::new(), Clock::start());
    let timeline = place.open(BOUNDS).await;
    let keeper = Keeper::start(&journal, timeline.clone(), metrics.clone(), clock);
    let now = clock.wall().as_millis();
    // The runtime has one thread, so that the keeper does not get a turn in between.
    for n in 0..20 {
        journal.record(record(now + n, 1, Some(1), Stage::TurnStarted));
    }
    keeper.close().await;
    assert_eq!(read(&timeline, Subject::Thread(thread(1)), None, 100).await.records.len(), 8);
    assert!(metrics.page().contains("chimein_timeline_dropped_total 12\n"), "{}", metrics.page());
}

async fn until(good: impl Fn() -> bool) {
    let look = async {
        while !good() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), look).await.expect("it is so in time");
}

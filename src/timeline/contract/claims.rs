//! What every engine does.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::{BOUNDS, Bounds, Harness};
use crate::clock::{Clock, Timestamp};
use crate::telemetry::journal::{Door, How, Record, Stage, Via};
use crate::thread::{MessageId, ThreadId};
use crate::timeline::{Error, Line, Page, Subject, Timeline, TimelineQuery};
use crate::twilio::sid::{ConversationSid, MessageSid};

pub(super) async fn records_are_found_by_thread_and_by_message_in_order(place: impl Harness) {
    let timeline = place.open(BOUNDS).await;
    let start = Clock::start().wall().as_millis();
    let own = |at, n, stage| record(start + at, 1, Some(n), stage);
    write(
        &timeline,
        vec![
            own(3, 1, Stage::TurnStarted),
            record(start, 1, None, Stage::Joined { how: How::Added }),
            own(1, 1, Stage::MessageSeen { door: Door::Socket }),
            own(2, 2, Stage::MessageSeen { door: Door::CatchUp }),
            record(start, 2, Some(3), Stage::TurnStarted),
        ],
    )
    .await;
    let page = eventually(&timeline, Subject::Thread(thread(1)), 4).await;
    assert_eq!(stages(&page), ["joined", "message_seen", "message_seen", "turn_started"]);
    let page = eventually(&timeline, Subject::Message(message(1)), 3).await;
    assert_eq!(stages(&page), ["joined", "message_seen", "turn_started"], "with its join");
    let page = read(&timeline, Subject::Message(message(9)), None, 10).await;
    assert!(page.records.is_empty() && !page.more);
}

pub(super) async fn a_reply_is_found_by_its_own_sid(place: impl Harness) {
    let timeline = place.open(BOUNDS).await;
    let start = Clock::start().wall().as_millis();
    let sent = Stage::ReplySent { via: Via::Rest, reply: Some(message(7)) };
    write(&timeline, vec![record(start, 1, Some(1), sent)]).await;
    let page = eventually(&timeline, Subject::Message(message(7)), 1).await;
    assert_eq!(stages(&page), ["reply_sent"]);
    let page = eventually(&timeline, Subject::Message(message(1)), 1).await;
    assert_eq!(stages(&page), ["reply_sent"], "once, however it is found");
    assert_eq!(stages(&eventually(&timeline, Subject::Thread(thread(1)), 1).await).len(), 1);
}

pub(super) async fn a_message_of_a_bundle_is_found_by_its_turn_too(place: impl Harness) {
    let timeline = place.open(BOUNDS).await;
    let start = Clock::start().wall().as_millis();
    let bundled = Stage::Bundled { turn: message(5) };
    let both = vec![
        record(start, 1, Some(4), bundled),
        record(start + 1, 1, Some(5), Stage::TurnStarted),
        record(start + 2, 1, Some(6), Stage::TurnStarted),
    ];
    write(&timeline, both).await;
    let page = eventually(&timeline, Subject::Message(message(5)), 2).await;
    assert_eq!(stages(&page), ["bundled", "turn_started"]);
    let page = eventually(&timeline, Subject::Message(message(4)), 1).await;
    assert_eq!(stages(&page), ["bundled"]);
    eventually(&timeline, Subject::Thread(thread(1)), 3).await;
}

pub(super) async fn a_message_has_its_join_however_much_its_thread_went_on(place: impl Harness) {
    let timeline = place.open(BOUNDS).await;
    let start = Clock::start().wall().as_millis();
    let first = vec![
        record(start, 1, None, Stage::Joined { how: How::Added }),
        record(start + 1, 1, Some(1), Stage::TurnStarted),
    ];
    write(&timeline, first).await;
    let later = |n| record(start + 10 + n, 1, Some(2), Stage::TurnStarted);
    write(&timeline, (0..1500).map(later).collect()).await;
    let is_all = |page: &Page| times(page).last() == Some(&(start + 1509));
    until(&timeline, Subject::Thread(thread(1)), is_all).await;
    let page = read(&timeline, Subject::Message(message(1)), None, 10).await;
    assert_eq!(stages(&page), ["joined", "turn_started"]);
}

pub(super) async fn a_reply_is_found_by_its_id(place: impl Harness) {
    let timeline = place.open(BOUNDS).await;
    let start = Clock::start().wall().as_millis();
    let [wanted, other] = [1_u128, 2].map(Uuid::from_u128);
    let of = |at, reply| Record {
        reply_id: Some(reply),
        ..record(start + at, 1, Some(1), Stage::ReplyStored)
    };
    write(&timeline, vec![of(1, wanted), of(2, other), of(3, wanted)]).await;
    let page = eventually(&timeline, Subject::Reply(wanted), 2).await;
    assert_eq!(times(&page), [start + 1, start + 3]);
    let page = read(&timeline, Subject::Reply(Uuid::from_u128(9)), None, 10).await;
    assert!(page.records.is_empty() && !page.more);
}

pub(super) async fn the_newest_of_all_are_given(place: impl Harness) {
    let timeline = place.open(BOUNDS).await;
    let start = Clock::start().wall().as_millis();
    let turn = |at, thread, n| record(start + at, thread, Some(n), Stage::TurnStarted);
    write(&timeline, vec![turn(1, 1, 1), turn(2, 2, 2), turn(3, 3, 3)]).await;
    let page = eventually(&timeline, Subject::Everything, 3).await;
    assert_eq!(times(&page), [start + 1, start + 2, start + 3]);
    let page = read(&timeline, Subject::Everything, None, 2).await;
    assert_eq!((times(&page), page.more), (vec![start + 2, start + 3], true));
    let next = page.next.expect("there is one");
    write(&timeline, vec![turn(4, 1, 4)]).await;
    eventually(&timeline, Subject::Everything, 4).await;
    let page = read(&timeline, Subject::Everything, Some(next), 10).await;
    assert_eq!(times(&page), [start + 4]);
}

pub(super) async fn without_a_cursor_the_newest_are_given(place: impl Harness) {
    let timeline = place.open(BOUNDS).await;
    let start = numbered(&timeline, 10).await;
    let page = read(&timeline, Subject::Thread(thread(1)), None, 3).await;
    assert_eq!(times(&page), [start + 7, start + 8, start + 9]);
    assert!(page.more, "there are older ones");
}

pub(super) async fn pages_go_on_where_they_ended(place: impl Harness) {
    let timeline = place.open(BOUNDS).await;
    let first = numbered(&timeline, 1).await;
    let page = read(&timeline, Subject::Thread(thread(1)), None, 1).await;
    let mut next = page.next.expect("there is one");
    let mut wanted = Vec::new();
    for n in 0..7 {
        wanted.push(first + 100 + n);
        // Each is written by itself: what is written together comes together.
        write(&timeline, vec![record(first + 100 + n, 1, Some(1), Stage::TurnStarted)]).await;
        eventually(&timeline, Subject::Thread(thread(1)), wanted.len() + 1).await;
    }
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let page = read(&timeline, Subject::Thread(thread(1)), Some(next), 2).await;
        found.extend(times(&page));
        next = page.next.expect("it goes on");
        pages += 1;
        if !page.more {
            break;
        }
    }
    assert_eq!((found, pages), (wanted, 4));
}

pub(super) async fn what_comes_later_is_behind_the_cursor(place: impl Harness) {
    let timeline = place.open(BOUNDS).await;
    let start = numbered(&timeline, 3).await;
    let page = read(&timeline, Subject::Thread(thread(1)), None, 10).await;
    let next = page.next.expect("there are some");
    let later = record(start + 50, 1, Some(1), Stage::TurnStarted);
    let other = record(start + 49, 2, Some(2), Stage::TurnStarted);
    write(&timeline, vec![other, later]).await;
    eventually(&timeline, Subject::Thread(thread(1)), 4).await;
    let page = read(&timeline, Subject::Thread(thread(1)), Some(next), 10).await;
    assert_eq!(times(&page), [start + 50]);
    let page = read(&timeline, Subject::Thread(thread(1)), page.next, 10).await;
    assert!(page.records.is_empty() && page.next.is_some(), "a feed goes on asking");
}

pub(super) async fn a_strange_cursor_is_refused(place: impl Harness) {
    let timeline = place.open(BOUNDS).await;
    let after = Some("planted".to_owned());
    let ask = TimelineQuery { subject: Subject::Thread(thread(1)), after, limit: 1 };
    assert!(matches!(timeline.read(ask).await, Err(Error::Cursor)));
}

pub(super) async fn what_was_written_is_there_after_reopening(place: impl Harness) {
    let timeline = place.open(BOUNDS).await;
    numbered(&timeline, 2).await;
    drop(timeline);
    let timeline = place.open(BOUNDS).await;
    let now = Clock::start().wall().as_millis();
    write(&timeline, vec![record(now + 60, 1, Some(1), Stage::TurnStarted)]).await;
    eventually(&timeline, Subject::Thread(thread(1)), 3).await;
}

pub(super) async fn an_erased_thread_is_gone_and_others_stay(place: impl Harness) {
    let timeline = place.open(BOUNDS).await;
    let start = numbered(&timeline, 4).await;
    write(&timeline, vec![record(start, 2, Some(2), Stage::TurnStarted)]).await;
    eventually(&timeline, Subject::Thread(thread(2)), 1).await;
    assert_eq!(timeline.count(&[thread(1)]).await.unwrap(), [4], "who counts leaves all there");
    assert_eq!(timeline.erase(&[thread(1), thread(9)]).await.unwrap(), [4, 0]);
    assert!(read(&timeline, Subject::Thread(thread(1)), None, 9).await.records.is_empty());
    assert!(read(&timeline, Subject::Message(message(1)), None, 9).await.records.is_empty());
    assert_eq!(read(&timeline, Subject::Thread(thread(2)), None, 9).await.records.len(), 1);
    assert_eq!(timeline.erase(&[thread(1)]).await.unwrap(), [0], "again, nothing is there");
}

pub(super) async fn the_oldest_go_when_there_are_too_many(place: impl Harness) {
    let timeline = place.open(Bounds { bytes_max: 1 << 20, ..BOUNDS }).await;
    let start = numbered(&timeline, 1).await;
    for batch in 0..40_u8 {
        let batch = i64::from(batch) * 300;
        let batch = (0..300).map(|n| record(start + batch + n, 3, Some(3), Stage::TurnStarted));
        write(&timeline, batch.collect()).await;
    }
    let last = start + 39 * 300 + 299;
    let is_last = |page: &Page| times(page).last() == Some(&last);
    until(&timeline, Subject::Thread(thread(3)), is_last).await;
    until(&timeline, Subject::Thread(thread(1)), |page| page.records.is_empty()).await;
}

pub(super) async fn what_is_too_old_is_not_shown(place: impl Harness) {
    let timeline = place.open(Bounds { retention: Duration::from_secs(3), ..BOUNDS }).await;
    let now = numbered(&timeline, 1).await;
    until(&timeline, Subject::Thread(thread(1)), |page| page.records.is_empty()).await;
    let aged = Clock::start().wall().as_millis() - now;
    assert!(aged >= 2900, "it went after {aged} ms");
}

/// Writes so many records of the first thread, a millisecond apart, and waits until they are there.
async fn numbered(timeline: &Timeline, count: u8) -> i64 {
    let start = Clock::start().wall().as_millis();
    for n in 0..count {
        let record = record(start + i64::from(n), 1, Some(1), Stage::TurnStarted);
        write(timeline, vec![record]).await;
    }
    eventually(timeline, Subject::Thread(thread(1)), usize::from(count)).await;
    start
}

pub(super) async fn write(timeline: &Timeline, records: Vec<Record>) {
    timeline.engine.write(records.into_iter().map(Line::of).collect()).await.unwrap();
}

pub(super) async fn read(
    timeline: &Timeline,
    subject: Subject,
    after: Option<String>,
    limit: usize,
) -> Page {
    timeline.read(TimelineQuery { subject, after, limit }).await.unwrap()
}

/// Waits until so many are there, and gives them.
pub(super) async fn eventually(timeline: &Timeline, subject: Subject, count: usize) -> Page {
    until(timeline, subject, |page| page.records.len() == count).await
}

async fn until(timeline: &Timeline, subject: Subject, good: impl Fn(&Page) -> bool) -> Page {
    let look = async {
        loop {
            let page = read(timeline, subject, None, 1000).await;
            if good(&page) {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), look).await.expect("it is so in time")
}

pub(super) fn record(at: i64, of: u8, about: Option<u8>, stage: Stage) -> Record {
    let at = Timestamp::from_millis(at);
    Record { at, thread: thread(of), message: about.map(message), reply_id: None, stage }
}

pub(super) fn thread(n: u8) -> ThreadId {
    ConversationSid::from_bytes([n; 16]).into()
}

fn message(n: u8) -> MessageId {
    MessageSid::from_bytes([n; 16]).into()
}

fn stages(page: &Page) -> Vec<&str> {
    page.records.iter().filter_map(|record| record["stage"].as_str()).collect()
}

fn times(page: &Page) -> Vec<i64> {
    page.records.iter().map(|record: &Value| record["at"].as_i64().unwrap()).collect()
}

//! Tests of the desk on a real store.

use tempfile::TempDir;

use super::*;
use crate::queue::{Append, embedded};
use crate::telemetry::journal::{Journal, Stage};
use crate::thread::ThreadId;

const CONVERSATION: &str = "CHcccccccccccccccccccccccccccccccc";

#[tokio::test]
async fn a_listing_runs_over_all_queues_page_by_page() {
    let (dead_letters, _place) = dead_letters().await;
    let mut seen = Vec::new();
    let mut cursor = None;
    for _ in 0..10 {
        let page = dead_letters.list(&Selection::default(), cursor.as_deref(), 2).await.unwrap();
        assert!(page.letters.len() <= 2);
        seen.extend(page.letters.into_iter().map(|line| (line.queue, line.cause.class)));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let named = |queue: &str, class: &str| (queue.to_owned(), class.to_owned());
    assert_eq!(
        seen,
        [
            named("joins", "dead"),
            named("inbox", "dead"),
            named("inbox", "loop"),
            named("outbox", "dead"),
            named("outbox", "dead"),
        ]
    );
}

#[tokio::test]
async fn a_selection_narrows_by_queue_class_conversation_and_time() {
    let (dead_letters, _place) = dead_letters().await;
    let set = |text: &str| Some(text.to_owned());
    for (selection, count) in [
        (Selection::default(), 5),
        (Selection { queue: set("outbox"), ..Selection::default() }, 2),
        (Selection { class: set("loop"), ..Selection::default() }, 1),
        (Selection { conversation: set(CONVERSATION), ..Selection::default() }, 4),
        (Selection { before: set("2026-01-01T00:00:00Z"), ..Selection::default() }, 0),
        (Selection { queue: set("outbox"), class: set("loop"), ..Selection::default() }, 0),
    ] {
        let found = dead_letters.list(&selection, None, 100).await.unwrap();
        assert_eq!(found.letters.len(), count, "{selection:?}");
        assert_eq!(found.next, None);
    }
}

#[tokio::test]
async fn what_is_malformed_is_refused_by_name() {
    let (dead_letters, _place) = dead_letters().await;
    let set = |text: &str| Some(text.to_owned());
    let bad = [
        Selection { queue: set("in"), ..Selection::default() },
        Selection { conversation: set(""), ..Selection::default() },
        Selection { before: set("yesterday"), ..Selection::default() },
    ];
    for selection in bad {
        let refused = dead_letters.list(&selection, None, 10).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{selection:?}");
    }
    for (cursor, limit) in [(Some("nowhere"), 10), (Some("inbox:x"), 10), (None, 0), (None, 1001)] {
        let refused = dead_letters.list(&Selection::default(), cursor, limit).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{cursor:?} {limit}");
    }
}

#[tokio::test]
async fn lists_and_masked_letters_hold_nothing_of_people() {
    let (dead_letters, _place) = dead_letters().await;
    let listing = dead_letters.list(&Selection::default(), None, 100).await.unwrap();
    let shown = serde_json::to_string(&listing).unwrap();
    assert!(!shown.contains("5555550123") && !shown.contains("planted"), "{shown}");
    assert!(shown.contains("sms:+…23"), "{shown}");
    for line in &listing.letters {
        let target = target(line);
        let masked =
            serde_json::to_string(&dead_letters.show(target, false).await.unwrap()).unwrap();
        assert!(!masked.contains("5555550123") && !masked.contains("planted"), "{masked}");
        let revealed =
            serde_json::to_string(&dead_letters.show(target, true).await.unwrap()).unwrap();
        assert!(revealed.contains("planted"), "{revealed}");
    }
}

#[tokio::test]
async fn a_letter_shows_its_history() {
    let (dead_letters, _place) = dead_letters().await;
    let selection = Selection { class: Some("loop".to_owned()), ..Selection::default() };
    let listing = dead_letters.list(&selection, None, 1).await.unwrap();
    let letter = dead_letters.show(target(&listing.letters[0]), false).await.unwrap();
    assert_eq!(letter.line, listing.letters[0]);
    let history: Vec<_> = letter
        .history
        .iter()
        .map(|attempt| (attempt.attempt, attempt.cause.class.as_str(), attempt.cause.code))
        .collect();
    assert_eq!(history, [(1, "retry", Some(20429)), (2, "loop", None)]);
}

#[tokio::test]
async fn one_letter_is_redriven_or_dropped_once() {
    let (dead_letters, _place) = dead_letters().await;
    let listing = dead_letters.list(&Selection::default(), None, 100).await.unwrap();
    let targets: Vec<_> = listing.letters.iter().map(target).collect();
    dead_letters.settle(targets[0], LetterFate::Redrive).await.unwrap();
    dead_letters.settle(targets[1], LetterFate::Drop).await.unwrap();
    for settled in &targets[..2] {
        for fate in [LetterFate::Redrive, LetterFate::Drop] {
            let again = dead_letters.settle(*settled, fate).await;
            assert!(matches!(again, Err(Error::NoDeadLetter { .. })), "{settled} {fate:?}");
        }
    }
    let counts = dead_letters.queues().await.unwrap();
    let shown: Vec<_> =
        counts.iter().map(|counts| (counts.queue.as_str(), counts.ready, counts.dead)).collect();
    assert_eq!(shown, [("joins", 1, 0), ("inbox", 0, 1), ("outbox", 0, 2), ("reports", 0, 0)]);
    assert!(counts[0].oldest_age_ms.is_some() && counts[1].oldest_age_ms.is_none());
}

#[tokio::test]
async fn a_bulk_call_is_bounded_and_goes_on_where_it_says() {
    let (dead_letters, _place) = dead_letters().await;
    let first =
        dead_letters.settle_all(&Selection::default(), LetterFate::Redrive, most(3)).await.unwrap();
    assert_eq!((first.done, first.more), (3, true));
    let rest = Selection { before: Some(first.before.clone()), ..Selection::default() };
    let second = dead_letters.settle_all(&rest, LetterFate::Redrive, most(3)).await.unwrap();
    assert_eq!((second.done, second.more, &second.before), (2, false, &first.before));
    let dead: u64 = dead_letters.queues().await.unwrap().iter().map(|counts| counts.dead).sum();
    assert_eq!(dead, 0);
}

#[tokio::test]
async fn what_dies_again_after_the_border_is_left_alone() {
    let (dead_letters, _place) = dead_letters().await;
    let outbox = Selection { queue: Some("outbox".to_owned()), ..Selection::default() };
    let bulk = dead_letters.settle_all(&outbox, LetterFate::Redrive, most(10)).await.unwrap();
    assert_eq!(bulk.done, 2);
    let border = Timestamp::parse_rfc3339(&bulk.before).unwrap();
    while dead_letters.clock.wall() < border {
        tokio::task::yield_now().await;
    }
    kill(&dead_letters.store, QueueName::Outbox, 1).await;
    let rest = Selection { before: Some(bulk.before), ..outbox };
    let again = dead_letters.settle_all(&rest, LetterFate::Redrive, most(10)).await.unwrap();
    assert_eq!((again.done, again.more), (0, false));
}

#[tokio::test]
async fn causes_are_counted_with_what_helps() {
    let (dead_letters, _place) = dead_letters().await;
    let all = dead_letters.causes(&Selection::default()).await.unwrap();
    let shown: Vec<_> = all
        .causes
        .iter()
        .map(|of| (of.queue.as_str(), of.class.as_str(), of.code, of.count))
        .collect();
    assert_eq!(
        shown,
        [
            ("outbox", "dead", Some(50400), 2),
            ("joins", "dead", Some(50400), 1),
            ("inbox", "dead", Some(50400), 1),
            ("inbox", "loop", None, 1),
        ]
    );
    assert_eq!((all.count, all.whole), (5, true));
    assert_eq!(all.causes[3].helps, "resume the thread: it is asked again");
    let one = Selection { queue: Some("inbox".into()), code: Some(50400), ..Selection::default() };
    assert_eq!(dead_letters.causes(&one).await.unwrap().count, 1);
    let later = Selection { since: Some("2999-01-01T00:00:00Z".into()), ..Selection::default() };
    assert_eq!(dead_letters.causes(&later).await.unwrap().count, 0);
}

#[tokio::test]
async fn more_than_were_agreed_to_are_not_touched() {
    let (dead_letters, _place) = dead_letters().await;
    let outbox = Selection { queue: Some("outbox".to_owned()), ..Selection::default() };
    let agreed = |count| BulkBounds { limit: 10, expected: Some(count) };
    let refused = dead_letters.settle_all(&outbox, LetterFate::Drop, agreed(1)).await.unwrap_err();
    assert!(matches!(refused, SettleError::More { expected: 1, found: 2 }), "{refused}");
    assert_eq!(dead_letters.causes(&outbox).await.unwrap().count, 2, "none was dropped");
    // What died since it was counted is none of those that somebody agreed to.
    let before = Some(dead_letters.causes(&outbox).await.unwrap().before);
    let counted = Selection { before, ..outbox };
    let done = dead_letters.settle_all(&counted, LetterFate::Drop, agreed(2)).await.unwrap();
    assert_eq!(done.done, 2);
}

#[tokio::test]
async fn chosen_ones_are_redriven_in_the_order_of_their_thread() {
    let (dead_letters, _place) = dead_letters().await;
    let outbox = Selection { queue: Some("outbox".to_owned()), ..Selection::default() };
    let born = dead_letters.clock.wall();
    while dead_letters.clock.wall() <= born {
        tokio::task::yield_now().await;
    }
    let queue = dead_letters.store.queue(QueueName::Outbox);
    let last = JobId::from_bytes([9; 16]);
    let (key, payload) = (Key::new(CONVERSATION).unwrap(), b"{}".to_vec());
    let append = Append { id: last, key, position: None, not_before: None, payload };
    queue.append(vec![append]).await.unwrap();
    kill(&dead_letters.store, QueueName::Outbox, 1).await;
    let first = target(&dead_letters.list(&outbox, None, 1).await.unwrap().letters[0]);
    let in_order = [first.id, last];
    let unknown = "outbox/ffffffffffffffffffffffffffffffff".parse().unwrap();
    let targets = [Target { queue: QueueName::Outbox, id: last }, unknown, first];
    let done = dead_letters.settle_chosen(&targets, LetterFate::Redrive).await.unwrap();
    assert_eq!((done.done, done.missing.len()), (2, 1));
    for id in in_order {
        let next = queue.next().await.unwrap();
        assert_eq!(next.id(), id);
        next.ack().await.unwrap();
    }
    let many = vec![targets[0]; 1001];
    let refused = dead_letters.settle_chosen(&many, LetterFate::Drop).await;
    assert!(matches!(refused, Err(SettleError::TooMany)));
}

#[tokio::test]
async fn what_an_operator_does_is_noted_in_the_thread() {
    let (dead_letters, _place) = dead_letters().await;
    let journal = Journal::new(16);
    let notes = Notes { journal: journal.clone(), clock: Clock::start() };
    let dead_letters = dead_letters.noting(notes);
    let listing = dead_letters.list(&Selection::default(), None, 10).await.unwrap();
    let [join, message] = [0, 1].map(|at| target(&listing.letters[at]));
    dead_letters.show(message, false).await.unwrap();
    dead_letters.show(message, true).await.unwrap();
    dead_letters.settle(message, LetterFate::Redrive).await.unwrap();
    dead_letters.settle(join, LetterFate::Drop).await.unwrap();
    let thread: ThreadId = CONVERSATION.parse().unwrap();
    let acts: Vec<_> = journal.recent(thread).iter().map(|record| record.stage).collect();
    let wanted = [OperatorAct::Revealed, OperatorAct::Redrove, OperatorAct::Dropped];
    assert_eq!(acts, wanted.map(|act| Stage::Operator { act }));
}

#[test]
fn targets_print_as_they_parse() {
    let text = "outbox/5b9ef340c0227817947b7125b44b715c";
    assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
    for text in ["", "outbox", "outbox/", "mail/5b9ef340c0227817947b7125b44b715c", "outbox/5b9e"] {
        assert_eq!(text.parse::<Target>(), Err(ParseTargetError), "{text}");
    }
}

/// A store with five dead letters: one join, two messages (one retried before), two replies. One of
/// the lanes is an address.
async fn dead_letters() -> (DeadLetters, TempDir) {
    let place = TempDir::new().unwrap();
    let store = Store::open(embedded::Options::new(place.path().join("queue.db"))).unwrap();
    bury(&store).await;
    (DeadLetters::new(store, Clock::start()), place)
}

/// Makes five dead letters, see [`desk`].
pub(crate) async fn bury(store: &Store) {
    let lanes = [
        (QueueName::Joins, CONVERSATION),
        (QueueName::Inbox, CONVERSATION),
        (QueueName::Inbox, "sms:+15555550123"),
        (QueueName::Outbox, CONVERSATION),
        (QueueName::Outbox, CONVERSATION),
    ];
    for (number, (queue, lane)) in (0_u8..).zip(lanes) {
        let payload = br#"{"v":"1","author":"+15555550123","body":"planted"}"#.to_vec();
        let append = Append {
            id: JobId::from_bytes([number; 16]),
            key: Key::new(lane).unwrap(),
            position: None,
            not_before: None,
            payload,
        };
        store.queue(queue).append(vec![append]).await.unwrap();
        if number == 2 {
            let busy = Cause::new("retry").with_code(20429);
            let delivery = store.queue(queue).next().await.unwrap();
            delivery.retry_in(std::time::Duration::ZERO, busy).await.unwrap();
            store.queue(queue).next().await.unwrap().dead(Cause::new("loop")).await.unwrap();
        } else {
            kill(store, queue, 1).await;
        }
    }
}

async fn kill(store: &Store, queue: QueueName, count: usize) {
    for _ in 0..count {
        let cause = Cause::new("dead").with_code(50400).with_detail("refused for good");
        store.queue(queue).next().await.unwrap().dead(cause).await.unwrap();
    }
}

fn most(limit: u32) -> BulkBounds {
    BulkBounds { limit, ..BulkBounds::default() }
}

fn target(line: &LetterLine) -> Target {
    format!("{}/{}", line.queue, line.id).parse().unwrap()
}

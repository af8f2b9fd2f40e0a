//! Tests of the desk on a real store.

use tempfile::TempDir;

use super::*;
use crate::queue::{Append, embedded};

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
        dead_letters.settle_all(&Selection::default(), LetterFate::Redrive, 3).await.unwrap();
    assert_eq!((first.done, first.more), (3, true));
    let rest = Selection { before: Some(first.before.clone()), ..Selection::default() };
    let second = dead_letters.settle_all(&rest, LetterFate::Redrive, 3).await.unwrap();
    assert_eq!((second.done, second.more, &second.before), (2, false, &first.before));
    let dead: u64 = dead_letters.queues().await.unwrap().iter().map(|counts| counts.dead).sum();
    assert_eq!(dead, 0);
}

#[tokio::test]
async fn what_dies_again_after_the_border_is_left_alone() {
    let (dead_letters, _place) = dead_letters().await;
    let outbox = Selection { queue: Some("outbox".to_owned()), ..Selection::default() };
    let bulk = dead_letters.settle_all(&outbox, LetterFate::Redrive, 10).await.unwrap();
    assert_eq!(bulk.done, 2);
    let border = Timestamp::parse_rfc3339(&bulk.before).unwrap();
    while dead_letters.clock.wall() < border {
        tokio::task::yield_now().await;
    }
    kill(&dead_letters.store, QueueName::Outbox, 1).await;
    let rest = Selection { before: Some(bulk.before), ..outbox };
    let again = dead_letters.settle_all(&rest, LetterFate::Redrive, 10).await.unwrap();
    assert_eq!((again.done, again.more), (0, false));
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

fn target(line: &LetterLine) -> Target {
    format!("{}/{}", line.queue, line.id).parse().unwrap()
}

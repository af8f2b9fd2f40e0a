//! Tests of the search for threads, on a real store and a real timeline.

use std::sync::Mutex;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::*;
use crate::channels::handover::{NotHandedOver, TakenThread};
use crate::queue::{Append, JobId, embedded};
use crate::telemetry::journal::{Record, Stage};
use crate::thread::{Medium, Pair};
use crate::timeline::segments;

const CONVERSATION: &str = "CHcccccccccccccccccccccccccccccccc";
const MESSAGE: &str = "IM11111111111111111111111111111111";

#[test]
fn what_is_looked_for_is_told_apart() {
    let ending = |digits: &str| ThreadSought::Ending(digits.to_owned());
    for (text, wanted) in [
        (CONVERSATION, ThreadSought::Thread(CONVERSATION.parse().unwrap())),
        (MESSAGE, ThreadSought::Message(MESSAGE.parse().unwrap())),
        ("153f9eef-1ad8-8f27-a7ab-15548b687228", {
            ThreadSought::Reply("153f9eef-1ad8-8f27-a7ab-15548b687228".parse().unwrap())
        }),
        ("0123", ending("0123")),
        (" +…23 ", ending("23")),
        ("whatsapp:+…23", ending("23")),
        ("01-23", ending("0123")),
    ] {
        assert_eq!(ThreadSought::parse(text).unwrap(), wanted, "{text}");
    }
    for text in ["planted", "1", "+", "CH12", "0x12", "②③"] {
        assert!(matches!(ThreadSought::parse(text), Err(Error::Find)), "{text}");
    }
    for text in ["+15555550123", "whatsapp:+15555550123", "5550123"] {
        assert!(matches!(ThreadSought::parse(text), Err(Error::Address)), "{text}");
    }
}

#[tokio::test]
async fn a_thread_is_found_by_sid_message_reply_and_last_digits() {
    let bench = Bench::open().await;
    let reply = Uuid::from_u128(7);
    bench.told(CONVERSATION.parse().unwrap(), Some(reply)).await;
    for find in [CONVERSATION, MESSAGE, &reply.to_string()] {
        let (status, page) = bench.ask(&format!("?find={find}")).await;
        assert_eq!((status, page["threads"].as_array().unwrap().len()), (200, 1), "{find}");
        assert_eq!(page["threads"][0]["thread"], CONVERSATION, "{find}");
    }
    let (_, page) = bench.ask("?find=0123").await;
    let row = &page["threads"][0];
    assert_eq!((&row["channel"], &row["theirs"]), (&"sms".into(), &"+…23".into()), "{page}");
    assert_eq!(row["thread"], Thread::from(pair()).id().to_string());
    assert!(!page.to_string().contains("5555"), "{page}");
    assert_eq!(bench.ask("?find=99").await.1["threads"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn what_waits_and_who_has_it_stands_in_the_row() {
    let bench = Bench::open().await;
    let thread: ThreadId = CONVERSATION.parse().unwrap();
    bench.append(QueueName::Inbox, thread, 1).await;
    bench.append(QueueName::Outbox, thread, 2).await;
    let (_, page) = bench.ask("?show=waiting").await;
    let row = &page["threads"][0];
    assert_eq!((&row["waiting"], &row["paused"]), (&2.into(), &false.into()), "{page}");
    assert!(row["oldest_age_ms"].is_u64());
    bench.hands.0.lock().unwrap().push(thread);
    let (_, page) = bench.ask("?show=paused").await;
    assert_eq!(page["threads"][0]["paused"], true, "{page}");
    assert_eq!(page["threads"][0]["paused_since"], "2026-11-18T13:46:40.000Z");
    bench.told(thread, None).await;
    let (_, page) = bench.ask("").await;
    assert_eq!(page["threads"][0]["last"], "reply_stored", "{page}");
}

#[tokio::test]
async fn a_whole_number_or_a_huge_query_is_refused_and_not_repeated() {
    let bench = Bench::open().await;
    let huge = format!("?find={}", "9".repeat(5_000));
    for (query, words) in [
        ("?find=%2B15555550123", "POST the whole"),
        (huge.as_str(), "POST the whole"),
        ("?find=planted", "last 2 to 6"),
        ("?limit=0", "1 to 200"),
        ("?limit=100000", "1 to 200"),
        ("?show=everything", "recent"),
        ("?planted=1", "wanted find"),
    ] {
        let (status, refused) = bench.ask(query).await;
        assert_eq!(status, 400, "{refused}");
        assert!(refused["detail"].as_str().unwrap().contains(words), "{refused}");
        let shown = refused.to_string();
        assert!(!shown.contains("planted") && !shown.contains("5555550123"), "{shown}");
    }
}

#[tokio::test]
async fn a_closed_store_is_answered_503() {
    let bench = Bench::open().await;
    bench.threads.store.close().await;
    let (status, refused) = bench.ask("?show=waiting").await;
    assert_eq!((status, &refused["error"]), (503, &"unavailable".into()));
}

/// Knows one pair of addresses.
struct OnePair;

fn pair() -> Pair {
    Pair { medium: Medium::Sms, ours: "+15555550100".into(), theirs: "+15555550123".into() }
}

impl ThreadDirectory for OnePair {
    fn thread(&self, id: ThreadId) -> BoxFuture<'_, Result<Option<Thread>, Failed>> {
        let known = Thread::from(pair());
        let found = if known.id() == id { Some(known) } else { Thread::named(id) };
        Box::pin(std::future::ready(Ok(found)))
    }

    fn ending<'a>(
        &'a self,
        digits: &'a str,
        _: Option<DocumentCursor>,
    ) -> BoxFuture<'a, Result<KnownThreads, Failed>> {
        let fits = pair().theirs.reveal().ends_with(digits);
        let found = fits.then(|| (pair().into(), Timestamp::from_millis(5)));
        let threads = found.into_iter().collect();
        Box::pin(std::future::ready(Ok(KnownThreads { threads, next: None })))
    }
}

/// Who has what.
#[derive(Default)]
struct SomeHands(Mutex<Vec<ThreadId>>);

impl Handover for SomeHands {
    fn set(&self, _: ThreadId, _: bool) -> BoxFuture<'_, Result<(), NotHandedOver>> {
        Box::pin(std::future::ready(Err(NotHandedOver::Unknown)))
    }

    fn paused(&self, count: usize) -> BoxFuture<'_, Vec<TakenThread>> {
        let since = Timestamp::from_millis(1_795_009_600_000);
        let all = self.0.lock().unwrap();
        let taken = all.iter().map(|&thread| TakenThread { thread, since });
        Box::pin(std::future::ready(taken.take(count).collect()))
    }
}

struct Bench {
    threads: ThreadSearch,
    hands: Arc<SomeHands>,
    _place: TempDir,
}

impl Bench {
    async fn open() -> Self {
        let place = TempDir::new().unwrap();
        let clock = Clock::start();
        let store = Store::open(embedded::Options::new(place.path().join("queue.db"))).unwrap();
        let timeline = segments::open(segments::Options {
            folder: place.path().join("timeline"),
            retention: Duration::from_secs(3600),
            bytes_max: 1 << 20,
            clock,
        });
        let hands = Arc::<SomeHands>::default();
        let threads = ThreadSearch {
            directory: Arc::new(OnePair),
            handover: Arc::<SomeHands>::clone(&hands),
            store,
            timeline: Some(timeline),
            clock,
        };
        Self { threads, hands, _place: place }
    }

    async fn told(&self, thread: ThreadId, reply_id: Option<Uuid>) {
        let (at, message) = (self.threads.clock.wall(), MESSAGE.parse().ok());
        let record = Record { at, thread, message, reply_id, stage: Stage::ReplyStored };
        let timeline = self.threads.timeline.as_ref().unwrap();
        timeline.told(vec![record]).await.unwrap();
    }

    async fn append(&self, queue: QueueName, thread: ThreadId, number: u8) {
        let append = Append {
            id: JobId::from_bytes([number; 16]),
            key: lane(thread),
            position: None,
            not_before: None,
            payload: b"{}".to_vec(),
        };
        self.threads.store.queue(queue).append(vec![append]).await.unwrap();
    }

    async fn ask(&self, query: &str) -> (u16, Value) {
        let request = Request::get(format!("/v1/threads{query}")).body(Body::empty()).unwrap();
        let answer = router(self.threads.clone()).oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }
}

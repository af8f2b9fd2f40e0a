//! Stores that older releases have left are worked on by this one.
//!
//! `tests/data/queue-before-threads.db` was written by the program at 983bd4f against its emulator: a
//! message was answered, another one waits for a person who has the conversation, a join and a reply wait
//! for Twilio, and a reply is a dead letter.
//!
//! `tests/data/queue-before-speakers.db` was written by the program at e461604: a text was answered, another
//! one waits for its agent, and a reply on WhatsApp waits for Twilio. The jobs of reports were put there by
//! the same program's own types.

use std::time::Duration;

use chimein::agent::Fate;
use chimein::channels::conversations::record::Join;
use chimein::jobs::lane;
use chimein::pipeline::record::{Inbound, Outbound, Said, Settled};
use chimein::queue::{Delivery, Filter, Page, QueueName, Store, embedded};
use chimein::thread::{Thread, ThreadKind};
use serde::de::DeserializeOwned;

const HELD: &str = "CH6b96a4e4239a8407f953e6a73d266f69";
const DEAD: &str = "CHe4945cd188f5b0e1c93a1851f9f7e75f";
const WAITS: &str = "CH9fb1df17b3ad9fb13a96b730f96bbaac";

#[tokio::test]
async fn what_the_release_before_left_open_is_read_and_in_its_lanes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let left = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/queue-before-threads.db");
    std::fs::copy(left, &path).unwrap();
    let store = Store::open(embedded::Options {
        // However long ago it was left.
        dead_retention: Duration::from_secs(1 << 32),
        ..embedded::Options::new(&path)
    })
    .unwrap();

    let Join::V1 { conversation, .. } = read(&next(&store, QueueName::Joins).await);
    assert_eq!(conversation.to_string(), WAITS);

    let inbox = store.queue(QueueName::Inbox);
    inbox.wake(&lane(conversation_of(HELD).id()));
    let held = next(&store, QueueName::Inbox).await;
    let Said { thread, speaker, message } = read::<Inbound>(&held).into_said();
    assert_eq!(speaker, None, "that release did not say");
    assert_eq!(thread.to_string(), HELD);
    assert_eq!(thread.id().kind(), ThreadKind::Conversation);
    assert_eq!(message.sid.to_string(), "IM90ab80b00bebf8fcb27beb0943be977e");
    assert_eq!(message.body.unwrap().reveal(), "held");
    assert_eq!(held.id().as_bytes(), message.sid.as_bytes());

    let Outbound::V1 { thread, turn, reply, .. } = read(&next(&store, QueueName::Outbox).await);
    assert_eq!(thread.to_string(), WAITS);
    assert_eq!(turn.unwrap().to_string(), "IM60500904ad919228bcc49b0c93cb657c");
    assert_eq!(reply.body.unwrap().reveal(), "waits to be sent");

    let outbox = store.queue(QueueName::Outbox);
    let page = Page { after: None, limit: 10 };
    let listed = outbox.list(Filter::default(), page).await.unwrap();
    assert_eq!(listed.letters.len(), 1);
    assert_eq!(listed.letters[0].key, lane(conversation_of(DEAD).id()));
    assert_eq!(listed.letters[0].cause.code, Some(50_377));
    store.close().await;
}

#[tokio::test]
async fn what_the_release_before_speakers_left_open_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let left = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/queue-before-speakers.db");
    std::fs::copy(left, &path).unwrap();
    let store = Store::open(embedded::Options::new(&path)).unwrap();

    let waits = next(&store, QueueName::Inbox).await;
    let Said { thread, speaker, message } = read::<Inbound>(&waits).into_said();
    assert_eq!(thread.to_string(), "TH724a283e4bf2b174e37ff42dcc43340e");
    assert_eq!(speaker, None, "that release did not say");
    assert_eq!(message.body.unwrap().reveal(), "waits for the agent");
    let pair = thread.pair().unwrap();
    assert_eq!([pair.ours.reveal(), pair.theirs.reveal()], ["+15555550100", "+15555550124"]);

    let reply = next(&store, QueueName::Outbox).await;
    let Outbound::V1 { thread, reply, .. } = read(&reply);
    assert_eq!(thread.to_string(), "THfa71b98b9c3fc2f2d36ea71f6ded7946");
    assert_eq!(reply.body.unwrap().reveal(), "its reply waits");

    let mut told = [false; 3];
    for _ in 0..told.len() {
        match read(&next(&store, QueueName::Reports).await) {
            Settled::Awaited(of) => {
                assert_eq!(of.messages[0].body.as_ref().unwrap().reveal(), "hello");
                told[0] = true;
            }
            Settled::Heard { turn } => {
                assert_eq!(turn.to_string(), "IM07070707070707070707070707070707");
                told[1] = true;
            }
            Settled::V1 { report, .. } => {
                assert!(matches!(report.fate, Fate::Sent { .. }));
                told[2] = true;
            }
            Settled::AwaitedAs { .. } => panic!("that release did not say as whom"),
        }
    }
    assert_eq!(told, [true; 3]);
    store.close().await;
}

async fn next(store: &Store, queue: QueueName) -> Delivery {
    let queue = store.queue(queue);
    tokio::time::timeout(Duration::from_secs(60), queue.next()).await.unwrap().unwrap()
}

fn read<T: DeserializeOwned>(delivery: &Delivery) -> T {
    serde_json::from_slice(delivery.payload()).unwrap()
}

fn conversation_of(sid: &str) -> Thread {
    sid.parse().unwrap()
}

//! A store that the release before threads has left is worked on by this one.
//!
//! `tests/data/queue-before-threads.db` was written by the program at 983bd4f against its emulator: a
//! message was answered, another one waits for a person who has the conversation, a join and a reply wait
//! for Twilio, and a reply is a dead letter.

use std::time::Duration;

use chimein::channels::conversations::record::Join;
use chimein::jobs::lane;
use chimein::pipeline::record::{Inbound, Outbound};
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
    let Inbound::V1 { thread, message, .. } = read(&held);
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

//! Stores that older releases have left are worked on by this one.
//!
//! `tests/data/queue-before-threads.db` was written by the program at 983bd4f against its emulator: a
//! message was answered, another one waits for a person who has the conversation, a join and a reply wait
//! for Twilio, and a reply is a dead letter.
//!
//! `tests/data/queue-before-speakers.db` was written by the program at e461604: a text was answered, another
//! one waits for its agent, and a reply on WhatsApp waits for Twilio. The jobs of reports were put there by
//! the same program's own types.
//!
//! `tests/data/queue-format-3.db` was written by the program at 35ca67b against its emulator: a text was
//! answered and its thread given to a person, another one waits for its agent, a reply has not arrived yet, and
//! one waits for Twilio.
//!
//! They have all formats that there have been before this one, from the first on: 1, 2 (as it was before it had
//! an index) and 3.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chimein::agent::Fate;
use chimein::channels::conversations::record::Join;
use chimein::jobs::lane;
use chimein::pipeline::record::{Inbound, Outbound, Said, Settled};
use chimein::queue::{Delivery, Filter, Page, QueueName, Store, embedded};
use chimein::thread::{Thread, ThreadKind};
use rusqlite::{Connection, OpenFlags};
use serde::de::DeserializeOwned;

const HELD: &str = "CH6b96a4e4239a8407f953e6a73d266f69";
const DEAD: &str = "CHe4945cd188f5b0e1c93a1851f9f7e75f";
const WAITS: &str = "CH9fb1df17b3ad9fb13a96b730f96bbaac";

/// The files of earlier formats, by their format.
const LEFT: [(u32, &str); 3] =
    [(1, "queue-before-threads.db"), (2, "queue-before-speakers.db"), (3, "queue-format-3.db")];
/// The format of this release.
const NEWEST: u32 = 4;

#[tokio::test]
async fn every_earlier_format_is_kept_as_a_copy_and_becomes_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let new = folder.path().join("new.db");
    open(&new).close().await;
    for (format, name) in LEFT {
        // Looking at a file makes others beside it.
        let [left, path] = ["left.db", name].map(|name| folder.path().join(name));
        for place in [&left, &path] {
            std::fs::copy(data(name), place).unwrap();
        }
        open(&path).close().await;
        assert_eq!((format_of(&left), format_of(&path)), (format, NEWEST));
        assert_eq!(schema_of(&path), schema_of(&new), "{name}: as if it had been made today");
        assert_eq!(rows_of(&path), rows_of(&left), "{name}");
        let copy = folder.path().join(format!("{name}.format-{format}"));
        assert_eq!((format_of(&copy), schema_of(&copy)), (format, schema_of(&left)), "{name}");
        assert_eq!(rows_of(&copy), rows_of(&left), "{name}");
        assert_eq!(chimein::files::rights_of_others(&copy).unwrap(), None, "{name}");
        // The next start has nothing to copy.
        std::fs::remove_file(&copy).unwrap();
        open(&path).close().await;
        assert!(!copy.exists(), "{name}");
    }
}

#[tokio::test]
async fn what_the_third_format_left_open_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    std::fs::copy(data("queue-format-3.db"), &path).unwrap();
    let store = open(&path);
    let waits = next(&store, QueueName::Inbox).await;
    assert!(waits.redelivered(), "nobody knows what its agent has heard");
    let Said { message, .. } = read::<Inbound>(&waits).into_said();
    assert_eq!(message.body.unwrap().reveal(), "waits for the agent");
    let Outbound::V1 { reply, .. } = read(&next(&store, QueueName::Outbox).await);
    assert_eq!(reply.body.unwrap().reveal(), "waits for twilio");
    let documents = store.documents();
    for name in
        ["marks/TH187d0a7c9526c18428d4b0e83c029dab", "~reply/58110f5067f38f22844457a413f76b5d"]
    {
        assert!(documents.read(name).await.unwrap().is_some(), "{name}");
    }
    store.close().await;
}

#[tokio::test]
async fn what_the_release_before_left_open_is_read_and_in_its_lanes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    std::fs::copy(data("queue-before-threads.db"), &path).unwrap();
    let store = open(&path);

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
    std::fs::copy(data("queue-before-speakers.db"), &path).unwrap();
    let store = open(&path);

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

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Opens a store that forgets nothing, however long ago it was left.
fn open(path: &Path) -> Store {
    let long = Duration::from_secs(1 << 32);
    let options = embedded::Options::new(path);
    Store::open(embedded::Options { retention: long, dead_retention: long, ..options }).unwrap()
}

/// Looks at a file that nobody has open.
fn look<T>(path: &Path, query: &str, of: impl Fn(&rusqlite::Row<'_>) -> T) -> Vec<T> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let sound: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok", "{}", path.display());
    let mut found = db.prepare(query).unwrap();
    found.query_map([], |row| Ok(of(row))).unwrap().map(Result::unwrap).collect()
}

fn format_of(path: &Path) -> u32 {
    look(path, "PRAGMA user_version", |row| row.get(0).unwrap())[0]
}

fn schema_of(path: &Path) -> Vec<Option<String>> {
    look(path, "SELECT sql FROM sqlite_master ORDER BY name", |row| row.get(0).unwrap())
}

/// All that is known of each job, with its payload.
fn rows_of(path: &Path) -> Vec<String> {
    let query = "SELECT json_array(seq, queue, hex(id), key, position, state, attempts, not_before, created_at,
                changed_at, hex(payload)) FROM jobs LEFT JOIN payloads USING (seq) ORDER BY seq";
    look(path, query, |row| row.get(0).unwrap())
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

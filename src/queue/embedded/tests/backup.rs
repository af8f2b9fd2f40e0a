//! Stores that are copied, lost and put back.

use super::*;
use crate::queue::LostTimes;

#[tokio::test]
async fn what_is_put_back_says_since_when_it_knows_nothing_and_keeps_what_was_there() {
    let place = Place::empty();
    let store = place.open();
    store.queue(QueueName::Inbox).append(vec![job("a", 1)]).await.unwrap();
    let copied = back_up(&place.path(), &place.copy(), at(1_000)).unwrap();
    assert_eq!((copied.taken, copied.format), (at(1_000), 4));
    let inbox = copied.queues[1];
    assert_eq!((inbox.queue, inbox.open, inbox.done, inbox.dead), (QueueName::Inbox, 1, 0, 0));
    next(&store.queue(QueueName::Inbox)).await.ack().await.unwrap();
    let refused = Restoring::prepare(&place.copy(), &place.path()).unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");
    // Killed: what was written last is in its log alone.
    let killed = Place::empty();
    for ending in ["", "-wal"] {
        let name = |place: &Place| crate::files::with_ending(&place.path(), ending);
        std::fs::copy(name(&place), name(&killed)).unwrap();
    }
    store.close().await;

    let restoring = Restoring::prepare(&place.copy(), &killed.path()).unwrap();
    drop(restoring);
    assert_eq!(killed.names(), ["queue.db", "queue.db-wal", "queue.db.lock"], "all as it was");
    let restoring = Restoring::prepare(&place.copy(), &killed.path()).unwrap();
    let kept = restoring.replace(at(9_000)).unwrap().unwrap();
    assert!(kept.ends_with("queue.db.before-restore-9"), "{}", kept.display());
    let kept = Store::open(Options::new(kept)).unwrap();
    assert_eq!(kept.queue(QueueName::Inbox).stats().await.unwrap().ready, 0, "it was settled");
    kept.close().await;

    let restored = killed.open();
    assert!(next(&restored.queue(QueueName::Inbox)).await.redelivered());
    let lost = LostTimes::end(&restored.documents(), at(10_000)).await.unwrap();
    assert_eq!(lost, LostTimes::one(at(1_000), at(10_000)));
    restored.close().await;
    let again = killed.open();
    assert_eq!(LostTimes::end(&again.documents(), at(20_000)).await.unwrap(), lost, "it is over");
    again.close().await;
    let untouched = place.open();
    let lost = LostTimes::end(&untouched.documents(), at(20_000)).await.unwrap();
    assert!(lost.is_empty(), "it was never a copy");
    untouched.close().await;
}

#[tokio::test]
async fn a_copy_that_does_not_say_when_it_was_taken_is_of_when_something_last_happened_in_it() {
    let place = Place::empty();
    let store = place.open();
    let before = store_clock();
    store.queue(QueueName::Inbox).append(vec![job("a", 1)]).await.unwrap();
    let after = store_clock();
    store.close().await;
    std::fs::copy(place.path(), place.copy()).unwrap();
    let restoring = Restoring::prepare(&place.copy(), &place.path()).unwrap();
    let taken = restoring.contents().taken;
    assert!(before <= taken && taken <= after, "{taken}");
    restoring.replace(after).unwrap();
    let restored = place.open();
    let lost = LostTimes::end(&restored.documents(), after).await.unwrap();
    assert_eq!(lost, LostTimes::one(taken, after));
    restored.close().await;
}

#[test]
fn what_is_no_sound_store_of_this_release_is_not_put_back() {
    let place = Place::empty();
    drop(place.open());
    let before = std::fs::read(place.path()).unwrap();
    let refused = || Restoring::prepare(&place.copy(), &place.path()).unwrap_err();
    for text in ["", "Dear diary"] {
        std::fs::write(place.copy(), text.repeat(1000)).unwrap();
        assert!(matches!(refused(), Error::Corrupt { .. }), "{}", refused());
    }
    back_up(&place.path(), &place.copy_after_all(), at(1)).unwrap();
    let db = Connection::open(place.copy()).unwrap();
    db.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(db);
    assert!(matches!(refused(), Error::Newer { found: 99, .. }), "{}", refused());
    back_up(&place.path(), &place.copy_after_all(), at(1)).unwrap();
    let damaged = Place(TempDir::new().unwrap());
    std::fs::rename(place.copy(), damaged.path()).unwrap();
    damaged.damage_table("payloads");
    std::fs::rename(damaged.path(), place.copy()).unwrap();
    assert!(matches!(refused(), Error::Corrupt { .. }), "{}", refused());
    let itself = Restoring::prepare(&place.path(), &place.path()).unwrap_err();
    assert!(matches!(itself, Error::Invalid { .. }), "{itself}");
    assert_eq!(std::fs::read(place.path()).unwrap(), before);
    assert_eq!(place.names(), ["copy.db", "queue.db", "queue.db.lock"], "nothing is left over");
}

impl Place {
    fn copy(&self) -> PathBuf {
        self.0.path().join("copy.db")
    }

    /// The copy's place, whatever was there.
    fn copy_after_all(&self) -> PathBuf {
        let _ = std::fs::remove_file(self.copy());
        self.copy()
    }

    /// What is in the folder, but for what SQLite makes anew.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let is_new = |entry: &std::fs::DirEntry| {
            let name = entry.file_name().into_string().unwrap();
            let is_empty = entry.metadata().unwrap().len() == 0;
            name.ends_with("-shm") || name.ends_with("-wal") && is_empty
        };
        let entries = entries.map(Result::unwrap).filter(|entry| !is_new(entry));
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

fn store_clock() -> Timestamp {
    Clock::start().wall()
}

const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

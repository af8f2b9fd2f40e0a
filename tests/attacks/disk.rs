//! Somebody gets the disk: a stolen machine, a backup, a container's volume.

use std::path::Path;
use std::time::Duration;

use chimein::clock::{Clock, Moment};
use chimein::emulator::{self, Emulator};
use chimein::queue::embedded::Options;
use chimein::queue::{Append, Cause, JobId, Key, QueueName, Store};

use crate::rig::Rig;

/// How long something may take before the test has failed.
const PATIENCE: Duration = Duration::from_secs(90);

/// How many people write.
const PEOPLE: usize = 30;

#[tokio::test]
async fn no_text_and_no_number_is_in_the_data_folder_once_it_is_answered() {
    let mut rig = Rig::start(&[]).await;
    let phone = |n: usize| format!("+1555555{n:04}");
    let text = |n: usize| format!("a word for nobody else {n:02}, {}", "and more ".repeat(n * 20));
    let mut conversations = Vec::new();
    for n in 0..PEOPLE {
        conversations.push(rig.sms(&phone(n), &text(n)).await);
    }
    for conversation in conversations {
        rig.eventually("the reply", |rig| !rig.replies(conversation).is_empty()).await;
    }
    rig.settled().await;
    let folder = rig.queue_path().parent().unwrap().to_owned();
    let planted = (0..PEOPLE).flat_map(|n| [phone(n), text(n)[..25].to_owned()]);
    let planted: Vec<String> = planted.collect();
    let (clock, mut left) = (Clock::start(), found(&folder, &planted));
    while !left.is_empty() {
        assert!(clock.now().since(Moment::ORIGIN) < PATIENCE, "still there: {left:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
        left = found(&folder, &planted);
    }
    rig.stop_service().await;
    assert_eq!(found(&folder, &planted), [""; 0], "after a clean stop");
    rig.end().await;
}

#[tokio::test]
async fn a_dead_letters_text_is_kept_until_it_is_dropped_and_then_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new(folder.path().join("chimein.db"));
    let planted = ["what a person wrote".to_owned()];
    let id = JobId::digest("test", &[b"1"]);
    let store = Store::open(options.clone()).unwrap();
    let queue = store.queue(QueueName::Inbox);
    let key = Key::new("CH1").unwrap();
    let payload = planted[0].clone().into_bytes();
    queue
        .append(vec![Append { id, key, position: None, not_before: None, payload }])
        .await
        .unwrap();
    queue.next().await.unwrap().dead(Cause::new("refused")).await.unwrap();
    store.close().await;
    assert_eq!(found(folder.path(), &planted), planted, "to be redriven, it must be known");
    let store = Store::open(options).unwrap();
    store.queue(QueueName::Inbox).drop(id).await.unwrap();
    store.close().await;
    assert_eq!(found(folder.path(), &planted), [""; 0]);
}

/// Which of the words are in any file below a folder.
fn found<'a>(folder: &Path, words: &'a [String]) -> Vec<&'a str> {
    let below = |folder: &Path| -> Vec<_> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
    };
    let (folders, mut files): (Vec<_>, Vec<_>) =
        below(folder).into_iter().partition(|path| path.is_dir());
    // The timeline's.
    files.extend(folders.iter().flat_map(|folder| below(folder)));
    // A file may be gone by now.
    let read = |path| std::fs::read(path).unwrap_or_default();
    let bytes: Vec<u8> = files.into_iter().flat_map(read).collect();
    let has = |word: &&String| bytes.windows(word.len()).any(|part| part == word.as_bytes());
    words.iter().filter(has).map(String::as_str).collect()
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_on_the_machine_may_read_what_is_kept() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("var/data");
    let path = data.join("chimein.db");
    let store = Store::open(Options::new(&path)).unwrap();
    for folder in [&home.path().join("var"), &data] {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    for file in std::fs::read_dir(&data).unwrap().map(|file| file.unwrap().path()) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    store.close().await;
    // A file from before, or one that somebody has opened to all.
    let loose = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&path, loose).unwrap();
    Store::open(Options::new(&path)).unwrap().close().await;
    assert_eq!(mode(&path), 0o600);

    let mut rig = Rig::start(&[]).await;
    let conversation = rig.sms("+15555550123", "hello").await;
    rig.eventually("the reply", |rig| !rig.replies(conversation).is_empty()).await;
    rig.stop_service().await;
    let places = rig.places();
    assert!(!places.is_empty(), "the sockets' places are kept");
    for file in places {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    rig.end().await;

    let snapshot = home.path().join("snapshot.json");
    let options = emulator::Options { snapshot: Some(snapshot.clone()), ..Default::default() };
    let emulator = Emulator::start(options).await.unwrap();
    emulator.control().save().await.unwrap();
    emulator.shutdown().await;
    assert_eq!(mode(&snapshot), 0o600);
}

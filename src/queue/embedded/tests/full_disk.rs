//! A real disk that is full: a file system of one mebibyte in memory. Mounting one takes rights that
//! few have; without them one line says so, and the other tests of a full store stand for it.

use std::process::Command;

use super::*;

#[tokio::test]
async fn a_full_disk_loses_nothing_and_is_over_when_there_is_room() {
    let Some(disk) = Disk::mount() else { return };
    let store = Store::open(Options::new(disk.0.path().join("queue.db"))).unwrap();
    let queue = store.queue(QueueName::Inbox);
    queue.append(vec![job("a", 0)]).await.unwrap();
    disk.fill();
    let mut stored = 1;
    let error = loop {
        match queue.append(vec![job("a", stored)]).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1000, "the disk takes everything");
    };
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert!(store.is_failing() && !queue.is_kept());
    assert!(store.queue(QueueName::Outbox).append(vec![job("b", 0)]).await.is_err());
    disk.make_room();
    tokio::time::timeout(PATIENCE, queue.kept()).await.expect("it recovers although nobody writes");
    assert!(!store.is_failing());
    queue.append(vec![job("a", stored)]).await.unwrap();
    for n in 0..=stored {
        let delivery = next(&queue).await;
        assert_eq!(delivery.payload(), job("a", n).payload, "{n}");
        delivery.ack().await.unwrap();
    }
    store.close().await;
}

#[tokio::test]
async fn marks_that_cannot_be_written_are_told_too_and_written_when_there_is_room() {
    let Some(disk) = Disk::mount() else { return };
    let options = Options::new(disk.0.path().join("queue.db"));
    let store = Store::open(options.clone()).unwrap();
    disk.fill();
    for n in 0..10_000 {
        store.marks().raise(&format!("a mark with a name of some length, {n}"), 7).await.unwrap();
    }
    let wait = async |is_failing| {
        while store.is_failing() != is_failing {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait(true)).await.expect("it says so although nobody appends");
    disk.make_room();
    tokio::time::timeout(PATIENCE, wait(false)).await.expect("it recovers");
    store.close().await;
    let store = Store::open(options).unwrap();
    let mark = store.marks().read("a mark with a name of some length, 9999").await.unwrap();
    assert_eq!(mark, Some(7));
    store.close().await;
}

/// A small file system of its own.
struct Disk(TempDir);

impl Disk {
    /// Mounts it, if this user may.
    fn mount() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let mut mount = Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(folder.path());
        if mount.output().is_ok_and(|done| done.status.success()) {
            return Some(Self(folder));
        }
        println!("skipped: a file system cannot be mounted here");
        None
    }

    /// Writes until nothing more goes in.
    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.ballast()).unwrap();
        while ballast.write_all(&[1; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut unmount = Command::new("umount");
        let done = unmount.arg("--lazy").arg(self.0.path()).status();
        assert!(done.is_ok_and(|done| done.success()), "it is left mounted");
    }
}

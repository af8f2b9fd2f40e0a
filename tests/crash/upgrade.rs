//! A kill at each step of a start that finds the file of an earlier format: it is the earlier one or the
//! newest one, whole, and the next start goes on from there.
//!
//! Where the files come from: see `tests/operations/upgrade.rs`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chimein::fault_points::Point;
use rusqlite::{Connection, OpenFlags};

use crate::child::Service;
use crate::storm::start_emulator;

const PATIENCE: Duration = Duration::from_secs(60);
/// The files of earlier formats, by their format.
const LEFT: [(u32, &str); 3] =
    [(1, "queue-before-threads.db"), (2, "queue-before-speakers.db"), (3, "queue-format-3.db")];
/// The format of this release.
const NEWEST: u32 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_each_step_of_an_upgrade_leaves_the_file_before_or_the_one_after() {
    let emulator = start_emulator(7).await;
    for (format, left) in LEFT {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(left);
        for (point, has_copy) in
            [(Point::CopyWritten, false), (Point::CopyKept, true), (Point::FormatChanged, true)]
        {
            // Nobody works on what is open, so that the counts say what was kept.
            let off = [
                ("TWILIO_PHONE_NUMBER", "+15555550100"),
                ("CHIMEIN_QUEUE_DEAD_RETENTION", "3650d"),
            ];
            let mut service = Service::of(&emulator, &off);
            // Looking at a file makes others beside it.
            let left = service.queue_path().with_file_name("left.db");
            for place in [&left, &service.queue_path()] {
                std::fs::copy(&data, place).unwrap();
            }
            service.start_to_die_at(point, 1);
            service.dies_at(point, PATIENCE).await;
            assert_eq!(look(&service.queue_path()), look(&left), "killed at {point:?}");
            let copy = beside(&service, format);
            assert_eq!(copy.exists(), has_copy, "killed at {point:?}");
            service.start(&[]);
            assert!(service.is_listening().await, "{}", service.log_tail());
            service.stop().await;
            let (found, ids) = look(&service.queue_path());
            assert_eq!((found, look(&copy)), (NEWEST, look(&left)), "killed at {point:?}");
            assert!(ids >= look(&left).1, "killed at {point:?}: ids are forgotten");
        }
    }
    emulator.shutdown().await;
}

fn beside(service: &Service, format: u32) -> PathBuf {
    let mut name = service.queue_path().into_os_string();
    name.push(format!(".format-{format}"));
    name.into()
}

/// The format of a file that is sound, and how many ids it knows.
fn look(path: &Path) -> (u32, u32) {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let sound: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    let number = |query| db.query_row(query, [], |row| row.get(0)).unwrap();
    (number("PRAGMA user_version"), number("SELECT count(*) FROM jobs"))
}

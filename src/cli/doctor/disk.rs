//! Whether the disk below the queue's file takes what the service will write.
//!
//! I/O: makes a file in a directory, writes some KiB to the disk itself and removes it again, since a
//! full or failing disk takes an empty file; asks the system for the free space. How much is enough is
//! decided by pure functions.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::files;
use crate::finding::Finding;

pub(super) const CHECK: &str = "store-disk";

/// Bytes that are written on trial: more than a directory entry or a journal could hide.
const TRIAL_BYTES: usize = 64 << 10;

/// Free bytes under which the service would soon refuse webhooks.
const FREE_BYTES_MIN: u64 = 16 << 20;

/// Free bytes that are enough for hours of an outage, however large the queue may grow.
const FREE_BYTES_EASY: u64 = 1 << 30;

/// Writes on trial beside the queue's file, which may have grown to `bytes_max`, and judges the space.
pub(super) fn examine(folder: &Path, file: &Path, bytes_max: u64) -> Finding {
    if let Err(error) = write_on_trial(folder) {
        return refused(folder, &error);
    }
    let used = file.metadata().map_or(0, |metadata| metadata.len());
    match files::free_bytes(folder) {
        Ok(free) => judge(folder, free, bytes_max.saturating_sub(used)),
        Err(error) => {
            let found = format!("{} takes files; free space unknown: {error}", folder.display());
            Finding::ok(CHECK, found)
        }
    }
}

/// Writes to the disk and leaves nothing behind.
fn write_on_trial(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".chimein-doctor-{}", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let filled = fill(file);
    std::fs::remove_file(path)?;
    filled
}

fn fill(mut file: File) -> io::Result<()> {
    file.write_all(&vec![b'.'; TRIAL_BYTES])?;
    file.sync_all()
}

fn refused(folder: &Path, error: &io::Error) -> Finding {
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room on that disk, or let CHIMEIN_QUEUE_PATH name a place on a larger one"
        }
        _ => "give the directory to this user, or let CHIMEIN_QUEUE_PATH name another place",
    };
    Finding::fail(CHECK, format!("{} takes no file: {error}", folder.display()), remedy)
}

/// Judges the free bytes by what the queue may still grow.
fn judge(folder: &Path, free: u64, growth: u64) -> Finding {
    let found = format!("{} MiB free in {}", free >> 20, folder.display());
    let remedy = "make room there before the queue needs it, or lower CHIMEIN_QUEUE_BYTES_MAX";
    if free < FREE_BYTES_MIN {
        Finding::fail(CHECK, format!("{found}: webhooks will soon be refused"), remedy)
    } else if free < growth.min(FREE_BYTES_EASY) {
        let found = format!("{found}, and the queue may grow by {} MiB", growth >> 20);
        Finding::warn(CHECK, found, remedy)
    } else {
        Finding::ok(CHECK, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_judged_by_what_the_queue_may_grow() {
        const MIB: u64 = 1 << 20;
        for (free, growth, verdict) in [
            (0, 8_192, "FAIL"),
            (15, 8_192, "FAIL"),
            (15, 0, "FAIL"),
            (16, 8_192, "warn"),
            (1_023, 8_192, "warn"),
            (1_024, 8_192, "ok"),
            (99, 100, "warn"),
            (100, 100, "ok"),
            (16, 0, "ok"),
        ] {
            let row = judge(Path::new("/queue"), free * MIB, growth * MIB).row();
            assert_eq!(row[0], verdict, "{free} {growth}");
            assert_eq!(row[3].is_empty(), verdict == "ok", "{row:?}");
            assert!(row[2].contains(&format!("{free} MiB")), "{row:?}");
        }
    }

    #[test]
    fn a_disk_that_takes_an_empty_file_and_no_bytes_is_told() {
        // Opens, and answers every write as a full disk does.
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let row = refused(Path::new("/queue"), &fill(full).unwrap_err()).row();
        assert_eq!(row[0], "FAIL");
        assert!(row[3].contains("make room"), "{row:?}");
        let row = refused(Path::new("/queue"), &io::ErrorKind::PermissionDenied.into()).row();
        assert!(row[3].contains("give the directory"), "{row:?}");
    }

    #[test]
    fn a_trial_leaves_nothing_behind_and_a_place_that_is_none_is_told() {
        let place = tempfile::TempDir::new().unwrap();
        write_on_trial(place.path()).unwrap();
        assert!(std::fs::read_dir(place.path()).unwrap().next().is_none());
        let nowhere = place.path().join("nowhere");
        assert_eq!(examine(&nowhere, &nowhere.join("queue.db"), 0).row()[0], "FAIL");
    }
}

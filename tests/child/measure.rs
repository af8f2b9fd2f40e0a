//! What a process costs, as the system tells it, and what the disk gives by itself.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use chimein::clock::{Clock, Moment};
use tempfile::TempDir;

/// The processor time of a process. Source: proc(5), /proc/pid/stat, fields 14 and 15, in ticks of
/// 10 ms, read 2026-11-21.
pub fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// The resident memory of a process in mebibytes.
pub fn resident_mebibytes(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: u32 =
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    f64::from(kibibytes) / 1024.0
}

/// How long it takes to append a record to a plain file and wait for the disk, on average.
pub fn bare_fsync(record_bytes: usize, time: Duration) -> Duration {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut file = File::create(folder.path().join("bare")).unwrap();
    let (clock, record) = (Clock::start(), vec![7; record_bytes]);
    let mut count = 0_u32;
    while clock.now().since(Moment::ORIGIN) < time {
        file.write_all(&record).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    clock.now().since(Moment::ORIGIN) / count
}

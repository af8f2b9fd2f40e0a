//! Opens the embedded store as the settings say.

use crate::clock::Clock;
use crate::config::Settings;
use crate::queue::{self, Store};

/// Opens it.
///
/// # Errors
///
/// If the file cannot be opened, or another process has it.
pub fn open(settings: &Settings, clock: Clock) -> Result<Store, queue::Error> {
    Store::open(queue::embedded::Options {
        clock,
        lease: settings.queue.lease,
        retention: settings.queue.retention,
        dead_retention: settings.queue.dead_retention,
        bytes_max: u64::try_from(settings.queue.bytes_max.0).unwrap_or(u64::MAX),
        ..queue::embedded::Options::new(&settings.queue.path)
    })
}

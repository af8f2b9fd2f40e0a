//! Keeps a second process off the file.
//!
//! SQLite itself would let two processes take turns, and both would deliver every job. The lock is
//! the operating system's and ends with the process, however it ends; the file stays and says
//! nothing by being there.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::Duration;

use super::fault::Fault;
use crate::files;
use crate::queue::Error;

/// How often a lock is tried that another process has. One that is just ending lets go in a moment, and
/// so does a program between its start and its first step, which has what its parent had.
const TRIES: u32 = 25;

/// How long until the lock is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// Holds the lock until dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock beside `path` and leaves this process's number in it.
    pub(super) fn take(path: &Path, fault: &Fault) -> Result<Self, Error> {
        let name = files::with_ending(path, ".lock");
        let mut file = files::private()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&name)
            .map_err(|error| fault.io("open the lock beside", error))?;
        let mut tries = TRIES;
        while let Err(error) = file.try_lock() {
            tries -= 1;
            match error {
                TryLockError::WouldBlock if tries == 0 => {
                    return Err(fault.in_use(holder(&mut file)));
                }
                TryLockError::WouldBlock => std::thread::sleep(PAUSE),
                TryLockError::Error(error) => return Err(fault.io("lock", error)),
            }
        }
        let pid = std::process::id().to_string();
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(pid.as_bytes()))
            .map_err(|error| fault.io("write the lock beside", error))?;
        Ok(Self { _file: file })
    }
}

/// Reads the number that the holder left; a courtesy, so failing is no error.
fn holder(file: &mut File) -> Option<u32> {
    const PID_BYTES_MAX: u64 = 20;
    let mut text = String::new();
    file.take(PID_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

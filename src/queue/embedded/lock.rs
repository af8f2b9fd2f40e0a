//! Keeps a second process off the file.
//!
//! SQLite itself would let two processes take turns, and both would deliver every job. The lock is
//! the operating system's and ends with the process, however it ends; the file stays and says
//! nothing by being there.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use super::fault::Fault;
use crate::files;
use crate::queue::Error;

/// Holds the lock until dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock beside `path` and leaves this process's number in it.
    pub(super) fn take(path: &Path, fault: &Fault) -> Result<Self, Error> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let mut file = files::private()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&name)
            .map_err(|error| fault.io("open the lock beside", error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(fault.in_use(holder(&mut file))),
            Err(TryLockError::Error(error)) => return Err(fault.io("lock", error)),
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

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
use crate::queue::{Error, FileHolder};

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
    /// Takes the lock beside `path` and leaves word in it of who has it.
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
        let this = FileHolder { pid: std::process::id(), host: Some(host()) };
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(written(&this).as_bytes()))
            .map_err(|error| fault.io("write the lock beside", error))?;
        Ok(Self { _file: file })
    }
}

/// The name of this machine; in a container mostly the container's id, by which its engine can stop it.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Reads what the holder left; a courtesy, so failing is no error.
fn holder(file: &mut File) -> Option<FileHolder> {
    // A number and a name, which may have 64 bytes. Source: uname(2), "HOST_NAME_MAX", read 2026-11-30.
    const HOLDER_BYTES_MAX: u64 = 100;
    let mut text = String::new();
    file.take(HOLDER_BYTES_MAX).read_to_string(&mut text).ok()?;
    read(&text)
}

fn written(holder: &FileHolder) -> String {
    format!("{} {}", holder.pid, holder.host.as_deref().unwrap_or_default())
}

/// Reads what is [`written`], or the bare number that older ones left.
fn read(text: &str) -> Option<FileHolder> {
    let (pid, host) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let host = (!host.is_empty()).then(|| host.to_owned());
    Some(FileHolder { pid: pid.parse().ok()?, host })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_read_also_where_an_older_one_left_it() {
        let host = Some("3f2a8c1d0e5f".to_owned());
        let left = FileHolder { pid: 1, host };
        assert_eq!(read(&written(&left)), Some(left.clone()));
        assert_eq!(left.to_string(), "process 1 on 3f2a8c1d0e5f");
        assert_eq!(read("4711"), Some(FileHolder { pid: 4711, host: None }));
        assert_eq!(read("4711").unwrap().to_string(), "process 4711");
        for junk in ["", "chimein", "-1 here"] {
            assert_eq!(read(junk), None, "{junk}");
        }
    }
}

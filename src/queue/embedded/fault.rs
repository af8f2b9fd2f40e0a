//! Turns SQLite's errors into ours.
//!
//! Decides by result code which reason an operator is told. Reads nothing and retries nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;

use super::schema::NEWEST;
use crate::queue::{Error, FileHolder};

/// Knows which file an error is about.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    path: Arc<Path>,
}

impl Fault {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.into() }
    }

    /// Tells an error of the file system by its kind.
    pub(super) fn io(&self, doing: &'static str, error: std::io::Error) -> Error {
        use std::io::ErrorKind;
        let (path, kind) = (self.path.to_path_buf(), error.kind());
        let source = Arc::new(error);
        if kind == ErrorKind::StorageFull || kind == ErrorKind::QuotaExceeded {
            Error::Full { path, source }
        } else if matches!(
            kind,
            ErrorKind::PermissionDenied
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::NotADirectory
                | ErrorKind::IsADirectory
        ) {
            Error::NotWritable { path, source }
        } else {
            Error::Storage { doing, path, source }
        }
    }

    /// Tells an error of SQLite by its result code.
    /// Source: SQLite, "Result and Error Codes", read 2026-11-21.
    pub(super) fn sqlite(&self, doing: &'static str, error: rusqlite::Error) -> Error {
        let (path, code) = (self.path.to_path_buf(), error.sqlite_error_code());
        let source = Arc::new(error);
        match code {
            Some(ErrorCode::DiskFull) => Error::Full { path, source },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Error::NotWritable { path, source }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Error::Corrupt { path, source }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Error::Locked { path, source }
            }
            _ => Error::Storage { doing, path, source },
        }
    }

    /// Tells that somebody has read the file for too long.
    pub(super) fn busy(&self) -> Error {
        let source = Arc::new(std::io::Error::from(std::io::ErrorKind::WouldBlock));
        Error::Locked { path: self.path.to_path_buf(), source }
    }

    /// Tells that there is too much of something to be written anew.
    pub(super) fn crowded(&self, table: &'static str) -> Error {
        Error::Crowded { path: self.path.to_path_buf(), table }
    }

    /// Tells that a row does not hold what only this program writes there.
    pub(super) fn damaged(&self, what: &'static str) -> Error {
        let source = Arc::new(std::io::Error::new(std::io::ErrorKind::InvalidData, what));
        Error::Corrupt { path: self.path.to_path_buf(), source }
    }

    /// Tells that somebody else has the file.
    pub(super) fn in_use(&self, holder: Option<FileHolder>) -> Error {
        Error::InUse { path: self.path.to_path_buf(), holder }
    }

    /// Tells that a newer version wrote the file, and where the copy is that it made before.
    pub(super) fn newer(&self, found: u32, copy: Option<PathBuf>) -> Error {
        Error::Newer { path: self.path.to_path_buf(), found, known: NEWEST, copy }
    }

    /// Tells that a copy of the file has no room beside it.
    pub(super) fn no_room(&self, needs: u64, free: u64) -> Error {
        Error::NoRoom { path: self.path.to_path_buf(), needs, free }
    }

    /// Tells that SQLite cannot be told of a file of this name.
    pub(super) fn unspeakable(&self) -> Error {
        let source =
            std::io::Error::new(std::io::ErrorKind::InvalidInput, "a name that is not UTF-8");
        self.io("write", source)
    }
}

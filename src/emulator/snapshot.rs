//! The emulator's state in a file, so that it survives a restart.
//!
//! Written at the stop and on demand, read at the start; versioned, and replaced as a whole by a
//! rename. Holds the made-up credentials, so that clients need not be told anew; contents of media
//! files, open sockets, faults and records are not in it.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::options::Credentials;
use super::state::World;
use crate::files;
use crate::twilio::sid::{AccountSid, ApiKeySid};

/// The version that this code writes and reads.
const VERSION: u32 = 1;

/// Says why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the snapshot {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write the snapshot {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no snapshot.
    #[error("{path} is no snapshot")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The file is of another version.
    #[error("{path} is a snapshot of version {found}, not {VERSION}")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

#[derive(Deserialize, Serialize)]
struct StoredWorld<W> {
    version: u32,
    account_sid: AccountSid,
    auth_token: String,
    api_key: ApiKeySid,
    api_secret: String,
    world: W,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Reads a snapshot; `None` if there is no file yet.
///
/// # Errors
///
/// If the file cannot be used.
pub(super) async fn read(path: &Path) -> Result<Option<(Credentials, World)>, Error> {
    let bytes = match tokio::fs::read(path).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
    };
    let malformed = |source| Error::Malformed { path: path.to_owned(), source };
    let Version { version } = serde_json::from_slice(&bytes).map_err(malformed)?;
    if version != VERSION {
        return Err(Error::Version { path: path.to_owned(), found: version });
    }
    let stored: StoredWorld<World> = serde_json::from_slice(&bytes).map_err(malformed)?;
    let credentials = Credentials {
        account_sid: stored.account_sid,
        auth_token: SecretString::from(stored.auth_token),
        api_key: stored.api_key,
        api_secret: SecretString::from(stored.api_secret),
        service_sid: stored.world.default_service(),
    };
    Ok(Some((credentials, stored.world)))
}

/// The snapshot as text, to be taken under the lock and written outside of it.
pub(super) fn text(credentials: &Credentials, world: &World) -> String {
    let stored = StoredWorld {
        version: VERSION,
        account_sid: credentials.account_sid,
        auth_token: credentials.auth_token.expose_secret().to_owned(),
        api_key: credentials.api_key,
        api_secret: credentials.api_secret.expose_secret().to_owned(),
        world,
    };
    serde_json::to_string(&stored).expect("a world is plain data with text keys")
}

/// Replaces the file, for this user's eyes only: it holds secrets, numbers and texts.
///
/// # Errors
///
/// If it cannot be written.
pub(super) async fn write(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    files::replace(path, text.as_bytes()).await.map_err(failed)
}

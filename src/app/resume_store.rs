//! Keeps where each identity's realtime client stopped, in files beside the queue's, so that the next
//! start need not open every conversation again.
//!
//! Decides only whether a file fits: this release's form, the same chat service, not larger than what
//! an identity can need. A file holds the identity and Sync's own sids, no secret, message or name,
//! and promises nothing: one that is missing, old, broken or of somebody else costs the requests of a
//! start without it. What is answered is decided by the store's watermarks alone. I/O enters here;
//! time does not.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::files;
use crate::queue::JobId;
use crate::realtime::{Client, Resume};
use crate::telemetry::chain::Chain;
use crate::twilio::sid::ChatServiceSid;

/// The version of the stored form.
const VERSION: u32 = 1;

/// The largest file: an identity has a thousand conversations at most, of some 250 bytes each.
const BYTES_MAX: usize = 4 << 20;

/// What stands between the queue's name and that of a place.
const PLACE: &str = ".place-";

/// How often a running client's place is kept, against an end that nobody foresaw. An old place only
/// has more events behind it to be told again.
const EVERY: Duration = Duration::from_secs(300);

/// The folder and the beginning of the files' names.
#[derive(Clone, Debug)]
pub struct ResumeStore {
    queue: PathBuf,
    service: ChatServiceSid,
}

/// What a file holds.
#[derive(Debug, Deserialize, Serialize)]
struct StoredPlace {
    version: u32,
    service: ChatServiceSid,
    resume: Resume,
}

impl ResumeStore {
    /// Keeps the files beside the queue's.
    #[must_use]
    pub const fn beside(queue: PathBuf, service: ChatServiceSid) -> Self {
        Self { queue, service }
    }

    /// Reads where an identity's client stopped, if there is a file that fits.
    #[must_use]
    pub fn read(&self, identity: &str) -> Option<Resume> {
        let path = self.path(identity);
        let stored: StoredPlace = match read(&path) {
            Ok(stored) => stored,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::info!(path = %path.display(), error = %Chain(&error),
                    "place of the socket cannot be read; conversations are opened anew");
                return None;
            }
        };
        (stored.version == VERSION && stored.service == self.service).then_some(stored.resume)
    }

    /// Keeps where an identity's client stands or stopped; says in the log if that failed.
    ///
    /// # Cancel safety
    ///
    /// The earlier file stays whole until the new one is.
    pub async fn write(&self, identity: &str, resume: Resume) {
        if resume.seats() == 0 {
            return;
        }
        let path = self.path(identity);
        let stored = StoredPlace { version: VERSION, service: self.service, resume };
        if let Err(error) = write(&path, &stored).await {
            tracing::warn!(path = %path.display(), error = %Chain(&error),
                "place of the socket cannot be kept; the next start opens conversations anew");
        }
    }

    fn path(&self, identity: &str) -> PathBuf {
        let name = JobId::digest("place", &[self.service.as_bytes(), identity.as_bytes()]);
        files::with_ending(&self.queue, &format!("{PLACE}{name}"))
    }
}

/// Removes all places that are kept beside a queue's file, which are of another time than what takes its place.
///
/// # Errors
///
/// If one cannot be removed.
pub fn forget(queue: &Path) -> io::Result<()> {
    for place in files::beside(queue, PLACE)? {
        std::fs::remove_file(place)?;
    }
    Ok(())
}

/// A running client whose place is kept.
#[derive(Clone, Debug)]
pub struct KeptClient {
    /// Whose client it is.
    pub identity: String,
    /// The client.
    pub client: Client,
    /// Where its place is kept, if anywhere.
    pub store: Option<ResumeStore>,
    /// Reads the time.
    pub clock: Clock,
}

impl KeptClient {
    /// Keeps the place from time to time, until told to stop.
    pub async fn keep(self, stop: CancellationToken) {
        let Some(store) = &self.store else { return };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep(EVERY) => {}
            }
            if let Some(resume) = self.client.resume().await {
                store.write(&self.identity, resume).await;
            }
        }
    }

    /// Shuts the client down and keeps where it stopped.
    pub async fn shut_down(self) {
        let resume = self.client.shutdown().await;
        if let (Some(store), Some(resume)) = (&self.store, resume) {
            store.write(&self.identity, resume).await;
        }
    }
}

fn read(path: &Path) -> io::Result<StoredPlace> {
    let bytes = std::fs::metadata(path)?.len();
    if usize::try_from(bytes).unwrap_or(usize::MAX) > BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    serde_json::from_slice(&std::fs::read(path)?).map_err(Into::into)
}

async fn write(path: &Path, stored: &StoredPlace) -> io::Result<()> {
    let bytes = serde_json::to_vec(stored)?;
    if bytes.len() > BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    files::replace(path, &bytes).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_place_is_read_by_its_own_identity_and_service_only() {
        let folder = tempfile::tempdir().unwrap();
        let store = beside(&folder, 1);
        assert_eq!(store.read("bot"), None);
        store.write("bot", resume()).await;
        assert_eq!(store.read("bot"), Some(resume()));
        assert_eq!(store.read("bot-2"), None);
        assert_eq!(beside(&folder, 2).read("bot"), None);
    }

    #[tokio::test]
    async fn what_does_not_fit_costs_nothing_but_a_start_without_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = beside(&folder, 1);
        store.write("bot", resume()).await;
        let path = store.path("bot");
        let good = std::fs::read_to_string(&path).unwrap();
        let too_large = " ".repeat(BYTES_MAX + 1);
        for broken in [
            "",
            "{",
            &good[..good.len() / 2],
            &good.replacen(r#""version":1"#, r#""version":2"#, 1),
            &too_large,
        ] {
            std::fs::write(&path, broken).unwrap();
            assert_eq!(store.read("bot"), None, "{} bytes", broken.len());
        }
        store.write("bot", Resume::default()).await;
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            too_large,
            "nothing known, nothing kept"
        );
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let store = ResumeStore::beside(folder.path().join("missing/queue.db"), service(1));
        store.write("bot", resume()).await;
        assert_eq!(store.read("bot"), None);
    }

    fn beside(folder: &tempfile::TempDir, n: u8) -> ResumeStore {
        ResumeStore::beside(folder.path().join("queue.db"), service(n))
    }

    const fn service(n: u8) -> ChatServiceSid {
        ChatServiceSid::from_bytes([n; 16])
    }

    fn resume() -> Resume {
        let place =
            json!({"document": ["ET1", 3], "messages": ["ES1", 7], "items": "u", "delivered": 5});
        let seats = json!({"CH01010101010101010101010101010101": place});
        serde_json::from_value(json!({"version": 1, "identity": "bot", "seats": seats})).unwrap()
    }
}

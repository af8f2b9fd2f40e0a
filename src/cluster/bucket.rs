//! The bucket that members share: makes it, or checks it, and says what is wrong with it.
//!
//! I/O: requests to NATS through the client it is given, each bounded by the client's own timeout.

use async_nats::jetstream::context::{CreateKeyValueErrorKind, KeyValueErrorKind};
use async_nats::jetstream::kv::{Config, Operation, Store, UpdateErrorKind, Watch, WatchError};
use async_nats::jetstream::stream::StorageType;
use async_nats::jetstream::{self};

use super::core::{Input, Wrote};
use super::records::{Key, Record};

/// Says why an instance cannot take part.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server has no JetStream, or not for this account.
    #[error(
        "JetStream does not answer on this NATS server: start it with --jetstream, and enable \
         JetStream for the account that chimein signs in with"
    )]
    NoJetStream(#[source] Source),
    /// The bucket is not there and could not be made.
    #[error(
        "key-value bucket {bucket} is not there and could not be made: make it with `nats kv add \
         {bucket} --replicas={replicas}`, or allow chimein to"
    )]
    Make {
        /// The bucket.
        bucket: String,
        /// How many servers should keep it.
        replicas: usize,
        /// What NATS said.
        #[source]
        source: Source,
    },
    /// The bucket is there, but not as it must be.
    #[error(
        "key-value bucket {bucket} has {setting} {found} and must have {wanted}: change it with \
         `nats stream edit KV_{bucket}`"
    )]
    Unfit {
        /// The bucket.
        bucket: String,
        /// The setting.
        setting: &'static str,
        /// What it is.
        found: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// The bucket could not be read or written.
    #[error("key-value bucket {bucket} cannot be used: check what this user may publish and read")]
    Use {
        /// The bucket.
        bucket: String,
        /// What NATS said.
        #[source]
        source: Source,
    },
    /// The own timing cannot work.
    #[error("patience must be at least three heartbeats")]
    Timing,
}

/// NATS's own error below ours.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// The bucket.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    name: String,
    store: Store,
}

impl Bucket {
    /// Opens the bucket, and makes it where it is not there.
    pub async fn open(
        client: &async_nats::Client,
        name: &str,
        replicas: usize,
    ) -> Result<Self, Error> {
        let context = jetstream::new(client.clone());
        let store = match context.get_key_value(name).await {
            Ok(store) => store,
            Err(error) if error.kind() == KeyValueErrorKind::InvalidStoreName => {
                return Err(Error::Make { bucket: name.into(), replicas, source: error.into() });
            }
            Err(_) => make(&context, name, replicas).await?,
        };
        check(name, &store)?;
        Ok(Self { name: name.to_owned(), store })
    }

    /// Writes if the key's revision is as expected.
    pub async fn write(&self, key: &Key, record: &Record, expected: u64) -> Wrote {
        let value = record.encode().into();
        match self.store.update(key.to_string(), value, expected).await {
            Ok(revision) => Wrote::Done(revision),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Wrote::Conflict,
            Err(error) => {
                tracing::debug!(error = %crate::telemetry::chain::Chain(&error),
                    "record's write has an unknown outcome");
                Wrote::Unknown
            }
        }
    }

    /// Reads a record; `None` if nobody knows.
    pub async fn look(&self, key: Key) -> Option<Input> {
        match self.store.entry(key.to_string()).await {
            Ok(Some(entry)) => Some(found(key, &entry.value, entry.revision, entry.operation)),
            Ok(None) => Some(Input::Found { key, revision: 0, record: None }),
            Err(error) => {
                tracing::debug!(error = %crate::telemetry::chain::Chain(&error),
                    "record cannot be read");
                None
            }
        }
    }

    /// Reads all records from the first one, and follows them.
    pub async fn follow(&self) -> Result<Watch, WatchError> {
        self.store.watch_many_with_history([">"]).await
    }

    /// The bucket's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What a record says.
pub(super) fn found(key: Key, value: &[u8], revision: u64, operation: Operation) -> Input {
    let is_there = match operation {
        Operation::Put => true,
        Operation::Delete | Operation::Purge => false,
    };
    let record = is_there.then(|| Record::decode(&key, value));
    Input::Found { key, revision, record }
}

async fn make(context: &jetstream::Context, name: &str, replicas: usize) -> Result<Store, Error> {
    let config = Config {
        bucket: name.to_owned(),
        description: "who of chimein's instances holds what".to_owned(),
        history: 1,
        storage: StorageType::File,
        num_replicas: replicas,
        ..Config::default()
    };
    context.create_key_value(config).await.map_err(|error| match error.kind() {
        CreateKeyValueErrorKind::TimedOut | CreateKeyValueErrorKind::JetStream => {
            Error::NoJetStream(error.into())
        }
        CreateKeyValueErrorKind::InvalidStoreName
        | CreateKeyValueErrorKind::TooLongHistory
        | CreateKeyValueErrorKind::BucketCreate
        | CreateKeyValueErrorKind::LimitMarkersNotSupported => {
            Error::Make { bucket: name.to_owned(), replicas, source: error.into() }
        }
    })
}

/// A bucket that forgets would give a name to two.
fn check(name: &str, store: &Store) -> Result<(), Error> {
    let config = &store.stream.cached_info().config;
    let unfit = |setting, found: String, wanted| {
        Err(Error::Unfit { bucket: name.to_owned(), setting, found, wanted })
    };
    if !config.max_age.is_zero() {
        return unfit("maximum age", format!("{} s", config.max_age.as_secs()), "none");
    }
    if config.max_messages > 0 {
        return unfit("maximum of messages", config.max_messages.to_string(), "none");
    }
    if config.max_bytes > 0 && config.max_bytes < BYTES_LEAST {
        return unfit("maximum of bytes", config.max_bytes.to_string(), "none or 1 MiB at least");
    }
    Ok(())
}

/// A bucket as small as this would refuse beats.
const BYTES_LEAST: i64 = 1024 * 1024;

//! Streams and bucket: made if they are not there, checked if they are.
//!
//! A difference that would break a promise is refused with its name; others are the operator's choice.
//! I/O at the opening of the store only.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::context::{
    CreateStreamError, CreateStreamErrorKind, GetStreamErrorKind, RequestError, RequestErrorKind,
};
use async_nats::jetstream::kv;
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context, ErrorCode};

use super::log::away;
use super::names::Names;
use crate::queue::Error;

/// The oldest server that has all that is used: KV with compare-and-set, metadata of streams.
const SERVER_MIN: (u64, u64) = (2, 10);

/// Where the number of partitions is noted.
const PARTITIONS: &str = "chimein-partitions";

/// Within this time the server knows an id again under whichever key; later by the same key only.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// What the store needs.
pub(super) struct StoreNeeds<'a> {
    pub(super) names: &'a Names,
    pub(super) partitions: u16,
    pub(super) replicas: usize,
    /// How long short-lived documents are kept.
    pub(super) retention: Duration,
}

/// Checks the server, makes or checks streams and bucket; gives when the stream of jobs was made.
pub(super) async fn prepare(context: &Context, wanted: &StoreNeeds<'_>) -> Result<i64, Error> {
    check_server(context)?;
    let StoreNeeds { names, partitions, replicas, retention } = wanted;
    let metadata = HashMap::from([(PARTITIONS.to_owned(), partitions.to_string())]);
    let jobs = Config {
        name: names.jobs_stream(),
        subjects: vec![names.jobs_subjects()],
        metadata,
        ..common(*replicas)
    };
    let dead = Config {
        name: names.dead_stream(),
        subjects: vec![names.dead_subjects()],
        ..common(*replicas)
    };
    let info = make_or_check(context, jobs).await?;
    make_or_check(context, dead).await?;
    make_or_check_bucket(context, (names.marks_bucket(), Duration::ZERO), *replicas).await?;
    make_or_check_bucket(context, (names.recent_bucket(), *retention), *replicas).await?;
    Ok(i64::try_from(info.created.unix_timestamp_nanos()).unwrap_or(0))
}

/// Uses a bucket that was made.
pub(super) async fn made_bucket(context: &Context, name: String) -> Result<kv::Store, Error> {
    context.get_key_value(&name).await.map_err(|error| away("use", &name, error))
}

/// What both streams have in common: one message a subject, kept until it is deleted.
fn common(replicas: usize) -> Config {
    Config {
        max_messages_per_subject: 1,
        max_messages: -1,
        max_bytes: -1,
        discard: DiscardPolicy::New,
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: replicas,
        allow_direct: true,
        duplicate_window: DUPLICATE_WINDOW,
        ..Config::default()
    }
}

fn check_server(context: &Context) -> Result<(), Error> {
    let version = context.client().server_info().version;
    let mut numbers = version.split('.').map(|part| part.parse::<u64>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= SERVER_MIN {
        return Ok(());
    }
    Err(Error::Unfit {
        what: "the NATS server".to_owned(),
        setting: "its version",
        found: version,
        wanted: "2.10 or later".to_owned(),
    })
}

async fn make_or_check(context: &Context, wanted: Config) -> Result<Info, Error> {
    let name = wanted.name.clone();
    let found = match context.get_stream(&name).await {
        Ok(stream) => Some(stream),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(found)
                if found.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                None
            }
            GetStreamErrorKind::JetStream(found) => return Err(refused(&name, &found, error)),
            GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::Request
            | GetStreamErrorKind::InvalidStreamName => return Err(no_answer(&name, error)),
        },
    };
    let info = match found {
        Some(stream) => stream.cached_info().clone(),
        None => match context.create_stream(wanted.clone()).await {
            Ok(stream) => stream.cached_info().clone(),
            Err(error) => match error.kind() {
                // Another instance starts at the same time.
                CreateStreamErrorKind::JetStream(found)
                    if found.error_code() == ErrorCode::STREAM_NAME_EXIST =>
                {
                    let stream = context.get_stream(&name).await;
                    stream.map_err(|error| away("read", &name, error))?.cached_info().clone()
                }
                CreateStreamErrorKind::JetStream(found) => {
                    return Err(refused(&name, &found, error));
                }
                CreateStreamErrorKind::EmptyStreamName
                | CreateStreamErrorKind::InvalidStreamName
                | CreateStreamErrorKind::DomainAndExternalSet
                | CreateStreamErrorKind::JetStreamUnavailable
                | CreateStreamErrorKind::TimedOut
                | CreateStreamErrorKind::Response
                | CreateStreamErrorKind::NotFound
                | CreateStreamErrorKind::ResponseParse => return Err(no_answer(&name, error)),
            },
        },
    };
    check(&info.config, &wanted)?;
    Ok(info)
}

/// Names the first setting that would break a promise.
fn check(found: &Config, wanted: &Config) -> Result<(), Error> {
    let partitions = |config: &Config| config.metadata.get(PARTITIONS).cloned().unwrap_or_default();
    let text = |value: &dyn std::fmt::Debug| format!("{value:?}");
    let settings = [
        ("subjects", text(&found.subjects), text(&wanted.subjects)),
        ("retention", text(&found.retention), text(&wanted.retention)),
        ("max_msgs_per_subject", text(&found.max_messages_per_subject), text(&1)),
        ("max_age", text(&found.max_age), text(&wanted.max_age)),
        ("max_msgs", text(&found.max_messages), text(&wanted.max_messages)),
        ("discard", text(&found.discard), text(&wanted.discard)),
        ("discard_new_per_subject", text(&found.discard_new_per_subject), text(&false)),
        ("storage", text(&found.storage), text(&wanted.storage)),
        ("replicas", text(&found.num_replicas), text(&wanted.num_replicas)),
        ("allow_direct", text(&found.allow_direct), text(&true)),
        ("deny_delete", text(&found.deny_delete), text(&false)),
        ("deny_purge", text(&found.deny_purge), text(&false)),
        ("sealed", text(&found.sealed), text(&false)),
        ("no_ack", text(&found.no_ack), text(&false)),
        ("number of partitions", partitions(found), partitions(wanted)),
    ];
    for (setting, found_value, wanted_value) in settings {
        if found_value != wanted_value {
            return Err(Error::Unfit {
                what: format!("stream {}", wanted.name),
                setting,
                found: found_value,
                wanted: format!("{wanted_value}; correct it, or choose another prefix"),
            });
        }
    }
    Ok(())
}

async fn make_or_check_bucket(
    context: &Context,
    (name, kept): (String, Duration),
    replicas: usize,
) -> Result<(), Error> {
    let config = kv::Config {
        bucket: name.clone(),
        history: 1,
        max_age: kept,
        storage: StorageType::File,
        num_replicas: replicas,
        ..kv::Config::default()
    };
    let bucket = match context.get_key_value(&name).await {
        Ok(bucket) => bucket,
        Err(_) => context
            .create_key_value(config)
            .await
            .map_err(|error| away("make or read", &name, error))?,
    };
    let info = bucket.status().await.map_err(|error| away("read", &name, error))?.info;
    let age = info.config.max_age;
    // However long what is forgotten is kept was said when the bucket was made.
    if age > Duration::ZERO && kept.is_zero() {
        return Err(Error::Unfit {
            what: format!("bucket {name}"),
            setting: "max_age",
            found: format!("{age:?}"),
            wanted: "none: marks are kept".to_owned(),
        });
    }
    Ok(())
}

/// What the server says no to.
fn refused(
    stream: &str,
    found: &jetstream::Error,
    error: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    let code = found.error_code();
    let not_enabled =
        [ErrorCode::JETSTREAM_NOT_ENABLED, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT];
    if not_enabled.contains(&code) {
        return no_jetstream("not enabled for this account");
    }
    away("make", stream, error)
}

/// What it means that nobody answers. Without JetStream nobody listens; without permission the request
/// goes nowhere and the client waits in vain. Source: NATS docs, "Authorization", read 2026-11-21.
fn no_answer(stream: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let first: &(dyn std::error::Error + 'static) = &error;
    let causes = std::iter::successors(Some(first), |error| error.source());
    for cause in causes {
        let request = cause.downcast_ref::<RequestError>();
        let create = cause.downcast_ref::<CreateStreamError>();
        if request.is_some_and(|error| error.kind() == RequestErrorKind::NoResponders)
            || create
                .is_some_and(|error| error.kind() == CreateStreamErrorKind::JetStreamUnavailable)
        {
            return no_jetstream("not enabled on this server");
        }
    }
    away("make or read (may this user publish to $JS.API.> and read _INBOX.>?)", stream, error)
}

fn no_jetstream(found: &str) -> Error {
    Error::Unfit {
        what: "the NATS server".to_owned(),
        setting: "JetStream",
        found: found.to_owned(),
        wanted: "enabled: `jetstream { store_dir: … }` in its configuration".to_owned(),
    }
}

//! Where dead letters lie: a stream with one small message for each, by queue and id.
//!
//! The record of the job says what is so; this stream only says where to look, and what a listing shows.
//! It is written after a record becomes `Dead` and before that is answered; a new holder writes what a
//! former one could not. I/O; decides nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use bytes::Bytes;
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};

use super::book::JobName;
use super::log::{Log, away, refused};
use super::names::Names;
use super::record::{JobWork, Record, UnreadableRecord};
use super::tail::Tail;
use crate::clock::{Clock, Timestamp};
use crate::queue::{
    Cause, Cursor, DeadCause, DeadCauses, DeadLetters, DeadSummary, Error, Filter, Key, Page,
    QueueName,
};

/// How long the next letter of a listing is awaited.
const NEXT_LETTER: Duration = Duration::from_secs(3);

/// The stream of dead letters.
pub(super) struct DeadIndex {
    context: Context,
    stream: Stream<()>,
    stream_name: String,
    names: Names,
}

/// One message of it.
#[derive(Deserialize, Serialize)]
struct DeadMessage {
    key: String,
    born: u64,
    appended_at: Timestamp,
    died_at: Timestamp,
    attempts: u32,
    class: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<u32>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    detail: String,
}

impl DeadIndex {
    /// Uses a stream that is known to be there.
    pub(super) async fn new(context: Context, names: Names) -> Result<Self, Error> {
        let stream_name = names.dead_stream();
        let stream = context
            .get_stream_no_info(&stream_name)
            .await
            .map_err(|error| away("use", &stream_name, error))?;
        Ok(Self { context, stream, stream_name, names })
    }

    /// Lists a letter; nothing changes if it is listed.
    pub(super) async fn put(
        &self,
        (queue, id): JobName,
        record: &Record,
        (work, died_at): (&JobWork, Timestamp),
    ) -> Result<(), Error> {
        let summary = summary((queue, id), record, (work, died_at));
        let letter = DeadMessage {
            key: summary.key.as_str().to_owned(),
            born: record.born.unwrap_or(0),
            appended_at: summary.appended_at,
            died_at,
            attempts: summary.attempts,
            class: summary.cause.class.into_owned(),
            code: summary.cause.code,
            detail: summary.cause.detail,
        };
        let bytes = Bytes::from(serde_json::to_vec(&letter).expect("no map, no odd keys"));
        let sent = self.context.publish(self.names.dead(queue, id), bytes).await;
        let stored = match sent {
            Ok(sent) => sent.await,
            Err(error) => Err(error),
        };
        stored.map(drop).map_err(|error| refused("write to", &self.stream_name, error))
    }

    /// The key of a listed letter.
    pub(super) async fn key(&self, (queue, id): JobName) -> Result<Option<Key>, Error> {
        let subject = self.names.dead(queue, id);
        match self.stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => {
                let letter = self.decode(&message.payload)?;
                Ok(Some(Key::new(letter.key)?))
            }
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => {
                Ok(None)
            }
            Err(error) => Err(self.away("read", error)),
        }
    }

    /// Takes a letter off the list.
    pub(super) async fn remove(&self, (queue, id): JobName) -> Result<(), Error> {
        let purged = self.stream.purge().filter(self.names.dead(queue, id)).await;
        purged.map(drop).map_err(|error| self.away("delete from", error))
    }

    /// Counts the letters of a queue.
    pub(super) async fn count(&self, queue: QueueName) -> Result<u64, Error> {
        let info = self.stream.info_builder().subjects(self.names.dead_of(queue)).fetch().await;
        let subjects = info.map_err(|error| self.away("read", error))?;
        let counts: Vec<_> =
            subjects.try_collect().await.map_err(|error| self.away("read", error))?;
        Ok(u64::try_from(counts.len()).unwrap_or(u64::MAX))
    }

    /// Lists a page of letters, oldest append first. Reads all of the queue's letters and keeps as many
    /// as the page has.
    pub(super) async fn list(
        &self,
        from: (&Log, Clock),
        queue: QueueName,
        filter: &Filter,
        page: Page,
    ) -> Result<DeadLetters, Error> {
        let after = page.after.map_or(0, |Cursor(born)| u64::try_from(born).unwrap_or(0));
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let mut found: BTreeMap<u64, DeadSummary> = BTreeMap::new();
        self.walk(from, queue, |born, summary| {
            if born > after && matches(filter, &summary) {
                found.insert(born, summary);
                if found.len() > limit + 1 {
                    found.pop_last();
                }
            }
            true
        })
        .await?;
        let mut next = None;
        if found.len() > limit {
            found.pop_last();
            let last = found.last_key_value().map_or(0, |(&born, _)| born);
            next = Some(Cursor(i64::try_from(last).unwrap_or(i64::MAX)));
        }
        Ok(DeadLetters { letters: found.into_values().collect(), next })
    }

    /// Counts letters by cause, of those that were listed first.
    pub(super) async fn causes(
        &self,
        from: (&Log, Clock),
        queue: QueueName,
        (filter, letters_max): (&Filter, u32),
    ) -> Result<DeadCauses, Error> {
        let mut by_cause: BTreeMap<(String, Option<u32>), DeadCause> = BTreeMap::new();
        let (mut count, mut is_whole) = (0, true);
        self.walk(from, queue, |_, summary| {
            if matches(filter, &summary) {
                if count == letters_max {
                    is_whole = false;
                    return false;
                }
                count += 1;
                let DeadSummary { died_at, cause, .. } = summary;
                let class = cause.class.into_owned();
                let known = by_cause.entry((class.clone(), cause.code));
                let known = known.or_insert_with(|| DeadCause {
                    class,
                    code: cause.code,
                    count: 0,
                    oldest: died_at,
                    newest: died_at,
                });
                known.count += 1;
                known.oldest = known.oldest.min(died_at);
                known.newest = known.newest.max(died_at);
            }
            true
        })
        .await?;
        let mut causes: Vec<_> = by_cause.into_values().collect();
        causes.sort_by_key(|cause| std::cmp::Reverse(cause.count));
        Ok(DeadCauses { causes, is_whole })
    }

    /// Shows each letter of a queue that is listed now, with its place, until `visit` wants no more.
    async fn walk(
        &self,
        (log, clock): (&Log, Clock),
        queue: QueueName,
        mut visit: impl FnMut(u64, DeadSummary) -> bool,
    ) -> Result<(), Error> {
        let place = (self.stream_name.clone(), self.names.dead_of(queue));
        let mut tail = Tail::open(log, place, 1, clock).await?;
        let mut pending = tail.pending;
        while pending > 0 {
            let give_up = clock.now() + NEXT_LETTER;
            let read = tokio::select! {
                read = tail.next() => read?,
                // Letters that were to come have been taken off the list meanwhile.
                () = clock.sleep_until(give_up) => break,
            };
            pending = read.pending;
            let letter = self.decode(&read.payload)?;
            let id = read.subject.rsplit('.').next().and_then(|id| id.parse().ok());
            let (Some(id), born) = (id, letter.born) else { continue };
            if !visit(born, letter.summary(id)?) {
                break;
            }
        }
        tail.close().await;
        Ok(())
    }

    fn decode(&self, bytes: &Bytes) -> Result<DeadMessage, Error> {
        serde_json::from_slice(bytes).map_err(|_| Error::Corrupt {
            path: PathBuf::from(&self.stream_name),
            source: Arc::new(UnreadableRecord),
        })
    }

    fn away(
        &self,
        doing: &'static str,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> Error {
        away(doing, &self.stream_name, error)
    }
}

impl DeadMessage {
    fn summary(self, id: crate::queue::JobId) -> Result<DeadSummary, Error> {
        Ok(DeadSummary {
            id,
            key: Key::new(self.key)?,
            appended_at: self.appended_at,
            died_at: self.died_at,
            attempts: self.attempts,
            cause: Cause { class: self.class.into(), code: self.code, detail: self.detail },
        })
    }
}

/// What a listing shows of a dead job.
pub(super) fn summary(
    (_, id): JobName,
    record: &Record,
    (work, died_at): (&JobWork, Timestamp),
) -> DeadSummary {
    let last = work.history.last();
    DeadSummary {
        id,
        key: record.key.clone(),
        appended_at: record.appended_at,
        died_at,
        attempts: last.map_or(0, |last| last.number),
        cause: last.map_or_else(|| Cause::new("unknown"), |last| last.cause.clone()),
    }
}

fn matches(filter: &Filter, letter: &DeadSummary) -> bool {
    filter.keys.as_ref().is_none_or(|keys| keys.contains(&letter.key))
        && filter.class.as_ref().is_none_or(|class| *class == letter.cause.class)
        && (filter.code.is_none() || filter.code == letter.cause.code)
        && filter.since.is_none_or(|since| letter.died_at >= since)
        && filter.before.is_none_or(|before| letter.died_at < before)
}

//! Marks in their bucket, and the floors of partitions beside them: numbers that only rise. Documents
//! are there too.
//!
//! A raised mark is visible in this process at once and written with the next tick. Writing is a
//! compare-and-set, so that an instance that comes late lowers nothing. I/O; reads no clock.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_nats::jetstream::kv::{CreateErrorKind, Operation, Store, UpdateErrorKind};
use async_nats::jetstream::stream::DirectGetErrorKind;
use futures::{StreamExt as _, TryStreamExt as _};

use super::log::{RACES_MAX, away, written_at};
use super::names;
use crate::queue::engine::StoredDocument;
use crate::queue::{DocumentCursor, DocumentPage, Documents, Error, Listed};

/// How many marks wait for the next tick; past it, whoever raises one more waits for a flush.
pub(super) const DIRTY_MAX: usize = 20_000;

/// How many marks are written at a time.
const WRITES_AT_ONCE: usize = 32;

/// The bucket, and what is not in it yet.
pub(super) struct MarkBucket {
    bucket: Store,
    /// Documents that are forgotten after a time.
    recent: Store,
    dirty: Mutex<HashMap<String, u64>>,
}

impl MarkBucket {
    pub(super) fn new(bucket: Store, recent: Store) -> Self {
        Self { bucket, recent, dirty: Mutex::default() }
    }

    /// Raises a mark and says how many wait.
    pub(super) fn raise(&self, name: String, value: u64) -> usize {
        let mut dirty = self.dirty();
        let mark = dirty.entry(name).or_insert(value);
        *mark = value.max(*mark);
        dirty.len()
    }

    /// Reads a mark.
    pub(super) async fn read(&self, name: &str) -> Result<Option<u64>, Error> {
        let here = self.dirty().get(name).copied();
        let stored = self.stored(&names::mark(name)).await?.map(|(value, _)| value);
        Ok(here.max(stored))
    }

    /// Writes what waits. Marks stay readable here until they are there.
    pub(super) async fn flush(&self) -> Result<(), Error> {
        let written: Vec<_> =
            self.dirty().iter().map(|(name, &value)| (name.clone(), value)).collect();
        futures::stream::iter(written)
            .map(|(name, value)| async move {
                self.write(&names::mark(&name), value).await?;
                let mut dirty = self.dirty();
                if dirty.get(&name) == Some(&value) {
                    dirty.remove(&name);
                }
                Ok(())
            })
            .buffer_unordered(WRITES_AT_ONCE)
            .try_collect()
            .await
    }

    /// Reads a document.
    pub(super) async fn document(&self, name: &str) -> Result<Option<StoredDocument>, Error> {
        let entry = self.of(name).entry(names::document(name)).await;
        let entry = entry.map_err(|error| self.away("read", error))?;
        let kept = entry.filter(|entry| entry.operation == Operation::Put);
        Ok(kept.map(|entry| StoredDocument { value: entry.value.into(), revision: entry.revision }))
    }

    /// Writes a document if its revision is still this one; says whether it did.
    pub(super) async fn put_document(
        &self,
        name: &str,
        value: Vec<u8>,
        revision: Option<u64>,
    ) -> Result<bool, Error> {
        let (key, value) = (names::document(name), value.into());
        let bucket = self.of(name);
        match revision {
            Some(revision) => match bucket.update(key, value, revision).await {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(false),
                Err(error) => Err(self.away("write to", error)),
            },
            None => match bucket.create(key, value).await {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(self.away("write to", error)),
            },
        }
    }

    /// Forgets a document if its revision is still this one; says whether it did. Nothing is left of it, not
    /// even the note that it is gone.
    pub(super) async fn remove_document(&self, name: &str, revision: u64) -> Result<bool, Error> {
        let bucket = self.of(name);
        let subject = format!("{}{}", bucket.prefix, names::document(name));
        // A bucket denies deletes, and keeps one message a subject: what was written since stays.
        let purged = bucket.stream.purge().filter(subject).sequence(revision + 1).await;
        purged.map(|done| done.purged > 0).map_err(|error| self.away("delete from", error))
    }

    /// Lists some documents whose names begin so, those first that were not written for longest.
    pub(super) async fn list_documents(
        &self,
        beginning: &str,
        after: Option<DocumentCursor>,
    ) -> Result<DocumentPage, Error> {
        self.list(&self.bucket, beginning, after).await
    }

    /// Lists some of those that are forgotten after a time, those first that were not written for longest.
    pub(super) async fn list_short_lived(
        &self,
        beginning: &str,
        after: Option<DocumentCursor>,
    ) -> Result<DocumentPage, Error> {
        self.list(&self.recent, beginning, after).await
    }

    async fn list(
        &self,
        bucket: &Store,
        beginning: &str,
        after: Option<DocumentCursor>,
    ) -> Result<DocumentPage, Error> {
        let invalid = Error::Invalid { what: "a cursor is what an earlier page gave as next" };
        let mut from = match after {
            Some(DocumentCursor(text)) => text.parse::<u64>().map_err(|_| invalid)?,
            None => 1,
        };
        let mut documents = Vec::new();
        for _ in 0..Documents::PAGE_MAX {
            let filter = format!("{}{}", bucket.prefix, names::DOCUMENTS);
            let message = match bucket.stream.direct_get_next_for_subject(filter, Some(from)).await
            {
                Ok(message) => message,
                Err(error) if matches!(error.kind(), DirectGetErrorKind::NotFound) => {
                    return Ok(DocumentPage { documents, next: None });
                }
                Err(error) => return Err(self.away("read", error)),
            };
            from = message.sequence + 1;
            let key = message.subject.strip_prefix(&bucket.prefix);
            let Some(name) = key.and_then(names::parse_document) else { continue };
            if name.len() > beginning.len() && name.starts_with(beginning) {
                documents.push(Listed {
                    name,
                    value: message.payload.to_vec(),
                    changed: written_at(&message),
                    revision: message.sequence,
                });
            }
        }
        Ok(DocumentPage { documents, next: Some(DocumentCursor(from.to_string())) })
    }

    /// The bucket of a document.
    fn of(&self, name: &str) -> &Store {
        if name.starts_with(Documents::SHORT_LIVED) { &self.recent } else { &self.bucket }
    }

    /// Reads the floor of a partition.
    pub(super) async fn floor(&self, created: i64, partition: u16) -> Result<u64, Error> {
        let stored = self.stored(&names::floor(created, partition)).await?;
        Ok(stored.map_or(0, |(floor, _)| floor))
    }

    /// Raises the floor of a partition.
    pub(super) async fn raise_floor(
        &self,
        (created, partition): (i64, u16),
        floor: u64,
    ) -> Result<(), Error> {
        self.write(&names::floor(created, partition), floor).await
    }

    /// Raises a number in the bucket.
    async fn write(&self, key: &str, value: u64) -> Result<(), Error> {
        for _ in 0..RACES_MAX {
            let text = value.to_string().into();
            match self.stored(key).await? {
                Some((stored, _)) if stored >= value => return Ok(()),
                Some((_, revision)) => match self.bucket.update(key, text, revision).await {
                    Ok(_) => return Ok(()),
                    Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {}
                    Err(error) => return Err(self.away("write to", error)),
                },
                None => match self.bucket.create(key, text).await {
                    Ok(_) => return Ok(()),
                    Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
                    Err(error) => return Err(self.away("write to", error)),
                },
            }
        }
        // Others raise it all the time; the next tick tries again.
        Ok(())
    }

    async fn stored(&self, key: &str) -> Result<Option<(u64, u64)>, Error> {
        let entry = self.bucket.entry(key).await.map_err(|error| self.away("read", error))?;
        let value = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse().ok();
        Ok(entry.map(|entry| (value(&entry.value).unwrap_or(0), entry.revision)))
    }

    fn away(
        &self,
        doing: &'static str,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> Error {
        away(doing, &self.bucket.name, error)
    }

    fn dirty(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.dirty.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

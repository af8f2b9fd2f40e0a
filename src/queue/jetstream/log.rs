//! The stream of jobs as the engine uses it: store if new, exchange if unchanged, read, delete.
//!
//! I/O, no decisions about jobs. Every call is bounded in time. A change whose outcome is unknown is
//! asked for again with the same expectation, and what then stands there is compared byte by byte:
//! records of a holder carry a number of their own, so that no two are the same.

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use async_nats::jetstream::{self, Context, ErrorCode};
use bytes::Bytes;
use tokio::sync::watch;

use super::names::Names;
use super::record::Record;
use crate::clock::Timestamp;
use crate::queue::Error;
use crate::queue::engine::Trouble;
use crate::telemetry::chain::Chain;

/// How long one answer of the server is awaited.
pub(super) const ANSWER: Duration = Duration::from_secs(3);

/// How often a change is asked for whose outcome is unknown.
const CHANGES_MAX: u32 = 2;

/// How often a change is tried again that others keep overtaking.
pub(super) const RACES_MAX: u32 = 5;

/// The stream of jobs.
#[derive(Clone)]
pub(super) struct Log {
    context: Context,
    stream: Stream<()>,
    names: Names,
    stream_name: String,
    /// Whether the last write was refused for want of room.
    trouble: Arc<watch::Sender<Trouble>>,
}

/// What became of an append.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stored {
    /// It is there, with this sequence.
    New(u64),
    /// The id is known, appended with this sequence if the server still says so.
    Known(Option<u64>),
}

/// What became of a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Swap {
    /// The new record is there, with this sequence.
    Done(u64),
    /// Another record than the expected one is there.
    Changed,
}

impl Log {
    /// Uses a stream that is known to be there.
    pub(super) async fn new(context: Context, names: Names) -> Result<Self, Error> {
        let stream_name = names.jobs_stream();
        let stream = context
            .get_stream_no_info(&stream_name)
            .await
            .map_err(|error| away("use", &stream_name, error))?;
        let trouble = Arc::new(watch::Sender::new(Trouble::None));
        Ok(Self { context, stream, names, stream_name, trouble })
    }

    pub(super) const fn context(&self) -> &Context {
        &self.context
    }

    pub(super) const fn stream(&self) -> &Stream<()> {
        &self.stream
    }

    pub(super) const fn names(&self) -> &Names {
        &self.names
    }

    /// What keeps the stream from taking writes, if anything does.
    pub(super) fn trouble(&self) -> &watch::Sender<Trouble> {
        &self.trouble
    }

    /// Sends a new job on its way; the order of calls is the order of the stream.
    pub(super) async fn send_new(
        &self,
        subject: String,
        message_id: &str,
        record: &Record,
    ) -> Result<PublishAckFuture, Error> {
        let message = PublishMessage::build()
            .payload(record.encode())
            .message_id(message_id)
            .expected_last_subject_sequence(0);
        let sent = self.context.send_publish(subject, message).await;
        sent.map_err(|error| self.refused("append to", error))
    }

    /// Waits for what became of a new job.
    pub(super) async fn stored(&self, sent: PublishAckFuture) -> Result<Stored, Error> {
        match sent.await {
            Ok(ack) if ack.duplicate => Ok(Stored::Known(Some(ack.sequence))),
            Ok(ack) => {
                self.is_written();
                Ok(Stored::New(ack.sequence))
            }
            Err(error) if is_changed(&error) => Ok(Stored::Known(None)),
            Err(error) => Err(self.refused("append to", error)),
        }
    }

    /// Exchanges the record of a subject if the one of sequence `expected` is still its newest.
    pub(super) async fn swap(
        &self,
        subject: &str,
        expected: u64,
        record: &Record,
    ) -> Result<Swap, Error> {
        let bytes = record.encode();
        let mut asked = 0;
        loop {
            asked += 1;
            let message = PublishMessage::build()
                .payload(bytes.clone())
                .expected_last_subject_sequence(expected);
            let answer = match self.context.send_publish(subject.to_owned(), message).await {
                Ok(sent) => sent.await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(ack) => {
                    self.is_written();
                    return Ok(Swap::Done(ack.sequence));
                }
                Err(error) if is_changed(&error) && asked == 1 => return Ok(Swap::Changed),
                Err(error) if is_changed(&error) => return self.is_there(subject, &bytes).await,
                Err(error) if asked >= CHANGES_MAX || !is_unknown(&error) => {
                    return Err(self.refused("write to", error));
                }
                Err(_) => {}
            }
        }
    }

    /// Reads the newest record of a subject, from the stream's leader.
    pub(super) async fn read(&self, subject: &str) -> Result<Option<(u64, Record)>, Error> {
        let Some((rev, bytes)) = self.read_bytes(subject).await? else { return Ok(None) };
        Ok(Some((rev, self.decode(&bytes)?)))
    }

    /// Reads one record by its sequence, from the stream's leader: a replica that lags does not have it
    /// yet. `None` if there is a newer one of its job.
    pub(super) async fn read_at(&self, rev: u64) -> Result<Option<Record>, Error> {
        match self.stream.get_raw_message(rev).await {
            Ok(message) => self.decode(&message.payload).map(Some),
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => {
                Ok(None)
            }
            Err(error) => Err(away("read", &self.stream_name, error)),
        }
    }

    /// Writes a note into a partition and gives its sequence.
    pub(super) async fn note(&self, partition: u16, note: Bytes) -> Result<u64, Error> {
        let sent = self.context.publish(self.names.gain(partition), note).await;
        let stored = match sent {
            Ok(sent) => sent.await,
            Err(error) => Err(error),
        };
        let ack = stored.map_err(|error| self.refused("write to", error))?;
        self.is_written();
        Ok(ack.sequence)
    }

    /// Deletes one record; nothing if it is gone.
    pub(super) async fn delete(&self, rev: u64) -> Result<(), Error> {
        use async_nats::jetstream::stream::DeleteMessageErrorKind;
        match self.stream.delete_message(rev).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.kind(), DeleteMessageErrorKind::JetStream(_)) => Ok(()),
            Err(error) => Err(away("delete from", &self.stream_name, error)),
        }
    }

    /// Decodes what the stream gave.
    pub(super) fn decode(&self, bytes: &Bytes) -> Result<Record, Error> {
        Record::decode(bytes).map_err(|error| Error::Corrupt {
            path: PathBuf::from(&self.stream_name),
            source: Arc::new(error),
        })
    }

    /// Says what an error of this stream means.
    pub(super) fn away(
        &self,
        doing: &'static str,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> Error {
        away(doing, &self.stream_name, error)
    }

    async fn read_bytes(&self, subject: &str) -> Result<Option<(u64, Bytes)>, Error> {
        match self.stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => Ok(Some((message.sequence, message.payload))),
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => {
                Ok(None)
            }
            Err(error) => Err(away("read", &self.stream_name, error)),
        }
    }

    /// Whether an earlier try was stored after all.
    async fn is_there(&self, subject: &str, wanted: &Bytes) -> Result<Swap, Error> {
        Ok(match self.read_bytes(subject).await? {
            Some((rev, bytes)) if bytes == *wanted => Swap::Done(rev),
            Some(_) | None => Swap::Changed,
        })
    }

    fn refused(&self, doing: &'static str, error: PublishError) -> Error {
        let error = refused(doing, &self.stream_name, error);
        if matches!(error, Error::Full { .. })
            && self.trouble.send_replace(Trouble::NotWritten) == Trouble::None
        {
            tracing::error!(error = %Chain(&error), "nats takes nothing more; nothing is acknowledged until it does");
        }
        error
    }

    /// Ends a trouble, if there was one.
    fn is_written(&self) {
        let has_ended = |trouble: &mut Trouble| {
            let before = std::mem::take(trouble);
            before != Trouble::None
        };
        if *self.trouble.borrow() != Trouble::None && self.trouble.send_if_modified(has_ended) {
            tracing::info!("nats is written again; work goes on");
        }
    }
}

/// Says what a refused publish means.
pub(super) fn refused(doing: &'static str, stream: &str, error: PublishError) -> Error {
    let code = code_of(&error);
    if error.kind() == PublishErrorKind::MaxPayloadExceeded
        || code == Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM)
    {
        return Error::Unfit {
            what: stream.to_owned(),
            setting: "the largest message",
            found: "less than a job needs".to_owned(),
            wanted: "`max_payload: 2MB` in the server's configuration, and no `max_msg_size`"
                .to_owned(),
        };
    }
    let full = [
        ErrorCode::STREAM_STORE_FAILED,
        ErrorCode::STORAGE_RESOURCES_EXCEEDED,
        ErrorCode::INSUFFICIENT_RESOURCES,
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
    ];
    if code.is_some_and(|code| full.contains(&code)) {
        return Error::Full { path: PathBuf::from(stream), source: Arc::new(error) };
    }
    away(doing, stream, error)
}

/// Wraps an error of the client.
pub(super) fn away(
    doing: &'static str,
    stream: &str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::Away { doing, stream: stream.to_owned(), source: Arc::new(error) }
}

/// Whether the server found another record than expected. Clusters since server 2.12 say so by a code
/// of their own while a change is under way. Source: nats-server, "errors.json", read 2026-11-21.
pub(super) fn is_changed(error: &PublishError) -> bool {
    error.kind() == PublishErrorKind::WrongLastSequence
        || code_of(error) == Some(ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT)
}

/// Whether the message may be stored all the same.
fn is_unknown(error: &PublishError) -> bool {
    matches!(error.kind(), PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe)
}

fn code_of(error: &PublishError) -> Option<ErrorCode> {
    let source = error.source()?;
    source.downcast_ref::<jetstream::Error>().map(jetstream::Error::error_code)
}

/// When the server took a message.
pub(super) fn written_at(message: &StreamMessage) -> Timestamp {
    let millis = message.time.unix_timestamp_nanos() / 1_000_000;
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(0))
}

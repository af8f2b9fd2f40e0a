//! The timeline in a stream of NATS `JetStream`, which all instances share; the server drops the oldest.
//!
//! What is told of one message at one time is one message of the stream, its records a line each. It is
//! published without waiting for the server's word, so a record that the server does not take is lost
//! unseen; one that the connection does not take is dropped and counted.
//!
//! | subject | what |
//! | --- | --- |
//! | `<prefix>.timeline.<thread>.<message>` | records of a message, or of a reply by its own sid |
//! | `<prefix>.timeline.<thread>.-` | records that name none |
//!
//! What is erased is gone for whoever asks; its bytes stay in a block of the server's store until that is
//! compacted, as the queue's own page says of what it deletes.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::consumer::push::Config as ConsumerConfig;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{Context, ContextBuilder, Message};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};

use super::{Error, Found, Line, Subject, Timeline, TimelineEngine, TimelineQuery};
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::Stage;
use crate::thread::ThreadId;

/// How long one answer of the server is awaited.
const ANSWER: Duration = Duration::from_secs(5);

/// How long the server may be silent while it reads out what was asked for.
const SILENCE: Duration = Duration::from_secs(5);

/// How many bytes one message of the stream has at most: well under the server's own bound.
const MESSAGE_BYTES_MAX: usize = 256 << 10;

/// How many lines are read for one page at most.
const READ_MAX: usize = 100_000;

/// Where the stream is, how long and how large.
#[derive(Clone, Debug)]
pub struct Options {
    /// What its name and its subjects begin with.
    pub prefix: String,
    /// On how many servers it is kept.
    pub replicas: usize,
    /// How long a record is kept.
    pub retention: Duration,
    /// The largest size.
    pub bytes_max: u64,
}

/// Uses the stream, makes it if there is none, and lets its bounds be as these.
///
/// # Errors
///
/// [`Error::Stream`] if the server does not do it.
pub async fn open(client: Client, options: Options) -> Result<Timeline, Error> {
    let name = format!("{}-timeline", options.prefix);
    let subjects = format!("{}.timeline", options.prefix);
    let context = ContextBuilder::new().timeout(ANSWER).build(client.clone());
    let config = Config {
        name: name.clone(),
        subjects: vec![format!("{subjects}.*.*")],
        max_age: options.retention,
        max_bytes: i64::try_from(options.bytes_max).unwrap_or(i64::MAX),
        max_messages: -1,
        discard: DiscardPolicy::Old,
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: options.replicas,
        no_ack: true,
        ..Config::default()
    };
    let made = context.create_or_update_stream(config).await;
    made.map_err(|error| failed("make or use", &name, error))?;
    Ok(Timeline::on(TimelineStream { client, context, name, subjects }))
}

struct TimelineStream {
    client: Client,
    context: Context,
    name: String,
    subjects: String,
}

impl TimelineEngine for TimelineStream {
    fn write(&self, lines: Vec<Line>) -> BoxFuture<'_, Result<(), Error>> {
        self.publish(lines).boxed()
    }

    fn find(&self, ask: TimelineQuery) -> BoxFuture<'_, Result<Found, Error>> {
        self.read(ask).boxed()
    }

    fn erase(&self, thread: ThreadId) -> BoxFuture<'_, Result<u64, Error>> {
        async move {
            let all = self.read_from(format!("{}.{thread}.*", self.subjects), 1).await?;
            let stream = self.context.get_stream_no_info(&self.name).await;
            let stream = stream.map_err(|error| failed("use", &self.name, error))?;
            let purged = stream.purge().filter(format!("{}.{thread}.*", self.subjects)).await;
            purged.map_err(|error| failed("erase from", &self.name, error))?;
            let mut lines: Vec<_> = all.into_iter().map(|(_, line)| line).collect();
            lines.sort_unstable();
            lines.dedup();
            Ok(u64::try_from(lines.len()).unwrap_or(u64::MAX))
        }
        .boxed()
    }

    fn tidy(&self) -> BoxFuture<'_, Result<(), Error>> {
        // The server does.
        std::future::ready(Ok(())).boxed()
    }
}

impl TimelineStream {
    async fn publish(&self, lines: Vec<Line>) -> Result<(), Error> {
        let mut bodies: BTreeMap<String, String> = BTreeMap::new();
        for line in lines {
            let thread = line.record.thread;
            let own = match line.record.stage {
                Stage::ReplySent { reply, .. } => reply,
                Stage::ReplyVisible { reply } => Some(reply),
                _ => None,
            };
            let message = line.record.message;
            let of = message.map_or_else(|| "-".to_owned(), |message| message.to_string());
            // By its own sid a reply is found too.
            let names = std::iter::once(of).chain(own.map(|own| own.to_string()));
            for name in names {
                let subject = format!("{}.{thread}.{name}", self.subjects);
                let body = bodies.entry(subject.clone()).or_default();
                if body.len() + line.text.len() > MESSAGE_BYTES_MAX {
                    let whole = std::mem::take(body);
                    self.send(subject, whole).await?;
                }
                let body = bodies.entry(format!("{}.{thread}.{name}", self.subjects)).or_default();
                body.push_str(&line.text);
                body.push('\n');
            }
        }
        for (subject, body) in bodies {
            self.send(subject, body).await?;
        }
        Ok(())
    }

    async fn send(&self, subject: String, body: String) -> Result<(), Error> {
        let sent = self.client.publish(subject, body.into()).await;
        sent.map_err(|error| failed("write to", &self.name, error))
    }

    async fn read(&self, ask: TimelineQuery) -> Result<Found, Error> {
        let filter = match ask.subject {
            Subject::Thread(thread) => format!("{}.{thread}.*", self.subjects),
            Subject::Message(message) => format!("{}.*.{message}", self.subjects),
        };
        let after = ask.after.as_deref().map(|text| text.parse::<u64>().map_err(|_| Error::Cursor));
        let after = after.transpose()?;
        let from = after.map_or(1, |after| after.saturating_add(1));
        let read = self.read_from(filter, from).await?;
        let last = read.last().map(|(at, _)| *at).or(after);
        let mut lines: Vec<(u64, String)> = Vec::with_capacity(read.len());
        // A reply's own subject brings the same record again.
        let mut seen = std::collections::HashSet::new();
        lines.extend(read.into_iter().filter(|(_, line)| seen.insert(line.clone())));
        let mut found = Found { next: last.map(|at| at.to_string()), ..Found::default() };
        if lines.len() > ask.limit {
            found.more = true;
            if after.is_none() {
                lines.drain(..lines.len() - ask.limit);
            } else {
                // A page ends with a whole message of the stream; a large one makes it larger.
                let end = lines.get(ask.limit - 1).map_or(0, |(at, _)| *at);
                lines.retain(|(at, _)| *at <= end);
                found.next = Some(end.to_string());
            }
        }
        found.lines = lines.into_iter().map(|(_, line)| line).collect();
        Ok(found)
    }

    /// Reads all lines of some subjects that are there now, each with its place in the stream.
    async fn read_from(&self, filter: String, from: u64) -> Result<Vec<(u64, String)>, Error> {
        let failing = |error: async_nats::Error| Error::Stream {
            doing: "read",
            stream: self.name.clone(),
            source: error,
        };
        let inbox = self.client.new_inbox();
        let mut heard =
            self.client.subscribe(inbox.clone()).await.map_err(|error| failing(error.into()))?;
        let config = ConsumerConfig {
            deliver_subject: inbox,
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from.max(1) },
            ack_policy: AckPolicy::None,
            filter_subject: filter,
            inactive_threshold: 2 * SILENCE,
            num_replicas: 1,
            memory_storage: true,
            ..ConsumerConfig::default()
        };
        let made = self.context.create_consumer_on_stream(config, self.name.as_str()).await;
        let consumer = made.map_err(|error| failing(error.into()))?;
        let (mut left, mut lines) = (consumer.cached_info().num_pending, Vec::new());
        while left > 0 && lines.len() < READ_MAX {
            let next = tokio::time::timeout(SILENCE, heard.next()).await;
            let Ok(Some(message)) = next else { return Err(failing(Silent.into())) };
            let message = Message { message, context: self.context.clone() };
            let info = message.info().map_err(failing)?;
            left = info.pending;
            let text = String::from_utf8_lossy(&message.payload);
            lines.extend(text.lines().map(|line| (info.stream_sequence, line.to_owned())));
        }
        let name = consumer.cached_info().name.clone();
        let gone = self.context.delete_consumer_from_stream(&name, &self.name).await;
        if let Err(error) = gone {
            tracing::debug!(error = %Chain(&error), "a consumer of the timeline is left to be forgotten");
        }
        Ok(lines)
    }
}

/// The server did not bring what it said it has.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the server fell silent")]
struct Silent;

fn failed(
    doing: &'static str,
    stream: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::Stream { doing, stream: stream.to_owned(), source: source.into() }
}

//! The timeline in a stream of NATS `JetStream`, which all instances share; the server drops the oldest.
//!
//! What is told of one message at one time is one message of the stream, its records a line each. It is
//! published without waiting for the server's word, so a record that the server does not take is lost
//! unseen; one that the connection does not take is dropped and counted.
//!
//! | subject | what |
//! | --- | --- |
//! | `<prefix>.timeline.<thread>.<message>.<other>` | records of a message that name another one too: a reply's own sid, or the turn in which it was answered |
//! | `<prefix>.timeline.<thread>.<message>.-` | records of a message alone |
//! | `<prefix>.timeline.<thread>.-.-` | records of the thread that name none |
//!
//! So each record is kept once, and is found by either name with the server's own filter. Who reads gets a
//! page and holds no more: the newest are come near to by halving the stream, since it is read forwards.
//!
//! What is erased is gone for whoever asks; its bytes stay in a block of the server's store until that is
//! compacted, as the queue's own page says of what it deletes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::consumer::pull::Config as ConsumerConfig;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{Context, ContextBuilder};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use uuid::Uuid;

use super::{Error, Found, Line, Subject, Timeline, TimelineEngine, TimelineQuery};
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::{Record, Stage};
use crate::thread::{MessageId, ThreadId};

/// How long one answer of the server is awaited.
const ANSWER: Duration = Duration::from_secs(5);

/// How long the server may be silent while it reads out what was asked for.
const SILENCE: Duration = Duration::from_secs(5);

/// How many bytes one message of the stream has at most: well under the server's own bound.
const MESSAGE_BYTES_MAX: usize = 256 << 10;

/// How many messages of the stream are read at most, above those asked for, rather than halving once more.
const READ_ON: u64 = 256;

/// How many messages of the stream the server sends at once.
const READ_AT_ONCE: usize = 256;

/// How many messages of the stream, from its end on, are looked through for a reply.
const LOOKED_THROUGH: u64 = 5_000;

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
        subjects: vec![format!("{subjects}.*.*.*")],
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

    fn erase(&self, threads: Vec<ThreadId>, act: bool) -> BoxFuture<'_, Result<Vec<u64>, Error>> {
        async move {
            let mut erased = Vec::with_capacity(threads.len());
            for thread in threads {
                erased.push(self.erase_one(thread, act).await?);
            }
            Ok(erased)
        }
        .boxed()
    }

    fn tidy(&self) -> BoxFuture<'_, Result<(), Error>> {
        // The server does.
        std::future::ready(Ok(())).boxed()
    }
}

impl TimelineStream {
    /// Erases or counts the records of one thread.
    async fn erase_one(&self, thread: ThreadId, act: bool) -> Result<u64, Error> {
        let filter = format!("{}.{thread}.*.*", self.subjects);
        let mut erased = 0;
        self.each(&filter, 1, |_, _| {
            erased += 1;
            true
        })
        .await?;
        if !act {
            return Ok(erased);
        }
        let stream = self.context.get_stream_no_info(&self.name).await;
        let stream = stream.map_err(|error| failed("use", &self.name, error))?;
        let purged = stream.purge().filter(filter).await;
        purged.map_err(|error| failed("erase from", &self.name, error))?;
        Ok(erased)
    }

    async fn publish(&self, lines: Vec<Line>) -> Result<(), Error> {
        let mut bodies: BTreeMap<String, String> = BTreeMap::new();
        for line in lines {
            let subject = self.subject(&line.record);
            let body = bodies.entry(subject.clone()).or_default();
            if body.len() + line.text.len() > MESSAGE_BYTES_MAX {
                let whole = std::mem::take(body);
                self.send(subject.clone(), whole).await?;
            }
            let body = bodies.entry(subject).or_default();
            body.push_str(&line.text);
            body.push('\n');
        }
        for (subject, body) in bodies {
            self.send(subject, body).await?;
        }
        Ok(())
    }

    fn subject(&self, record: &Record) -> String {
        let other = match record.stage {
            Stage::ReplySent { reply, .. } => reply,
            Stage::ReplyVisible { reply } => Some(reply),
            Stage::Bundled { turn } => Some(turn),
            _ => None,
        };
        let token =
            |sid: Option<MessageId>| sid.map_or_else(|| "-".to_owned(), |sid| sid.to_string());
        format!("{}.{}.{}.{}", self.subjects, record.thread, token(record.message), token(other))
    }

    async fn send(&self, subject: String, body: String) -> Result<(), Error> {
        let sent = self.client.publish(subject, body.into()).await;
        sent.map_err(|error| failed("write to", &self.name, error))
    }

    async fn read(&self, ask: TimelineQuery) -> Result<Found, Error> {
        let after = ask.after.as_deref().map(|text| text.parse::<u64>().map_err(|_| Error::Cursor));
        let after = after.transpose()?;
        let filters = match ask.subject {
            Subject::Thread(thread) => vec![format!("{}.{thread}.*.*", self.subjects)],
            Subject::ThreadAlone(thread) => vec![format!("{}.{thread}.-.-", self.subjects)],
            // Filters of one consumer may not overlap, and these do.
            Subject::Reply(reply) => return self.reply(reply, after, ask.limit).await,
            Subject::Everything => vec![format!("{}.*.*.*", self.subjects)],
            Subject::Message(message) => vec![
                format!("{}.*.{message}.*", self.subjects),
                format!("{}.*.*.{message}", self.subjects),
            ],
        };
        let mut lines = Vec::new();
        for filter in &filters {
            lines.extend(match after {
                Some(after) => self.first_after(filter, after, ask.limit).await?,
                None => self.last(filter, ask.limit).await?,
            });
        }
        lines.sort_by_key(|(at, _)| *at);
        Ok(page(lines, after, ask.limit))
    }

    /// The lines of a reply, of the stream's newest messages: no subject has a reply's id.
    async fn reply(&self, reply: Uuid, after: Option<u64>, limit: usize) -> Result<Found, Error> {
        let from = match after {
            Some(after) => after.saturating_add(1),
            None => {
                let stream = self.context.get_stream(&self.name).await;
                let stream = stream.map_err(|error| failed("read", &self.name, error))?;
                let last = stream.cached_info().state.last_sequence;
                last.saturating_sub(LOOKED_THROUGH).saturating_add(1)
            }
        };
        let wanted = format!("\"reply_id\":\"{reply}\"");
        let mut lines = Vec::new();
        self.each(&format!("{}.*.*.*", self.subjects), from, |at, line| {
            if line.contains(&wanted) {
                lines.push((at, line.to_owned()));
            }
            true
        })
        .await?;
        Ok(page(lines, after, limit))
    }

    /// The first lines behind a place, one more than asked for, and the rest of that message of the stream.
    async fn first_after(
        &self,
        filter: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, String)>, Error> {
        let mut lines = Vec::new();
        self.each(filter, after.saturating_add(1), |at, line| {
            let is_enough =
                lines.len() > limit && lines.last().is_some_and(|(last, _)| *last != at);
            if !is_enough {
                lines.push((at, line.to_owned()));
            }
            !is_enough
        })
        .await?;
        Ok(lines)
    }

    /// The newest lines, one more than asked for.
    async fn last(&self, filter: &str, limit: usize) -> Result<Vec<(u64, String)>, Error> {
        let from = self.near_end(filter, limit).await?;
        let mut lines = VecDeque::new();
        self.each(filter, from, |at, line| {
            lines.push_back((at, line.to_owned()));
            if lines.len() > limit + 1 {
                lines.pop_front();
            }
            true
        })
        .await?;
        Ok(lines.into())
    }

    /// A place of the stream from which on there are about so many messages, or a few more.
    async fn near_end(&self, filter: &str, limit: usize) -> Result<u64, Error> {
        let wanted = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        if self.count_from(filter, 1).await? <= wanted.saturating_add(READ_ON) {
            return Ok(1);
        }
        let stream = self.context.get_stream(&self.name).await;
        let stream = stream.map_err(|error| failed("read", &self.name, error))?;
        let state = &stream.cached_info().state;
        let (mut from, mut beyond) = (state.first_sequence, state.last_sequence.saturating_add(1));
        while beyond.saturating_sub(from) > 1 {
            let middle = from.midpoint(beyond);
            let count = self.count_from(filter, middle).await?;
            if count < wanted {
                beyond = middle;
            } else {
                from = middle;
                if count <= wanted.saturating_add(READ_ON) {
                    break;
                }
            }
        }
        Ok(from)
    }

    /// How many messages of some subjects there are from a place on.
    async fn count_from(&self, filter: &str, from: u64) -> Result<u64, Error> {
        let reading = self.consumer(filter, from).await?;
        let count = reading.cached_info().num_pending;
        self.forget(&reading).await;
        Ok(count)
    }

    /// Goes through all lines of some subjects that are there now, each with its place in the stream, for
    /// as long as it is wanted.
    async fn each(
        &self,
        filter: &str,
        from: u64,
        mut want: impl FnMut(u64, &str) -> bool,
    ) -> Result<(), Error> {
        let reading = self.consumer(filter, from).await?;
        let failing = |source: async_nats::Error| failed("read", &self.name, source);
        let mut left = reading.cached_info().num_pending;
        'reading: while left > 0 {
            let fetch = reading.fetch().max_messages(READ_AT_ONCE).expires(SILENCE);
            let mut batch = fetch.messages().await.map_err(|error| failing(error.into()))?;
            let before = left;
            while let Some(message) = batch.next().await {
                let message = message.map_err(failing)?;
                let info = message.info().map_err(failing)?;
                left = info.pending;
                let text = String::from_utf8_lossy(&message.payload);
                for line in text.lines() {
                    if !want(info.stream_sequence, line) {
                        break 'reading;
                    }
                }
            }
            if left == before {
                return Err(failing(Silent.into()));
            }
        }
        self.forget(&reading).await;
        Ok(())
    }

    async fn consumer(&self, filter: &str, from: u64) -> Result<Consumer<ConsumerConfig>, Error> {
        let config = ConsumerConfig {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from.max(1) },
            ack_policy: AckPolicy::None,
            filter_subject: filter.to_owned(),
            inactive_threshold: 2 * SILENCE,
            num_replicas: 1,
            memory_storage: true,
            ..ConsumerConfig::default()
        };
        let made = self.context.create_consumer_on_stream(config, self.name.as_str()).await;
        made.map_err(|error| failed("read", &self.name, error))
    }

    async fn forget(&self, reading: &Consumer<ConsumerConfig>) {
        let name = &reading.cached_info().name;
        let gone = self.context.delete_consumer_from_stream(name, &self.name).await;
        if let Err(error) = gone {
            tracing::debug!(error = %Chain(&error), "a consumer of the timeline is left to be forgotten");
        }
    }
}

/// Makes a page of what was read, in the stream's order.
fn page(mut lines: Vec<(u64, String)>, after: Option<u64>, limit: usize) -> Found {
    let last = lines.last().map(|(at, _)| *at).or(after);
    let mut found = Found { next: last.map(|at| at.to_string()), ..Found::default() };
    if lines.len() > limit {
        found.more = true;
        if after.is_none() {
            lines.drain(..lines.len() - limit);
        } else {
            // A page ends with a whole message of the stream; a large one makes it larger.
            let end = lines.get(limit - 1).map_or(0, |(at, _)| *at);
            lines.retain(|(at, _)| *at <= end);
            found.next = Some(end.to_string());
        }
    }
    found.lines = lines.into_iter().map(|(_, line)| line).collect();
    found
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

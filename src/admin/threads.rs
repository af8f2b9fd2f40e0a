//! The operator's route that finds threads: by sid, by a reply's id, by the last digits of an address; or
//! those of lately, those that wait longest, those that a person has.
//!
//! Decides what is looked for and what is shown; who knows threads is a [`ThreadDirectory`], which the composition
//! root brings. It checks nobody: [`super::operate`] mounts it behind its own guard. Nothing is walked
//! without a bound. Addresses are masked, and no more than six digits of one are taken: what is asked for
//! stands in a URL, and so in logs on the way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::handoff::LISTED_MAX;
use super::replies::Failed;
use crate::channels::KnownThreads;
use crate::channels::handover::Handover;
use crate::clock::{Clock, Timestamp};
use crate::http::problem::problem;
use crate::jobs::lane;
use crate::queue::{self, DocumentCursor, LanesAsked, OpenLane, QueueName, Store};
use crate::telemetry::chain::Chain;
use crate::thread::{MessageId, Thread, ThreadId};
use crate::timeline::{self, Subject, Timeline, TimelineQuery};

/// Rows of a page unless asked otherwise.
const LIMIT_DEFAULT: usize = 50;

/// The most rows of a page: each costs a read or two.
const LIMIT_MAX: usize = 200;

/// How many digits of an address may be named: fewer fit too many, more are nearly the whole of it.
const DIGITS: std::ops::RangeInclusive<usize> = 2..=6;

/// How long it may take to hear which threads a person has; rows without it say nothing of that.
const HANDOVER_LIMIT: Duration = Duration::from_secs(2);

/// How many records of the timeline the threads of lately are taken from.
const LATELY_RECORDS: usize = timeline::PAGE_MAX;

/// Knows threads and their addresses.
pub trait ThreadDirectory: Send + Sync {
    /// The thread that an id names; none if nothing is known of it.
    ///
    /// # Errors
    ///
    /// If the store did not say.
    fn thread(&self, id: ThreadId) -> BoxFuture<'_, Result<Option<Thread>, Failed>>;

    /// Some threads whose other address ends with these digits, from where an earlier look ended.
    ///
    /// # Errors
    ///
    /// If the store did not say.
    fn ending<'a>(
        &'a self,
        digits: &'a str,
        after: Option<DocumentCursor>,
    ) -> BoxFuture<'a, Result<KnownThreads, Failed>>;
}

/// What finds threads.
#[derive(Clone)]
pub struct ThreadSearch {
    /// Knows them.
    pub directory: Arc<dyn ThreadDirectory>,
    /// Knows which of them a person has.
    pub handover: Arc<dyn Handover>,
    /// Holds what waits in them.
    pub store: Store,
    /// Tells what happened in them; none where none is kept.
    pub timeline: Option<Timeline>,
    /// Reads the time.
    pub clock: Clock,
}

/// What is looked for.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ThreadsQuery {
    /// A sid, a reply's id, or the last digits of an address.
    pub find: Option<String>,
    /// Without `find`: which threads.
    pub show: ThreadList,
    /// Where an earlier page ended.
    pub after: Option<String>,
    /// How many rows at most.
    pub limit: Option<usize>,
}

/// Which threads are shown where none is looked for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ThreadList {
    /// Those in which something happened lately, the latest first.
    #[default]
    Recent,
    /// Those whose oldest job waits longest.
    Waiting,
    /// Those that a person has.
    Paused,
}

impl ThreadList {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recent => "recent",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
        }
    }
}

/// One thread.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ThreadRow {
    /// Its id.
    pub thread: String,
    /// By what it goes: `conversation`, or a medium's word.
    pub channel: Option<String>,
    /// Our address, masked, where it is of two addresses.
    pub ours: Option<String>,
    /// The other's address, masked.
    pub theirs: Option<String>,
    /// Whether a person has it; nothing where that was not to be found out.
    pub paused: Option<bool>,
    /// Since when that is known.
    pub paused_since: Option<String>,
    /// Jobs that wait in it, in all queues.
    pub waiting: u64,
    /// Jobs that are worked on.
    pub out: u64,
    /// Milliseconds since its oldest open job was appended.
    pub oldest_age_ms: Option<u64>,
    /// When something happened in it last, as far as that was looked at.
    pub last_at: Option<String>,
    /// What that was: a stage's word.
    pub last: Option<String>,
}

/// A page of threads.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ThreadsPage {
    /// The rows.
    pub threads: Vec<ThreadRow>,
    /// Where a further look goes on.
    pub next: Option<String>,
}

/// Says why nothing was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was looked for is no sid, id or ending.
    #[error(
        "`find` is CH…, TH…, IM…, SM… or MM… with 32 hexadecimal digits, a reply's id, or the last 2 to 6 \
         digits of an address"
    )]
    Find,
    /// Too much of an address was named.
    #[error(
        "at most the last 6 digits of an address are named here, where they stand in a URL; POST the whole \
         of it to /v1/threads/find"
    )]
    Address,
    /// More rows were asked for than a page has.
    #[error("`limit` is 1 to {LIMIT_MAX}")]
    Limit,
    /// The store did not say.
    #[error("the store did not say")]
    Queue(#[from] queue::Error),
    /// The timeline did not say.
    #[error("the timeline did not say")]
    Timeline(#[from] timeline::Error),
    /// Who knows threads did not say.
    #[error("the threads were not to be found out")]
    ThreadDirectory(#[from] Failed),
}

/// Something that is looked for.
#[derive(Clone, Debug, Eq, PartialEq)]
enum ThreadSought {
    Thread(ThreadId),
    Message(MessageId),
    Reply(Uuid),
    Ending(String),
}

/// A thread that is to be shown, with what is known of it by how it was found.
#[derive(Clone, Debug)]
struct ThreadFound {
    id: ThreadId,
    thread: Option<Thread>,
    last: Option<(String, String)>,
}

impl ThreadFound {
    const fn of(id: ThreadId) -> Self {
        Self { id, thread: None, last: None }
    }
}

impl ThreadSought {
    fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if let Ok(thread) = text.parse() {
            return Ok(Self::Thread(thread));
        }
        if let Ok(message) = text.parse() {
            return Ok(Self::Message(message));
        }
        if let Ok(reply) = text.parse() {
            return Ok(Self::Reply(reply));
        }
        // As people write numbers, and as they are shown here.
        let marks = |c: char| matches!(c, ' ' | '-' | '.' | '(' | ')' | '+' | '…' | '•');
        let address = text.rsplit_once(':').map_or(text, |(_, number)| number);
        let digits: String = address.chars().filter(|&c| !marks(c)).collect();
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        match digits.len() {
            _ if !is_number => Err(Error::Find),
            length if DIGITS.contains(&length) => Ok(Self::Ending(digits)),
            length if length > *DIGITS.end() => Err(Error::Address),
            _ => Err(Error::Find),
        }
    }
}

impl ThreadSearch {
    /// Finds threads.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn find(&self, query: &ThreadsQuery) -> Result<ThreadsPage, Error> {
        let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Error::Limit);
        }
        let paused = tokio::time::timeout(HANDOVER_LIMIT, self.handover.paused(LISTED_MAX)).await;
        let paused: Option<HashMap<ThreadId, Timestamp>> =
            paused.ok().map(|all| all.iter().map(|of| (of.thread, of.since)).collect());
        let find = query.find.as_deref().filter(|find| !find.trim().is_empty());
        let (mut found, next) = match find.map(ThreadSought::parse).transpose()? {
            Some(wanted) => self.those(wanted, query.after.as_deref()).await?,
            None => match query.show {
                ThreadList::Recent => (self.recent().await?, None),
                ThreadList::Waiting => (self.waiting(limit).await?, None),
                ThreadList::Paused => {
                    let mut all: Vec<_> = paused.iter().flatten().collect();
                    all.sort_by_key(|(_, since)| std::cmp::Reverse(**since));
                    (all.into_iter().map(|(id, _)| ThreadFound::of(*id)).collect(), None)
                }
            },
        };
        found.truncate(limit);
        Ok(ThreadsPage { threads: self.rows(found, paused.as_ref()).await?, next })
    }

    async fn those(
        &self,
        wanted: ThreadSought,
        after: Option<&str>,
    ) -> Result<(Vec<ThreadFound>, Option<String>), Error> {
        let subject = match wanted {
            ThreadSought::Thread(id) => return Ok((vec![ThreadFound::of(id)], None)),
            ThreadSought::Message(message) => Subject::Message(message),
            ThreadSought::Reply(reply) => Subject::Reply(reply),
            ThreadSought::Ending(digits) => {
                let after = after.map(DocumentCursor::from_text);
                let known = self.directory.ending(&digits, after).await?;
                let next = known.next.map(|next| next.as_text().to_owned());
                let found = known.threads.into_iter().map(|(thread, noted)| ThreadFound {
                    id: thread.id(),
                    thread: Some(thread),
                    last: Some((noted.to_string(), "noted".to_owned())),
                });
                return Ok((found.collect(), next));
            }
        };
        Ok((self.told(subject, 1).await?, None))
    }

    /// The threads of some records, that of the newest first.
    async fn told(&self, subject: Subject, limit: usize) -> Result<Vec<ThreadFound>, Error> {
        let Some(timeline) = &self.timeline else { return Ok(Vec::new()) };
        let page = timeline.read(TimelineQuery { subject, after: None, limit }).await?;
        let mut found: Vec<ThreadFound> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for record in page.records.iter().rev() {
            let Some(id) = record["conversation"].as_str().and_then(|id| id.parse().ok()) else {
                continue;
            };
            if seen.insert(id) {
                let at = Timestamp::from_millis(record["at"].as_i64().unwrap_or_default());
                let stage = record["stage"].as_str().unwrap_or_default().to_owned();
                let last = Some((at.to_string(), stage));
                found.push(ThreadFound { id, thread: None, last });
            }
        }
        Ok(found)
    }

    async fn recent(&self) -> Result<Vec<ThreadFound>, Error> {
        self.told(Subject::Everything, LATELY_RECORDS).await
    }

    async fn waiting(&self, limit: usize) -> Result<Vec<ThreadFound>, Error> {
        let mut all: Vec<OpenLane> = Vec::new();
        for queue in QueueName::ALL {
            all.extend(self.store.queue(queue).open_lanes(LanesAsked::Oldest(limit)).await?);
        }
        all.sort_by_key(|lane| std::cmp::Reverse(lane.oldest_age));
        let mut seen = std::collections::HashSet::new();
        let threads = all.iter().filter_map(|lane| lane.key.as_str().parse::<ThreadId>().ok());
        Ok(threads.filter(|id| seen.insert(*id)).map(ThreadFound::of).collect())
    }

    async fn rows(
        &self,
        found: Vec<ThreadFound>,
        paused: Option<&HashMap<ThreadId, Timestamp>>,
    ) -> Result<Vec<ThreadRow>, Error> {
        let keys: Vec<_> = found.iter().map(|of| lane(of.id)).collect();
        let mut open: HashMap<String, Vec<OpenLane>> = HashMap::new();
        for queue in QueueName::ALL {
            let lanes = self.store.queue(queue).open_lanes(LanesAsked::Of(keys.clone())).await?;
            for lane in lanes {
                open.entry(lane.key.as_str().to_owned()).or_default().push(lane);
            }
        }
        let mut rows = Vec::with_capacity(found.len());
        for ThreadFound { id, thread, last } in found {
            let thread = match thread {
                Some(thread) => Some(thread),
                None => self.directory.thread(id).await?,
            };
            let name = id.to_string();
            let lanes = open.get(&name).map(Vec::as_slice).unwrap_or_default();
            let age = lanes.iter().map(|lane| lane.oldest_age).max();
            let (last_at, last) = last.unzip();
            rows.push(ThreadRow {
                channel: thread.as_ref().map(|thread| thread.channel().to_owned()),
                ours: thread.as_ref().and_then(Thread::ours).map(|ours| ours.masked()),
                theirs: thread.as_ref().and_then(Thread::theirs).map(|theirs| theirs.masked()),
                paused: paused.map(|paused| paused.contains_key(&id)),
                paused_since: paused.and_then(|all| all.get(&id)).map(Timestamp::to_string),
                waiting: lanes.iter().map(|lane| lane.waiting).sum(),
                out: lanes.iter().map(|lane| lane.out).sum(),
                oldest_age_ms: age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
                thread: name,
                last_at,
                last,
            });
        }
        Ok(rows)
    }
}

/// Makes the route.
pub fn router(threads: ThreadSearch) -> Router {
    Router::new().route("/v1/threads", get(list)).with_state(threads)
}

async fn list(
    State(threads): State<ThreadSearch>,
    query: Result<Query<ThreadsQuery>, QueryRejection>,
) -> Response {
    let Ok(Query(query)) = query else {
        let detail = "wanted find, or show (recent, waiting or paused), and after or limit";
        return problem(StatusCode::BAD_REQUEST, "invalid_query", detail);
    };
    match threads.find(&query).await {
        Ok(page) => Json(page).into_response(),
        Err(error @ (Error::Find | Error::Address | Error::Limit)) => {
            problem(StatusCode::BAD_REQUEST, "invalid_query", &error.to_string())
        }
        Err(error) => {
            tracing::error!(error = %Chain(&error), "threads could not be looked for");
            let detail = "the store or the timeline failed; see the log";
            problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
        }
    }
}

#[cfg(test)]
mod tests;

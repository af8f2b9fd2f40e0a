//! What an operator does with the queues: look, redrive, drop.
//!
//! Decides what is shown of a dead letter, how a listing runs over several queues, and how many
//! letters one call may touch. Used by the admin listener on the service's own store, and by the
//! command line on a store that no service has open. What it gives are plain values, the same that
//! travel as JSON. Lists hold no text and no address; a payload is masked unless asked otherwise. Time
//! is read for the border of a bulk call.

mod act;
mod causes;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::act::{Bulk, BulkBounds, SettleError, SettledLetters};
pub use self::causes::{CauseLine, Causes};
use super::mask;
use super::notes::Notes;
use crate::clock::{Clock, Timestamp};
use crate::pipeline::awaited;
use crate::queue::{
    Attempt, Cause, Cursor, DeadSummary, Error, Filter, JobId, Key, Page, QueueName, Store,
};
use crate::telemetry::journal::OperatorAct;

/// The most letters that one page shows or one bulk call touches.
pub const LETTERS_MAX: u32 = Page::LIMIT_MAX;

/// Works on the queues of one store.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    store: Store,
    clock: Clock,
    /// Where it is noted what was done; nowhere where no service runs.
    notes: Option<Notes>,
}

/// One queue's counts.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct QueueCounts {
    /// The queue's name.
    pub queue: String,
    /// Jobs that may go out.
    pub ready: u64,
    /// Jobs that wait for their time.
    pub delayed: u64,
    /// Jobs that are being worked on.
    pub leased: u64,
    /// Jobs that are kept until a person or an agent says so.
    #[serde(default, deserialize_with = "crate::json::null_as_default")]
    pub held: u64,
    /// Dead letters.
    pub dead: u64,
    /// Milliseconds since the oldest open job was appended that is not held.
    pub oldest_age_ms: Option<u64>,
}

/// Selects dead letters; the default selects all.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// Of this queue only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// With a last cause of this class only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// With this code of the other side only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
    /// Of this thread only, CH… or TH….
    #[serde(alias = "thread", skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// That died at this time or later only, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// That died before this time only, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// One line of a listing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LetterLine {
    /// The queue's name.
    pub queue: String,
    /// Names the job within its queue.
    pub id: String,
    /// The conversation, or what may be shown of another lane.
    pub conversation: String,
    /// Attempts that failed.
    pub attempts: u32,
    /// When the job was appended.
    pub appended_at: String,
    /// When it died.
    pub died_at: String,
    /// Why it died.
    pub cause: CauseShown,
}

/// Why an attempt failed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CauseShown {
    /// A word of a closed set.
    pub class: String,
    /// The other side's code.
    pub code: Option<u32>,
    /// A sentence for the operator.
    pub detail: String,
}

/// One page of a listing, queue by queue, oldest append first.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Listing {
    /// The lines.
    pub letters: Vec<LetterLine>,
    /// Where the next page starts; `None` after the last.
    pub next: Option<String>,
}

/// One failed attempt.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AttemptShown {
    /// Counts from 1.
    pub attempt: u32,
    /// When it failed.
    pub at: String,
    /// Why.
    pub cause: CauseShown,
}

/// One dead letter with its history.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LetterShown {
    /// What the listing shows.
    #[serde(flatten)]
    pub line: LetterLine,
    /// The first and the last failed attempts.
    pub history: Vec<AttemptShown>,
    /// Whether the payload is shown as it is.
    pub revealed: bool,
    /// The payload, masked unless revealed.
    pub payload: Value,
}

/// What becomes of dead letters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LetterFate {
    /// They become open jobs again.
    Redrive,
    /// They are forgotten.
    Drop,
}

impl LetterFate {
    /// Gives the verb, as it stands in paths and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Redrive => "redrive",
            Self::Drop => "drop",
        }
    }
}

/// Names one dead letter: `outbox/5b9ef340c0227817947b7125b44b715c`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Target {
    /// The queue.
    pub queue: QueueName,
    /// The job.
    pub id: JobId,
}

/// Says that a text names no dead letter.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a dead letter: wanted joins/, inbox/, outbox/ or reports/ and 32 hexadecimal digits")]
pub struct ParseTargetError;

impl FromStr for Target {
    type Err = ParseTargetError;

    fn from_str(text: &str) -> Result<Self, ParseTargetError> {
        let (queue, id) = text.split_once('/').ok_or(ParseTargetError)?;
        let queue = queue_named(queue).ok_or(ParseTargetError)?;
        Ok(Self { queue, id: id.parse().map_err(|_| ParseTargetError)? })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.queue, self.id)
    }
}

impl DeadLetters {
    /// Takes its place at a store.
    #[must_use]
    pub const fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, notes: None }
    }

    /// Has what is done noted in the threads' timelines.
    #[must_use]
    pub fn noting(self, notes: Notes) -> Self {
        Self { notes: Some(notes), ..self }
    }

    /// Counts every queue's jobs.
    ///
    /// # Errors
    ///
    /// As [`crate::queue::Queue::stats`].
    pub async fn queues(&self) -> Result<Vec<QueueCounts>, Error> {
        let mut counts = Vec::with_capacity(QueueName::ALL.len());
        for queue in QueueName::ALL {
            let stats = self.store.queue(queue).stats().await?;
            let age = stats.oldest_age.map(|age| u64::try_from(age.as_millis()));
            counts.push(QueueCounts {
                queue: queue.to_string(),
                ready: stats.ready,
                delayed: stats.delayed,
                leased: stats.leased,
                held: stats.held,
                dead: stats.dead,
                oldest_age_ms: age.map(|age| age.unwrap_or(u64::MAX)),
            });
        }
        Ok(counts)
    }

    /// Lists dead letters from where an earlier page ended.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the selection, the cursor or the limit is malformed, or a storage error.
    pub async fn list(
        &self,
        selection: &Selection,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Listing, Error> {
        let wanted = self.parse(selection).await?;
        let (found, next) = self.page(&wanted, cursor, limit).await?;
        let letters = found.iter().map(|(queue, summary)| line(*queue, summary)).collect();
        Ok(Listing { letters, next: next.map(|place| place.to_string()) })
    }

    /// Shows one dead letter; `reveal` shows what people wrote, too.
    ///
    /// # Errors
    ///
    /// [`Error::NoDeadLetter`], or a storage error.
    pub async fn show(&self, target: Target, reveal: bool) -> Result<LetterShown, Error> {
        let letter = self.store.queue(target.queue).show(target.id).await?;
        if reveal {
            tracing::info!(job_id = %target.id, "operator asked to see a dead letter's text");
            self.note(Some(&letter.summary.key), OperatorAct::Revealed);
        }
        let payload =
            if reveal { revealed(&letter.payload) } else { mask::payload(&letter.payload) };
        Ok(LetterShown {
            line: line(target.queue, &letter.summary),
            history: letter.attempts.iter().map(attempt).collect(),
            revealed: reveal,
            payload,
        })
    }

    /// Understands a selection. Of a thread are its own lanes, and those of its turns that wait for a later
    /// answer, which do not name it.
    async fn parse(&self, selection: &Selection) -> Result<ParsedSelection, Error> {
        let mut wanted = ParsedSelection::parse(selection)?;
        let thread = selection.conversation.as_deref().and_then(|thread| thread.parse().ok());
        if let (Some(thread), Some(keys)) = (thread, &mut wanted.filter.keys) {
            let reports = self.store.queue(QueueName::Reports);
            keys.extend(awaited::lanes(&reports, thread).await?);
        }
        Ok(wanted)
    }

    async fn page(
        &self,
        wanted: &ParsedSelection,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<(Vec<(QueueName, DeadSummary)>, Option<QueueCursor>), Error> {
        if !(1..=LETTERS_MAX).contains(&limit) {
            return Err(Error::Invalid { what: "limit is 1 to 1000" });
        }
        let start = cursor.map(QueueCursor::parse).transpose()?;
        let mut found = Vec::new();
        let mut left = limit;
        for queue in wanted.queues_from(start) {
            if left == 0 {
                return Ok((found, Some(QueueCursor { queue, after: None })));
            }
            let after = start.filter(|place| place.queue == queue).and_then(|place| place.after);
            let page = Page { after, limit: left };
            let letters = self.store.queue(queue).list(wanted.filter.clone(), page).await?;
            let count = u32::try_from(letters.letters.len()).unwrap_or(left);
            left = left.saturating_sub(count);
            found.extend(letters.letters.into_iter().map(|letter| (queue, letter)));
            if letters.next.is_some() {
                return Ok((found, Some(QueueCursor { queue, after: letters.next })));
            }
        }
        Ok((found, None))
    }
}

/// A selection that was understood.
struct ParsedSelection {
    queue: Option<QueueName>,
    filter: Filter,
}

impl ParsedSelection {
    fn parse(selection: &Selection) -> Result<Self, Error> {
        let queue = match selection.queue.as_deref() {
            Some(name) => Some(
                queue_named(name)
                    .ok_or(Error::Invalid { what: "queue is joins, inbox, outbox or reports" })?,
            ),
            None => None,
        };
        let key = selection.conversation.as_deref().map(Key::new).transpose()?;
        let keys = key.map(|key| vec![key]);
        let time = |text: &Option<String>, what: &'static str| match text.as_deref() {
            Some(text) => Timestamp::parse_rfc3339(text).map(Some).ok_or(Error::Invalid { what }),
            None => Ok(None),
        };
        let since = time(&selection.since, "since is a time like 2026-11-21T04:00:00Z")?;
        let before = time(&selection.before, "before is a time like 2026-11-21T04:00:00Z")?;
        let (class, code) = (selection.class.clone(), selection.code);
        Ok(Self { queue, filter: Filter { keys, class, code, since, before } })
    }

    fn queues_from(&self, start: Option<QueueCursor>) -> impl Iterator<Item = QueueName> {
        QueueName::ALL
            .into_iter()
            .filter(move |queue| self.queue.is_none_or(|wanted| wanted == *queue))
            .skip_while(move |queue| start.is_some_and(|start| *queue < start.queue))
    }
}

/// A place in a listing over several queues: `outbox` at its start, `outbox:17` within.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct QueueCursor {
    queue: QueueName,
    after: Option<Cursor>,
}

impl QueueCursor {
    fn parse(text: &str) -> Result<Self, Error> {
        let invalid = || Error::Invalid { what: "cursor is what an earlier page gave as next" };
        let (queue, after) = match text.split_once(':') {
            Some((queue, after)) => (queue, Some(after.parse().map_err(|_| invalid())?)),
            None => (text, None),
        };
        Ok(Self { queue: queue_named(queue).ok_or_else(invalid)?, after })
    }
}

impl fmt::Display for QueueCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.after {
            Some(after) => write!(f, "{}:{after}", self.queue),
            None => write!(f, "{}", self.queue),
        }
    }
}

/// Finds a queue by its name.
pub(super) fn queue_named(name: &str) -> Option<QueueName> {
    QueueName::ALL.into_iter().find(|queue| queue.as_str() == name)
}

fn line(queue: QueueName, summary: &DeadSummary) -> LetterLine {
    LetterLine {
        queue: queue.to_string(),
        id: summary.id.to_string(),
        conversation: mask::lane(summary.key.as_str()),
        attempts: summary.attempts,
        appended_at: summary.appended_at.to_string(),
        died_at: summary.died_at.to_string(),
        cause: cause(&summary.cause),
    }
}

fn attempt(attempt: &Attempt) -> AttemptShown {
    AttemptShown {
        attempt: attempt.number,
        at: attempt.at.to_string(),
        cause: cause(&attempt.cause),
    }
}

fn cause(cause: &Cause) -> CauseShown {
    CauseShown {
        class: cause.class.clone().into_owned(),
        code: cause.code,
        detail: cause.detail.clone(),
    }
}

/// The payload as it is; bytes that are no text are told by their number.
fn revealed(payload: &[u8]) -> Value {
    serde_json::from_slice(payload).unwrap_or_else(|_| match std::str::from_utf8(payload) {
        Ok(text) => Value::String(text.to_owned()),
        Err(_) => mask::payload(payload),
    })
}

#[cfg(test)]
pub(crate) mod tests;

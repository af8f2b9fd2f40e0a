//! What people and metrics see of a queue: counts and dead letters.
//!
//! Plain values; decides nothing. A [`DeadLetter`] holds a payload, so its `Debug` prints the length.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Cause, JobId, Key};
use crate::clock::Timestamp;

/// Counts of one queue at one time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Jobs that may go out, or will as soon as those before them in their lane are settled.
    pub ready: u64,
    /// Jobs that wait for their own time.
    pub delayed: u64,
    /// Jobs that are out with a consumer or being settled.
    pub leased: u64,
    /// Dead letters.
    pub dead: u64,
    /// How long ago the oldest open job was appended; `None` without open jobs.
    pub oldest_age: Option<Duration>,
}

/// Where one job is in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JobState {
    /// It waits, or is out.
    Open,
    /// It was acknowledged, or was a dead letter that was dropped.
    Done,
    /// It is a dead letter.
    Dead,
}

/// What is remembered of one job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct JobStatus {
    /// When it was appended.
    pub appended_at: Timestamp,
    /// Where it is now.
    pub state: JobState,
}

/// One failed attempt of a job.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attempt {
    /// Counts from 1 over the whole life of the job, redrives included.
    pub number: u32,
    /// When it was settled.
    pub at: Timestamp,
    /// Why it failed.
    pub cause: Cause,
}

/// Selects dead letters; the default selects all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filter {
    /// Of this key only.
    pub key: Option<Key>,
    /// With a last cause of this class only.
    pub class: Option<String>,
    /// That died before this time only.
    pub before: Option<Timestamp>,
}

/// Selects a part of a long listing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Page {
    /// Where the previous page ended.
    pub after: Option<Cursor>,
    /// How many at most; 1 to [`Page::LIMIT_MAX`].
    pub limit: u32,
}

impl Page {
    /// The longest page.
    pub const LIMIT_MAX: u32 = 1000;
}

impl Default for Page {
    /// The first hundred.
    fn default() -> Self {
        Self { after: None, limit: 100 }
    }
}

/// Points between two dead letters of a listing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cursor(pub(super) i64);

impl fmt::Display for Cursor {
    /// A number that means something to the store alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Says that a text is no cursor.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a place in a listing: wanted what an earlier page gave")]
pub struct ParseCursorError;

impl FromStr for Cursor {
    type Err = ParseCursorError;

    fn from_str(text: &str) -> Result<Self, ParseCursorError> {
        text.parse().map(Self).map_err(|_| ParseCursorError)
    }
}

/// One page of a listing, oldest append first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeadLetters {
    /// The letters of this page.
    pub letters: Vec<DeadSummary>,
    /// Where the next page starts; `None` after the last.
    pub next: Option<Cursor>,
}

/// One line of a listing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeadSummary {
    /// Names the job.
    pub id: JobId,
    /// Its lane.
    pub key: Key,
    /// When it was appended.
    pub appended_at: Timestamp,
    /// When it died.
    pub died_at: Timestamp,
    /// Attempts that failed with a cause, over its whole life.
    pub attempts: u32,
    /// Why it died.
    pub cause: Cause,
}

/// One dead letter with everything that is known.
#[derive(Clone, Eq, PartialEq)]
pub struct DeadLetter {
    /// What the listing shows.
    pub summary: DeadSummary,
    /// What the consumer got.
    pub payload: Vec<u8>,
    /// The first 5 and the last 45 failed attempts.
    pub attempts: Vec<Attempt>,
}

impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("summary", &self.summary)
            .field("payload_bytes", &self.payload.len())
            .field("attempts", &self.attempts)
            .finish()
    }
}

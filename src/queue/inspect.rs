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
    /// Jobs that are kept until somebody else says so, and those behind them: see
    /// [`Delivery::shelve`](super::Delivery::shelve).
    pub held: u64,
    /// Dead letters.
    pub dead: u64,
    /// How long ago the oldest open job was appended that is not held; `None` without one.
    pub oldest_age: Option<Duration>,
}

impl Stats {
    /// Jobs that are not settled.
    #[must_use]
    pub const fn open(&self) -> u64 {
        self.ready + self.delayed + self.leased + self.held
    }
}

/// How many lanes are told of at once at most.
pub const LANES_MAX: usize = 1000;

/// Of which lanes is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LanesAsked {
    /// Of those of these keys.
    Of(Vec<Key>),
    /// Of so many whose oldest job was appended first.
    Oldest(usize),
}

impl LanesAsked {
    /// How many there are at most.
    pub(super) const fn most(&self) -> usize {
        match self {
            Self::Of(keys) => keys.len(),
            Self::Oldest(count) => *count,
        }
    }
}

/// The open jobs of one key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OpenLane {
    /// The key.
    pub key: Key,
    /// Jobs that wait.
    pub waiting: u64,
    /// Jobs that are out with a consumer or being settled.
    pub out: u64,
    /// How long ago the oldest of them was appended.
    pub oldest_age: Duration,
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
    /// Of these keys only.
    pub keys: Option<Vec<Key>>,
    /// With a last cause of this class only.
    pub class: Option<String>,
    /// With this code of the other side only.
    pub code: Option<u32>,
    /// That died at this time or later only.
    pub since: Option<Timestamp>,
    /// That died before this time only.
    pub before: Option<Timestamp>,
}

/// How many dead letters one look at their causes reads at most: what takes a fraction of a second.
pub const CAUSE_LETTERS_MAX: u32 = 100_000;

/// Dead letters of one queue counted by cause.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DeadCauses {
    /// The causes, the most frequent first.
    pub causes: Vec<DeadCause>,
    /// Whether that is all: false where there are more letters than were to be read.
    pub is_whole: bool,
}

/// The dead letters that died of one cause.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeadCause {
    /// Its class.
    pub class: String,
    /// The other side's code, if it gave one.
    pub code: Option<u32>,
    /// How many there are.
    pub count: u64,
    /// When the first of them died.
    pub oldest: Timestamp,
    /// When the last of them died.
    pub newest: Timestamp,
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

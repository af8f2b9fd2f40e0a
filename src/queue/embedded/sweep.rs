//! Forgets what is older than its retention, and the oldest when room gets short.
//!
//! Walks the jobs in the order of their appends, a bounded number at a step, so that appends wait for
//! one step at most. Open jobs are never touched. Reads no clock: ticks bring the time.

use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::documents;
use crate::clock::Timestamp;

/// How many jobs one step looks at; it deletes as many at most.
const JOBS_PER_STEP: i64 = 256;

/// How many ticks pass between two walks when nothing presses: a minute.
const TICKS_BETWEEN_WALKS: u32 = 120;

/// How long things are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retention {
    pub(super) done: Duration,
    pub(super) dead: Duration,
    /// Past this many pages in use the oldest settled jobs go before their time.
    pub(super) pages_max: i64,
}

/// Where the walk is.
#[derive(Debug)]
pub(super) struct Sweep {
    retention: Retention,
    state: State,
    /// What the next walk may take before its time.
    pressure: Pressure,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Resting { ticks_left: u32 },
    Walking { after: i64, now: Timestamp, deleted: bool },
}

/// What may go before its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pressure {
    Nothing,
    Done,
    DoneAndDead,
}

impl Sweep {
    pub(super) const fn new(retention: Retention) -> Self {
        Self { retention, state: State::Resting { ticks_left: 0 }, pressure: Pressure::Nothing }
    }

    /// Whether there are steps to do now.
    pub(super) const fn is_behind(&self) -> bool {
        match self.state {
            State::Resting { .. } => false,
            State::Walking { .. } => true,
        }
    }

    /// Starts a walk when it is time to, or when room gets short.
    pub(super) fn tick(&mut self, db: &Connection, now: Timestamp) -> rusqlite::Result<()> {
        let State::Resting { ticks_left } = self.state else { return Ok(()) };
        let is_short = pages_in_use(db)? > self.retention.pages_max;
        if !is_short {
            self.pressure = Pressure::Nothing;
        } else if self.pressure == Pressure::Nothing {
            self.pressure = Pressure::Done;
        }
        self.state = if is_short || ticks_left == 0 {
            State::Walking { after: 0, now, deleted: false }
        } else {
            State::Resting { ticks_left: ticks_left - 1 }
        };
        Ok(())
    }

    /// Looks at some jobs and forgets those whose time has come.
    pub(super) fn step(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let State::Walking { after, now, deleted } = self.state else { return Ok(()) };
        if self.pressure != Pressure::Nothing
            && deleted
            && pages_in_use(db)? <= self.retention.pages_max
        {
            self.rest();
            return Ok(());
        }
        documents::forget(db, now.before(self.retention.done))?;
        let found = self.look(db, after, now)?;
        if !found.expired.is_empty() {
            forget(db, &found.expired)?;
        }
        let deleted = deleted || !found.expired.is_empty();
        match found.next {
            Some(after) => self.state = State::Walking { after, now, deleted },
            None => {
                if self.pressure == Pressure::Done && !deleted {
                    self.pressure = Pressure::DoneAndDead;
                }
                self.rest();
            }
        }
        Ok(())
    }

    /// Ends the walk early; the next one starts over.
    pub(super) const fn rest(&mut self) {
        self.state = State::Resting { ticks_left: TICKS_BETWEEN_WALKS };
    }

    /// Finds what has expired among the next jobs, and where to go on.
    fn look(&self, db: &Connection, after: i64, now: Timestamp) -> rusqlite::Result<ExpiredFound> {
        let keep_done = now.before(self.retention.done);
        let keep_dead = now.before(self.retention.dead);
        let mut statement = db.prepare_cached(
            "SELECT seq, state, created_at, changed_at FROM jobs WHERE seq > ?1
             ORDER BY seq LIMIT ?2",
        )?;
        let mut rows = statement.query(params![after, JOBS_PER_STEP])?;
        let mut found = ExpiredFound { expired: Vec::new(), next: None };
        let mut seen = 0;
        while let Some(row) = rows.next()? {
            let (seq, state): (i64, i64) = (row.get(0)?, row.get(1)?);
            let created_at = Timestamp::from_millis(row.get(2)?);
            let changed_at = Timestamp::from_millis(row.get(3)?);
            if self.pressure == Pressure::Nothing && created_at > keep_done.max(keep_dead) {
                return Ok(found); // What follows is younger still.
            }
            let expired = match state {
                1 => self.pressure != Pressure::Nothing || changed_at <= keep_done,
                2 => self.pressure == Pressure::DoneAndDead || changed_at <= keep_dead,
                _ => false,
            };
            if expired {
                found.expired.push(seq);
            }
            found.next = Some(seq);
            seen += 1;
        }
        if seen < JOBS_PER_STEP {
            found.next = None;
        }
        Ok(found)
    }
}

struct ExpiredFound {
    expired: Vec<i64>,
    /// Where the next step starts; `None` at the end of the walk.
    next: Option<i64>,
}

fn forget(db: &Connection, expired: &[i64]) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
    for text in [
        "DELETE FROM payloads WHERE seq = ?1",
        "DELETE FROM attempts WHERE seq = ?1",
        "DELETE FROM dead WHERE seq = ?1",
        "DELETE FROM jobs WHERE seq = ?1",
    ] {
        let mut statement = transaction.prepare_cached(text)?;
        for seq in expired {
            statement.execute([seq])?;
        }
    }
    transaction.commit()
}

fn pages_in_use(db: &Connection) -> rusqlite::Result<i64> {
    let pages: i64 = db.prepare_cached("PRAGMA page_count")?.query_row([], |row| row.get(0))?;
    let free: i64 = db.prepare_cached("PRAGMA freelist_count")?.query_row([], |row| row.get(0))?;
    Ok(pages - free)
}

//! Redriving and dropping: one, chosen ones, or all that a selection fits, whose number is known first.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{DeadLetters, LETTERS_MAX, LetterFate, Selection, Target};
use crate::clock::Timestamp;
use crate::queue::{self, DeadSummary, Filter, Key, QueueName};
use crate::telemetry::journal::OperatorAct;

/// What a bulk call did.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Bulk {
    /// Letters that were redriven or dropped.
    pub done: u64,
    /// Whether there may be others that the selection fits.
    pub more: bool,
    /// The selection's border in time; a call that goes on passes it again, so that what dies once
    /// more in between is left alone.
    pub before: String,
}

/// What became of chosen letters.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SettledLetters {
    /// Letters that were redriven or dropped.
    pub done: u64,
    /// Those that are no dead letters, or no more.
    pub missing: Vec<String>,
}

/// How many a bulk call may touch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BulkBounds {
    /// At most so many in this call, 1 to [`LETTERS_MAX`].
    pub limit: u32,
    /// How many the selection was said to fit when somebody agreed; none of them is touched if it is more.
    pub expected: Option<u64>,
}

impl Default for BulkBounds {
    fn default() -> Self {
        Self { limit: LETTERS_MAX, expected: None }
    }
}

/// Says why letters were not redriven or dropped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettleError {
    /// There are more than somebody agreed to.
    #[error(
        "the selection fits {found} dead letters by now, and {expected} were agreed to: nothing was \
         done; look again, or name a time in `before`"
    )]
    More {
        /// How many there were to be.
        expected: u64,
        /// How many there are at least.
        found: u64,
    },
    /// Too many were chosen at once.
    #[error("at most {LETTERS_MAX} dead letters are chosen at once")]
    TooMany,
    /// The store did not do it, or the selection is malformed.
    #[error(transparent)]
    Queue(#[from] queue::Error),
}

impl DeadLetters {
    /// Redrives or drops one dead letter.
    ///
    /// # Errors
    ///
    /// [`queue::Error::NoDeadLetter`], or a storage error.
    pub async fn settle(&self, target: Target, fate: LetterFate) -> Result<(), queue::Error> {
        let lane = match &self.notes {
            Some(_) => Some(self.store.queue(target.queue).show(target.id).await?.summary.key),
            None => None,
        };
        self.settle_in(lane.as_ref(), target, fate).await
    }

    async fn settle_in(
        &self,
        lane: Option<&Key>,
        target: Target,
        fate: LetterFate,
    ) -> Result<(), queue::Error> {
        let queue = self.store.queue(target.queue);
        let act = match fate {
            LetterFate::Redrive => {
                queue.redrive(target.id).await?;
                tracing::info!(job_id = %target.id, "operator redrove a dead letter");
                OperatorAct::Redrove
            }
            LetterFate::Drop => {
                queue.drop(target.id).await?;
                tracing::info!(job_id = %target.id, "operator dropped a dead letter");
                OperatorAct::Dropped
            }
        };
        self.note(lane, act);
        Ok(())
    }

    /// Redrives or drops chosen letters, at most [`LETTERS_MAX`].
    ///
    /// Those of a queue in the order of their appends, so that jobs of one thread go out in their order; those
    /// of the same millisecond in the order in which they are named, which is a listing's.
    ///
    /// # Errors
    ///
    /// [`SettleError::TooMany`], or a storage error; letters before the one that failed are done.
    pub async fn settle_chosen(
        &self,
        targets: &[Target],
        fate: LetterFate,
    ) -> Result<SettledLetters, SettleError> {
        if u32::try_from(targets.len()).map_or(true, |count| count > LETTERS_MAX) {
            return Err(SettleError::TooMany);
        }
        let (mut found, mut missing): (Vec<(QueueName, DeadSummary)>, _) = (Vec::new(), Vec::new());
        for &target in targets {
            match self.store.queue(target.queue).show(target.id).await {
                Ok(letter) => found.push((target.queue, letter.summary)),
                Err(queue::Error::NoDeadLetter { .. }) => missing.push(target.to_string()),
                Err(error) => return Err(error.into()),
            }
        }
        found.sort_by_key(|(queue, summary)| (*queue, summary.appended_at));
        let mut done = 0;
        for (queue, summary) in found {
            let target = Target { queue, id: summary.id };
            match self.settle_in(Some(&summary.key), target, fate).await {
                Ok(()) => done += 1,
                Err(queue::Error::NoDeadLetter { .. }) => missing.push(target.to_string()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(SettledLetters { done, missing })
    }

    /// Redrives or drops the dead letters that a selection fits.
    ///
    /// One after the other, oldest first, so that jobs of one conversation go out in their order.
    ///
    /// # Errors
    ///
    /// [`SettleError::More`], or as [`DeadLetters::list`]; letters before the one that failed are done.
    pub async fn settle_all(
        &self,
        selection: &Selection,
        fate: LetterFate,
        bounds: BulkBounds,
    ) -> Result<Bulk, SettleError> {
        let mut wanted = self.parse(selection).await?;
        let before = self.border(&mut wanted.filter);
        if let Some(expected) = bounds.expected {
            let found = self.count(&wanted).await?.count;
            if found > expected {
                return Err(SettleError::More { expected, found });
            }
        }
        let (found, next) = self.page(&wanted, None, bounds.limit).await?;
        let mut done = 0;
        for (queue, summary) in found {
            let target = Target { queue, id: summary.id };
            match self.settle_in(Some(&summary.key), target, fate).await {
                Ok(()) => done += 1,
                Err(queue::Error::NoDeadLetter { .. }) => {} // Somebody else was faster.
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Bulk { done, more: next.is_some(), before: before.to_string() })
    }

    /// Until when letters count; what died in this very millisecond counts as before.
    pub(super) fn border(&self, filter: &mut Filter) -> Timestamp {
        let now = || self.clock.wall() + Duration::from_millis(1);
        *filter.before.get_or_insert_with(now)
    }

    /// Notes what an operator did in the thread's timeline.
    pub(super) fn note(&self, lane: Option<&Key>, act: OperatorAct) {
        let thread = lane.and_then(|lane| lane.as_str().parse().ok());
        if let (Some(notes), Some(thread)) = (&self.notes, thread) {
            notes.note(thread, act);
        }
    }
}

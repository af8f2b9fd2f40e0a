//! What the engine does to the record of a job that is settled.
//!
//! An acknowledgement that brings appends or absorbed jobs is one exchange of the first job's record, for
//! `Moved`: that is the decision. What follows can be done again by anybody who finds it: appends know
//! their ids, absorbed jobs are settled if they are still open.

use super::book::JobName;
use super::holding::Holding;
use super::log::{RACES_MAX, Swap};
use super::record::{JobWork, Moved, Record, State};
use super::shared::{NewestSequence, Shared};
use crate::queue::{Appended, Error};

/// What came of carrying out a settlement.
#[derive(Default)]
pub(super) struct Completed {
    pub(super) answers: Vec<Appended>,
    /// The sequence of the job's last record.
    pub(super) rev: u64,
    /// What was appended last.
    pub(super) newest: NewestSequence,
}

impl Shared {
    /// Exchanges the record of an open job for what is made of it; `None` if another holder has
    /// delivered the job or it is not open any more.
    pub(super) async fn exchange(
        &self,
        holding: &Holding,
        name: JobName,
        make: impl Fn(&JobWork) -> State,
    ) -> Result<Option<(u64, Record)>, Error> {
        let known = holding.book().of(name).map(|known| {
            let record = known.is_whole.then(|| known.record.clone());
            (known.rev, known.is_ours, record)
        });
        let Some((mut rev, true, record)) = known else { return Ok(None) };
        let record = match record {
            Some(record) => Some(record),
            None => self.log.read_at(rev).await?,
        };
        let subject = self.log.names().job(name.0, holding.partition, name.1);
        let Some(mut record) = record else { return Ok(None) };
        for _ in 0..RACES_MAX {
            let Some(work) = record.open() else { return Ok(None) };
            let next = record.then(rev, make(work), self.by());
            if let Swap::Done(rev) = self.log.swap(&subject, rev, &next).await? {
                return Ok(Some((rev, next)));
            }
            let Some((rev_now, found)) = self.log.read(&subject).await? else { return Ok(None) };
            if !is_only_brought_forward(&record, &found) {
                return Ok(None);
            }
            (rev, record) = (rev_now, found);
        }
        Ok(None)
    }

    /// Carries out what a settled record asks for.
    pub(super) async fn complete(
        &self,
        holding: &Holding,
        name: JobName,
        (rev, record): (u64, &Record),
    ) -> Result<Completed, Error> {
        let moved = match &record.state {
            State::Moved(moved) => moved,
            State::Dead(work, died_at) => {
                self.dead.put(name, record, (work, *died_at)).await?;
                return Ok(Completed { rev, ..Completed::default() });
            }
            State::Open(_) | State::Done => {
                return Ok(Completed { rev, ..Completed::default() });
            }
        };
        let Moved { appends, along } = moved;
        let (answers, newest) = self.store(appends).await?;
        for &id in along {
            self.settle_along(holding, (name.0, id)).await?;
        }
        let subject = self.log.names().job(name.0, holding.partition, name.1);
        let done = record.then(rev, State::Done, self.by());
        let rev = match self.log.swap(&subject, rev, &done).await? {
            Swap::Done(rev) => rev,
            // Another holder has found it and carried it out too.
            Swap::Changed => rev,
        };
        Ok(Completed { answers, rev, newest })
    }

    /// Settles a job that another took along, unless it is.
    async fn settle_along(&self, holding: &Holding, name: JobName) -> Result<(), Error> {
        let subject = self.log.names().job(name.0, holding.partition, name.1);
        for _ in 0..RACES_MAX {
            let Some((rev, record)) = self.log.read(&subject).await? else { return Ok(()) };
            let settled = match record.state {
                State::Open(_) => {
                    let done = record.then(rev, State::Done, self.by());
                    self.log.swap(&subject, rev, &done).await?
                }
                State::Moved(_) | State::Done | State::Dead(..) => Swap::Done(rev),
            };
            if let Swap::Done(rev) = settled {
                let later = holding.book().settled(name, rev);
                later.and_then(|effect| self.apply(holding, effect));
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Whether all that happened to a record is that a second append brought its job forward.
fn is_only_brought_forward(before: &Record, after: &Record) -> bool {
    match (before.open(), after.open()) {
        (Some(before), Some(after)) => {
            let before = JobWork { not_before: after.not_before, ..before.clone() };
            before == *after
        }
        (Some(_) | None, Some(_) | None) => false,
    }
}

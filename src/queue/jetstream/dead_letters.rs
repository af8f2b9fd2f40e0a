//! Dead letters from any instance: show, redrive, drop.
//!
//! The list says where a letter lies; its record decides. A letter that is listed and not dead any more
//! is taken off the list.

use super::book::JobName;
use super::dead;
use super::log::{RACES_MAX, Swap};
use super::record::{JobWork, Record, State};
use super::shared::Shared;
use crate::clock::Timestamp;
use crate::queue::{DeadLetter, Error};

impl Shared {
    /// Shows one letter.
    pub(super) async fn show(&self, name: JobName) -> Result<DeadLetter, Error> {
        let (_, _, record) = self.find_dead(name).await?;
        let (work, died_at) = dead_work(&record).ok_or_else(|| none(name))?;
        Ok(DeadLetter {
            summary: dead::summary(name, &record, (work, died_at)),
            payload: work.payload.to_vec(),
            attempts: work.history.clone(),
        })
    }

    /// Makes a dead letter an open job again.
    pub(super) async fn redrive(&self, name: JobName) -> Result<(), Error> {
        self.exhume(name, |work| State::Open(work.redriven())).await
    }

    /// Forgets a dead letter, but not its id.
    pub(super) async fn discard(&self, name: JobName) -> Result<(), Error> {
        self.exhume(name, |_| State::Done).await
    }

    async fn exhume(&self, name: JobName, make: impl Fn(&JobWork) -> State) -> Result<(), Error> {
        for _ in 0..RACES_MAX {
            let (subject, rev, record) = self.find_dead(name).await?;
            let (work, _) = dead_work(&record).ok_or_else(|| none(name))?;
            let next = record.then(rev, make(work), None);
            if let Swap::Done(rev) = self.log.swap(&subject, rev, &next).await? {
                self.dead.remove(name).await?;
                self.read_back(self.partition_of(&record.key), rev).await;
                return Ok(());
            }
        }
        Err(none(name))
    }

    /// The subject and newest record of a listed letter.
    async fn find_dead(&self, name: JobName) -> Result<(String, u64, Record), Error> {
        let key = self.dead.key(name).await?.ok_or_else(|| none(name))?;
        let subject = self.subject(name, &key);
        if let Some((rev, record)) = self.log.read(&subject).await?
            && dead_work(&record).is_some()
        {
            return Ok((subject, rev, record));
        }
        self.dead.remove(name).await?;
        Err(none(name))
    }
}

const fn none((queue, id): JobName) -> Error {
    Error::NoDeadLetter { queue, id }
}

const fn dead_work(record: &Record) -> Option<(&JobWork, Timestamp)> {
    match &record.state {
        State::Dead(work, died_at) => Some((work, *died_at)),
        State::Open(_) | State::Moved(_) | State::Done => None,
    }
}

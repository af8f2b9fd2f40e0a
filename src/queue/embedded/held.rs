//! Looks for open jobs: by what they hold, some at a time, so that other reads are not held up, and by their
//! lanes. Decides nothing; reads the time for the age of a lane.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::Connection;

use super::{Embedded, rows};
use crate::queue::engine::Fits;
use crate::queue::{Error, Key, LanesAsked, OpenLane, QueueName};

impl Embedded {
    /// The keys of a queue that begin so and have a job, open or dead, whose payload fits.
    pub(super) async fn find_keys(
        &self,
        queue: QueueName,
        beginning: String,
        fits: Fits,
    ) -> Result<Vec<Key>, Error> {
        let (mut keys, mut after) = (BTreeSet::new(), Some(0));
        while let Some(from) = after {
            let (beginning, fits) = (beginning.clone(), Arc::clone(&fits));
            let look = move |db: &_| rows::keys_holding(db, (queue, &beginning, from), &fits);
            let (found, next) = self.reader.read(&self.shared.fault, look).await?;
            keys.extend(found);
            after = next;
        }
        keys.iter().map(|key| Key::new(key.as_str())).collect()
    }

    /// Some lanes with open jobs, each with how long its oldest one has waited.
    pub(super) async fn lanes(
        &self,
        queue: QueueName,
        asked: LanesAsked,
    ) -> Result<Vec<OpenLane>, Error> {
        let lanes = self.shared.dispatch(queue).lanes().open(&asked);
        let dated = move |db: &Connection| {
            let dated = lanes.into_iter().map(|lane| {
                let seq = i64::try_from(lane.oldest_seq).unwrap_or(0);
                Ok((lane, rows::appended_at(db, seq)?))
            });
            dated.collect::<rusqlite::Result<Vec<_>>>()
        };
        let dated = self.reader.read(&self.shared.fault, dated).await?;
        let now = self.clock.wall();
        let open = dated.into_iter().filter_map(|(lane, appended_at)| {
            let oldest_age = now.since(appended_at?);
            Some(OpenLane { key: lane.key, waiting: lane.waiting, out: lane.out, oldest_age })
        });
        Ok(open.collect())
    }
}

//! Looks for jobs by what they hold, in all partitions, whoever works on them.
//!
//! Reads all that the stream keeps of a queue, which takes its time: for what an operator asks for now and
//! then. Decides nothing; the network is here.

use std::collections::BTreeSet;
use std::time::Duration;

use super::record::{Record, State};
use super::shared::Shared;
use super::tail::Tail;
use crate::queue::engine::Fits;
use crate::queue::{Error, Key, QueueName};

/// How long the next record is awaited that the server has counted: it may have been replaced meanwhile.
const NEXT_RECORD: Duration = Duration::from_secs(2);

/// The keys that begin so and have a job, open or dead, whose payload fits.
pub(super) async fn keys_holding(
    shared: &Shared,
    (queue, beginning): (QueueName, &str),
    fits: &Fits,
) -> Result<Vec<Key>, Error> {
    let names = shared.log.names();
    let place = (names.jobs_stream(), names.jobs_of(queue));
    let mut tail = Tail::open(&shared.log, place, 1, shared.clock).await?;
    let (mut keys, mut pending) = (BTreeSet::new(), tail.pending);
    while pending > 0 {
        let give_up = shared.clock.now() + NEXT_RECORD;
        let read = tokio::select! {
            read = tail.next() => read?,
            () = shared.clock.sleep_until(give_up) => break,
        };
        pending = read.pending;
        // One that another release wrote is not found.
        let Ok(record) = Record::decode(&read.payload) else { continue };
        let (State::Open(work) | State::Dead(work, _)) = &record.state else { continue };
        if record.key.as_str().starts_with(beginning) && fits(&work.payload) {
            keys.insert(record.key.as_str().to_owned());
        }
    }
    tail.close().await;
    keys.iter().map(|key| Key::new(key.as_str())).collect()
}

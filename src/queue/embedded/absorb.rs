//! How a delivery takes the next jobs of its lane along.
//!
//! The lanes say which; here they are read from the file, outside the lock. What could not be read,
//! or was read for a consumer that is gone, waits again as if nobody had seen it.

use super::HOLD_AFTER_UNREADABLE;
use super::dispatch::EmbeddedLease;
use super::rows::{self, Loaded};
use crate::queue::lanes::{Along, Lost};
use crate::queue::{Absorbed, Error};

/// Takes up to `max` jobs along. Cancel safe.
pub(super) async fn absorb(lease: &EmbeddedLease, max: usize) -> Result<Vec<Absorbed>, Error> {
    let dispatch = lease.shared.dispatch(lease.queue);
    let along = dispatch
        .lanes()
        .absorb(lease.clock.now(), lease.lease, max)
        .map_err(|Lost| Error::LeaseLost { id: lease.id })?;
    if along.is_empty() {
        return Ok(Vec::new());
    }
    let seqs: Vec<_> = along.iter().map(|job| job.seq).collect();
    let mut unread = Unread { lease, seqs, is_damaged: false };
    let rows: Vec<_> = unread.seqs.iter().map(|&seq| i64::try_from(seq).unwrap_or(0)).collect();
    let read = lease
        .reader
        .read(&lease.shared.fault, move |db| {
            rows.iter()
                .map(|&row| rows::load(db, row))
                .collect::<rusqlite::Result<Option<Vec<_>>>>()
        })
        .await
        .and_then(|found| found.ok_or_else(|| lease.shared.fault.damaged("payload missing")));
    let loaded = read.inspect_err(|_| unread.is_damaged = true)?;
    unread.seqs.clear();
    Ok(along.into_iter().zip(loaded).map(|(along, loaded)| absorbed(along, loaded)).collect())
}

fn absorbed(along: Along, loaded: Loaded) -> Absorbed {
    let Loaded { id, position, appended_at, payload } = loaded;
    let Along { attempt, redelivered, .. } = along;
    Absorbed { id, position, appended_at, payload, attempt, redelivered }
}

/// Jobs between the lanes and their consumer. Dropped, they wait again.
struct Unread<'a> {
    lease: &'a EmbeddedLease,
    seqs: Vec<u64>,
    is_damaged: bool,
}

impl Drop for Unread<'_> {
    fn drop(&mut self) {
        if self.seqs.is_empty() {
            return;
        }
        let EmbeddedLease { shared, clock, queue, lease, .. } = self.lease;
        let now = clock.now();
        let until = if self.is_damaged { now + HOLD_AFTER_UNREADABLE } else { now };
        shared.dispatch(*queue).change(|lanes| lanes.restore(now, *lease, &self.seqs, until));
    }
}

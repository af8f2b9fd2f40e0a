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
    let loaded = load(lease, &unread.seqs).await.inspect_err(|_| unread.is_damaged = true)?;
    unread.seqs.clear();
    Ok(along.into_iter().zip(loaded).map(|(along, loaded)| absorbed(along, loaded)).collect())
}

/// Reads jobs, in the order asked for; what is still at hand is not read.
async fn load(lease: &EmbeddedLease, seqs: &[u64]) -> Result<Vec<Loaded>, Error> {
    let EmbeddedLease { shared, reader, .. } = lease;
    let mut loaded: Vec<_> = seqs.iter().map(|&seq| shared.fresh.take(seq)).collect();
    let missing = loaded.iter().zip(seqs).filter(|(found, _)| found.is_none());
    let rows: Vec<_> = missing.map(|(_, &seq)| i64::try_from(seq).unwrap_or(0)).collect();
    if !rows.is_empty() {
        let read = move |db: &rusqlite::Connection| {
            rows.iter().map(|&row| rows::load(db, row)).collect::<rusqlite::Result<Vec<_>>>()
        };
        let mut found = reader.read(&shared.fault, read).await?.into_iter().flatten();
        for place in loaded.iter_mut().filter(|place| place.is_none()) {
            *place = found.next();
        }
    }
    let loaded: Option<Vec<_>> = loaded.into_iter().collect();
    loaded.ok_or_else(|| shared.fault.damaged("payload missing"))
}

fn absorbed(along: Along, loaded: Loaded) -> Absorbed {
    let Loaded { id, position, appended_at, payload } = loaded;
    let Along { seq, attempt, redelivered } = along;
    Absorbed { seq, id, position, appended_at, payload, attempt, redelivered }
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

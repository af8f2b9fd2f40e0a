//! From the lanes to a consumer.
//!
//! A job that another holder may have delivered, or whose newest record is in doubt, is stamped first:
//! exchanged for the same record with this holder's name. From then on a late settlement by anybody
//! else fails at the server. If the exchange fails, the stream is asked what the job has become.

use std::sync::Arc;
use std::time::Duration;

use super::book::Name;
use super::holding::Holding;
use super::lease::JetLease;
use super::log::Swap;
use super::record::{Record, State, Work};
use super::shared::Shared;
use crate::queue::engine::Leased;
use crate::queue::lanes::{Along, Lost, Taken};
use crate::queue::{Absorbed, Error, QueueName};

/// How long a job is held back that could not be read or stamped.
const HOLD: Duration = Duration::from_secs(1);

/// A job between the lanes and its consumer. Dropped, it goes back as if nobody had seen it.
struct Unseen<'a> {
    shared: &'a Shared,
    holding: &'a Holding,
    queue: QueueName,
    taken: Option<Taken>,
    hold: Duration,
}

impl Drop for Unseen<'_> {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            let now = self.shared.clock.now();
            self.shared.dispatch(self.queue).change(self.holding, |lanes| {
                lanes.give_back_unseen(now, taken.lease, now + self.hold);
            });
        }
    }
}

/// Waits for the next job of a queue and leases it. Cancel safe.
pub(super) async fn next(shared: &Arc<Shared>, queue: QueueName) -> Result<Leased, Error> {
    loop {
        let dispatch = shared.dispatch(queue);
        let (holding, taken) =
            dispatch.take(shared.clock, shared.lease_time, &shared.closed).await?;
        if let Some(leased) = deliver(shared, &holding, queue, taken).await? {
            return Ok(leased);
        }
    }
}

async fn deliver(
    shared: &Arc<Shared>,
    holding: &Arc<Holding>,
    queue: QueueName,
    taken: Taken,
) -> Result<Option<Leased>, Error> {
    let born = taken.seq;
    let mut unseen = Unseen { shared, holding, queue, taken: Some(taken), hold: HOLD };
    let Some((name, record)) = prepare(shared, holding, born).await? else {
        look_again(shared, holding, &mut unseen, born).await?;
        return Ok(None);
    };
    unseen.hold = Duration::ZERO;
    if !holding.is_held() {
        return Ok(None);
    }
    let State::Open(work) = record.state else { return Ok(None) };
    let Taken { lease, key, attempt, redelivered, rested, .. } =
        unseen.taken.take().expect("only this function and its drop take it");
    Ok(Some(Leased {
        id: name.1,
        key,
        position: record.position,
        appended_at: record.appended_at,
        payload: work.payload.to_vec(),
        attempt,
        redelivered,
        rested,
        lease_time: shared.lease_time,
        lease: Box::new(JetLease {
            shared: Arc::clone(shared),
            holding: Arc::clone(holding),
            name,
            lease,
        }),
    }))
}

/// Gives the record once nobody else can settle it; `None` if it is not the newest one.
pub(super) async fn prepare(
    shared: &Shared,
    holding: &Holding,
    born: u64,
) -> Result<Option<(Name, Record)>, Error> {
    let known = holding.book().of_born(born).map(|known| {
        let record = known.is_whole.then(|| known.record.clone());
        (known.name, known.rev, known.is_ours, record)
    });
    let Some((name, rev, is_ours, record)) = known else { return Ok(None) };
    let record = match record {
        Some(record) => Some(record),
        None => shared.log.read_at(rev).await?,
    };
    Ok(match record {
        Some(record) if is_ours => Some((name, record)),
        Some(record) => {
            let stamped = stamp(shared, holding, name, (rev, record)).await?;
            stamped.map(|stamped| (name, stamped))
        }
        None => None,
    })
}

/// Notes in the record that this holder delivers it; `None` if it is not the newest one.
async fn stamp(
    shared: &Shared,
    holding: &Holding,
    name: Name,
    (rev, record): (u64, Record),
) -> Result<Option<Record>, Error> {
    let Some(work) = record.open() else { return Ok(None) };
    let work = Work { stamp: Some(holding.stamp.clone()), ..work.clone() };
    let stamped = record.then(rev, State::Open(work), shared.by());
    let subject = shared.log.names().job(name.0, holding.partition, name.1);
    holding.book().begin(name);
    let swapped = shared.log.swap(&subject, rev, &stamped).await;
    match swapped {
        Ok(Swap::Done(rev)) => {
            let later = holding.book().rewritten(name, rev, stamped.clone());
            later.and_then(|effect| shared.apply(holding, effect));
            Ok(Some(stamped))
        }
        Ok(Swap::Changed) => {
            holding.book().unknown(name);
            Ok(None)
        }
        Err(error) => {
            holding.book().unknown(name);
            Err(error)
        }
    }
}

/// Asks the stream what a job has become, and takes it from its lane; open, it enters anew.
async fn look_again(
    shared: &Shared,
    holding: &Holding,
    unseen: &mut Unseen<'_>,
    born: u64,
) -> Result<(), Error> {
    let name = holding.book().of_born(born).map(|known| known.name);
    let (mut entering, mut later) = (None, None);
    if let Some(name) = name {
        let subject = shared.log.names().job(name.0, holding.partition, name.1);
        match shared.log.read(&subject).await? {
            Some((rev, record)) if record.open().is_some() => {
                entering = holding.book().found(name, rev, record);
            }
            found => {
                let rev = found.as_ref().map_or(0, |(rev, _)| *rev);
                if let Some((rev, record)) = found {
                    shared.complete(holding, name, (rev, &record)).await?;
                }
                later = holding.book().settled(name, rev);
            }
        }
    }
    let Some(taken) = unseen.taken.take() else { return Ok(()) };
    let now = shared.clock.now();
    shared.dispatch(unseen.queue).change(holding, |lanes| {
        // A lease that ran out meanwhile has put the job back into its lane: it is looked at again.
        if lanes.begin(now, taken.lease).is_ok() {
            if let Some(entering) = &entering {
                lanes.enter(now, &entering.key, shared.entry(entering));
            }
            lanes.finish(now, taken.lease);
        }
    });
    later.and_then(|effect| shared.apply(holding, effect));
    Ok(())
}

/// Takes the next jobs of a delivery's lane along. Cancel safe.
pub(super) async fn absorb(lease: &JetLease, max: usize) -> Result<Vec<Absorbed>, Error> {
    let JetLease { shared, holding, name, lease: id } = lease;
    let _call = shared.call()?;
    let now = shared.clock.now();
    let along = shared.dispatch(name.0).look(holding, |lanes| lanes.absorb(now, *id, max));
    let along = along.unwrap_or(Err(Lost)).map_err(|Lost| lease.lost())?;
    let seqs = along.iter().map(|job| job.seq).collect();
    let mut unread = Unread { lease, seqs, hold: HOLD };
    let mut absorbed = Vec::with_capacity(along.len());
    for Along { seq, attempt, redelivered } in along {
        let prepared = prepare(shared, holding, seq).await?;
        let Some(((_, id), Record { position, appended_at, state: State::Open(work), .. })) =
            prepared
        else {
            // It is looked at when it is the first of its lane; what is behind it waits with it.
            unread.hold = Duration::ZERO;
            unread.seqs.drain(..absorbed.len());
            return Ok(absorbed);
        };
        let payload = work.payload.to_vec();
        absorbed.push(Absorbed { seq, id, position, appended_at, payload, attempt, redelivered });
    }
    unread.seqs.clear();
    Ok(absorbed)
}

/// Jobs between the lanes and a delivery that takes them along. Dropped, they wait again.
struct Unread<'a> {
    lease: &'a JetLease,
    seqs: Vec<u64>,
    hold: Duration,
}

impl Drop for Unread<'_> {
    fn drop(&mut self) {
        if self.seqs.is_empty() {
            return;
        }
        let JetLease { shared, holding, name, lease } = self.lease;
        let now = shared.clock.now();
        shared
            .dispatch(name.0)
            .change(holding, |lanes| lanes.restore(now, *lease, &self.seqs, now + self.hold));
    }
}

//! From the lanes to a consumer.
//!
//! A job that nobody else can settle goes out, see [`stamp`](super::stamp). If that cannot be had, the
//! stream is asked what the job has become.

use std::sync::Arc;
use std::time::Duration;

use super::holding::Holding;
use super::lease::JetLease;
use super::record::State;
use super::shared::Shared;
use super::stamp::{HOLD, prepare};
use crate::queue::engine::{LaneHead, Leased};
use crate::queue::lanes::{HeadOfLane, Lanes, Taken};
use crate::queue::{Error, Key, QueueName};

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

/// Leases the first job of a key, due or not, if its partition is held here. Cancel safe.
pub(super) async fn take(
    shared: &Arc<Shared>,
    queue: QueueName,
    key: &Key,
) -> Result<LaneHead<Leased>, Error> {
    loop {
        let holding = shared.holding(shared.partition_of(key)).filter(|holding| holding.is_held());
        let Some(holding) = holding else { return Ok(LaneHead::Elsewhere) };
        let (now, lease_time) = (shared.clock.now(), shared.lease_time);
        let take = |lanes: &mut Lanes| lanes.take_of(now, key, lease_time);
        let taken = match shared.dispatch(queue).change(&holding, take) {
            // Its lanes are not there yet, or no longer.
            None => return Ok(LaneHead::Elsewhere),
            Some(HeadOfLane::Nothing) => return Ok(LaneHead::Nothing),
            Some(HeadOfLane::Out) => return Ok(LaneHead::Out),
            Some(HeadOfLane::Taken(taken)) => taken,
        };
        if let Some(leased) = deliver(shared, &holding, queue, taken).await? {
            return Ok(LaneHead::Taken(leased));
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

//! Works on partitions: takes what is gained, reads its stream, gives up what is yielded or lost.
//!
//! One task follows the changes, one for each holding reads. Jobs go out only when everything is read
//! that was there at the gain: the holder writes a note and reads until the note comes back. Time enters
//! through the engine's clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::book::{BookEffect, JobBook, JobName};
use super::holding::Holding;
use super::holdings::{Change, Holdings};
use super::shared::Shared;
use super::tail::{Read, Tail};
use crate::clock::Moment;
use crate::queue::lanes::Lanes;
use crate::queue::{Error, QueueName};
use crate::telemetry::chain::Chain;

/// How long after a failure reading starts again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long jobs that are out may take to be settled when their partition is to go elsewhere.
const WIND_DOWN: Duration = Duration::from_secs(5);

/// How often it is looked whether they are.
const LOOK: Duration = Duration::from_millis(20);

/// Takes and gives up partitions until the store is closed.
pub(super) async fn follow(shared: Arc<Shared>, mut holdings: Box<dyn Holdings>) {
    let mut stops: HashMap<u16, CancellationToken> = HashMap::new();
    let mut leaving: JoinSet<u16> = JoinSet::new();
    let (mut generation, mut may_change) = (0, true);
    loop {
        let change = tokio::select! {
            () = shared.closed.cancelled() => return,
            Some(left) = leaving.join_next() => {
                if let Ok(partition) = left {
                    holdings.released(partition);
                }
                continue;
            }
            change = holdings.next(), if may_change => change,
            else => return shared.closed.cancelled().await,
        };
        match change {
            Some(Change::Gained(partition, held)) => {
                generation += 1;
                let stamp = format!("{}.{generation}", shared.me);
                let book = JobBook::new(shared.bytes_in_memory / usize::from(shared.partitions));
                let stop = shared.closed.child_token();
                let holding = (book, stop.clone());
                let holding = Holding::new((partition, generation), stamp, held, holding);
                let holding = Arc::new(holding);
                if let Some(before) = stops.insert(partition, stop.clone()) {
                    before.cancel();
                }
                shared.holdings().insert(partition, Arc::clone(&holding));
                shared.tasks.spawn(hold(Arc::clone(&shared), holding));
            }
            Some(Change::Lost(partition)) => {
                stops.remove(&partition).inspect(CancellationToken::cancel);
            }
            Some(Change::Yield(partition)) => {
                let (shared, stop) = (Arc::clone(&shared), stops.remove(&partition));
                leaving.spawn(async move {
                    wind_down(&shared, partition).await;
                    stop.inspect(CancellationToken::cancel);
                    partition
                });
            }
            None => may_change = false,
        }
    }
}

/// Hands out nothing more of a partition and waits until nothing of it is out.
async fn wind_down(shared: &Shared, partition: u16) {
    let Some(holding) = shared.holding(partition) else { return };
    let give_up = shared.clock.now() + WIND_DOWN;
    loop {
        let dispatches = QueueName::ALL.map(|queue| shared.dispatch(queue));
        let out: u64 = dispatches.iter().map(|dispatch| dispatch.wind_down(&holding)).sum();
        if out == 0 || shared.clock.now() >= give_up || shared.closed.is_cancelled() {
            // From here on nobody here settles: what is still out is another holder's to deliver.
            dispatches.iter().for_each(|dispatch| dispatch.take_down(&holding));
            return;
        }
        shared.clock.sleep(LOOK).await;
    }
}

/// Works on a partition until `stop`.
async fn hold(shared: Arc<Shared>, holding: Arc<Holding>) {
    let (mut from, stop) = (None, &holding.ended);
    while !stop.is_cancelled() {
        if let Err(error) = read(&shared, &holding, &mut from).await {
            tracing::warn!(
                partition = holding.partition,
                error = %Chain(&error),
                "reading a partition starts again"
            );
            tokio::select! {
                () = shared.clock.sleep(AGAIN) => {}
                () = stop.cancelled() => {}
            }
        }
    }
    for queue in QueueName::ALL {
        shared.dispatch(queue).take_down(&holding);
    }
    let mut holdings = shared.holdings();
    if holdings.get(&holding.partition).is_some_and(|it| it.generation == holding.generation) {
        holdings.remove(&holding.partition);
    }
}

/// Reads a partition until `stop`, or until it has to start again behind `from`.
async fn read(
    shared: &Shared,
    holding: &Arc<Holding>,
    from: &mut Option<u64>,
) -> Result<(), Error> {
    let names = shared.log.names();
    let start = match *from {
        Some(read) => read + 1,
        None => shared.marks.floor(shared.created, holding.partition).await?,
    };
    let place = (names.jobs_stream(), names.partition(holding.partition));
    let mut tail = Tail::open(&shared.log, place, start, shared.clock).await?;
    if !holding.book().is_caught_up() {
        let note = holding.stamp.clone().into_bytes().into();
        let _rev = shared.log.note(holding.partition, note).await?;
    }
    loop {
        let read = tokio::select! {
            read = tail.next() => read?,
            () = holding.ended.cancelled() => {
                tail.close().await;
                return Ok(());
            }
        };
        let rev = read.rev;
        take(shared, holding, read).await?;
        holding.has_seen(rev);
        *from = Some(rev);
    }
}

/// Does what one message of the stream asks for.
async fn take(shared: &Shared, holding: &Arc<Holding>, read: Read) -> Result<(), Error> {
    let Read { rev, subject, payload, .. } = read;
    let Some(name) = shared.log.names().parse_job(&subject) else {
        holding.book().read_other(rev);
        if payload == holding.stamp.as_bytes() {
            put_up(shared, holding);
        }
        return Ok(());
    };
    let record = match shared.log.decode(&payload) {
        Ok(record) => record,
        Err(error) => {
            tracing::error!(job_id = %name.1, error = %Chain(&error), "a job cannot be read and is left alone");
            return Ok(());
        }
    };
    let effect = holding.book().read(name, rev, record);
    match effect.and_then(|effect| shared.apply(holding, effect)) {
        Some(BookEffect::Finish { name } | BookEffect::List { name }) => {
            complete_newest(shared, holding, name).await
        }
        Some(BookEffect::Enter(_) | BookEffect::BringForward { .. }) | None => Ok(()),
    }
}

/// Carries out what a former holder could not.
async fn complete_newest(shared: &Shared, holding: &Holding, name: JobName) -> Result<(), Error> {
    let subject = shared.log.names().job(name.0, holding.partition, name.1);
    if let Some((rev, record)) = shared.log.read(&subject).await? {
        shared.complete(holding, name, (rev, &record)).await?;
    }
    Ok(())
}

/// Lets the jobs of a partition go out, now that all are there.
fn put_up(shared: &Shared, holding: &Arc<Holding>) {
    let entering = holding.book().catch_up();
    let now: Moment = shared.clock.now();
    for queue in QueueName::ALL {
        let mut lanes = Lanes::default();
        for entering in entering.iter().filter(|entering| entering.queue == queue) {
            lanes.enter(now, &entering.key, shared.entry(entering));
        }
        shared.dispatch(queue).put_up(holding, lanes);
    }
}

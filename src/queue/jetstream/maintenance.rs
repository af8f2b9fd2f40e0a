//! What has to be done from time to time: write marks, raise floors, forget what is old.
//!
//! One task. Decides by age alone, and only about partitions that are held; time enters through the
//! engine's clock. Whatever fails is tried again at the next turn.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::DirectGetErrorKind;

use super::holding::Holding;
use super::log::written_at;
use super::record::State;
use super::shared::{self, Shared};
use crate::queue::Error;
use crate::queue::engine::Trouble;
use crate::telemetry::chain::Chain;

/// How often marks are written.
const TICK: Duration = Duration::from_secs(1);

/// How many ticks pass between two writings of floors.
const TICKS_BETWEEN_FLOORS: u64 = 10;

/// How many ticks pass between two looks for what is old.
const TICKS_BETWEEN_SWEEPS: u64 = 60;

/// How many records of a partition one sweep looks at; the next one goes on behind them.
const RECORDS_PER_SWEEP: u32 = 1000;

/// Keeps house until the store is closed.
pub(super) async fn keep(shared: Arc<Shared>) {
    let mut swept: HashMap<u64, u64> = HashMap::new();
    let mut floors: HashMap<u64, u64> = HashMap::new();
    for tick in 1_u64.. {
        tokio::select! {
            () = shared.clock.sleep(TICK) => {}
            () = shared.closed.cancelled() => return,
        }
        let round = async {
            if *shared.log.trouble().borrow() != Trouble::None {
                // Whether there is room again shows by writing, also while nobody else does.
                let _rev = shared.log.note(0, shared::NOTE.into()).await?;
            }
            shared.marks.flush().await?;
            let holdings: Vec<_> = shared.holdings().values().cloned().collect();
            for holding in &holdings {
                if tick.is_multiple_of(TICKS_BETWEEN_FLOORS) {
                    raise_floor(&shared, holding, &mut floors).await?;
                }
                if tick.is_multiple_of(TICKS_BETWEEN_SWEEPS) {
                    let from = swept.entry(holding.generation).or_insert(1);
                    *from = sweep(&shared, holding, *from).await?;
                }
            }
            let is_held = |generation: &u64| holdings.iter().any(|it| it.generation == *generation);
            swept.retain(|generation, _| is_held(generation));
            floors.retain(|generation, _| is_held(generation));
            Ok::<(), Error>(())
        };
        let done = tokio::select! {
            done = round => done,
            () = shared.closed.cancelled() => return,
        };
        if let Err(error) = done {
            tracing::warn!(error = %Chain(&error), "marks or floors are written later");
        }
    }
}

/// Notes from where on the partition has to be read by whoever gains it next.
pub(super) async fn raise_floor(
    shared: &Shared,
    holding: &Holding,
    floors: &mut HashMap<u64, u64>,
) -> Result<(), Error> {
    let floor = {
        let book = holding.book();
        if book.is_caught_up() { book.floor() } else { 0 }
    };
    if floors.get(&holding.generation).is_some_and(|&before| before >= floor) {
        return Ok(());
    }
    shared.marks.raise_floor((shared.created, holding.partition), floor).await?;
    floors.insert(holding.generation, floor);
    Ok(())
}

/// Forgets ids and dead letters whose time is over, from sequence `from` on; gives where the next sweep
/// goes on. A record moves to the end of the stream with every change, so the oldest come first.
pub(super) async fn sweep(shared: &Shared, holding: &Holding, from: u64) -> Result<u64, Error> {
    let now = shared.clock.wall();
    let mut from = from;
    for _ in 0..RECORDS_PER_SWEEP {
        let Some(message) = next(shared, holding, from).await? else { return Ok(1) };
        let age = now.since(written_at(&message));
        if age < shared.retention.min(shared.dead_retention) || !holding.is_held() {
            return Ok(1);
        }
        from = message.sequence + 1;
        let Some(name) = shared.log.names().parse_job(&message.subject) else { continue };
        let Ok(record) = shared.log.decode(&message.payload) else { continue };
        match record.state {
            State::Done if age >= shared.retention => shared.log.delete(message.sequence).await?,
            State::Dead(..) if age >= shared.dead_retention => {
                shared.log.delete(message.sequence).await?;
                shared.dead.remove(name).await?;
            }
            State::Done | State::Dead(..) | State::Open(_) | State::Moved(_) => {}
        }
    }
    Ok(from)
}

async fn next(
    shared: &Shared,
    holding: &Holding,
    from: u64,
) -> Result<Option<StreamMessage>, Error> {
    let filter = shared.log.names().partition(holding.partition);
    match shared.log.stream().direct_get_next_for_subject(filter, Some(from)).await {
        Ok(message) => Ok(Some(message)),
        Err(error) if matches!(error.kind(), DirectGetErrorKind::NotFound) => Ok(None),
        Err(error) => Err(shared.log.away("read", error)),
    }
}

//! Takes deliveries from one queue and works on many at once: the loop that join, turn and send share.
//!
//! It decides nothing about the work. Each delivery is one tracked task; when told to stop it takes no
//! more, and waits for those at work, which see the same token. What is not settled is given back by
//! the queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::queue::{Delivery, Error, Queue, QueueName};
use crate::telemetry::chain::Chain;
use crate::telemetry::trace;

/// How long the loop rests after the queue failed, so that a broken disk does not fill the log.
const REST_AFTER_ERROR: Duration = Duration::from_secs(1);

/// Does what one delivery asks for and settles it.
pub trait Work: Send + Sync + 'static {
    /// The queue that it works on.
    const QUEUE: QueueName;

    /// Waits until it makes sense to take more work.
    fn wait(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Works on one delivery; returns soon after `stop` is cancelled. Runs in the span of its stage, on
    /// which it says by [`trace::Way::record`] whose way it is.
    fn work(&self, delivery: Delivery, stop: &CancellationToken)
    -> impl Future<Output = ()> + Send;
}

/// Runs until `stop` is cancelled or the queue is closed, with at most `concurrency` at work.
pub async fn run<W: Work>(queue: Queue, work: Arc<W>, concurrency: usize, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(concurrency));
    let mut tasks = JoinSet::new();
    loop {
        while let Some(ended) = tasks.try_join_next() {
            report::<W>(ended);
        }
        let taken = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            taken = take(&queue, &places, work.as_ref()) => taken,
        };
        match taken {
            Ok((delivery, place)) => {
                let work = Arc::clone(&work);
                let stop = stop.clone();
                let working = async move {
                    work.work(delivery, &stop).await;
                    drop(place);
                };
                tasks.spawn(working.instrument(trace::stage_span(W::QUEUE.as_str())));
            }
            Err(Error::Closed) => break,
            Err(error) => {
                tracing::error!(
                    queue = W::QUEUE.as_str(),
                    error = %Chain(&error),
                    "queue could not be read; trying again"
                );
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(REST_AFTER_ERROR) => {}
                }
            }
        }
    }
    while let Some(ended) = tasks.join_next().await {
        report::<W>(ended);
    }
}

async fn take<W: Work>(
    queue: &Queue,
    places: &Arc<Semaphore>,
    work: &W,
) -> Result<(Delivery, tokio::sync::OwnedSemaphorePermit), Error> {
    let place = Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed");
    work.wait().await;
    Ok((queue.next().await?, place))
}

fn report<W: Work>(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(
            queue = W::QUEUE.as_str(),
            "a job's task panicked; the job is delivered again"
        );
    }
}

//! The worker that serves the activities, on a thread of its own: the SDK's future may not change threads.

use std::sync::Arc;
use std::time::Duration;

use temporalio_sdk::runtime::{PollerBehavior, RuntimeOptions};
use temporalio_sdk::{Runtime, Worker, WorkerOptions};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::activities::Activities;
use super::frontend::Frontend;
use crate::agent::later::Outbox;
use crate::clock::Clock;
use crate::telemetry::chain::Chain;

/// How many ask the server for activities at once: one that was given one asks again meanwhile.
const POLLERS: usize = 2;
/// How long to rest before a worker that could not begin, or has ended, begins anew.
const REST: Duration = Duration::from_secs(5);
/// How long a worker may take to end what it does.
const END_WITHIN: Duration = Duration::from_secs(5);

/// What a worker works with.
#[derive(Clone)]
pub(super) struct ActivityWork {
    /// Where activities come from.
    pub(super) queue: String,
    /// The connection to the server.
    pub(super) frontend: Arc<Frontend>,
    /// Where replies go.
    pub(super) outbox: Arc<dyn Outbox>,
    /// Reads the time.
    pub(super) clock: Clock,
    /// Ends the work.
    pub(super) stop: CancellationToken,
}

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The server cannot be connected to.
    #[error("the worker of activities has no connection")]
    Connection(#[source] super::error::Error),
    /// The SDK could not begin.
    #[error("the worker of activities could not begin")]
    Begin(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It has ended by itself.
    #[error("the worker of activities has ended")]
    Ended(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The thread that it was on is gone.
    #[error("the thread of the worker of activities is gone")]
    Thread(#[source] tokio::task::JoinError),
}

/// Serves activities until stopped.
///
/// # Cancel safety
///
/// What was taken and is not stored is given to a worker again, by the retry policy of the activity.
pub(super) async fn work(work: ActivityWork) {
    let mut told = None;
    while !work.stop.is_cancelled() {
        let one = work.clone();
        let handle = Handle::current();
        let ended = tokio::task::spawn_blocking(move || handle.block_on(once(&one))).await;
        let Err(error) = ended.map_err(Error::Thread).and_then(|ended| ended) else { continue };
        let said = Chain(&error).to_string();
        if told.as_ref() != Some(&said) {
            tracing::warn!(error = said, "activities are not served; trying again");
        }
        told = Some(said);
        tokio::select! {
            () = work.stop.cancelled() => {}
            () = work.clock.sleep(REST) => {}
        }
    }
}

async fn once(work: &ActivityWork) -> Result<(), Error> {
    let begin = |error: Box<dyn std::error::Error + Send + Sync>| Error::Begin(error);
    let client = tokio::select! {
        () = work.stop.cancelled() => return Ok(()),
        client = work.frontend.worker_client() => client.map_err(Error::Connection)?,
    };
    let options = RuntimeOptions::builder().heartbeat_interval(None).build();
    let options = options.map_err(|error| begin(error.into()))?;
    let runtime = Runtime::from_current_tokio(options).map_err(|error| begin(error.into()))?;
    let activities =
        Activities { frontend: Arc::clone(&work.frontend), outbox: Arc::clone(&work.outbox) };
    let mut options = WorkerOptions::new(work.queue.as_str())
        .activity_task_poller_behavior(PollerBehavior::SimpleMaximum(POLLERS))
        .graceful_shutdown_period(END_WITHIN)
        .build();
    activities.serve_by(&mut options);
    let worker = Worker::new(&runtime, client, options);
    let mut worker = worker.map_err(|error| begin(error.into()))?;
    let end = worker.shutdown_handle();
    let running = worker.run();
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return ended.map_err(|error| Error::Ended(error.into())),
        () = work.stop.cancelled() => end(),
    }
    // Who does not end in time is left: what it has taken is given to somebody else.
    let _ = tokio::time::timeout(END_WITHIN, running).await;
    Ok(())
}

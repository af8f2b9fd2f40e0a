//! The small things that every worker does when it ends a delivery.

use std::time::Duration;

use crate::queue::{Cause, Delivery, Error, QueueName};
use crate::telemetry::chain::Chain;

/// Says in the log that a delivery could not be settled; the queue delivers it again.
pub fn report(queue: QueueName, settled: Result<(), Error>) {
    if let Err(error) = settled {
        lost(queue, &error);
    }
}

/// Says in the log that a delivery was lost to this worker.
pub fn lost(queue: QueueName, error: &Error) {
    tracing::warn!(
        queue = queue.as_str(),
        error = %Chain(error),
        "job could not be settled; it is delivered again"
    );
}

/// Buries a delivery whose payload this release cannot read.
pub async fn unreadable(delivery: Delivery, queue: QueueName, error: &serde_json::Error) {
    tracing::error!(
        queue = queue.as_str(),
        job_id = %delivery.id(),
        error = %Chain(error),
        "job was written by another release and cannot be read; it is a dead letter"
    );
    let cause = Cause::new("unreadable").with_detail(
        "the stored record cannot be read by this release; redrive it with the one that wrote it",
    );
    report(queue, delivery.dead(cause).await);
}

/// A random number from 0 to 1 that spreads retries.
#[must_use]
pub fn jitter() -> f64 {
    let random = u32::try_from(uuid::Uuid::new_v4().as_u128() >> 96).unwrap_or(0);
    f64::from(random) / f64::from(u32::MAX)
}

/// A pause, spread up to a fifth longer, so that not all who wait come back at once.
#[must_use]
pub fn spread(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + 0.2 * jitter())
}

/// A duration as whole milliseconds for a log field.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

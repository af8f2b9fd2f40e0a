//! The small things that every worker does when it ends a delivery.

use std::time::Duration;

use crate::queue::{Cause, Delivery, Error, QueueName};
use crate::telemetry::chain::Chain;
use crate::thread::CauseClass;

/// How long after the end of a delivery that may have asked Twilio for something it is looked for at the
/// earliest, so that what was on its way has arrived and is listed: also after a process that died, or
/// lost the job to this one, in the middle of asking. Assumed, as Twilio says nothing about it.
const ARRIVES_WITHIN: Duration = Duration::from_secs(2);

/// How much too early it is to look for what an earlier delivery may have done, if it is.
#[must_use]
pub fn too_early(delivery: &Delivery) -> Option<Duration> {
    remains(delivery.redelivered(), delivery.rested())
}

fn remains(redelivered: bool, rested: Duration) -> Option<Duration> {
    ARRIVES_WITHIN.checked_sub(rested).filter(|remains| redelivered && !remains.is_zero())
}

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
    let cause = Cause::of(CauseClass::Unreadable).with_detail(
        "the stored record cannot be read by this release; redrive it with the one that wrote it",
    );
    report(queue, delivery.dead(cause).await);
}

/// A random number from 0 to 1 that spreads retries.
#[must_use]
pub fn jitter() -> f64 {
    fastrand::f64()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_on_its_way_is_waited_for() {
        let ms = Duration::from_millis;
        for (redelivered, rested, expected) in [
            (false, 0, None),
            (true, 0, Some(2_000)),
            (true, 1_999, Some(1)),
            (true, 2_000, None),
            (true, 60_000, None),
        ] {
            assert_eq!(
                remains(redelivered, ms(rested)),
                expected.map(ms),
                "{redelivered} {rested}"
            );
        }
    }
}

//! Brings the gauges of the queues and the seats up to date, when somebody looks.

use crate::admin::Cluster;
use crate::pipeline::seats::Seats;
use crate::queue::{QueueName, Stats, Store};
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels::{JobState, Known, Queue};

/// Shows how many instances there are and what this one holds.
pub fn among(metrics: &Metrics, cluster: &Cluster) {
    metrics.instances(cluster.instances);
    for (kind, names) in &cluster.held {
        metrics.held(Known(kind), names.len());
    }
}

/// Reads all gauges anew; a queue that cannot be read keeps its last numbers.
pub async fn read(metrics: &Metrics, seats: &Seats, store: &Store) {
    for (identity, count) in seats.counts() {
        metrics.seats(identity, count);
    }
    for name in QueueName::ALL {
        match store.queue(name).stats().await {
            Ok(stats) => show(metrics, label(name), &stats),
            Err(error) => tracing::warn!(
                queue = name.as_str(),
                error = %Chain(&error),
                "queue's numbers could not be read"
            ),
        }
    }
}

fn show(metrics: &Metrics, queue: Queue, stats: &Stats) {
    for (state, jobs) in [
        (JobState::Ready, stats.ready),
        (JobState::Delayed, stats.delayed),
        (JobState::Leased, stats.leased),
        (JobState::Dead, stats.dead),
    ] {
        metrics.queue_jobs(queue, state, usize::try_from(jobs).unwrap_or(usize::MAX));
    }
    metrics.queue_oldest(queue, stats.oldest_age.unwrap_or_default());
}

const fn label(name: QueueName) -> Queue {
    match name {
        QueueName::Joins => Queue::Joins,
        QueueName::Inbox => Queue::Inbox,
        QueueName::Outbox => Queue::Outbox,
        QueueName::Reports => Queue::Reports,
    }
}

//! Brings the gauges of the queues, the seats and the sockets up to date, when somebody looks.

use crate::admin::Cluster;
use crate::channels::conversations::seats::{Listening, Seats};
use crate::jobs::worker::label;
use crate::queue::{QueueName, Stats, Store};
use crate::realtime::State;
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels::{JobState, Known, Queue, SocketState};

/// Shows how many instances there are and what this one holds.
pub fn among(metrics: &Metrics, cluster: &Cluster) {
    metrics.instances(cluster.instances);
    for (kind, names) in &cluster.held {
        metrics.held(Known(kind), names.len());
    }
}

/// Reads all gauges anew; a queue that cannot be read keeps its last numbers.
pub async fn read(metrics: &Metrics, seats: Option<&Seats>, store: &Store) {
    if let Some(seats) = seats {
        for (identity, count) in seats.counts() {
            metrics.seats(identity, count);
        }
        sockets(metrics, seats);
    }
    for (name, stats) in queues(store).await {
        show(metrics, label(name), &stats);
    }
}

/// Counts the jobs of each queue that can be read.
pub async fn queues(store: &Store) -> Vec<(QueueName, Stats)> {
    let mut counted = Vec::with_capacity(QueueName::ALL.len());
    for name in QueueName::ALL {
        match store.queue(name).stats().await {
            Ok(stats) => counted.push((name, stats)),
            Err(error) => tracing::warn!(
                queue = name.as_str(),
                error = %Chain(&error),
                "queue's numbers could not be read"
            ),
        }
    }
    counted
}

/// Shows where each identity's socket stands now.
fn sockets(metrics: &Metrics, seats: &Seats) {
    for line in seats.members() {
        let state = match line.listening() {
            Listening::Off => SocketState::Off,
            Listening::Elsewhere => SocketState::Elsewhere,
            Listening::Here(client) => state_of(*client.state().borrow()),
        };
        metrics.socket(&line.identity, state);
    }
}

const fn state_of(state: State) -> SocketState {
    match state {
        State::Connecting => SocketState::Connecting,
        State::Waiting => SocketState::Disconnected,
        State::Connected | State::Live => SocketState::Connected,
        State::Refused => SocketState::Refused,
        State::ShutDown => SocketState::Off,
    }
}

fn show(metrics: &Metrics, queue: Queue, stats: &Stats) {
    for (state, jobs) in [
        (JobState::Ready, stats.ready),
        (JobState::Delayed, stats.delayed),
        (JobState::Leased, stats.leased),
        (JobState::Held, stats.held),
        (JobState::Dead, stats.dead),
    ] {
        metrics.queue_jobs(queue, state, usize::try_from(jobs).unwrap_or(usize::MAX));
    }
    metrics.queue_oldest(queue, stats.oldest_age.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::conversations::seats::PoolMember;

    #[test]
    fn every_identity_of_the_pool_has_a_socket_state_of_its_own() {
        let metrics = Metrics::new();
        let seats = Seats::new(vec![
            PoolMember::new("bot".into(), Listening::Off),
            PoolMember::new("bot-2".into(), Listening::Elsewhere),
        ]);
        sockets(&metrics, &seats);
        let page = metrics.page();
        for (identity, state) in [("bot", "off"), ("bot-2", "elsewhere")] {
            let line =
                format!("chimein_socket_state{{identity=\"{identity}\",state=\"{state}\"}} 1\n");
            assert!(page.contains(&line), "{line}{page}");
        }
        let samples = page.lines().filter(|line| line.starts_with("chimein_socket_state{"));
        assert_eq!(samples.count(), 2 * SocketState::ALL.len(), "{page}");
    }

    #[test]
    fn every_state_of_a_client_has_its_word() {
        for (state, word) in [
            (State::Connecting, "connecting"),
            (State::Waiting, "disconnected"),
            (State::Connected, "connected"),
            (State::Live, "connected"),
            (State::Refused, "refused"),
            (State::ShutDown, "off"),
        ] {
            assert_eq!(state_of(state).as_str(), word, "{state:?}");
        }
    }
}

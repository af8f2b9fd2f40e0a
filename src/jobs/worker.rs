//! Takes deliveries from one queue and works on many at once: the loop that join, turn and send share.
//!
//! It decides nothing about the work. Each delivery is one tracked task; when told to stop it takes no
//! more, and waits for those at work, which see the same token. What is not settled is given back by
//! the queue. Measured here is how long each job took from its append to its end as done; counted are
//! the dead letters of every stage.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::clock::Timestamp;
use crate::concurrency::{Limiter, Slot};
use crate::jobs::recorder::Recorder;
use crate::jobs::settle;
use crate::queue::{Delivery, Ended, Error, Queue, QueueName};
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::labels;
use crate::telemetry::trace;

/// How long the loop rests after the queue failed, so that a broken disk does not fill the log.
const REST_AFTER_ERROR: Duration = Duration::from_secs(1);

/// Where work is taken from.
pub struct Station {
    /// What delivers.
    pub queue: Queue,
    /// How many deliveries are at work at once.
    pub slots: Limiter,
    /// Where is counted what became of them.
    pub recorder: Recorder,
}

/// Does what one delivery asks for and settles it.
pub trait Work: Send + Sync + 'static {
    /// The queue that it works on.
    const QUEUE: QueueName;

    /// Waits until it makes sense to take more work.
    fn wait(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Works on one delivery; returns soon after `stop` is cancelled. Runs in the span of its stage, on
    /// which it says by [`trace::TraceContext::record`] whose way it is.
    fn work(&self, delivery: Delivery, stop: &CancellationToken)
    -> impl Future<Output = ()> + Send;
}

/// Runs until `stop` is cancelled or the queue is closed.
pub async fn run<W: Work>(station: Station, work: Arc<W>, stop: CancellationToken) {
    let Station { queue, slots, recorder } = station;
    let mut tasks = JoinSet::new();
    loop {
        while let Some(ended) = tasks.try_join_next() {
            report::<W>(ended);
        }
        let taken = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            taken = take(&queue, &slots, work.as_ref()) => taken,
        };
        match taken {
            Ok((delivery, place)) => {
                let (work, recorder) = (Arc::clone(&work), recorder.clone());
                let stop = stop.clone();
                let working = async move {
                    let (ending, appended_at) = (delivery.ending(), delivery.appended_at());
                    work.work(delivery, &stop).await;
                    count::<W>(&recorder, ending.read(), appended_at);
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
                    () = recorder.clock.sleep(REST_AFTER_ERROR) => {}
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
    slots: &Limiter,
    work: &W,
) -> Result<(Delivery, Slot), Error> {
    let place = slots.acquire().await;
    loop {
        // What is done while nothing can be stored is done again.
        queue.kept().await;
        work.wait().await;
        let delivery = queue.next().await?;
        if queue.is_kept() {
            return Ok((delivery, place));
        }
        settle::report(W::QUEUE, delivery.put_off(Duration::ZERO).await);
    }
}

fn count<W: Work>(recorder: &Recorder, ended: Option<Ended>, appended_at: Timestamp) {
    match ended {
        Some(Ended::Done) => {
            recorder.metrics.stage(stage(W::QUEUE), recorder.clock.wall().since(appended_at));
        }
        Some(Ended::Dead) => recorder.metrics.dead_letter(label(W::QUEUE)),
        Some(Ended::Again) | None => {}
    }
}

/// The name of a queue as a label.
#[must_use]
pub const fn label(queue: QueueName) -> labels::Queue {
    match queue {
        QueueName::Joins => labels::Queue::Joins,
        QueueName::Inbox => labels::Queue::Inbox,
        QueueName::Outbox => labels::Queue::Outbox,
        QueueName::Reports => labels::Queue::Reports,
    }
}

const fn stage(queue: QueueName) -> labels::Stage {
    match queue {
        QueueName::Joins => labels::Stage::Join,
        QueueName::Inbox => labels::Stage::Turn,
        QueueName::Outbox => labels::Stage::Send,
        QueueName::Reports => labels::Stage::Report,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::queue::{Append, Cause, JobId, Key, Store, embedded};
    use crate::telemetry::journal::Journal;
    use crate::telemetry::metrics::Metrics;

    /// Ends each job as its payload says.
    struct Ends;

    impl Work for Ends {
        const QUEUE: QueueName = QueueName::Outbox;

        async fn work(&self, delivery: Delivery, _stop: &CancellationToken) {
            let wish: Result<String, _> = serde_json::from_slice(delivery.payload());
            let settled = match wish.as_deref() {
                Err(error) => return settle::unreadable(delivery, Self::QUEUE, error).await,
                Ok("dead") => delivery.dead(Cause::new("refused")).await,
                Ok("again") if !delivery.redelivered() => {
                    delivery.retry_in(Duration::ZERO, Cause::new("busy")).await
                }
                Ok(_) => delivery.ack().await,
            };
            settle::report(Self::QUEUE, settled);
        }
    }

    #[tokio::test]
    async fn a_job_that_cannot_be_read_counts_as_a_dead_letter() {
        let page = page_after(&["not json", "\"done\"", "\"again\""]).await;
        let line = "chimein_dead_letters_total{queue=\"outbox\"} 1\n";
        assert!(page.contains(line), "{page}");
    }

    #[tokio::test]
    async fn a_job_that_its_stage_buries_counts_as_one_too() {
        let page = page_after(&["not json", "\"dead\"", "\"done\"", "\"again\""]).await;
        let line = "chimein_dead_letters_total{queue=\"outbox\"} 2\n";
        assert!(page.contains(line), "{page}");
    }

    #[tokio::test]
    async fn the_time_of_a_job_is_measured_once_it_is_done() {
        let page = page_after(&["not json", "\"dead\"", "\"done\"", "\"again\""]).await;
        let line = "chimein_stage_seconds_count{stage=\"send\"} 2\n";
        assert!(page.contains(line), "the one tried again is measured at its end\n{page}");
    }

    #[test]
    fn a_job_is_measured_from_its_append() {
        let metrics = Metrics::new();
        let recorder = recorder(&metrics);
        let appended_at = recorder.clock.wall().before(Duration::from_secs(90));
        count::<Ends>(&recorder, Some(Ended::Done), appended_at);
        let page = metrics.page();
        for (bound, count) in [("60.0", 0), ("300.0", 1)] {
            let line =
                format!("chimein_stage_seconds_bucket{{le=\"{bound}\",stage=\"send\"}} {count}\n");
            assert!(page.contains(&line), "{line}{page}");
        }
    }

    /// Works until all jobs with these payloads are settled for good, and shows the metrics.
    async fn page_after(payloads: &[&str]) -> String {
        let place = tempfile::tempdir().unwrap();
        let store = Store::open(embedded::Options::new(place.path().join("queue.db"))).unwrap();
        let queue = store.queue(QueueName::Outbox);
        let jobs = payloads.iter().enumerate().map(|(at, payload)| Append {
            id: JobId::digest("test", &[payload.as_bytes()]),
            key: Key::new(format!("lane {at}")).unwrap(),
            position: None,
            not_before: None,
            payload: payload.as_bytes().to_vec(),
        });
        queue.append(jobs.collect()).await.unwrap();
        let metrics = Metrics::new();
        let recorder = recorder(&metrics);
        let station = Station { queue: queue.clone(), slots: Limiter::fixed(1), recorder };
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(station, Arc::new(Ends), stop.clone()));
        let settled = async {
            loop {
                let stats = queue.stats().await.unwrap();
                if stats.open() == 0 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), settled).await.unwrap();
        stop.cancel();
        running.await.unwrap();
        metrics.page()
    }

    fn recorder(metrics: &Metrics) -> Recorder {
        Recorder {
            journal: Journal::new(16),
            metrics: metrics.clone(),
            clock: Clock::start(),
            tally: Arc::default(),
        }
    }
}

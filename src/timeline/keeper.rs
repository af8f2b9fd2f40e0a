//! Brings what the journal tells into the timeline, a few times a second.
//!
//! One task, which nobody waits for. It lets records come together before it writes them. While it cannot
//! write, or does not keep up, records are dropped: those that it could not write, and those that fell out
//! of the journal's ring meanwhile. Both are counted, and the log says once when it begins and when it is
//! over.

use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Error, Line, Timeline};
use crate::clock::Clock;
use crate::telemetry::chain::Chain;
use crate::telemetry::journal::{Journal, Record};
use crate::telemetry::metrics::Metrics;

/// How long records come together before they are written: what a kill takes at most.
const GATHER: Duration = Duration::from_millis(200);

/// How many are written at once.
const BATCH_MAX: usize = 4096;

/// How often what is too old is looked for while nothing happens.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// How long the last write may take at the stop.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// How long one write may take before its records count as dropped, and one look for what is too old.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// The task.
#[derive(Debug)]
pub struct Keeper {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Keeps from now on whatever the journal tells.
    #[must_use]
    pub fn start(journal: &Journal, timeline: Timeline, metrics: Metrics, clock: Clock) -> Self {
        let stop = CancellationToken::new();
        let (heard, ended) = (journal.subscribe(), stop.clone());
        let keeping = Keeping { timeline, metrics, clock, is_failing: false };
        Self { stop, task: tokio::spawn(keeping.run(heard, ended)) }
    }

    /// Writes what was told up to now, if that is quickly done.
    pub async fn close(self) {
        self.stop.cancel();
        if tokio::time::timeout(LAST_WRITE, self.task).await.is_err() {
            tracing::warn!("the last records of the timeline were not written in time");
        }
    }
}

struct Keeping {
    timeline: Timeline,
    metrics: Metrics,
    clock: Clock,
    is_failing: bool,
}

impl Keeping {
    async fn run(mut self, mut heard: Receiver<Record>, stop: CancellationToken) {
        let mut is_over = false;
        while !is_over {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => None,
                first = heard.recv() => Some(first),
                () = self.clock.sleep(TIDY_EVERY) => {
                    self.tidy().await;
                    continue;
                }
            };
            let mut lines = Vec::new();
            match first {
                Some(Ok(record)) => lines.push(Line::of(record)),
                Some(Err(RecvError::Lagged(missed))) => self.metrics.timeline_dropped(missed),
                Some(Err(RecvError::Closed)) | None => is_over = true,
            }
            if !is_over {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.clock.sleep(GATHER) => {}
                }
            }
            self.write_all(&mut heard, lines).await;
        }
    }

    /// Writes all that was told up to now.
    async fn write_all(&mut self, heard: &mut Receiver<Record>, mut lines: Vec<Line>) {
        // Bounded, or a flood would keep a stop waiting.
        for _ in 0..64 {
            while lines.len() < BATCH_MAX {
                match heard.try_recv() {
                    Ok(record) => lines.push(Line::of(record)),
                    Err(TryRecvError::Lagged(missed)) => self.metrics.timeline_dropped(missed),
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
            if lines.is_empty() {
                return;
            }
            self.write(std::mem::take(&mut lines)).await;
        }
    }

    async fn write(&mut self, lines: Vec<Line>) {
        let count = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        let written = self.timeline.engine.write(lines);
        let written = tokio::time::timeout(WRITE_WITHIN, written).await;
        match written.unwrap_or(Err(Error::Late)) {
            Ok(()) if self.is_failing => {
                self.is_failing = false;
                tracing::info!("timeline is written again");
            }
            Ok(()) => {}
            Err(error) => {
                self.metrics.timeline_dropped(count);
                if !self.is_failing {
                    self.is_failing = true;
                    tracing::warn!(error = %Chain(&error),
                        "timeline cannot be written; messages go on, their steps are not kept");
                }
            }
        }
    }

    async fn tidy(&self) {
        let tidied = tokio::time::timeout(WRITE_WITHIN, self.timeline.engine.tidy()).await;
        if let Err(error) = tidied.unwrap_or(Err(Error::Late)) {
            tracing::debug!(error = %Chain(&error), "old records of the timeline are still there");
        }
    }
}

//! What the console sees of the service: now, and over the last half hour.
//!
//! A look is shared: whoever asks within a second of somebody else is told the same. Each ten seconds one is
//! taken anyway, for the curves. What is wrong is decided by the rules of the alarms, without their patience.
//! Time enters through the clock.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::samples::{EVERY, Sample, Samples};
use crate::alarms::rules::{AlarmChange, AlarmWatch, Facts, QueueFacts, Thresholds};
use crate::alarms::teller::Witness;
use crate::jobs::recorder::Recorder;

/// How long a look is good for.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// How long one may take; the last one is shown where it takes longer.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// Sees the service; clones see the same.
#[derive(Clone)]
pub struct Lookout(Arc<LookoutParts>);

struct LookoutParts {
    witness: Arc<dyn Witness>,
    recorder: Recorder,
    seen: Mutex<LookoutState>,
}

struct LookoutState {
    watch: AlarmWatch,
    samples: Samples,
    last: Option<Glance>,
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Glance {
    /// When.
    pub(super) at: crate::clock::Moment,
    /// Queues, sockets, agents, seats.
    pub facts: Facts,
    /// What is wrong, by the rules of the alarms.
    pub troubles: Vec<AlarmChange>,
    /// The half hour before.
    pub(super) samples: Samples,
}

impl Glance {
    /// A sum over the queues.
    pub(super) fn sum(&self, count: impl Fn(&QueueFacts) -> u64) -> u64 {
        self.facts.queues.iter().map(count).sum()
    }

    /// How old the oldest job of all queues is.
    pub(super) fn oldest(&self) -> Duration {
        self.facts.queues.iter().map(|queue| queue.oldest).max().unwrap_or_default()
    }
}

impl Lookout {
    /// Looks at what `witness` sees; `thresholds` are the alarms'.
    #[must_use]
    pub fn new(witness: Arc<dyn Witness>, recorder: Recorder, thresholds: Thresholds) -> Self {
        // Told at once, and at every look again.
        let eager = Thresholds { hold: Duration::ZERO, repeat: Duration::ZERO, ..thresholds };
        let watch = AlarmWatch::new(eager);
        let seen = Mutex::new(LookoutState { watch, samples: Samples::default(), last: None });
        Self(Arc::new(LookoutParts { witness, recorder, seen }))
    }

    /// Takes a look each ten seconds until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let clock = self.0.recorder.clock;
        loop {
            let glance = self.look().await;
            self.seen().samples.push(self.sample(&glance));
            tokio::select! {
                () = stop.cancelled() => return,
                () = clock.sleep(EVERY) => {}
            }
        }
    }

    /// What is to be seen now, or was within the last second.
    pub async fn glance(&self) -> Glance {
        let now = self.0.recorder.clock.now();
        match self.last().filter(|last| now.since(last.at) < GOOD_FOR) {
            Some(last) => last,
            None => self.look().await,
        }
    }

    /// What was seen last.
    #[must_use]
    pub fn last(&self) -> Option<Glance> {
        self.seen().last.clone()
    }

    async fn look(&self) -> Glance {
        let clock = self.0.recorder.clock;
        let facts = tokio::time::timeout(LOOK_TIMEOUT, self.0.witness.facts()).await.ok();
        let (at, wall) = (clock.now(), clock.wall());
        let mut seen = self.seen();
        let facts = facts.or_else(|| seen.last.as_ref().map(|last| last.facts.clone()));
        let facts = facts.unwrap_or_default();
        let mut troubles = seen.watch.look(at, wall, &facts);
        troubles.retain(|trouble| trouble.is_firing);
        let glance = Glance { at, facts, troubles, samples: seen.samples.clone() };
        seen.last = Some(glance.clone());
        glance
    }

    fn sample(&self, glance: &Glance) -> Sample {
        Sample {
            at: glance.at,
            received: self.0.recorder.tally.read().received,
            open: glance.sum(|queue| queue.open),
            oldest: glance.oldest(),
            dead: glance.sum(|queue| queue.dead),
        }
    }

    fn seen(&self) -> MutexGuard<'_, LookoutState> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Lookout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookout").finish_non_exhaustive()
    }
}

//! Something that many jobs need, and whether it is there: where the workers meet an [`Outage`].
//!
//! One line in the log when it goes and one when it comes back, never a line a job.

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{Clock, Moment};
use crate::jobs::outage::{Change, Outage, Pass, Subject};

/// What a stage depends on.
#[derive(Debug)]
pub struct Dependency {
    name: Cow<'static, str>,
    outage: Mutex<Outage>,
    changed: Notify,
}

impl Dependency {
    /// Takes it to be there. The name is for the log.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), outage: Mutex::default(), changed: Notify::new() }
    }

    /// Waits until one more job may be taken up that needs it.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing, or the right to the one probe, which another takes after a pause.
    pub async fn wait(&self, clock: &Clock) {
        loop {
            let changed = self.changed.notified();
            let pass = self.decide(Outage::admit, clock);
            match pass {
                Pass::Go => return,
                Pass::Wait(until) => tokio::select! {
                    () = clock.sleep_until(until) => {}
                    () = changed => {}
                },
            }
        }
    }

    /// Says whether a request may go, or in which time one may.
    ///
    /// # Errors
    ///
    /// The time to wait.
    pub fn pass(&self, clock: &Clock) -> Result<(), Duration> {
        match self.decide(Outage::pass, clock) {
            Pass::Go => Ok(()),
            Pass::Wait(until) => Err(until.since(clock.now())),
        }
    }

    /// Decides, and says so if it was seen to be back by that.
    fn decide(&self, decide: impl FnOnce(&mut Outage, Moment) -> Pass, clock: &Clock) -> Pass {
        let (was_away, pass, is_away) = {
            let mut outage = self.outage();
            (outage.is_away(), decide(&mut outage, clock.now()), outage.is_away())
        };
        if was_away && !is_away {
            self.say(Change::Back, "");
        }
        pass
    }

    /// Notes that it worked; gives whether it was away until now.
    pub fn succeeded(&self, clock: &Clock) -> bool {
        let change = self.outage().succeeded(clock.now());
        self.say(change, "");
        change == Change::Back
    }

    /// Notes that something is back that may have been away for the same reason: it is asked at once.
    pub fn nudged(&self, clock: &Clock) {
        self.outage().nudged(clock.now());
        self.changed.notify_waiters();
    }

    /// Notes a failure that may show it away, and how long that took.
    pub fn failed(&self, subject: Option<Subject>, took: Duration, reason: &str, clock: &Clock) {
        let change = self.outage().failed(subject, took, clock.now());
        self.say(change, reason);
    }

    /// How long a job is to be parked that has just failed for it; nothing if that is the job's own
    /// failure.
    #[must_use]
    pub fn parks(&self, clock: &Clock) -> Option<Duration> {
        self.outage().parks(clock.now())
    }

    /// Whether it is away.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.outage().is_away()
    }

    fn say(&self, change: Change, reason: &str) {
        match change {
            Change::None => return,
            Change::Away => tracing::warn!(
                dependency = &*self.name,
                reason,
                "dependency is away; jobs that need it wait, no attempt is counted, and one goes \
                 every few seconds to see whether it is back"
            ),
            Change::Back => {
                tracing::info!(dependency = &*self.name, "dependency is back; jobs go on");
            }
        }
        self.changed.notify_waiters();
    }

    fn outage(&self) -> MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_goes_on_as_soon_as_it_is_back() {
        let (clock, dependency) = (Clock::start(), Dependency::new("twilio"));
        for n in 0..5 {
            dependency.failed(Some([n; 16]), Duration::ZERO, "503", &clock);
        }
        assert!(dependency.is_away());
        assert!(dependency.wait(&clock).now_or_never().is_none());
        let began = clock.now();
        dependency.wait(&clock).await;
        assert_eq!(clock.now().since(began), Duration::from_secs(1), "the probe");
        let mut next = std::pin::pin!(dependency.wait(&clock));
        assert!((&mut next).now_or_never().is_none());
        dependency.succeeded(&clock);
        next.await;
        assert_eq!(clock.now().since(began), Duration::from_secs(1), "at once");
    }
}

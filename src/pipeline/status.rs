//! What the workers know about Twilio: whether it takes our requests, and whether it is there at all.
//!
//! One clear line in the log when that changes, never a line a job. Readiness and the debug page read
//! it; while Twilio is down the workers wait here, by [`policy::breaker`](super::policy::breaker), and while
//! it refuses us by [`policy::refusal`](super::policy::refusal).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::pipeline::policy::breaker::{Breaker, Change, Pass};
use crate::pipeline::policy::outcome::Failure;
use crate::pipeline::policy::refusal::{Refusal, Scope};
use crate::twilio::rest::Op;

/// Twilio as the workers see it.
#[derive(Debug, Default)]
pub struct Status {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    breaker: Breaker,
    refusal: Option<Refusal>,
}

impl Status {
    /// Waits until a request may go.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing, or the right to the one probe, which another takes after a pause.
    pub async fn wait(&self, clock: &Clock) {
        loop {
            let pass = self.lock().breaker.pass(clock.now());
            match pass {
                Pass::Go => return,
                Pass::Wait(until) => clock.sleep_until(until).await,
            }
        }
    }

    /// Waits until a request over REST may go: Twilio is there and does not refuse us, or it is time to
    /// see whether it still does.
    ///
    /// # Cancel safety
    ///
    /// As [`Status::wait`].
    pub async fn wait_for_rest(&self, op: Op, clock: &Clock) {
        while let Pass::Wait(until) = self.pass(op, clock) {
            clock.sleep_until(until).await;
        }
        self.wait(clock).await;
    }

    /// Whether a request over REST may go, as far as refusals are concerned.
    pub fn pass(&self, op: Op, clock: &Clock) -> Pass {
        self.lock().refusal.as_mut().map_or(Pass::Go, |refusal| refusal.pass(op, clock.now()))
    }

    /// Notes that what a job asked for succeeded, by whatever road.
    pub fn succeeded(&self, op: Op) {
        self.ended(|refusal| refusal.is_of(op));
    }

    /// Notes that Twilio did what was asked over REST.
    pub fn answered(&self, op: Op) {
        self.ended(|refusal| refusal.is_ended_by(op));
    }

    fn ended(&self, ends: impl FnOnce(&mut Refusal) -> bool) {
        let mut seen = self.lock();
        if seen.breaker.succeeded() == Change::Closed {
            tracing::info!("twilio answers again; requests go on");
        }
        if seen.refusal.take_if(ends).is_some() {
            tracing::info!("twilio accepts our requests again");
        }
    }

    /// Notes how a request failed.
    pub fn failed(&self, failure: Failure, clock: &Clock) {
        let is_down = match failure {
            Failure::NotSent | Failure::Unknown => true,
            Failure::Refused { status, .. } => status >= 500,
        };
        let breaker = &mut self.lock().breaker;
        let change = if is_down { breaker.failed(clock.now()) } else { breaker.succeeded() };
        match change {
            Change::None => {}
            Change::Opened => tracing::warn!(
                "twilio does not answer; requests are paused, jobs are kept and tried again"
            ),
            Change::Closed => tracing::info!("twilio answers again; requests go on"),
        }
    }

    /// Notes that Twilio refuses us for a reason that only a change of configuration cures.
    pub fn refused(&self, scope: Scope, reason: &str, clock: &Clock) {
        let mut seen = self.lock();
        if let Some(refusal) = &mut seen.refusal {
            refusal.again(scope, reason, clock.now());
        } else {
            tracing::error!(
                reason,
                "twilio refuses our requests; check TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, the API \
                 key and TWILIO_CHAT_SERVICE_SID. Jobs are kept and tried again"
            );
            seen.refusal = Some(Refusal::new(scope, reason, clock.now()));
        }
    }

    /// How long a job is to wait that was refused; spread a little, so that not all come at once.
    pub fn pause(&self, clock: &Clock, jitter: f64) -> Duration {
        let seen = self.lock();
        let pause =
            seen.refusal.as_ref().map_or(Duration::ZERO, |refusal| refusal.wait(clock.now()));
        (pause + Duration::from_secs(1)).mul_f64(1.0 + 0.2 * jitter.clamp(0.0, 1.0))
    }

    /// Why Twilio refuses us, if it does.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        self.lock().refusal.as_ref().map(|refusal| refusal.reason.clone())
    }

    /// Whether requests are paused because Twilio does not answer.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.lock().breaker.is_open()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

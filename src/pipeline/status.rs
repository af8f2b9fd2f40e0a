//! What the workers know about Twilio: whether it takes our requests, and whether it is there at all.
//!
//! One clear line in the log when that changes, never a line a job. Readiness and the debug page read
//! it; while Twilio is down the workers wait here, by [`policy::breaker`](super::policy::breaker).

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::pipeline::policy::breaker::{Breaker, Change, Pass};
use crate::pipeline::policy::outcome::Failure;

/// Twilio as the workers see it.
#[derive(Debug, Default)]
pub struct Status {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    breaker: Breaker,
    refusal: Option<String>,
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

    /// Notes that a request succeeded.
    pub fn succeeded(&self) {
        let mut seen = self.lock();
        if seen.breaker.succeeded() == Change::Closed {
            tracing::info!("twilio answers again; requests go on");
        }
        if seen.refusal.take().is_some() {
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
    pub fn refused(&self, reason: &str) {
        let mut seen = self.lock();
        if seen.refusal.is_none() {
            tracing::error!(
                reason,
                "twilio refuses our requests; check TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, the API \
                 key and TWILIO_CHAT_SERVICE_SID. Jobs are kept and tried again"
            );
        }
        seen.refusal = Some(reason.to_owned());
    }

    /// Why Twilio refuses us, if it does.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        self.lock().refusal.clone()
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

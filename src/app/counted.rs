//! Counts the REST client's requests and tells the workers what they show: the rooms meet here.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::jobs::outcome::Failure;
use crate::jobs::refusal::Scope;
use crate::jobs::status::Status;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels::{Known, RestOutcome};
use crate::twilio::rest::{Observer, Op, Outcome, RequestSubject};

/// What Twilio answers to requests for which the credentials are wrong.
const UNAUTHORIZED: u16 = 401;

/// Counts each request by its operation and end.
pub struct Counted {
    /// Where it is counted.
    pub metrics: Metrics,
    /// What the workers know about Twilio.
    pub status: Arc<Status>,
    /// Reads the time.
    pub clock: Clock,
}

impl Observer for Counted {
    fn pass(&self, op: Op) -> Result<(), Duration> {
        self.status.needed_for(op).pass(&self.clock)
    }

    fn finished(&self, op: Op, subject: Option<RequestSubject>, outcome: Outcome, took: Duration) {
        let failed = |failure| self.status.failed(op, subject, failure, took, &self.clock);
        match outcome {
            Outcome::Done => self.status.answered(op, &self.clock),
            Outcome::Refused { status: UNAUTHORIZED } if !is_about_a_file(op) => {
                let reason = format!("{} was refused with status {UNAUTHORIZED}", op.as_str());
                self.status.refused(Scope::Rest, &reason, &self.clock);
            }
            Outcome::Refused { status } => {
                failed(Failure::Refused { status, code: None, retry_after: None });
            }
            Outcome::NotSent => failed(Failure::NotSent),
            Outcome::Unknown => failed(Failure::Unknown),
            Outcome::Foreign => failed(Failure::Foreign),
            // It says neither that Twilio is away nor that it works.
            Outcome::Unreadable | Outcome::HeldBack => {}
        }
        let outcome = match outcome {
            Outcome::Done => RestOutcome::Done,
            Outcome::Refused { status: 429 } => RestOutcome::Limited,
            Outcome::Refused { status: 500.. } => RestOutcome::Failed,
            Outcome::Refused { .. } => RestOutcome::Refused,
            Outcome::NotSent | Outcome::HeldBack => RestOutcome::NotSent,
            Outcome::Unknown | Outcome::Unreadable => RestOutcome::Unknown,
            Outcome::Foreign => RestOutcome::Foreign,
        };
        self.metrics.rest(Known(op.as_str()), outcome, took);
    }
}

/// Whether a request is for a file, which may be kept where other credentials count; all else goes on.
const fn is_about_a_file(op: Op) -> bool {
    matches!(op, Op::FindFile | Op::FindMedia)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_and_measured_under_its_operation() {
        let metrics = Metrics::new();
        let status = Arc::new(Status::default());
        let counted = Counted { metrics: metrics.clone(), status, clock: Clock::start() };
        counted.finished(Op::AddParticipant, None, Outcome::Unknown, Duration::from_millis(1500));
        let page = metrics.page();
        let count = r#"chimein_rest_requests_total{op="add_participant",outcome="unknown"} 1"#;
        let sum = r#"chimein_rest_seconds_sum{op="add_participant"} 1.5"#;
        for line in [count, sum] {
            assert!(page.lines().any(|shown| shown == line), "{line}\n{page}");
        }
    }
}

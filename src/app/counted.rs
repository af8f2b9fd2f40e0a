//! Counts the REST client's requests: the two rooms meet here.

use std::time::Duration;

use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels::{Known, RestOutcome};
use crate::twilio::rest::{Observer, Op, Outcome};

/// Counts each request by its operation and end.
pub struct Counted(pub Metrics);

impl Observer for Counted {
    fn finished(&self, op: Op, outcome: Outcome, _took: Duration) {
        let outcome = match outcome {
            Outcome::Done => RestOutcome::Done,
            Outcome::Refused { status: 429 } => RestOutcome::Limited,
            Outcome::Refused { status: 500.. } => RestOutcome::Failed,
            Outcome::Refused { .. } => RestOutcome::Refused,
            Outcome::NotSent => RestOutcome::NotSent,
            Outcome::Unknown => RestOutcome::Unknown,
        };
        self.0.rest(Known(op.as_str()), outcome);
    }
}

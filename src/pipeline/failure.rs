//! What an agent's failure means for the job that asked it. Pure but for the jitter.

use std::time::Duration;

use crate::agent::{Error, Retry};
use crate::jobs::schedule::Schedule;
use crate::jobs::settle;
use crate::queue::Cause;

/// The word for an answer that is larger than what is read, or than what the outbox takes.
pub const TOO_LARGE: &str = "agent_answer_too_large";

/// When the job is tried again; nothing once it is not.
#[must_use]
pub fn delay(error: &Error, attempt: u32, schedule: &Schedule) -> Option<Duration> {
    let asked = match error.retry() {
        Retry::No => return None,
        Retry::Backoff => None,
        Retry::After(after) => Some(after),
    };
    schedule.delay_after(attempt, asked, settle::jitter())
}

/// The cause that is kept with the job.
#[must_use]
pub fn cause(error: &Error) -> Cause {
    Cause::new(reason(error)).with_detail(error.to_string())
}

/// The word for an agent's failure in causes and in the journal.
pub const fn reason(error: &Error) -> &'static str {
    match error {
        Error::Timeout { .. } => "agent_timeout",
        Error::Unreachable { .. } => "agent_unreachable",
        Error::Bus { .. } => "agent_bus",
        Error::Status { .. } => "agent_status",
        Error::TooLarge { .. } => TOO_LARGE,
        Error::Malformed { .. } => "agent_answer_malformed",
        Error::Incomplete { .. } => "agent_answer_incomplete",
        Error::Misconfigured { .. } => "agent_misconfigured",
        Error::Wordless { .. } => "agent_wordless",
    }
}

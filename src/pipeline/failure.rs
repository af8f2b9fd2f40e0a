//! What an agent's failure means for the job that asked it. Pure but for the jitter.

use std::time::Duration;

use crate::agent::{Error, Retry};
use crate::jobs::schedule::Schedule;
use crate::jobs::settle;
use crate::queue::Cause;
use crate::thread::CauseClass;

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
    Cause::of(class(error)).with_detail(error.to_string())
}

/// The class of an agent's failure.
pub const fn class(error: &Error) -> CauseClass {
    match error {
        Error::Timeout { .. } => CauseClass::AgentTimeout,
        Error::Unreachable { .. } => CauseClass::AgentUnreachable,
        Error::Bus { .. } => CauseClass::AgentBus,
        Error::Store { .. } => CauseClass::AgentStore,
        Error::NotRunning { .. } => CauseClass::AgentUnreachable,
        Error::GivenUp { .. } => CauseClass::AgentGaveUp,
        Error::Status { .. } => CauseClass::AgentStatus,
        Error::TurnTooLarge { .. } => CauseClass::AgentTurnTooLarge,
        Error::TooLarge { .. } => CauseClass::AgentAnswerTooLarge,
        Error::Malformed { .. } => CauseClass::AgentAnswerMalformed,
        Error::Incomplete { .. } => CauseClass::AgentAnswerIncomplete,
        Error::Misconfigured { .. } | Error::Unusable { .. } => CauseClass::AgentMisconfigured,
        Error::Wordless { .. } => CauseClass::AgentWordless,
    }
}

/// Its word, for the journal.
pub const fn reason(error: &Error) -> &'static str {
    class(error).as_str()
}

//! What every agent has, whatever its kind: the section `[agent]`, and a part of each `[agents.NAME]`. Pure.

use std::num::NonZeroUsize;
use std::time::Duration;

use secrecy::SecretString;

use super::kinds::{AgentKind, Schedule, Size};
use super::section::sections;

sections! {
    /// The agent.
    Agent = "agent" {
        /// Which kind.
        kind: AgentKind;
        /// Signs the requests.
        secret: Option<SecretString>;
        /// How long one turn may take.
        timeout: Duration;
        /// Waiting times between attempts.
        schedule: Schedule;
        /// The largest answer that is read.
        response_bytes_max: Size;
        /// How many at once.
        concurrency: NonZeroUsize;
    }
}

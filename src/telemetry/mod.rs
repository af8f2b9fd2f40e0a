//! Log fields, metrics and the journal, each named once.
//!
//! What happens is told in three ways: log lines for people (`log`), numbers for a monitoring system
//! (`metrics`), and the stages of each message for those who watch one (`journal`), all lines of one
//! message under one trace (`trace`). Lines that a stranger can cause are bounded ([`refusals`]). None of
//! them decides anything.

pub mod chain;
pub mod flood;
#[cfg(feature = "service")]
pub mod journal;
#[cfg(feature = "service")]
pub mod log;
#[cfg(feature = "service")]
pub mod metrics;
pub mod names;
#[cfg(feature = "service")]
pub mod otlp;
pub mod refusals;
#[cfg(feature = "service")]
pub mod trace;

//! The agent that is a workflow of Temporal: a turn starts one, or comes to the thread's own.
//!
//! A workflow's id is the turn's, so that however often a turn is asked there is one run of it, and its result
//! is read by whoever asks. Or each thread has a workflow, which takes its turns one after the other as updates or
//! signals. Replies are the result, the update's answer, or come by an activity that a worker of ours serves,
//! through [`later`](super::later): each counts once, whatever Temporal repeats.
//!
//! [`asked`], [`answered`], [`ids`], [`told`] and [`error`] decide, and are pure; `frontend`, `calls` and `worker`
//! alone speak to the server. Time enters through the clock. Text and addresses go into the workflow, that is what
//! it is for, and never into the log.

#[allow(
    dead_code,
    reason = "a macro names each activity for workflows, of which there are none here"
)]
mod activities;
mod agent;
mod answered;
mod asked;
mod calls;
mod error;
mod examine;
mod frontend;
mod ids;
mod kind;
mod payload;
mod run;
pub mod settings;
mod told;
mod worker;

pub use self::agent::{Options, Temporal, Workflows};
pub use self::frontend::{TemporalAccess, TlsFiles};
pub use self::kind::Kind;

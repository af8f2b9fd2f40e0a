//! What an operator relies on: one trace for each message, log lines that a collector reads, exit codes,
//! a stop in time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backup;
#[path = "../child/mod.rs"]
mod child;
#[path = "../hooks/mod.rs"]
mod hooks;
mod log;
mod process;
mod repeats;
mod rig;
mod send;
mod setup;
mod trace;
mod traces;
mod upgrade;

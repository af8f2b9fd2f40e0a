//! What an operator relies on: one trace for each message, log lines that a collector reads, exit codes,
//! a stop in time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backup;
#[path = "../child/mod.rs"]
mod child;
#[path = "../hooks/mod.rs"]
mod hooks;
mod log;
mod night;
mod process;
#[allow(dead_code, reason = "the scenarios use the rest of it")]
#[path = "../scenarios/receiver.rs"]
mod receiver;
mod repeats;
mod rig;
#[path = "../scripted_agent/mod.rs"]
mod scripted_agent;
mod send;
mod setup;
mod trace;
mod traces;
mod upgrade;

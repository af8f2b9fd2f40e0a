//! The promise: every message is answered once and in order, whatever breaks.
//!
//! The service runs as a child process against an emulator in this one. It is killed at random times
//! under load with faults ([`storm`]), and at each of its fault points and each commit of one message's
//! way ([`points`]); so it is on a plain number ([`numbers`]), while an agent of another process thinks
//! ([`agents`], and [`programs`], which are killed too), and at a start with an older file ([`upgrade`]).
//! `CHIMEIN_CRASH_KILLS` sets the number of random kills, `CHIMEIN_CRASH_SEED` their chance.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agents;
#[path = "../child/mod.rs"]
mod child;
#[path = "../kept/mod.rs"]
mod kept;
mod line;
#[cfg(feature = "nats")]
#[path = "../nats_server/mod.rs"]
mod nats_server;
mod numbers;
mod points;
mod programs;
mod routing;
#[path = "../scripted_agent/mod.rs"]
mod scripted_agent;
#[cfg(feature = "sqs")]
#[path = "../sqs_server/mod.rs"]
mod sqs_server;
mod storm;
mod upgrade;

//! The agent `bitbrat` against a real NATS server, with the platform's services played by the test.

#![cfg(feature = "nats")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod contract;
mod failures;
#[path = "../nats_server/mod.rs"]
mod nats_server;
mod persistence;
mod platform;
mod progress;
#[allow(dead_code, reason = "the scenarios use the rest of it")]
#[path = "../scenarios/rig.rs"]
mod rig;
mod round_trip;
mod unanswered;
mod walk;

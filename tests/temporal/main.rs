//! The agent `temporal` against a real server: what outlives whom, and the workflow of an older system.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../child/mod.rs"]
mod child;
mod closed;
mod examined;
mod example;
mod kills;
mod older;
#[path = "../proxy/mod.rs"]
mod proxy;
#[allow(dead_code, reason = "the scenarios use the rest of it")]
#[path = "../scenarios/rig.rs"]
mod rig;
mod secured;
#[path = "../temporal_server/mod.rs"]
mod temporal_server;

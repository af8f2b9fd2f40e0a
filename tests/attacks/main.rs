//! Attacks in small: what an outsider, a customer, somebody in the conversation, an agent, an operator's
//! browser and somebody with the disk try, against the whole service, and what comes of it.
//!
//! The full numbers are the bench `attacks`. Each test is cited by a sentence of the manual's page on
//! safety.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../child/mod.rs"]
mod child;
mod disk;
mod door;
mod emulator;
mod fuzz;
mod logs;
mod media;
mod numbers;
#[allow(dead_code, reason = "the scenarios use the rest of it")]
#[path = "../scenarios/rig.rs"]
mod rig;
mod rights;
#[path = "../fuzz/targets.rs"]
mod targets;

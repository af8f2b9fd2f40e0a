//! The agent `temporal` against a real server: what is started, what is served, what outlives whom.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../temporal_server/mod.rs"]
mod temporal_server;

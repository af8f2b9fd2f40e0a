#![doc = include_str!("../README.md")]

// A room may use only the rooms listed below it; `tests/house.rs` holds the code against this order.
pub mod cli;

pub mod app;

pub mod admin;
pub mod agent;
pub mod emulator;
pub mod pipeline;
pub mod webhook;

pub mod queue;
pub mod realtime;

#[cfg(feature = "nats")]
pub mod cluster;

#[cfg(feature = "nats")]
pub mod nats;

pub mod http;

pub mod config;

pub mod telemetry;

pub mod twilio;

pub mod concurrency;
pub mod net;

pub mod clock;
pub mod fault_points;
pub mod files;
pub mod json;
pub mod manual;
pub mod nearest;
pub mod pii;
pub mod text;

// The servers that tests of the rooms below need are the same that the tests outside use.
#[cfg(all(test, feature = "nats"))]
#[path = "../tests/nats_server/mod.rs"]
mod test_nats;
#[cfg(test)]
#[path = "../tests/ports/mod.rs"]
mod test_ports;
#[cfg(test)]
#[path = "../tests/proxy/mod.rs"]
mod test_proxy;

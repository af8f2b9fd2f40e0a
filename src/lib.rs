#![doc = include_str!("../README.md")]
#![doc = include_str!("manual/rooms.md")]

// A room may use only the rooms listed below it; `tests/house.rs` holds the code against this order.
#[cfg(feature = "service")]
pub mod cli;

#[cfg(feature = "service")]
pub mod app;

#[cfg(feature = "service")]
pub mod console;

#[cfg(feature = "service")]
pub mod admin;
#[cfg(feature = "service")]
pub mod agent;
#[cfg(feature = "service")]
pub mod alarms;
#[cfg(feature = "service")]
pub mod emulator;
#[cfg(feature = "service")]
pub mod pipeline;
#[cfg(feature = "service")]
pub mod webhook;

pub mod client;

#[cfg(feature = "service")]
pub mod channels;

#[cfg(feature = "service")]
pub mod media;

#[cfg(feature = "service")]
pub mod jobs;

#[cfg(feature = "service")]
pub mod queue;
pub mod realtime;
#[cfg(feature = "service")]
pub mod timeline;

#[cfg(feature = "nats")]
pub mod cluster;

#[cfg(feature = "nats")]
pub mod nats;

#[cfg(feature = "service")]
pub mod http;

#[cfg(feature = "service")]
pub mod config;

pub mod telemetry;

#[cfg(feature = "service")]
pub mod thread;

pub mod twilio;

pub mod concurrency;
pub mod net;
#[cfg(feature = "service")]
pub mod standard_webhooks;

#[cfg(feature = "service")]
pub mod bounded_map;
pub mod bytes16;
pub mod clock;
#[cfg(feature = "service")]
pub mod derived_key;
#[cfg(feature = "service")]
pub mod fault_points;
#[cfg(feature = "service")]
pub mod files;
#[cfg(feature = "service")]
pub mod finding;
pub mod json;
#[cfg(feature = "service")]
pub mod manual;
pub mod pii;
#[cfg(feature = "service")]
pub mod recent;
#[cfg(feature = "service")]
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

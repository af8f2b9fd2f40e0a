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

pub mod http;

pub mod config;

pub mod telemetry;

pub mod twilio;

pub mod clock;
pub mod fault_points;
pub mod pii;

//! The whole service against the emulator: each test is a promise that a user relies on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../hooks/mod.rs"]
mod hooks;
#[path = "../ports/mod.rs"]
mod ports;
#[path = "../proxy/mod.rs"]
mod proxy;

mod agent;
mod alarms;
mod answering_later;
mod breaking;
mod buttons;
mod chatwoot;
mod choosing;
mod deliveries;
mod doors;
mod ending;
mod examples;
mod facts;
mod files;
mod forget;
mod groups;
mod handoff;
mod leaving;
mod many;
mod model;
mod model_servers;
mod network;
mod numbers;
mod openai;
#[path = "../openai_server/mod.rs"]
mod openai_server;
mod outages;
mod phones;
mod receiver;
mod refusals;
mod removing;
mod reports;
mod restoring;
mod rig;
mod routing;
mod secrets;
mod sending;
mod stdio;
mod strategies;
mod sweeping;
mod taking_over;
mod timeline;
mod turns;
mod waiting;

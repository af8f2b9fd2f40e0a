//! The agent that is BitBrat: turns go out on its bus, replies come back by it.
//!
//! A turn is published as an `InternalEventV2` and is done when JetStream has it; what the platform's
//! services make of it comes back as egress events, minutes later or never, and enters the outbox by
//! [`later`](super::later). An egress event is acknowledged once its reply is on disk, never before. When a
//! reply is settled the bus is told: a final snapshot, and a dead letter if it failed.
//!
//! [`envelope`], [`selection`], [`target`], [`wanted`], [`progress`], [`snapshot`], [`dead_letter`] and
//! [`status`] decide, and are pure; `bus` alone speaks NATS. Time enters through the clock. Text and addresses
//! go onto the bus, that is what it is for, and never into the log. No secret enters: the connection
//! is made by [`nats`](crate::nats).
//!
//! Replies leave by REST from any instance, so all instances share one topic for replies and one
//! durable consumer on it; no reply is lost with an instance.

mod bus;
pub mod dead_letter;
mod egress;
pub mod envelope;
mod error;
pub mod event;
mod examine;
mod kind;
pub mod names;
mod platform;
pub mod progress;
mod run;
pub mod selection;
pub mod settings;
pub mod snapshot;
pub mod status;
pub mod target;
pub mod wanted;
mod words;

pub use self::bus::Dial;
pub use self::error::Error;
pub use self::kind::Kind;
pub use self::platform::{BitBrat, Options};

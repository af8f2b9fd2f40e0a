//! The channel of Twilio Conversations.
//!
//! Everything here is of conversations alone: [joins](join) and the [rules](join_rules) for them, the
//! [seats] of the identity pool, what webhooks and the [socket](listener) tell, the
//! [catch-up](catch_up) read, the [sweep](reconcile), [leaving](leave) and being [removed](removals).
//! What comes in goes through [`arrivals`]; what the pipeline asks and says goes through [`channel`].

pub mod arrivals;
mod attributes;
pub mod beginnings;
pub mod catch_up;
pub mod channel;
pub mod contiguous;
mod dead_joins;
pub mod deliveries;
pub mod departures;
pub mod facts;
mod flights;
mod history;
pub mod join;
pub mod join_rules;
pub mod kept_watermarks;
pub mod leave;
pub mod listener;
mod media;
pub mod memory;
pub mod number_limits;
pub mod other_road;
pub mod policy;
pub mod reconcile;
pub mod record;
pub mod removals;
pub mod seats;
mod send;
pub mod send_limits;
pub mod service_check;
pub mod sweep_pace;
mod webhook_events;

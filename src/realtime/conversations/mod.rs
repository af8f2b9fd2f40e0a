//! Configuration, seats, messages, read horizon and typing, on top of Sync.
//!
//! All of it is pure; [`core`] is the whole client without its socket.

pub mod commands;
pub mod core;
mod inbox;
pub mod model;
pub mod reads;
pub mod request;
pub mod resume;
mod roster;
mod seat;
pub mod stream;

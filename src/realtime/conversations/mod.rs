//! Configuration, seats, messages, read horizon and typing, on top of Sync.
//!
//! All of it is pure; [`core`] is the whole client without its socket. It hands what one part puts out
//! to the next:
//!
//! ```text
//!   session ──answers, notifications──▶ core ──▶ reads      what is asked for, how often
//!                                         ├────▶ seats      which conversations, directory, timers
//!                                         │        └─▶ seat ─▶ open ─▶ stream, roster
//!                                         ├────▶ commands   what the owner wants done
//!                                         └────▶ horizons   how far the bot has read
//! ```

pub mod commands;
pub mod core;
mod directory;
mod horizons;
pub mod model;
mod open;
mod outbox;
pub mod reads;
pub mod request;
pub mod resume;
mod roster;
mod seat;
mod seats;
pub mod stream;
mod timers;

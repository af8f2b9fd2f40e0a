//! Configuration, seats, messages, read horizon and typing, on top of Sync.

pub mod model;
pub mod stream;

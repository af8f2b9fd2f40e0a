//! The way of a message: doors in, join, turn, send.

pub mod policy;

//! The pipeline's decisions, all pure: what a failure means, when to try again,
//! how fast and in which pieces to send, when a conversation is a loop.

pub mod guard;
pub mod outcome;
pub mod pace;
pub mod schedule;
pub mod split;

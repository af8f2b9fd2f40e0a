//! The pipeline's decisions, all pure: which conversations to be in and to leave, what a failure means,
//! when to try again, who wrote a message, how fast and in which pieces to send, how far back to look
//! for it, when a conversation is a loop,
//! what is an outage and what a job's own failure.

use std::time::Duration;

pub mod authors;
pub mod guard;
pub mod keywords;
pub mod leaving;
pub mod outage;
pub mod outcome;
pub mod pace;
pub mod pause;
pub mod reading;
pub mod refusal;
pub mod removal;
pub mod repeats;
pub mod schedule;
pub mod search;
pub mod segments;
pub mod split;
pub mod strategy;
pub mod which;

/// How far Twilio's clock and ours may be apart. Assumed: both are kept by NTP, so this is ample.
pub const SKEW_MAX: Duration = Duration::from_secs(300);

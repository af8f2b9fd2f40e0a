//! The decisions about conversations, all pure: in which the bot is to be and which it leaves, who took it
//! out, whose message one is, what was answered before, and what the sweep reads.

pub mod authors;
pub mod beginning;
pub mod join_policy;
pub mod leaving;
pub mod reading;
pub mod receipts;
pub mod removal;

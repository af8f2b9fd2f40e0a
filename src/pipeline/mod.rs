//! The way of a message, whichever channel it came by: in, turn, out, report.
//!
//! ```text
//! channel ──▶ ingest ──▶ inbox ──▶ turn ──▶ agent
//!                                    │
//!           late replies ──▶ outbox ◀┘
//!                              └──▶ send ──▶ channel
//!                                     └──▶ reports ──▶ report ──▶ agent
//! ```
//!
//! Each arrow into a queue is an append that is on disk before anything is acknowledged; each arrow
//! out of one is a lease. The decisions are pure and in [`policy`]; what the queues hold is in
//! [`record`]; the rest is thin drivers. The pipeline reads time through its recorder's clock and knows
//! its channels by [their trait](crate::channels::Channel) alone.

pub mod awaited;
mod failure;
pub mod forget;
pub mod handoff;
pub mod ingest;
pub mod lists;
pub mod origins;
pub mod policy;
pub mod record;
pub mod report;
pub mod send;
pub mod turn;
pub mod upstreams;

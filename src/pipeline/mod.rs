//! The way of a message: doors in, join, turn, send.
//!
//! ```text
//! webhook, socket, catch-up, sweep ──▶ doors ──▶ joins  ──▶ join ──▶ Twilio
//!                                        └─────▶ inbox  ──▶ turn ──▶ agent
//!                                                             │
//!                                    late replies ──▶ outbox ◀┘
//!                                                       └──▶ send ──▶ Twilio
//!                                                              └──▶ reports ──▶ report ──▶ agent
//! ```
//!
//! Each arrow into a queue is an append that is on disk before anything is acknowledged; each arrow
//! out of one is a lease. The decisions are pure and in [`policy`]; what the queues hold is in
//! [`record`]; the rest is thin drivers. The pipeline reads time through its notes' clock and talks
//! to Twilio through the REST and realtime clients it is given.

pub mod admit;
mod buried;
pub mod catch_up;
pub mod choice;
pub mod dependency;
pub mod doors;
pub mod handoff;
mod heard;
pub mod join;
pub mod late;
pub mod leave;
pub mod left;
pub mod listen;
mod media;
pub mod notes;
mod outbound;
pub mod paces;
pub mod phones;
pub mod policy;
pub mod reconcile;
pub mod record;
pub mod removed;
pub mod repeated;
pub mod reply_ids;
pub mod report;
pub mod seats;
pub mod send;
pub mod senders;
pub mod service;
mod settle;
pub mod status;
pub mod sweep_pace;
pub mod thinking;
pub mod through;
pub mod turn;
pub mod worker;

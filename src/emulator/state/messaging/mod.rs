//! Texts of the messaging API: SMS, MMS, WhatsApp and RCS without a conversation.
//!
//! Pure. A bot's text waits for its sender's turn, leaves, arrives and may be read; each step is an
//! alarm of the world, and all but the first are told to the status callback:
//!
//! | status | after | becomes |
//! | --- | --- | --- |
//! | scheduled | `SendAt` | queued |
//! | accepted | a sender of the messaging service is chosen | queued, or failed (21610, 30001) |
//! | queued | the sender's turn | sending, or failed (30036, 63016, a fault's code) |
//! | sending | a moment | sent |
//! | sent | a moment | delivered, or undelivered (a fault's code) |
//! | delivered | a moment, on WhatsApp and RCS | read |
//!
//! Source: REST notes 2.4 and webhook notes 2.3, read 2026-11-21. That `sending` is told to nobody is
//! assumed.

mod account;
mod chains;
mod check;
mod fields;
mod line;
pub mod list;
mod pace;
mod progress;
mod receive;
pub mod refusal;
mod ring;
mod send;
mod store;
#[cfg(test)]
mod tests;
mod text;
pub mod twiml;

pub use line::{MessagingService, Number};
pub use ring::{INBOUND, Ring, STATUS};
pub use store::Messaging;
pub use text::{
    Choice, Content, Direction, Draft, Extras, File, Referral, SharedLocation, Text, TextFate,
};

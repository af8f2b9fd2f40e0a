//! The channel of plain numbers: SMS, MMS, WhatsApp and RCS without a conversation.
//!
//! A thread is a [pair](crate::thread::Pair) of addresses. What comes in is told by a webhook of the
//! number and heard in [`intake`], or found by the [`sweep`]; which addresses are ours and by whom they are
//! served is [`senders`]'. What is known of somebody, above all whether the person wants to hear from us,
//! is kept in [`contacts`] until its [`retention`] is over; how each reply fares, in [`states`]. What the
//! pipeline asks and says goes through [`channel`].

pub mod channel;
pub mod contacts;
mod fallen;
mod find;
mod history;
pub mod intake;
pub mod marks;
pub mod policy;
pub mod retention;
mod send;
pub mod sender_pace;
pub mod senders;
mod since;
pub mod states;
pub mod sweep;

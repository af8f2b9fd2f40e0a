//! Twilio's webhooks of Programmable Messaging as types: a message that came in, and how one that went
//! out fares.
//!
//! As with [`events`](crate::twilio::events): strict about the sids, the addresses and the status, which
//! nobody can do without; all else is lenient, for fields come, go and stay empty without notice. An
//! address is opaque text behind the word of its channel, never a number to calculate with: WhatsApp
//! hides numbers behind ids of its own. Pure.
//! Source: Twilio's request to your webhook URL, read 2026-11-21, and captured requests.

mod inbound;
mod status;

pub use self::inbound::{
    Choice, Inbound, Location, MediaPlace, OTHER_BYTES_MAX, OTHER_MAX, OptOut, Quoted, Referral,
};
pub use self::status::{MessageStatus, StatusUpdate};

/// How many files a message may have, in either direction. Source: MMS, ten files and 5 MB together; webhook
/// notes 2.1, `NumMedia`; error dictionary 21623; read 2026-11-21.
pub const MEDIA_MAX: usize = 10;

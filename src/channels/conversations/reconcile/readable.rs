//! What the sweep may have to read. A plain value.

use crate::clock::Timestamp;
use crate::twilio::sid::ConversationSid;

/// An open conversation in which an identity of ours sits.
pub(crate) struct Readable {
    pub conversation: ConversationSid,
    /// When it was changed last.
    pub updated: Option<Timestamp>,
    /// The place of the identity in the pool.
    pub line: usize,
}

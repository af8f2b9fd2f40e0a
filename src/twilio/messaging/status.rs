//! How a message that was sent fares.

use serde::{Deserialize, Serialize};

use super::inbound::sid;
use crate::twilio::events::{Error, Fields};
use crate::twilio::sid::{AccountSid, TextSid};

/// Where a message stands. Source: API definition, `message_enum_status`, read 2026-11-21.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// Taken; a messaging service is still to choose a sender.
    Accepted,
    /// To be sent at a time.
    Scheduled,
    /// Waits for its sender's turn.
    Queued,
    /// On its way to the carrier.
    Sending,
    /// The carrier has it.
    Sent,
    /// The phone has it.
    Delivered,
    /// Some of its receivers have it.
    PartiallyDelivered,
    /// Somebody has read it.
    Read,
    /// It did not arrive.
    Undelivered,
    /// It was not sent.
    Failed,
    /// It was taken back before its time.
    Canceled,
    /// One that comes in, and is on its way.
    Receiving,
    /// One that came in.
    Received,
}

impl MessageStatus {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Accepted,
        Self::Scheduled,
        Self::Queued,
        Self::Sending,
        Self::Sent,
        Self::Delivered,
        Self::PartiallyDelivered,
        Self::Read,
        Self::Undelivered,
        Self::Failed,
        Self::Canceled,
        Self::Receiving,
        Self::Received,
    ];

    /// Twilio's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::PartiallyDelivered => "partially_delivered",
            Self::Read => "read",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Receiving => "receiving",
            Self::Received => "received",
        }
    }

    /// Reads Twilio's word; nothing for one that this program does not know.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(text.trim()))
    }

    /// How far on its way a message is. Callbacks come in any order; the farther one counts. What is
    /// over for good is farthest but for what was read: nobody reads what did not arrive.
    #[must_use]
    pub const fn rank(self) -> u8 {
        match self {
            Self::Accepted | Self::Scheduled | Self::Receiving => 1,
            Self::Queued | Self::Received => 2,
            Self::Sending => 3,
            Self::Sent => 4,
            Self::PartiallyDelivered => 5,
            Self::Delivered => 6,
            Self::Canceled => 7,
            Self::Undelivered => 8,
            Self::Failed => 9,
            Self::Read => 10,
        }
    }

    /// The word that says where a message stands, by either of its names.
    #[must_use]
    pub fn word<'a>(fields: &'a Fields<'_>) -> Option<&'a str> {
        fields.text(FIELD).or_else(|| fields.text("SmsStatus"))
    }

    /// Whether it is said of a message that came in.
    #[must_use]
    pub const fn is_inbound(self) -> bool {
        matches!(self, Self::Received | Self::Receiving)
    }

    /// Whether it has arrived.
    #[must_use]
    pub const fn has_arrived(self) -> bool {
        matches!(self, Self::Delivered | Self::Read)
    }

    /// Whether it did not arrive and will not.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Undelivered | Self::Failed | Self::Canceled)
    }
}

/// The field that says where a message stands.
const FIELD: &str = "MessageStatus";

/// What a status callback says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatusUpdate {
    /// The message.
    pub sid: TextSid,
    /// The account in whose name it came.
    pub account_sid: AccountSid,
    /// Where the message stands; nothing for a word that this program does not know.
    pub status: Option<MessageStatus>,
    /// Why it failed.
    pub error_code: Option<u32>,
}

impl StatusUpdate {
    /// Reads a request's fields as a status callback.
    ///
    /// # Errors
    ///
    /// Names the field without which it means nothing.
    pub fn decode(fields: &Fields<'_>) -> Result<Self, Error> {
        let word = MessageStatus::word(fields).ok_or(Error::Missing { field: FIELD })?;
        let status = MessageStatus::parse(word);
        let code = fields.number("ErrorCode").and_then(|code| u32::try_from(code).ok());
        Ok(Self {
            sid: sid(fields)?,
            account_sid: fields.sid("AccountSid")?,
            status,
            error_code: code.filter(|code| *code != 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_as_it_is_written() {
        for status in MessageStatus::ALL {
            assert_eq!(MessageStatus::parse(status.as_str()), Some(status));
        }
        assert_eq!(MessageStatus::parse("levitating"), None);
    }

    #[test]
    fn a_message_goes_forward_only() {
        let way = ["accepted", "queued", "sending", "sent", "delivered", "read"];
        let ranks: Vec<_> =
            way.iter().map(|word| MessageStatus::parse(word).unwrap().rank()).collect();
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
        for end in [MessageStatus::Failed, MessageStatus::Undelivered, MessageStatus::Canceled] {
            assert!(end.is_failure() && end.rank() > MessageStatus::Delivered.rank());
        }
    }

    #[test]
    fn a_callback_is_read_by_its_fields() {
        let pairs = [
            ("MessageSid", "SM0123456789abcdef0123456789abcdef"),
            ("AccountSid", "AC0123456789abcdef0123456789abcdef"),
            ("MessageStatus", "undelivered"),
            ("ErrorCode", "30003"),
        ];
        let update = StatusUpdate::decode(&Fields::of_form(pairs.into_iter().collect())).unwrap();
        assert_eq!(update.status, Some(MessageStatus::Undelivered));
        assert_eq!(update.error_code, Some(30003));
        let without = Fields::of_form(pairs[..2].iter().copied().collect());
        assert_eq!(StatusUpdate::decode(&without).unwrap_err().field(), Some("MessageStatus"));
    }
}

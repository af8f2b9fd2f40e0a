//! The sids of messages, of whatever kind.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::twilio::sid::{MessageSid, TextSid};

/// Names a message: of a conversation (`IM…`), an SMS or WhatsApp message (`SM…`), or one with files
/// (`MM…`).
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum MessageId {
    /// A message of a conversation.
    Conversations(MessageSid),
    /// A message of Programmable Messaging.
    Messaging(TextSid),
}

/// Says why a text names no message. Never holds the text itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a message sid: wanted IM, SM or MM followed by 32 hexadecimal digits")]
pub struct ParseMessageIdError;

impl MessageId {
    /// The 16 bytes that the digits stand for.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        match self {
            Self::Conversations(sid) => sid.as_bytes(),
            Self::Messaging(TextSid::Sms(sid)) => sid.as_bytes(),
            Self::Messaging(TextSid::Mms(sid)) => sid.as_bytes(),
        }
    }
}

impl From<MessageSid> for MessageId {
    fn from(sid: MessageSid) -> Self {
        Self::Conversations(sid)
    }
}

impl From<TextSid> for MessageId {
    fn from(sid: TextSid) -> Self {
        Self::Messaging(sid)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conversations(sid) => sid.fmt(f),
            Self::Messaging(sid) => sid.fmt(f),
        }
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MessageId {
    type Err = ParseMessageIdError;

    fn from_str(text: &str) -> Result<Self, ParseMessageIdError> {
        let of_conversation = text.parse().map(Self::Conversations);
        of_conversation
            .or_else(|_| text.parse().map(Self::Messaging))
            .map_err(|_| ParseMessageIdError)
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_prints_as_it_parses() {
        let digits = "0123456789abcdef0123456789abcdef";
        for prefix in ["IM", "SM", "MM"] {
            let id: MessageId = format!("{prefix}{digits}").parse().unwrap();
            assert_eq!(id.to_string(), format!("{prefix}{digits}"));
            assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{prefix}{digits}\""));
        }
        let sid: TextSid = format!("MM{digits}").parse().unwrap();
        assert_eq!(MessageId::from(sid).to_string(), sid.to_string());
        let sid: MessageSid = format!("IM{digits}").parse().unwrap();
        assert_eq!(MessageId::from(sid).to_string(), sid.to_string());
    }

    #[test]
    fn other_sids_are_refused() {
        for text in ["", "IM", "CH0123456789abcdef0123456789abcdef", "SM0123"] {
            assert_eq!(text.parse::<MessageId>(), Err(ParseMessageIdError), "{text}");
        }
    }
}

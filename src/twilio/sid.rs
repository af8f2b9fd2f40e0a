//! Twilio's identifiers as types: two letters and 32 hexadecimal digits.
//!
//! A sid is stored as its 16 bytes, so it is `Copy`, costs no allocation, and can be the key of a
//! stored row. Twilio writes the digits in lower case; upper case is accepted and printed in lower.
//! Source: the vendor's API definition, pattern `^CH[0-9a-fA-F]{32}$` and its like, read 2026-11-21.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bytes16;

/// Says why a text is no sid of the wanted kind. Never holds the text itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a {kind} sid: wanted {prefix} followed by 32 hexadecimal digits")]
pub struct ParseSidError {
    kind: &'static str,
    prefix: &'static str,
}

macro_rules! sids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal, $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The two letters that every sid of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// Takes the 16 bytes that the digits stand for.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Gives the 16 bytes that the digits stand for.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ParseSidError;

            fn from_str(text: &str) -> Result<Self, ParseSidError> {
                parse($prefix, text)
                    .map(Self)
                    .ok_or(ParseSidError { kind: $kind, prefix: $prefix })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_sid(f, $prefix, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_sid(f, $prefix, &self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(SidText(PhantomData))
            }
        }
    )*};
}

sids! {
    /// An account or subaccount.
    AccountSid = "AC", "account";
    /// An API key, for REST and for access tokens.
    ApiKeySid = "SK", "API key";
    /// A chat (conversation) service.
    ChatServiceSid = "IS", "chat service";
    /// A conversation.
    ConversationSid = "CH", "conversation";
    /// A participant of one conversation.
    ParticipantSid = "MB", "participant";
    /// A message of one conversation.
    MessageSid = "IM", "message";
    /// An SMS, WhatsApp or RCS message of Programmable Messaging.
    SmsSid = "SM", "SMS";
    /// A message of Programmable Messaging with files, or of a group.
    MmsSid = "MM", "MMS";
    /// A user of a chat service.
    UserSid = "US", "user";
    /// A role.
    RoleSid = "RL", "role";
    /// A media file of the media content service.
    MediaSid = "ME", "media";
    /// A delivery receipt.
    DeliveryReceiptSid = "DY", "delivery receipt";
    /// A messaging service.
    MessagingServiceSid = "MG", "messaging service";
    /// A content template.
    ContentSid = "HX", "content";
    /// A scoped webhook of one conversation.
    WebhookSid = "WH", "webhook";
    /// An address configuration.
    AddressSid = "IG", "address configuration";
}

/// Names a message of Programmable Messaging, with files or without.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum TextSid {
    /// `SM…`.
    Sms(SmsSid),
    /// `MM…`.
    Mms(MmsSid),
}

impl FromStr for TextSid {
    type Err = ParseSidError;

    fn from_str(text: &str) -> Result<Self, ParseSidError> {
        let mms = || text.parse().map(Self::Mms);
        text.parse()
            .map(Self::Sms)
            .or_else(|_| mms())
            .map_err(|_| ParseSidError { kind: "message", prefix: "SM or MM" })
    }
}

impl fmt::Display for TextSid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sms(sid) => sid.fmt(f),
            Self::Mms(sid) => sid.fmt(f),
        }
    }
}

impl fmt::Debug for TextSid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for TextSid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TextSid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(SidText(PhantomData))
    }
}

/// Reads a sid from a JSON string without a copy of its text.
struct SidText<T>(PhantomData<T>);

impl<T: FromStr<Err = ParseSidError>> Visitor<'_> for SidText<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// Reads the digits after a prefix.
pub(crate) fn parse(prefix: &str, text: &str) -> Option<[u8; 16]> {
    bytes16::parse(text.strip_prefix(prefix)?)
}

/// Writes a prefix and the digits.
pub(crate) fn write_sid(f: &mut fmt::Formatter<'_>, prefix: &str, bytes: &[u8; 16]) -> fmt::Result {
    f.write_str(prefix)?;
    bytes16::write(f, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sids_print_as_they_parse() {
        let text = "CH0123456789abcdef0123456789abcdef";
        let sid: ConversationSid = text.parse().unwrap();
        assert_eq!(sid.to_string(), text);
        assert_eq!(format!("{sid:?}"), text);
        assert_eq!(serde_json::to_string(&sid).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<ConversationSid>(&format!("\"{text}\"")).unwrap(), sid);
        assert_eq!("CH0123456789ABCDEF0123456789ABCDEF".parse(), Ok(sid));
    }

    #[test]
    fn a_text_has_files_or_none() {
        let digits = "0123456789abcdef0123456789abcdef";
        for prefix in ["SM", "MM"] {
            let text = format!("{prefix}{digits}");
            assert_eq!(text.parse::<TextSid>().unwrap().to_string(), text);
        }
        let error = format!("IM{digits}").parse::<TextSid>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "not a message sid: wanted SM or MM followed by 32 hexadecimal digits"
        );
    }

    #[test]
    fn other_kinds_lengths_and_digits_are_refused() {
        for text in [
            "",
            "CH",
            "IM0123456789abcdef0123456789abcdef",
            "CH0123456789abcdef0123456789abcdeg",
            "CH0123456789abcdef0123456789abcde",
            "CH0123456789abcdef0123456789abcdef0",
            "CHé123456789abcdef0123456789abcde",
        ] {
            assert!(text.parse::<ConversationSid>().is_err(), "{text}");
        }
    }
}

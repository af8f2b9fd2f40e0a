//! Personal data that cannot be printed by accident.
//!
//! Message text, phone numbers, identities of people and raw bodies travel as [`Pii`]. Its `Debug`
//! says what kind of thing it holds and how long it is, never what it says. Reading the value takes
//! the word [`Pii::reveal`], which a reviewer can search for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Personal text whose `Debug` prints its length only.
#[derive(Clone, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Pii(String);

impl Pii {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Gives the text to the one place that needs it: a request, a store, the agent.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Gives the text away.
    #[must_use]
    pub fn into_revealed(self) -> String {
        self.0
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text as an address fit for people to see, see [`mask_address`].
    #[must_use]
    pub fn masked(&self) -> String {
        mask_address(&self.0)
    }
}

impl fmt::Debug for Pii {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

impl<T: Into<String>> From<T> for Pii {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

/// Masks an address for a log or a listing: the channel and the last two digits remain.
///
/// `+15555550123` becomes `+…23`, `whatsapp:+15555550123` becomes `whatsapp:+…23`. Anything that
/// does not end in two digits shows its length only.
#[must_use]
pub fn mask_address(address: &str) -> String {
    let (channel, number) = match address.split_once(':') {
        Some((channel, number)) if channel.bytes().all(|b| b.is_ascii_lowercase()) => {
            (Some(channel), number)
        }
        _ => (None, address),
    };
    let is_number = number.len() > 6
        && number
            .bytes()
            .enumerate()
            .all(|(at, byte)| byte.is_ascii_digit() || (at == 0 && byte == b'+'));
    if !is_number {
        return format!("<{} bytes>", address.len());
    }
    let last = &number[number.len() - 2..];
    channel.map_or_else(|| format!("+…{last}"), |channel| format!("{channel}:+…{last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_text() {
        let shown = format!("{:?}", Some(Pii::new("call me at +15555550123")));
        assert_eq!(shown, "Some(<23 bytes>)");
    }

    #[test]
    fn masks_keep_two_digits_at_most() {
        for (address, masked) in [
            ("+15555550123", "+…23"),
            ("whatsapp:+15555550123", "whatsapp:+…23"),
            ("alice@example.com", "<17 bytes>"),
            ("12345", "<5 bytes>"),
            ("messenger:abc", "<13 bytes>"),
            ("", "<0 bytes>"),
            ("ключ:+1555555", "<17 bytes>"),
        ] {
            assert_eq!(mask_address(address), masked, "{address}");
        }
    }
}

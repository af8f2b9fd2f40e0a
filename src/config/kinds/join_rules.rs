//! Wishes: which conversations the bot is to be in.
//!
//! Pure. What a wish means for a conversation is decided elsewhere; here it is only read.

use std::time::Duration;

use super::{Setting, items};
use crate::clock::Timestamp;

/// The longest address or beginning of one. Source: Conversations limits, names, read 2026-11-21.
const ADDRESS_CHARS_MAX: usize = 256;

/// Addresses of ours, or the beginnings of some.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Addresses(pub Vec<String>);

impl Setting for Addresses {
    const WANTED: &'static str =
        "addresses such as +15555550100 or whatsapp:, separated by commas, without spaces";

    fn parse(text: &str) -> Option<Self> {
        let fits = |item: &str| {
            let length = item.chars().count();
            let is_word = !item.chars().any(|c| c.is_whitespace() || c.is_control());
            // A star anywhere else, or alone, is a mistake: all is what an empty list means.
            let stem = item.strip_suffix('*').unwrap_or(item);
            is_word && length <= ADDRESS_CHARS_MAX && !stem.is_empty() && !stem.contains('*')
        };
        let addresses: Vec<String> = items(text).map(str::to_owned).collect();
        addresses.iter().all(|item| fits(item)).then_some(Self(addresses))
    }
}

/// An attribute of a conversation and its value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attribute {
    /// Its name, on the top level of the attributes.
    pub name: String,
    /// The value, as text.
    pub value: String,
}

impl Setting for Attribute {
    const WANTED: &'static str = "name=value";

    fn parse(text: &str) -> Option<Self> {
        let (name, value) = text.split_once('=')?;
        let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
        (!name.is_empty() && !value.is_empty()).then_some(Self { name, value })
    }
}

/// A time, or how long ago.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Since {
    /// From this time on.
    Time(Timestamp),
    /// Not longer ago than this.
    Age(Duration),
}

impl Setting for Since {
    const WANTED: &'static str =
        "a day such as 2026-11-21, a time such as 2026-11-21T08:00:00Z, or an age such as 30d";

    fn parse(text: &str) -> Option<Self> {
        let day = || Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z"));
        let time = Timestamp::parse_rfc3339(text).or_else(day).map(Self::Time);
        time.or_else(|| <Duration as Setting>::parse(text).map(Self::Age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_whole_or_beginnings() {
        for (text, wanted) in [
            ("", Some(vec![])),
            ("+15555550100", Some(vec!["+15555550100"])),
            ("+15555550100, whatsapp:", Some(vec!["+15555550100", "whatsapp:"])),
            ("whatsapp:+1555*", Some(vec!["whatsapp:+1555*"])),
            ("*", None),
            ("+1*5", None),
            ("+1 555", None),
        ] {
            let parsed = Addresses::parse(text).map(|Addresses(parsed)| parsed);
            let wanted = wanted.map(|items| items.into_iter().map(str::to_owned).collect());
            assert_eq!(parsed, wanted, "{text}");
        }
    }

    #[test]
    fn an_attribute_has_a_name_and_a_value() {
        let attribute = |name: &str, value: &str| {
            Some(Attribute { name: name.to_owned(), value: value.to_owned() })
        };
        for (text, wanted) in [
            ("bot=on", attribute("bot", "on")),
            ("bot = a=b", attribute("bot", "a=b")),
            ("bot", None),
            ("=on", None),
            ("bot=", None),
        ] {
            assert_eq!(Attribute::parse(text), wanted, "{text}");
        }
    }

    #[test]
    fn since_is_a_day_a_time_or_an_age() {
        let at = |text| Timestamp::parse_rfc3339(text).map(Since::Time);
        for (text, wanted) in [
            ("2026-11-21", at("2026-11-21T00:00:00Z")),
            ("2026-11-21T08:30:00Z", at("2026-11-21T08:30:00Z")),
            ("30d", Some(Since::Age(Duration::from_secs(30 * 86_400)))),
            ("2026-13-21", None),
            ("lately", None),
        ] {
            assert_eq!(Since::parse(text), wanted, "{text}");
        }
    }
}

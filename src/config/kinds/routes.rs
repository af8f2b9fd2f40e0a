//! What a route names: an agent, by which roads messages come, and words. Pure.

use super::messaging::masked;
use super::{Setting, items};
use crate::thread::Medium;

/// The name of an agent.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AgentName(String);

impl AgentName {
    /// The name of the agent of the section `[agent]`.
    pub const PLAIN: &'static str = "default";

    /// The agent of the section `[agent]`.
    #[must_use]
    pub fn plain() -> Self {
        Self(Self::PLAIN.to_owned())
    }

    /// Gives the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the agent of the section `[agent]`.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.0 == Self::PLAIN
    }
}

impl std::fmt::Display for AgentName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The longest name of an agent.
const AGENT_NAME_BYTES_MAX: usize = 32;

impl Setting for AgentName {
    const WANTED: &'static str =
        "a name of 1 to 32 lower-case letters, digits and hyphens that begins with a letter";

    fn parse(text: &str) -> Option<Self> {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let begins = text.starts_with(|first: char| first.is_ascii_lowercase());
        let fits = begins && text.len() <= AGENT_NAME_BYTES_MAX && !text.ends_with('-');
        (fits && text.bytes().all(is_plain)).then(|| Self(text.to_owned()))
    }
}

/// Addresses of ours that messages come to, or the beginnings of some.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RouteAddresses(pub Vec<String>);

impl Setting for RouteAddresses {
    const WANTED: &'static str = super::Addresses::WANTED;

    fn parse(text: &str) -> Option<Self> {
        let super::Addresses(addresses) = super::Addresses::parse(text)?;
        (!addresses.is_empty()).then_some(Self(addresses))
    }

    fn shown(text: &str) -> String {
        items(text).map(masked).collect::<Vec<_>>().join(",")
    }
}

/// By which roads messages come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RouteChannels(pub Vec<String>);

/// The word of threads that are conversations of Twilio.
const CONVERSATION: &str = "conversation";

impl Setting for RouteChannels {
    const WANTED: &'static str = "conversation, sms, whatsapp or rcs, several separated by commas";

    fn parse(text: &str) -> Option<Self> {
        let media = [Medium::Sms, Medium::Whatsapp, Medium::Rcs].map(Medium::as_str);
        let is_known = |word: &String| word == CONVERSATION || media.contains(&word.as_str());
        let words: Vec<String> = items(text).map(str::to_ascii_lowercase).collect();
        (!words.is_empty() && words.iter().all(is_known)).then_some(Self(words))
    }
}

/// Words, or several words in a row, that somebody may say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Phrases(pub Vec<String>);

/// How many there may be.
const PHRASES_MAX: usize = 100;
/// How long one may be.
const PHRASE_CHARS_MAX: usize = 64;

impl Setting for Phrases {
    const WANTED: &'static str =
        "words of 1 to 64 characters with a letter or a digit, separated by commas";

    fn parse(text: &str) -> Option<Self> {
        let phrases: Vec<String> = items(text).map(str::to_lowercase).collect();
        let fits = |phrase: &String| {
            phrase.chars().count() <= PHRASE_CHARS_MAX
                && phrase.chars().any(char::is_alphanumeric)
                && !phrase.chars().any(char::is_control)
        };
        let is_short = (1..=PHRASES_MAX).contains(&phrases.len());
        (is_short && phrases.iter().all(fits)).then_some(Self(phrases))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_has_a_name_that_a_variable_can_have() {
        for name in ["sales", "night-desk", "b2b"] {
            assert!(AgentName::parse(name).is_some(), "{name}");
        }
        for name in ["", "Sales", "night_desk", "2nd", "-a", "a-", "a b", &"x".repeat(33)] {
            assert_eq!(AgentName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn conditions_are_lists_that_are_not_empty() {
        let channels = |text| RouteChannels::parse(text).map(|RouteChannels(words)| words);
        assert_eq!(channels("SMS, conversation"), Some(vec!["sms".into(), "conversation".into()]));
        for text in ["", "mms", "sms,fax"] {
            assert_eq!(channels(text), None, "{text}");
        }
        let phrases = |text| Phrases::parse(text).map(|Phrases(words)| words);
        assert_eq!(
            phrases("Help, talk to Sales"),
            Some(vec!["help".into(), "talk to sales".into()])
        );
        for text in ["", "!!", &"x".repeat(65)] {
            assert_eq!(phrases(text), None, "{text}");
        }
        assert_eq!(RouteAddresses::parse(""), None);
        let shown = RouteAddresses::shown("+15555550100,whatsapp:");
        assert!(!shown.contains("555555"), "{shown}");
    }
}

//! The kinds of values that a model server behind the OpenAI API needs. Pure.

use super::Setting;
use crate::pii::Pii;

/// The name of a model, as its server knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ModelName(String);

impl ModelName {
    /// Gives the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for ModelName {
    const WANTED: &'static str = "a model's name of 1 to 256 characters without spaces";

    fn parse(text: &str) -> Option<Self> {
        let fits = !text.chars().any(|c| c.is_whitespace() || c.is_control());
        (fits && (1..=256).contains(&text.chars().count())).then(|| Self(text.to_owned()))
    }
}

/// How freely a model chooses its words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Temperature(pub f64);

impl Setting for Temperature {
    const WANTED: &'static str = "a number from 0 to 2, such as 0.7";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number| (0.0..=2.0).contains(number)).map(Self)
    }
}

/// A sentence that is said to people.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sentence(pub Pii);

impl Setting for Sentence {
    const WANTED: &'static str = "a text of 1 to 1600 characters";

    fn parse(text: &str) -> Option<Self> {
        let fits = (1..=1600).contains(&text.chars().count());
        fits.then(|| Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_the_name_that_its_server_gives_it() {
        for name in ["gpt-5", "llama3.2:latest", "Qwen/Qwen2.5-7B-Instruct", "модель"] {
            assert!(ModelName::parse(name).is_some(), "{name}");
        }
        for name in ["", "two words", "a\u{7}", &"x".repeat(257)] {
            assert_eq!(ModelName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_temperature_is_a_number_that_servers_take() {
        assert_eq!(Temperature::parse("0.7"), Some(Temperature(0.7)));
        for text in ["-0.1", "2.1", "NaN", "warm", ""] {
            assert_eq!(Temperature::parse(text), None, "{text}");
        }
    }
}

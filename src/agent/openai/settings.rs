//! The section `[openai]`: its keys, the kinds of their values, and the rules that they keep. Pure.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::config::kinds::{BaseUrl, Setting, words};
use crate::config::rules::{self, within};
use crate::config::section::sections;
use crate::config::{AgentSettings, Reader};
use crate::pii::Pii;

sections! {
    /// The model server, for kind openai.
    OpenAiSettings = "openai" {
        /// Who asks.
        api_key: Option<SecretString> = "OPENAI_API_KEY";
        /// Where the API is.
        base_url: BaseUrl = "OPENAI_BASE_URL";
        /// Which API is spoken.
        api: OpenAiApi;
        /// Which model is asked; present for kind openai.
        model: Option<ModelName>;
        /// The file of the system prompt.
        system_file: Option<PathBuf>;
        /// How many tokens an answer may have.
        max_tokens: Option<NonZeroU32>;
        /// By which name that is told.
        token_parameter: TokenParameter;
        /// How freely words are chosen.
        temperature: Option<Temperature>;
        /// What is said where the model says nothing.
        fallback: Option<Sentence>;
        /// Whether a person gets the thread where the model says nothing.
        handoff: bool;
        /// How many messages of what was said before are told.
        history_messages: usize;
        /// How many characters they may have.
        history_chars: usize;
        /// How long the first word may take.
        first_token_timeout: Duration;
    }
}

impl AgentSettings for OpenAiSettings {
    const MANUAL: &'static str = include_str!("settings.toml");

    fn check(reader: &mut Reader<'_>, is_chosen: bool) {
        let broken = "is required for agent.kind openai";
        rules::required::<ModelName>(reader, "openai.model", is_chosen, broken);
        rules::history(reader, ["openai.history_messages", "openai.history_chars"]);
        let first = Duration::from_millis(100)..=Duration::from_secs(60 * 60);
        within(reader, "openai.first_token_timeout", first, "is not between 100ms and 1h");
    }
}

/// Which of the two APIs of OpenAI is spoken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OpenAiApi {
    /// Chat completions, which every server knows.
    Chat,
    /// Responses, used without state.
    Responses,
}

/// By which name chat completions take the bound on tokens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TokenParameter {
    /// The older one, which every server knows but for some models of OpenAI.
    MaxTokens,
    /// The newer one, which those models want.
    MaxCompletionTokens,
}

words! {
    OpenAiApi, "chat or responses", { "chat" => Self::Chat, "responses" => Self::Responses }
    TokenParameter, "max_tokens or max_completion_tokens", {
        "max_tokens" => Self::MaxTokens, "max_completion_tokens" => Self::MaxCompletionTokens,
    }
}

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

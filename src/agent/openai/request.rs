//! The body of a request, both ways. Pure.

use serde::Serialize;

use super::prompt::Utterance;
use super::settings::{OpenAiApi, TokenParameter};
use crate::pii::Pii;

/// What of a request is the same for every turn.
#[derive(Clone, Debug)]
pub struct Style {
    /// Which API is spoken.
    pub api: OpenAiApi,
    /// The model's name.
    pub model: String,
    /// What it is told before all else.
    pub system: Option<Pii>,
    /// How many tokens an answer may have.
    pub tokens_max: Option<u32>,
    /// By which name that is told.
    pub token_parameter: TokenParameter,
    /// How freely words are chosen.
    pub temperature: Option<f64>,
}

impl Style {
    /// The path behind the base URL.
    pub(super) const fn path(&self) -> &'static str {
        match self.api {
            OpenAiApi::Chat => "chat/completions",
            OpenAiApi::Responses => "responses",
        }
    }

    /// Writes the body of a request.
    pub(super) fn body(&self, lines: &[Utterance]) -> Vec<u8> {
        let body = match self.api {
            OpenAiApi::Chat => serde_json::to_vec(&self.chat(lines)),
            OpenAiApi::Responses => serde_json::to_vec(&self.responses(lines)),
        };
        body.expect("texts, numbers and switches are always JSON")
    }

    fn chat<'a>(&'a self, lines: &'a [Utterance]) -> ChatRequest<'a> {
        let system = self.system.as_ref().map(|system| PromptMessage {
            role: "system",
            name: None,
            content: system.reveal().to_owned(),
        });
        let of_line = |line: &'a Utterance| PromptMessage {
            role: role(line),
            name: line.name.as_deref(),
            content: line.text.reveal().to_owned(),
        };
        let (older, newer) = match self.token_parameter {
            TokenParameter::MaxTokens => (self.tokens_max, None),
            TokenParameter::MaxCompletionTokens => (None, self.tokens_max),
        };
        ChatRequest {
            model: &self.model,
            messages: system.into_iter().chain(lines.iter().map(of_line)).collect(),
            stream: true,
            max_tokens: older,
            max_completion_tokens: newer,
            temperature: self.temperature,
        }
    }

    fn responses<'a>(&'a self, lines: &'a [Utterance]) -> ResponsesRequest<'a> {
        // This API knows no names beside roles, so one stands before the words.
        let content = |line: &Utterance| match &line.name {
            Some(name) => format!("{name}: {}", line.text.reveal()),
            None => line.text.reveal().to_owned(),
        };
        let of_line = |line| PromptMessage { role: role(line), name: None, content: content(line) };
        ResponsesRequest {
            model: &self.model,
            instructions: self.system.as_ref().map(Pii::reveal),
            input: lines.iter().map(of_line).collect(),
            stream: true,
            store: false,
            max_output_tokens: self.tokens_max,
            temperature: self.temperature,
        }
    }
}

const fn role(line: &Utterance) -> &'static str {
    if line.is_own { "assistant" } else { "user" }
}

#[derive(Serialize)]
struct ChatRequest<'a> {
    model: &'a str,
    messages: Vec<PromptMessage<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
}

#[derive(Serialize)]
struct ResponsesRequest<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
    input: Vec<PromptMessage<'a>>,
    stream: bool,
    store: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
}

#[derive(Serialize)]
struct PromptMessage<'a> {
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    content: String,
}

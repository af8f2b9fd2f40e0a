//! Chat completions, read event by event: `POST {base}/chat/completions`. Pure.
//!
//! A whole answer, which some servers give although a stream was asked for, is read as one event that
//! has a `message` for its `delta`. Only the first choice counts; no more are asked for. A reason to have
//! finished is not the end: servers send usage after it, and some text.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::problem::{self, Problem};
use super::reading::{Fault, HeardAnswer, Read};
use super::said::{FinishReason, ModelSaid};
use crate::json;

/// One event of a stream.
#[derive(Debug, Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Option<Vec<ChatChoice>>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct ChatChoice {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    message: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<ChatContent>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    reasoning: Option<Value>,
    #[serde(default)]
    reasoning_content: Option<Value>,
    #[serde(default)]
    tool_calls: Option<Vec<IgnoredAny>>,
    #[serde(default)]
    function_call: Option<IgnoredAny>,
}

/// Text, or parts of which some are.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ChatContent {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Debug, Deserialize)]
struct ContentPart {
    #[serde(default)]
    text: Option<String>,
}

/// Reads one answer.
#[derive(Debug)]
pub(super) struct Chat(HeardAnswer);

impl Chat {
    /// Begins with an answer whose text may have so many bytes.
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self(HeardAnswer::new(bytes_max))
    }

    fn take(&mut self, delta: Delta) -> Result<(), Fault> {
        let heard = &mut self.0;
        let texts = match delta.content {
            Some(ChatContent::Text(text)) => vec![text],
            Some(ChatContent::Parts(parts)) => {
                parts.into_iter().filter_map(|part| part.text).collect()
            }
            None => Vec::new(),
        };
        for text in &texts {
            heard.text.push(text)?;
            heard.has_begun |= !text.is_empty();
        }
        heard.has_refused |= delta.refusal.is_some_and(|refusal| !refusal.is_empty());
        let calls = delta.tool_calls.is_some_and(|calls| !calls.is_empty());
        heard.calls_tools |= calls || delta.function_call.is_some();
        let thinks = [delta.reasoning, delta.reasoning_content].into_iter().flatten();
        heard.has_begun |= thinks.into_iter().any(|thought| thought.as_str() != Some(""));
        heard.has_begun |= heard.has_refused || heard.calls_tools;
        Ok(())
    }
}

impl Read for Chat {
    fn event(&mut self, data: &str) -> Result<(), Fault> {
        if data.trim() == "[DONE]" {
            self.0.end = self.0.end.or(Some(FinishReason::Whole));
            return Ok(());
        }
        let chunk: Chunk = json::from_str(data).map_err(|_| Fault::Garbled)?;
        if let Some(error) = chunk.error {
            return Err(Fault::Problem(problem::in_stream(error)));
        }
        let choices = chunk.choices.unwrap_or_default().into_iter();
        for choice in choices.filter(|choice| choice.index.unwrap_or(0) == 0) {
            if let Some(delta) = choice.delta.or(choice.message) {
                self.take(delta)?;
            }
            // Ollama has sent an empty one with every event. Source: ollama issue 4357, read 2026-11-29.
            if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
                self.0.has_begun = true;
                self.0.calls_tools |= matches!(reason.as_str(), "tool_calls" | "function_call");
                self.0.end = match reason.as_str() {
                    "content_filter" => Some(FinishReason::Filtered),
                    "length" => Some(FinishReason::Cut),
                    // Assumed: gateways that lose their model in the middle say so here.
                    "error" | "abort" => return Err(Fault::Problem(Problem::Status(500))),
                    _ => Some(FinishReason::Whole),
                };
            }
        }
        Ok(())
    }

    fn has_begun(&self) -> bool {
        self.0.has_begun
    }

    fn finish(self) -> Result<ModelSaid, Fault> {
        let mut heard = self.0;
        if heard.has_refused {
            // It is one, though the stream broke off behind it.
            heard.end = heard.end.or(Some(FinishReason::Refused));
        }
        heard.finish()
    }
}

//! The Responses API, read event by event: `POST {base}/responses`. Pure.
//!
//! A stream ends with `response.completed`, `response.incomplete` or `response.failed`, which hold the whole
//! answer once more; what came piece by piece goes before that. A whole answer, where no stream was
//! given, is read as the last event. Source: OpenAI API reference, "Responses streaming events", read
//! 2026-11-29.

use serde::Deserialize;
use serde_json::Value;

use super::problem;
use super::reading::{Fault, HeardAnswer, Read};
use super::said::{FinishReason, ModelSaid};
use crate::json;

#[derive(Debug, Deserialize)]
struct Event {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    delta: Option<Value>,
    #[serde(default)]
    item: Option<OutputItem>,
    #[serde(default)]
    response: Option<Response>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
struct Response {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    output: Option<Vec<OutputItem>>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    incomplete_details: Option<IncompleteDetails>,
}

#[derive(Debug, Deserialize)]
struct IncompleteDetails {
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct OutputItem {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    content: Option<Vec<OutputPart>>,
}

#[derive(Debug, Deserialize)]
struct OutputPart {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    text: Option<String>,
}

/// Reads one answer.
#[derive(Debug)]
pub(super) struct Responses(HeardAnswer);

impl Responses {
    /// Begins with an answer whose text may have so many bytes.
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self(HeardAnswer::new(bytes_max))
    }

    fn look(&mut self, item: &OutputItem) {
        self.0.calls_tools |= item.kind.as_deref().is_some_and(|kind| kind.ends_with("_call"));
        let mut parts = item.content.iter().flatten();
        self.0.has_refused |= parts.any(|part| part.kind.as_deref() == Some("refusal"));
    }

    /// Takes the answer as a whole, as the last event has it.
    fn last(&mut self, response: Response) -> Result<(), Fault> {
        self.0.has_begun = true;
        if let Some(error) = response.error {
            return Err(Fault::Problem(problem::in_stream(error)));
        }
        let came_in_pieces = !self.0.text.is_empty();
        for item in response.output.iter().flatten() {
            self.look(item);
            let is_text = |part: &&OutputPart| part.kind.as_deref() == Some("output_text");
            let parts = item.content.iter().flatten().filter(is_text);
            if !came_in_pieces && item.kind.as_deref() == Some("message") {
                for text in parts.filter_map(|part| part.text.as_deref()) {
                    self.0.text.push(text)?;
                }
            }
        }
        let reason = response.incomplete_details.and_then(|details| details.reason);
        self.0.end = match (response.status.as_deref(), reason.as_deref()) {
            (_, Some("content_filter")) => Some(FinishReason::Filtered),
            (Some("incomplete"), _) => Some(FinishReason::Cut),
            (Some("failed" | "cancelled"), _) => {
                return Err(Fault::Problem(problem::Problem::Status(500)));
            }
            (Some("in_progress" | "queued"), _) => None,
            _ => Some(FinishReason::Whole),
        };
        Ok(())
    }
}

impl Read for Responses {
    fn event(&mut self, data: &str) -> Result<(), Fault> {
        if data.trim() == "[DONE]" {
            return Ok(());
        }
        let event: Event = json::from_str(data).map_err(|_| Fault::Garbled)?;
        let kind = event.kind.as_deref().unwrap_or_default();
        self.0.has_begun |= kind.ends_with(".delta");
        if let Some(item) = &event.item {
            self.look(item);
        }
        match kind {
            "response.output_text.delta" => {
                self.0.text.push(event.delta.as_ref().and_then(Value::as_str).unwrap_or_default())
            }
            "response.refusal.delta" | "response.refusal.done" => {
                self.0.has_refused = true;
                Ok(())
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.last(event.response.unwrap_or_default())
            }
            "error" => {
                // Its members stand in the event itself, or in one of them.
                let error = event.error.or_else(|| json::from_str(data).ok());
                Err(Fault::Problem(problem::in_stream(error.unwrap_or_default())))
            }
            "" => match event.error {
                Some(error) => Err(Fault::Problem(problem::in_stream(error))),
                None => self.last(json::from_str(data).map_err(|_| Fault::Garbled)?),
            },
            _ => Ok(()),
        }
    }

    fn has_begun(&self) -> bool {
        self.0.has_begun
    }

    fn finish(self) -> Result<ModelSaid, Fault> {
        self.0.finish()
    }
}

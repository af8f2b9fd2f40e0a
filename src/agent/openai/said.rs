//! What a model said, whichever way it was asked, and whether a person can be given it. Pure.

/// How a model's answer ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum FinishReason {
    /// It had said what it wanted to say.
    Whole,
    /// It ran out of tokens.
    Cut,
    /// What it said was held back by a filter.
    Filtered,
    /// It declined in a field of its own.
    Refused,
}

/// All that a model said in one answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ModelSaid {
    /// The text; may be empty.
    pub(super) text: String,
    /// How it ended.
    pub(super) end: FinishReason,
    /// Whether it asked for a tool, of which it was given none.
    pub(super) calls_tools: bool,
}

/// Why there is nothing of an answer to send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum UnsaidAnswer {
    /// The model said nothing.
    Empty,
    /// A filter held it back.
    Filtered,
    /// The model declined.
    Refused,
    /// It asked for a tool and said nothing else.
    ToolCalls,
    /// It said more than is read.
    TooLarge,
    /// It was told more than it takes.
    TooLong,
}

impl UnsaidAnswer {
    /// The word for logs, metrics and causes.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Filtered => "filtered",
            Self::Refused => "refused",
            Self::ToolCalls => "tool_calls",
            Self::TooLarge => "too_large",
            Self::TooLong => "too_long",
        }
    }
}

impl ModelSaid {
    /// What of it is for people.
    ///
    /// # Errors
    ///
    /// Why there is nothing.
    pub(super) fn for_people(&self) -> Result<&str, UnsaidAnswer> {
        match self.end {
            FinishReason::Filtered => return Err(UnsaidAnswer::Filtered),
            FinishReason::Refused => return Err(UnsaidAnswer::Refused),
            FinishReason::Whole | FinishReason::Cut => {}
        }
        match without_thoughts(&self.text) {
            "" if self.calls_tools => Err(UnsaidAnswer::ToolCalls),
            "" => Err(UnsaidAnswer::Empty),
            text => Ok(text),
        }
    }
}

/// Takes off the thinking that some servers leave at the head of the text, and the blanks around it.
///
/// Servers that know the model put it into a field of its own; others leave it between these words.
/// Source: vLLM 0.7.2 documentation, "Reasoning Outputs", read 2026-11-29.
fn without_thoughts(text: &str) -> &str {
    let text = text.trim();
    match text.strip_prefix("<think>") {
        Some(thinking) => {
            thinking.split_once("</think>").map_or("", |(_, after)| after.trim_start())
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_get_text_and_nothing_else() {
        for (text, end, calls_tools, expected) in [
            ("hi", FinishReason::Whole, false, Ok("hi")),
            (" hi \n", FinishReason::Whole, true, Ok("hi")),
            ("hi the", FinishReason::Cut, false, Ok("hi the")),
            ("", FinishReason::Whole, false, Err(UnsaidAnswer::Empty)),
            (" \n", FinishReason::Cut, false, Err(UnsaidAnswer::Empty)),
            ("", FinishReason::Whole, true, Err(UnsaidAnswer::ToolCalls)),
            ("half of it", FinishReason::Filtered, false, Err(UnsaidAnswer::Filtered)),
            ("I cannot", FinishReason::Refused, false, Err(UnsaidAnswer::Refused)),
            ("<think>they want\nhi</think>\n\nhi", FinishReason::Whole, false, Ok("hi")),
            ("<think>they want", FinishReason::Cut, false, Err(UnsaidAnswer::Empty)),
            ("a <think> in the text", FinishReason::Whole, false, Ok("a <think> in the text")),
        ] {
            let said = ModelSaid { text: text.to_owned(), end, calls_tools };
            assert_eq!(said.for_people(), expected, "{text:?} {end:?}");
        }
    }
}

//! What a message says about whether its writer wants to hear from us. Pure.
//!
//! | what comes in | means |
//! | --- | --- |
//! | `OptOutType` STOP or START | that, whatever the text says: Twilio has decided |
//! | one of the carrier's words alone, or one of the operator's | nothing more, or again |
//! | anything else | nothing |
//!
//! Source of the first row: Advanced Opt-Out, read 2026-11-29. By plain opt-out the field is absent, so
//! that the text counts. WhatsApp knows no such words of its own (assumed), so there they are ours alone.

use crate::twilio::keywords::{Keyword, KeywordEffect};
use crate::twilio::messaging::OptOut;

/// The operator's own words that stop, in lower case.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Words(Vec<String>);

impl Words {
    /// Takes the words.
    #[must_use]
    pub fn new(words: impl IntoIterator<Item = String>) -> Self {
        Self(words.into_iter().map(|word| word.trim().to_lowercase()).collect())
    }
}

/// What somebody wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wish {
    /// To hear nothing more.
    Stop,
    /// To hear again.
    Start,
}

/// Reads it off a message.
#[must_use]
pub fn wish(opt_out: Option<OptOut>, body: &str, words: &Words) -> Option<Wish> {
    match opt_out {
        Some(OptOut::Stop) => return Some(Wish::Stop),
        Some(OptOut::Start) => return Some(Wish::Start),
        Some(OptOut::Help) => return None,
        None => {}
    }
    match Keyword::of(body).map(|known| known.effect) {
        Some(KeywordEffect::Stop) => Some(Wish::Stop),
        Some(KeywordEffect::Start) => Some(Wish::Start),
        Some(KeywordEffect::Help) => None,
        None => {
            let text = body.trim().to_lowercase();
            words.0.contains(&text).then_some(Wish::Stop)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twilios_word_goes_before_the_text_and_the_text_before_nothing() {
        let words = Words::new(["Halt ".to_owned()]);
        for (opt_out, body, expected) in [
            (Some(OptOut::Stop), "please no more", Some(Wish::Stop)),
            (Some(OptOut::Start), "stop", Some(Wish::Start)),
            (Some(OptOut::Help), "stop", None),
            (None, "OPTOUT", Some(Wish::Stop)),
            (None, " revoke. ", Some(Wish::Stop)),
            (None, "START", Some(Wish::Start)),
            (None, "HELP", None),
            (None, "halt", Some(Wish::Stop)),
            (None, "halt it", None),
            (None, "please stop", None),
            (None, "", None),
        ] {
            assert_eq!(wish(opt_out, body, &words), expected, "{opt_out:?} {body}");
        }
    }
}

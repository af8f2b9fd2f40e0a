//! The words that Twilio answers itself by SMS: they opt the sender out or in, or ask for help. Pure.
//!
//! One list for all: the service asks it what to leave to Twilio, the emulator what to do in Twilio's
//! place. These are the words of a number that was left as it came; a messaging service may have been
//! given others, which nobody here can know.

/// What Twilio does about a word.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KeywordEffect {
    /// Sends the sender nothing more from this number: replies fail with 21610.
    Stop,
    /// Lets the sender hear from this number again.
    Start,
    /// Sends its help text.
    Help,
}

/// A word that Twilio answers.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Keyword {
    /// The word in upper case.
    pub word: &'static str,
    /// What it does.
    pub effect: KeywordEffect,
}

impl Keyword {
    /// All of them.
    ///
    /// Source of the words that stop: Customize users' opt-in and opt-out experience with Advanced
    /// Opt-Out, introduction, read 2026-11-29. Of the others: Error 23002, "Possible Solutions", read
    /// 2026-11-29.
    pub const ALL: [Self; 13] = [
        stop("STOP"),
        stop("STOPALL"),
        stop("UNSUBSCRIBE"),
        stop("CANCEL"),
        stop("END"),
        stop("QUIT"),
        stop("REVOKE"),
        stop("OPTOUT"),
        start("START"),
        start("YES"),
        start("UNSTOP"),
        help("HELP"),
        help("INFO"),
    ];

    /// Finds the keyword that a whole text is, in upper or lower case; more words than one are none.
    ///
    /// That white space around it, and full stops and exclamation marks after it, change nothing is
    /// assumed: no page says it. Source of the rest: Twilio support for opt-out keywords, read
    /// 2026-11-29.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let ends = |letter: char| letter.is_whitespace() || matches!(letter, '.' | '!');
        let word = text.trim_start().trim_end_matches(ends);
        Self::ALL.into_iter().find(|known| known.word.eq_ignore_ascii_case(word))
    }
}

const fn stop(word: &'static str) -> Keyword {
    Keyword { word, effect: KeywordEffect::Stop }
}

const fn start(word: &'static str) -> Keyword {
    Keyword { word, effect: KeywordEffect::Start }
}

const fn help(word: &'static str) -> Keyword {
    Keyword { word, effect: KeywordEffect::Help }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_counts_in_any_case_alone_and_with_what_ends_a_sentence() {
        for known in Keyword::ALL {
            let (upper, lower) = (known.word.to_owned(), known.word.to_lowercase());
            let title = format!("{}{}", &upper[..1], &lower[1..]);
            for text in [
                upper.clone(),
                title,
                format!(" {lower}\r\n"),
                format!("\u{a0}{upper}\u{a0}"),
                format!("{lower}."),
                format!("{lower} !!"),
            ] {
                assert_eq!(Keyword::of(&text), Some(known), "{text:?}");
            }
        }
    }

    #[test]
    fn a_word_among_others_or_within_one_is_none() {
        for text in [
            "",
            " ",
            ".",
            "please stop",
            "STOP please",
            "stop all",
            "opt out",
            "opt-out",
            "stopp",
            "unstoppable",
            "!stop",
            "stop?",
            "s t o p",
            "ſtop",
        ] {
            assert_eq!(Keyword::of(text), None, "{text:?}");
        }
    }
}

//! Words that Twilio answers itself, and that are no conversation. Pure.
//!
//! An agent that answers them as well confuses the user, and after STOP its reply fails with 21610.
//! The list is [`Keyword`]'s.

use crate::twilio::keywords::Keyword;

/// The one keyword that people say to a bot in the middle of a talk, as the answer to a question; who
/// has not opted out is opted in by it to what they have already. So it is left to the agent.
const SAID_IN_TALK: &str = "YES";

/// Whether a message is one of the words, sent by SMS: the address has no channel before the number.
#[must_use]
pub fn is_for_the_carrier(author: &str, body: &str) -> bool {
    let is_sms = author.starts_with('+');
    is_sms && Keyword::of(body).is_some_and(|known| known.word != SAID_IN_TALK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bare_word_by_sms_counts() {
        for (author, body, expected) in [
            ("+15555550123", "STOP", true),
            ("+15555550123", " stop. ", true),
            ("+15555550123", "Help!", true),
            ("+15555550123", "please stop", false),
            ("+15555550123", "", false),
            ("whatsapp:+15555550123", "STOP", false),
            ("alice", "stop", false),
        ] {
            assert_eq!(is_for_the_carrier(author, body), expected, "{author} {body}");
        }
    }

    #[test]
    fn every_word_that_twilio_answers_is_left_to_it_but_yes() {
        for known in Keyword::ALL {
            let is_left = is_for_the_carrier("+15555550123", known.word);
            assert_eq!(is_left, known.word != "YES", "{}", known.word);
        }
    }
}

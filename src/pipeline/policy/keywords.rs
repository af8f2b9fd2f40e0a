//! Words that the carrier or Twilio answers itself, and that are no conversation. Pure.
//!
//! Twilio handles these by default on SMS: it opts the sender out or in, or sends its help text.
//! An agent that answers them as well confuses the user, and after STOP its reply fails with 21610.
//! Source: the vendor's page on default opt-out keywords; `YES` and `INFO` are left to the agent,
//! because people say them in conversation (assumed to do no harm).

/// The words, in upper case.
const WORDS: [&str; 10] = [
    "STOP",
    "STOPALL",
    "UNSUBSCRIBE",
    "CANCEL",
    "END",
    "QUIT",
    "START",
    "UNSTOP",
    "HELP",
    "REVOKE",
];

/// Whether a message is one of the words, sent by SMS: the address has no channel before the number.
#[must_use]
pub fn is_for_the_carrier(author: &str, body: &str) -> bool {
    let is_sms = author.starts_with('+');
    let word = body.trim().trim_end_matches(['.', '!']);
    is_sms && WORDS.iter().any(|known| known.eq_ignore_ascii_case(word))
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
            ("+15555550123", "yes", false),
            ("+15555550123", "", false),
            ("whatsapp:+15555550123", "STOP", false),
            ("alice", "stop", false),
        ] {
            assert_eq!(is_for_the_carrier(author, body), expected, "{author} {body}");
        }
    }
}

//! The whole numbers by which a bot written for Chatwoot knows conversations, messages and people. Pure.
//!
//! Each is a digest cut to 53 bits, which every language reads exactly out of JSON, so it is the same on
//! every machine and after every restart. Nobody has to find a message or a person by its number; of
//! conversations, which bots name, [`Ledger`](super::ledger::Ledger) keeps who has which, and a second
//! one of the same number gets its next.

use crate::bytes16;
use crate::thread::{MessageId, ThreadId};

/// How many numbers a conversation may try for.
pub(super) const TRIES_MAX: u32 = 8;

/// The bits of a number. Source: RFC 8259, section 6: integers up to 2^53 are read alike everywhere.
const BITS: u32 = 53;

/// The number that a thread tries for at a try, counted from 0.
pub(super) fn of_thread(thread: ThreadId, at: u32) -> u64 {
    number("thread", &[&thread.to_string(), &at.to_string()])
}

/// A message's number: another one each time that its turn is asked anew.
pub(super) fn of_message(message: MessageId, asked: u32) -> u64 {
    number("message", &[&message.to_string(), &asked.to_string()])
}

/// The number of what a bot has said, by the key that makes it count once.
pub(super) fn of_words(key: &str) -> u64 {
    number("words", &[key])
}

/// The number of somebody who writes.
pub(super) fn of_person(author: &str) -> u64 {
    number("person", &[author])
}

fn number(what: &str, parts: &[&str]) -> u64 {
    let parts = std::iter::once(&what).chain(parts).map(|part| part.as_bytes());
    let digest = bytes16::digest(parts);
    let head = digest.first_chunk::<8>().map_or(0, |head| u64::from_be_bytes(*head));
    (head >> (u64::BITS - BITS)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::sid::{ConversationSid as Sid, MessageSid};

    #[test]
    fn a_number_is_the_same_for_ever_and_exact_in_every_language() {
        let thread = ThreadId::of_conversation(Sid::from_bytes([7; 16]));
        assert_eq!(of_thread(thread, 0), of_thread(thread, 0));
        assert_ne!(of_thread(thread, 0), of_thread(thread, 1));
        for n in 0..=u8::MAX {
            let message = MessageId::from(MessageSid::from_bytes([n; 16]));
            for asked in [0, 1] {
                let number = of_message(message, asked);
                assert!((1..1 << BITS).contains(&number), "{number}");
            }
            assert_ne!(of_message(message, 0), of_message(message, 1));
        }
        assert_ne!(of_words("a"), of_person("a"));
    }
}

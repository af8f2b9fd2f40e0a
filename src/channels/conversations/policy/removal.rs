//! Whether the bot was removed from a conversation by somebody, and what follows. Pure.
//!
//! A removal that the bot did not make is a decision: whoever made it does not want the bot there. So
//! by default it stays away until somebody lets it in again. A seat that was never lost must mute
//! nobody, so a removal is believed only by the word of Twilio's that it happened, never because a
//! seat is missing; and before a message is skipped for it, Twilio is asked.
//!
//! | word | what it means |
//! | --- | --- |
//! | webhook `onParticipantRemoved` of one of ours | removed: our own requests ask for no webhooks |
//! | the socket tells that the seat is gone | removed, unless the bot has left since it had the seat |
//! | a reply is refused, though the socket had told of the seat (50430) | the same |
//! | a sweep finds no seat | nothing: the join may have failed, the identity may be another one |
//!
//! The mark is a number that only rises: odd while the bot is removed, even once it is back, and about
//! twice the time in milliseconds.

use crate::clock::Timestamp;

/// Whether the bot comes back where somebody has removed it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Rejoin {
    /// Only if it is let in again.
    #[default]
    Never,
    /// With the next message, or the next sweep.
    Always,
}

/// By what word a lost seat was heard of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Word {
    /// By webhook, while the socket still had the seat or not.
    Webhook {
        /// Whether the socket is still to tell the same.
        on_socket: bool,
    },
    /// By the socket, which had told of the seat at this time; none if that was before a restart.
    Socket(Option<Timestamp>),
}

/// Whether a seat was lost because the bot left, by when it did so last.
#[must_use]
pub fn is_own(word: Word, left: Option<Timestamp>) -> bool {
    match word {
        Word::Webhook { .. } => false,
        Word::Socket(since) => left.is_some_and(|left| since.is_none_or(|since| left >= since)),
    }
}

/// Whether a mark says that the bot is removed.
#[must_use]
pub fn is_removed(mark: Option<u64>) -> bool {
    mark.is_some_and(|mark| mark % 2 == 1)
}

/// The mark of a removal.
#[must_use]
pub fn removed(before: Option<u64>, now: Timestamp) -> u64 {
    after(before, now) | 1
}

/// The mark of a return.
#[must_use]
pub fn back(before: Option<u64>, now: Timestamp) -> u64 {
    let after = after(before, now);
    after + after % 2
}

/// A mark above the one before.
fn after(before: Option<u64>, now: Timestamp) -> u64 {
    let now = u64::try_from(now.as_millis()).unwrap_or(0).saturating_mul(2);
    before.map_or(now, |before| now.max(before + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_that_the_bot_left_was_not_taken_away() {
        let at = |secs: i64| Some(Timestamp::from_millis(secs * 1000));
        for (word, left, own) in [
            (Word::Webhook { on_socket: false }, None, false),
            (Word::Webhook { on_socket: true }, at(9), false),
            (Word::Socket(at(5)), None, false),
            (Word::Socket(at(5)), at(4), false),
            (Word::Socket(at(5)), at(5), true),
            (Word::Socket(at(5)), at(6), true),
            (Word::Socket(None), None, false),
            (Word::Socket(None), at(4), true),
        ] {
            assert_eq!(is_own(word, left), own, "{word:?} {left:?}");
        }
    }

    #[test]
    fn marks_only_rise_whatever_the_clock_does() {
        assert!(!is_removed(None));
        let mut mark = None;
        for (now, goes) in [(10, true), (20, true), (20, false), (20, false), (5, true), (5, false)]
        {
            let now = Timestamp::from_millis(now);
            let next = if goes { removed(mark, now) } else { back(mark, now) };
            assert!(mark.is_none_or(|mark| next > mark), "{next} after {mark:?}");
            assert_eq!(is_removed(Some(next)), goes);
            mark = Some(next);
        }
    }
}

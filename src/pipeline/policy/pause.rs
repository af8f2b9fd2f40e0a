//! Whether a person has taken a conversation over, and how fresh that knowledge is. Pure.
//!
//! The truth is the conversation's attribute `{"chimein":{"paused":true}}` at Twilio. It is heard of
//! on the socket, by webhook, in the answers of REST; each may be late. What Twilio dates last counts.
//! The socket dates to the millisecond and the others to the second, so two words of the same second
//! that contradict each other leave a doubt: the bot keeps silent until Twilio was asked. An answer
//! while nothing else was heard is the last word.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::{Moment, Timestamp};

/// How long what was heard is believed when no socket would tell of a change. Short, because a write
/// over REST makes a webhook only if its writer asks for one, and a bot that speaks between two people
/// is worse than a read. Source: Conversations webhooks, "X-Twilio-Webhook-Enabled", read 2026-11-21.
pub const FRESH_FOR: Duration = Duration::from_secs(5);

/// Our object in a conversation's attributes, and the mark in it.
const OURS: &str = "chimein";
const PAUSED: &str = "paused";

/// Where something was heard, with the time that Twilio gives the change, where it does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// On the socket, whose words come in order.
    Socket(Option<Timestamp>),
    /// By webhook, of which those of one conversation come in order (assumed); or in an answer of
    /// REST that something was heard during.
    Dated(Option<Timestamp>),
    /// In the answer to a question or to a write of our own, during which nothing else was heard.
    Answer(Option<Timestamp>),
}

/// What is known of one conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Known {
    /// Whether a person has taken it over; also while that is in doubt.
    pub is_paused: bool,
    /// Whether only Twilio can say.
    pub is_doubted: bool,
    at: Moment,
    /// When Twilio dates the last change that was heard of.
    updated: Option<Timestamp>,
    /// What the socket said last.
    socket: Option<Word>,
    /// Whether the last word that counted was a webhook's.
    by_webhook: bool,
}

/// One word of the socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Word {
    is_paused: bool,
    updated: Option<Timestamp>,
}

/// How a word stands to what is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Order {
    /// It is about an earlier time.
    Earlier,
    /// Nobody can tell.
    Unclear,
    /// It is about a later time.
    Later,
}

impl Source {
    const fn updated(self) -> Option<Timestamp> {
        let (Self::Socket(updated) | Self::Dated(updated) | Self::Answer(updated)) = self;
        updated
    }
}

impl Known {
    /// Hears something; `before` is what was known, `has_socket` whether the socket holds it now.
    #[must_use]
    pub fn hear(
        before: Option<Self>,
        is_paused: bool,
        source: Source,
        (now, has_socket): (Moment, bool),
    ) -> Self {
        let heard = match source {
            Source::Socket(updated) => Some(Word { is_paused, updated }),
            Source::Dated(_) | Source::Answer(_) => None,
        };
        let socket = heard.or_else(|| before.and_then(|known| known.socket));
        let updated = source.updated().max(before.and_then(|known| known.updated));
        let by_webhook = matches!(source, Source::Dated(_));
        let told = Self { is_paused, is_doubted: false, at: now, updated, socket, by_webhook };
        let Some(known) = before else { return told };
        match known.order(source, has_socket) {
            Order::Earlier => Self { socket, ..known },
            Order::Later => told,
            Order::Unclear if known.is_paused == is_paused => {
                Self { is_doubted: known.is_doubted, ..told }
            }
            Order::Unclear => Self { is_paused: true, is_doubted: true, by_webhook: false, ..told },
        }
    }

    /// Whether it may be believed without asking Twilio.
    #[must_use]
    pub fn is_fresh(&self, now: Moment, has_socket: bool) -> bool {
        let is_told = self.is_by_socket() && has_socket;
        !self.is_doubted && (is_told || now.since(self.at) < FRESH_FOR)
    }

    /// Whether the socket said so too.
    fn is_by_socket(&self) -> bool {
        self.socket.is_some_and(|word| word.is_paused == self.is_paused)
    }

    /// The date of the last change, if it is not one of whole seconds.
    fn exactly_updated(&self) -> Option<Timestamp> {
        self.updated.filter(|at| at.as_millis().rem_euclid(1000) != 0)
    }

    /// Assumed: the socket and REST give one change one date, but for what is below a second.
    fn order(&self, source: Source, has_socket: bool) -> Order {
        let is_last_by_socket =
            self.socket == Some(Word { is_paused: self.is_paused, updated: self.updated });
        let last = self.updated.map(Timestamp::as_secs);
        let exact = self.exactly_updated();
        match (source, source.updated().map(Timestamp::as_secs)) {
            (Source::Answer(_), _) => Order::Later,
            (Source::Socket(_), _) if is_last_by_socket => Order::Later,
            // Webhooks may date to the millisecond, too; then there is nothing to doubt.
            (Source::Socket(Some(at)), _) if exact.is_some() => {
                if Some(at) < exact {
                    Order::Earlier
                } else {
                    Order::Later
                }
            }
            (Source::Socket(_) | Source::Dated(_), Some(at)) if last > Some(at) => Order::Earlier,
            (Source::Socket(_), Some(at)) if last < Some(at) => Order::Later,
            (Source::Dated(_), Some(at)) if last.is_some() && last < Some(at) => Order::Later,
            (Source::Dated(_), Some(_)) if self.by_webhook && !self.is_doubted => Order::Later,
            (Source::Socket(_), _) | (Source::Dated(_), Some(_)) if last.is_some() => {
                Order::Unclear
            }
            (Source::Socket(_), _) => Order::Later,
            // Without a date on either side the socket's order is all there is.
            (Source::Dated(_), _) if self.is_by_socket() && has_socket => Order::Earlier,
            (Source::Dated(_), _) => Order::Later,
        }
    }
}

/// Reads the mark in attributes, JSON as text; anything but an object has none.
#[must_use]
pub fn is_paused(attributes: &str) -> bool {
    let Ok(Value::Object(attributes)) = serde_json::from_str(attributes) else { return false };
    attributes.get(OURS).and_then(|ours| ours.get(PAUSED)) == Some(&Value::Bool(true))
}

/// Sets or takes away the mark and keeps everything else; `None` if the attributes are no object.
#[must_use]
pub fn with_mark(attributes: Option<&str>, is_paused: bool) -> Option<String> {
    let mut all: Map<String, Value> = match attributes.map(str::trim) {
        None | Some("") => Map::new(),
        Some(text) => serde_json::from_str(text).ok()?,
    };
    let mut ours = match all.remove(OURS) {
        Some(Value::Object(ours)) => ours,
        Some(_) | None => Map::new(),
    };
    let _ = ours.remove(PAUSED);
    if is_paused {
        let _ = ours.insert(PAUSED.to_owned(), Value::Bool(true));
    }
    if !ours.is_empty() {
        let _ = all.insert(OURS.to_owned(), Value::Object(ours));
    }
    Some(Value::Object(all).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_twilio_dates_last_counts_wherever_it_was_heard() {
        let (socket, dated) = (Source::Socket as fn(_) -> _, Source::Dated as fn(_) -> _);
        for (first, second) in [(socket, socket), (socket, dated), (dated, socket), (dated, dated)]
        {
            let known =
                told(&[(true, first(at_millis(10_300))), (false, second(at_millis(11_000)))]);
            assert_eq!((known.is_paused, known.is_doubted), (false, false));
        }
        for (first, second) in [(socket, dated), (dated, socket), (dated, dated)] {
            let known =
                told(&[(false, first(at_millis(11_000))), (true, second(at_millis(10_300)))]);
            assert_eq!((known.is_paused, known.is_doubted), (false, false), "it came late");
        }
    }

    #[test]
    fn the_socket_alone_is_in_order_within_a_second() {
        let known =
            told(&[(true, socket(10_300)), (false, socket(10_300)), (true, socket(10_301))]);
        assert_eq!((known.is_paused, known.is_doubted), (true, false));
        let undated = Source::Socket(None);
        let known = told(&[(true, undated), (false, undated)]);
        assert_eq!((known.is_paused, known.is_doubted), (false, false));
    }

    #[test]
    fn words_of_one_second_that_differ_are_a_doubt_until_twilio_was_asked() {
        for (first, second) in [
            ((false, dated(10)), (true, socket(10_300))),
            ((true, socket(10_300)), (false, dated(10))),
            ((false, Source::Answer(Some(from_millis(10_000)))), (true, socket(10_999))),
        ] {
            let known = told(&[first, second]);
            assert!(known.is_paused, "silence is the better mistake");
            assert!(known.is_doubted && !known.is_fresh(at(0), true));
            for is_paused in [true, false] {
                let answer = Source::Answer(Some(from_millis(10_000)));
                let asked = Known::hear(Some(known), is_paused, answer, (at(1), true));
                assert_eq!((asked.is_paused, asked.is_doubted), (is_paused, false));
                assert!(asked.is_fresh(at(2), false));
            }
        }
        let known = told(&[(true, dated(10)), (true, socket(10_300)), (true, dated(10))]);
        assert!(!known.is_doubted, "they agree");
        let known = told(&[(true, dated(10)), (false, dated(10))]);
        assert_eq!((known.is_paused, known.is_doubted), (false, false), "webhooks come in order");
    }

    #[test]
    fn dates_to_the_millisecond_leave_no_doubt() {
        let resumed = (false, Source::Dated(at_millis(10_762)));
        let late =
            told(&[(true, Source::Dated(at_millis(10_684))), resumed, (true, socket(10_684))]);
        assert_eq!((late.is_paused, late.is_doubted), (false, false), "of the time before");
        let confirmed = Known::hear(Some(late), false, socket(10_762), (at(1), true));
        assert!(!confirmed.is_paused && !confirmed.is_doubted);
        let again = Known::hear(Some(confirmed), true, socket(10_763), (at(1), true));
        assert!(again.is_paused && !again.is_doubted);
    }

    #[test]
    fn an_own_write_counts_before_the_socket_has_told_of_it() {
        let resumed = (false, Source::Answer(Some(from_millis(12_000))));
        let known = told(&[(true, socket(10_300)), resumed]);
        assert!(!known.is_paused && known.is_fresh(at(4), true));
        assert!(!known.is_fresh(at(5), true), "the socket has not confirmed it");
        let late = Known::hear(Some(known), true, socket(11_000), (at(1), true));
        assert!(!late.is_paused && !late.is_doubted, "of the time before");
        let confirmed = Known::hear(Some(late), false, socket(12_400), (at(1), true));
        assert!(!confirmed.is_paused && confirmed.is_fresh(at(9_999), true));
    }

    #[test]
    fn a_word_without_a_date_counts_unless_the_socket_would_know() {
        let by_socket = Known::hear(None, true, Source::Socket(None), (at(0), true));
        let undated = Source::Dated(None);
        assert!(Known::hear(Some(by_socket), false, undated, (at(1), true)).is_paused);
        assert!(!Known::hear(Some(by_socket), false, undated, (at(1), false)).is_paused);
        let known = told(&[(false, dated(5)), (true, undated)]);
        assert_eq!((known.is_paused, known.is_doubted), (true, false));
    }

    #[test]
    fn knowledge_grows_old_without_a_socket() {
        let by_socket = Known::hear(None, true, socket(0), (at(0), true));
        let dated = Known::hear(None, true, dated(0), (at(0), true));
        for (known, seconds, has_socket, is_fresh) in [
            (by_socket, 9_999, true, true),
            (by_socket, 4, false, true),
            (by_socket, 5, false, false),
            (dated, 4, true, true),
            (dated, 5, true, false),
        ] {
            assert_eq!(known.is_fresh(at(seconds), has_socket), is_fresh, "{seconds}");
        }
    }

    #[test]
    fn the_mark_is_set_and_taken_away_and_everything_else_kept() {
        for (before, paused, resumed) in [
            ("", r#"{"chimein":{"paused":true}}"#, "{}"),
            (r#"{"a":1}"#, r#"{"a":1,"chimein":{"paused":true}}"#, r#"{"a":1}"#),
            (
                r#"{"chimein":{"by":"ann","paused":false}}"#,
                r#"{"chimein":{"by":"ann","paused":true}}"#,
                r#"{"chimein":{"by":"ann"}}"#,
            ),
            (r#"{"chimein":7}"#, r#"{"chimein":{"paused":true}}"#, "{}"),
        ] {
            let set = with_mark(Some(before), true).unwrap();
            assert!(is_paused(&set) && !is_paused(before));
            assert_eq!(set, paused);
            let taken = with_mark(Some(&set), false).unwrap();
            assert_eq!(taken, resumed);
            assert!(!is_paused(&taken));
        }
        assert_eq!(with_mark(None, false).as_deref(), Some("{}"));
        assert_eq!(with_mark(Some("[1]"), true), None, "what is no object is not overwritten");
        assert!(!is_paused("[1]") && !is_paused(r#"{"chimein":{"paused":"true"}}"#));
    }

    fn told(words: &[(bool, Source)]) -> Known {
        let hear = |known, &(is_paused, source)| {
            Some(Known::hear(known, is_paused, source, (at(0), true)))
        };
        words.iter().fold(None, hear).expect("something is told")
    }

    const fn socket(millis: i64) -> Source {
        Source::Socket(Some(from_millis(millis)))
    }

    const fn dated(seconds: i64) -> Source {
        Source::Dated(Some(from_millis(seconds * 1000)))
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is a source's argument")]
    const fn at_millis(millis: i64) -> Option<Timestamp> {
        Some(from_millis(millis))
    }

    const fn from_millis(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn at(seconds: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(seconds)
    }
}

//! Whether a person has taken a conversation over, and how fresh that knowledge is. Pure.
//!
//! The truth is the conversation's attribute `{"chimein":{"paused":true}}` at Twilio. It is heard of
//! on the socket, by webhook, in the answers of REST; each may be late. What Twilio dates last counts.
//! The socket dates to the millisecond and the others to the second, so two words of the same second
//! that contradict each other leave a doubt: the bot keeps silent until Twilio was asked. An answer
//! while nothing else was heard is the last word.

use std::time::Duration;

use serde::de::IgnoredAny;

use crate::channels::MarkSource;
use crate::clock::{Moment, Timestamp};
use crate::json::{self, Members, ObjectText};

/// How long what was heard is believed when no socket would tell of a change. Short, because a write
/// over REST makes a webhook only if its writer asks for one, and a bot that speaks between two people
/// is worse than a read. Source: Conversations webhooks, "X-Twilio-Webhook-Enabled", read 2026-11-21.
pub const FRESH_FOR: Duration = Duration::from_secs(5);

/// Our object in a conversation's attributes, and the mark in it.
const OURS: &str = "chimein";
const PAUSED: &str = "paused";

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
    /// The date of the word that counted last: of an answer to the second, of the same second as a
    /// change that the socket told of before, it is less than `updated`.
    dated: Option<Timestamp>,
    /// What the socket said last.
    socket: Option<SocketWord>,
    /// Whether the last word that counted was a webhook's.
    by_webhook: bool,
}

/// One word of the socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct SocketWord {
    is_paused: bool,
    updated: Option<Timestamp>,
}

/// How a word stands to what is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum WordOrder {
    /// It is about an earlier time.
    Earlier,
    /// Nobody can tell.
    Unclear,
    /// It is about a later time.
    Later,
}

impl MarkSource {
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
        mark: Mark,
        source: MarkSource,
        (now, has_socket): (Moment, bool),
    ) -> Self {
        let is_paused = mark.must_hold();
        let heard = match source {
            MarkSource::Socket(updated) => Some(SocketWord { is_paused, updated }),
            MarkSource::Dated(_) | MarkSource::Answer(_) => None,
        };
        let socket = heard.or_else(|| before.and_then(|known| known.socket));
        let updated = source.updated().max(before.and_then(|known| known.updated));
        let by_webhook = matches!(source, MarkSource::Dated(_));
        // What reached us cut off may be whole at Twilio; if it is not, there is nobody else to ask.
        let is_doubted = mark == Mark::Unreadable && !matches!(source, MarkSource::Answer(_));
        let dated = source.updated();
        let told = Self { is_paused, is_doubted, at: now, updated, dated, socket, by_webhook };
        let Some(known) = before else { return told };
        match known.order(source, has_socket) {
            WordOrder::Earlier => Self { socket, ..known },
            WordOrder::Later => told,
            WordOrder::Unclear if known.is_paused == is_paused => {
                Self { is_doubted: known.is_doubted || is_doubted, dated: known.dated, ..told }
            }
            WordOrder::Unclear => Self {
                is_paused: true,
                is_doubted: true,
                by_webhook: false,
                dated: updated,
                ..told
            },
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

    /// The date of the last change, if it is not one of whole seconds and the word that counted last
    /// was about no later change.
    fn exactly_updated(&self) -> Option<Timestamp> {
        let exact = self.updated.filter(|at| at.as_millis().rem_euclid(1000) != 0);
        exact.filter(|_| self.dated == self.updated)
    }

    /// Assumed: the socket and REST give one change one date, but for what is below a second.
    fn order(&self, source: MarkSource, has_socket: bool) -> WordOrder {
        let is_last_by_socket =
            self.socket == Some(SocketWord { is_paused: self.is_paused, updated: self.dated });
        let last = self.updated.map(Timestamp::as_secs);
        let exact = self.exactly_updated();
        match (source, source.updated().map(Timestamp::as_secs)) {
            (MarkSource::Answer(_), _) => WordOrder::Later,
            (MarkSource::Socket(_), _) if is_last_by_socket => WordOrder::Later,
            // Webhooks may date to the millisecond, too; then there is nothing to doubt.
            (MarkSource::Socket(Some(at)), _) if exact.is_some() => {
                if Some(at) < exact {
                    WordOrder::Earlier
                } else {
                    WordOrder::Later
                }
            }
            (MarkSource::Socket(_) | MarkSource::Dated(_), Some(at)) if last > Some(at) => {
                WordOrder::Earlier
            }
            (MarkSource::Socket(_), Some(at)) if last < Some(at) => WordOrder::Later,
            (MarkSource::Dated(_), Some(at)) if last.is_some() && last < Some(at) => {
                WordOrder::Later
            }
            (MarkSource::Dated(_), Some(_)) if self.by_webhook && !self.is_doubted => {
                WordOrder::Later
            }
            (MarkSource::Socket(_), _) | (MarkSource::Dated(_), Some(_)) if last.is_some() => {
                WordOrder::Unclear
            }
            (MarkSource::Socket(_), _) => WordOrder::Later,
            // Without a date on either side the socket's order is all there is.
            (MarkSource::Dated(_), _) if self.is_by_socket() && has_socket => WordOrder::Earlier,
            (MarkSource::Dated(_), _) => WordOrder::Later,
        }
    }
}

/// What a conversation's attributes say about who has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mark {
    /// The bot: there is no mark.
    Absent,
    /// A person.
    Paused,
    /// They cannot be read, so that the mark may be there and nobody sees it.
    Unreadable,
}

impl Mark {
    /// Whether the bot must keep silent. It must where nobody knows: a bot that talks into a person's
    /// conversation does harm at once, a silent one is missed, and the log says what to do.
    #[must_use]
    pub const fn must_hold(self) -> bool {
        match self {
            Self::Absent => false,
            Self::Paused | Self::Unreadable => true,
        }
    }
}

/// Reads the mark in attributes, JSON as text.
///
/// What stands beside the mark is not looked at: half an emoji, a number beyond all bounds or two
/// hundred levels of brackets hide nothing. JSON that is no object has no mark; what is no JSON at
/// all is [`Mark::Unreadable`]. Assumed: Twilio lets none of that in, but it may reach us cut off.
#[must_use]
pub fn mark(attributes: &str) -> Mark {
    if attributes.trim().is_empty() {
        return Mark::Absent;
    }
    let mut room = Vec::new();
    let Ok(all) = json::lend::<Option<Members<'_>>>(attributes.as_bytes(), &mut room) else {
        let is_json = json::from_str::<IgnoredAny>(attributes).is_ok();
        return if is_json { Mark::Absent } else { Mark::Unreadable };
    };
    let paused = all.and_then(|all| all.object(OURS).get::<bool>(PAUSED));
    if paused == Some(true) { Mark::Paused } else { Mark::Absent }
}

/// Sets or takes away the mark and keeps everything else to the byte; `None` if the attributes are no
/// object.
#[must_use]
pub fn with_mark(attributes: Option<&str>, is_paused: bool) -> Option<String> {
    let mut all = match attributes.map(str::trim) {
        None | Some("" | "null") => ObjectText::empty(),
        Some(text) => ObjectText::parse(text)?,
    };
    let ours = all.value(OURS).and_then(ObjectText::parse);
    let mut ours = ours.unwrap_or_else(ObjectText::empty);
    if is_paused {
        ours.set(PAUSED, "true");
    } else {
        ours.remove(PAUSED);
    }
    if ours.is_empty() {
        all.remove(OURS);
    } else {
        all.set(OURS, ours.as_str());
    }
    Some(all.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_twilio_dates_last_counts_wherever_it_was_heard() {
        let (socket, dated): (fn(_) -> _, fn(_) -> _) = (MarkSource::Socket, MarkSource::Dated);
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
        let undated = MarkSource::Socket(None);
        let known = told(&[(true, undated), (false, undated)]);
        assert_eq!((known.is_paused, known.is_doubted), (false, false));
    }

    #[test]
    fn words_of_one_second_that_differ_are_a_doubt_until_twilio_was_asked() {
        for (first, second) in [
            ((false, dated(10)), (true, socket(10_300))),
            ((true, socket(10_300)), (false, dated(10))),
            ((false, MarkSource::Answer(Some(from_millis(10_000)))), (true, socket(10_999))),
        ] {
            let known = told(&[first, second]);
            assert!(known.is_paused, "silence is the better mistake");
            assert!(known.is_doubted && !known.is_fresh(at(0), true));
            for is_paused in [true, false] {
                let answer = MarkSource::Answer(Some(from_millis(10_000)));
                let asked = hear(Some(known), is_paused, answer, (at(1), true));
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
        let resumed = (false, MarkSource::Dated(at_millis(10_762)));
        let late =
            told(&[(true, MarkSource::Dated(at_millis(10_684))), resumed, (true, socket(10_684))]);
        assert_eq!((late.is_paused, late.is_doubted), (false, false), "of the time before");
        let confirmed = hear(Some(late), false, socket(10_762), (at(1), true));
        assert!(!confirmed.is_paused && !confirmed.is_doubted);
        let again = hear(Some(confirmed), true, socket(10_763), (at(1), true));
        assert!(again.is_paused && !again.is_doubted);
    }

    #[test]
    fn an_own_write_counts_before_the_socket_has_told_of_it() {
        let resumed = (false, MarkSource::Answer(Some(from_millis(12_000))));
        let known = told(&[(true, socket(10_300)), resumed]);
        assert!(!known.is_paused && known.is_fresh(at(4), true));
        assert!(!known.is_fresh(at(5), true), "the socket has not confirmed it");
        let late = hear(Some(known), true, socket(11_000), (at(1), true));
        assert!(!late.is_paused && !late.is_doubted, "of the time before");
        let confirmed = hear(Some(late), false, socket(12_400), (at(1), true));
        assert!(!confirmed.is_paused && confirmed.is_fresh(at(9_999), true));
    }

    #[test]
    fn a_late_word_of_the_second_of_an_own_write_is_a_doubt_whatever_the_socket_said_before() {
        let written = |is_paused| (is_paused, MarkSource::Answer(Some(from_millis(10_000))));
        let joined = (false, socket(10_100));
        for before in [
            &[joined, written(true), written(false)][..],
            &[joined, written(true), written(false), (false, socket(10_150))],
            &[joined, (false, dated(10)), (true, dated(10)), (false, dated(10))],
        ] {
            let known = told(before);
            assert_eq!((known.is_paused, known.is_doubted), (false, false));
            let late = hear(Some(known), true, socket(10_300), (at(1), true));
            assert!(late.is_doubted && !late.is_fresh(at(1), true), "{before:?}");
            let resumed = hear(Some(late), false, socket(10_500), (at(1), true));
            assert_eq!((resumed.is_paused, resumed.is_doubted), (false, false), "in its order");
        }
        let known = told(&[joined, written(true), written(false), (true, socket(11_300))]);
        assert_eq!((known.is_paused, known.is_doubted), (true, false), "somebody's, and later");
    }

    #[test]
    fn a_word_without_a_date_counts_unless_the_socket_would_know() {
        let by_socket = hear(None, true, MarkSource::Socket(None), (at(0), true));
        let undated = MarkSource::Dated(None);
        assert!(hear(Some(by_socket), false, undated, (at(1), true)).is_paused);
        assert!(!hear(Some(by_socket), false, undated, (at(1), false)).is_paused);
        let known = told(&[(false, dated(5)), (true, undated)]);
        assert_eq!((known.is_paused, known.is_doubted), (true, false));
    }

    #[test]
    fn knowledge_grows_old_without_a_socket() {
        let by_socket = hear(None, true, socket(0), (at(0), true));
        let dated = hear(None, true, dated(0), (at(0), true));
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
    fn attributes_that_cannot_be_read_are_a_doubt_until_twilio_was_asked_and_then_a_pause() {
        let heard = told(&[(false, dated(9))]);
        for source in [socket(10_000), dated(10)] {
            for before in [None, Some(heard)] {
                let known = Known::hear(before, Mark::Unreadable, source, (at(1), true));
                assert_eq!((known.is_paused, known.is_doubted), (true, true), "{source:?}");
                assert!(!known.is_fresh(at(1), true));
                let answer = MarkSource::Answer(Some(from_millis(10_000)));
                for (mark, is_paused) in [(Mark::Absent, false), (Mark::Unreadable, true)] {
                    let asked = Known::hear(Some(known), mark, answer, (at(2), true));
                    assert_eq!((asked.is_paused, asked.is_doubted), (is_paused, false));
                    assert!(asked.is_fresh(at(3), true));
                }
            }
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
            assert_eq!((mark(&set), mark(before)), (Mark::Paused, Mark::Absent));
            assert_eq!(set, paused);
            let taken = with_mark(Some(&set), false).unwrap();
            assert_eq!(taken, resumed);
            assert_eq!(mark(&taken), Mark::Absent);
        }
        assert_eq!(with_mark(None, false).as_deref(), Some("{}"));
        assert_eq!(
            with_mark(Some("null"), true).as_deref(),
            Some(r#"{"chimein":{"paused":true}}"#)
        );
        for text in ["[1]", "7", "{", r#"{"a":1"#] {
            assert_eq!(with_mark(Some(text), true), None, "{text} is not overwritten");
        }
    }

    #[test]
    fn foreign_attributes_are_kept_to_the_byte_and_in_their_order() {
        let deep = format!(r#"{{"z":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        for foreign in [
            r#"{"sim":89014103211118510720,"total":19.90}"#,
            r#"{"z":1,"a":2,"m":{"y":1.0,"b":-0}}"#,
            "{ \"a\" : 1,\n  \"b\" : [ ] }",
            r#"{"a":"\u00fc\/\ud83d","twice":1,"twice":2}"#,
            r#"{"a":1E+400,"b":1e-400}"#,
            &deep,
            "{}",
            "{ }",
        ] {
            let paused = with_mark(Some(foreign), true).unwrap();
            assert_eq!(mark(&paused), Mark::Paused, "{paused}");
            assert_eq!(with_mark(Some(&paused), true).as_deref(), Some(&*paused));
            assert_eq!(with_mark(Some(&paused), false).as_deref(), Some(foreign));
            assert_eq!(with_mark(Some(foreign), false).as_deref(), Some(foreign));
        }
        let among = r#"{"a":1,"chimein":{"n":1.50,"paused":false},"b":19.90}"#;
        let set = r#"{"a":1,"chimein":{"n":1.50,"paused":true},"b":19.90}"#;
        assert_eq!(with_mark(Some(among), true).as_deref(), Some(set));
        let doubled = r#"{"chimein":{"paused":true},"a":1,"chimein":{"paused":true,"by":"ann"}}"#;
        let resumed = r#"{"a":1,"chimein":{"by":"ann"}}"#;
        assert_eq!(with_mark(Some(doubled), false).as_deref(), Some(resumed));
    }

    #[test]
    fn the_mark_is_found_beside_whatever_cannot_be_read() {
        let paused = r#""chimein":{"paused":true}"#;
        let deep = format!(r#"{{"a":{}{},{paused}}}"#, "[".repeat(200), "]".repeat(200));
        for attributes in [
            format!(r#"{{"a":"\ud83d",{paused}}}"#),
            format!(r#"{{"\ud83d":1,{paused}}}"#),
            format!(r#"{{{paused},"a":1e400}}"#),
            r#"{"chimein":{"by":"\ude00","n":-1e999,"paused":true}}"#.to_owned(),
            r#"{"\u0063himein":{"p\u0061used":true}}"#.to_owned(),
            r#"{"chimein":{"paused":false},"chimein":{"paused":true}}"#.to_owned(),
            format!(" \n{{ {paused} }} "),
            deep,
        ] {
            assert_eq!(mark(&attributes), Mark::Paused, "{attributes}");
        }
        for attributes in [
            "",
            " ",
            "{}",
            "null",
            "[1]",
            "7",
            r#""chimein""#,
            r#"{"a":"\ud83d"}"#,
            r#"{"a":1e400}"#,
            r#"{"chimein":null}"#,
            r#"{"chimein":7}"#,
            r#"{"chimein":{"paused":null}}"#,
            r#"{"chimein":{"paused":"true"}}"#,
            r#"{"chimein":{"paused":1}}"#,
            r#"{"paused":true}"#,
            r#"{"a":{"chimein":{"paused":true}}}"#,
            r#"["\ud83d"]"#,
        ] {
            assert_eq!(mark(attributes), Mark::Absent, "{attributes}");
        }
        for attributes in
            ["{", "chimein", r#"{"a":"cut o"#, r#"{"chimein":{"paused":true}"#, "{'a':1}", "{}x"]
        {
            let mark = mark(attributes);
            assert_eq!((mark, mark.must_hold()), (Mark::Unreadable, true), "{attributes}");
        }
    }

    fn told(words: &[(bool, MarkSource)]) -> Known {
        let tell =
            |known, &(is_paused, source)| Some(hear(known, is_paused, source, (at(0), true)));
        words.iter().fold(None, tell).expect("something is told")
    }

    fn hear(
        before: Option<Known>,
        is_paused: bool,
        source: MarkSource,
        times: (Moment, bool),
    ) -> Known {
        let mark = if is_paused { Mark::Paused } else { Mark::Absent };
        Known::hear(before, mark, source, times)
    }

    const fn socket(millis: i64) -> MarkSource {
        MarkSource::Socket(Some(from_millis(millis)))
    }

    const fn dated(seconds: i64) -> MarkSource {
        MarkSource::Dated(Some(from_millis(seconds * 1000)))
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

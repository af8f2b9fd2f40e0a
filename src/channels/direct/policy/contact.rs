//! What is known of somebody who writes to one of our addresses. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::wish::Wish;
use crate::bytes16;
use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::thread::{Medium, Pair, ThreadId};
use crate::twilio::sid::TextSid;

/// How long after somebody's last message WhatsApp takes free text. Source: error dictionary 63016, read
/// 2026-11-29.
pub const WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// How old a noted time of the last message may become before the next message is noted: so much too early
/// the window closes at worst, after a restart.
const NOTE_AFTER: Duration = Duration::from_secs(300);

/// How many of our messages of one thread are known by their sids; older ones are told apart by time.
const SENT_MAX: usize = 64;

/// One day.
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// What is known of somebody: one for all media that one opt-out holds for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Contact {
    /// Whether the person wants nothing more.
    #[serde(default)]
    pub is_opted_out: bool,
    /// Since when that is so, or is not so any more.
    #[serde(default)]
    pub wished: Option<Timestamp>,
    /// When the person wrote last, at least.
    #[serde(default)]
    pub wrote: Option<Timestamp>,
}

impl Contact {
    /// Hears a message; says what is known then, or nothing if that is not worth a note.
    #[must_use]
    pub fn heard(self, at: Timestamp, wish: Option<Wish>, has_window: bool) -> Option<Self> {
        let wished = wish.and_then(|wish| self.wishes(wish, at));
        let is_old = |wrote: Timestamp| at.since(wrote) > NOTE_AFTER;
        let is_news = has_window && self.wrote.is_none_or(is_old);
        match (wished, is_news) {
            (None, false) => None,
            (wished, _) => {
                let wrote = self.wrote.max(Some(at));
                Some(Self { wrote, ..wished.unwrap_or(self) })
            }
        }
    }

    /// Hears a wish; nothing if an earlier one, or the same, is all it is.
    #[must_use]
    pub fn wishes(self, wish: Wish, at: Timestamp) -> Option<Self> {
        let is_opted_out = wish == Wish::Stop;
        let is_late = self.wished.is_some_and(|wished| at < wished);
        if is_late || is_opted_out == self.is_opted_out {
            return None;
        }
        Some(Self { is_opted_out, wished: Some(at), ..self })
    }

    /// Whether WhatsApp takes free text now.
    #[must_use]
    pub fn is_window_open(self, now: Timestamp) -> bool {
        self.wrote.is_some_and(|wrote| now.since(wrote) < WINDOW)
    }
}

/// What the names of contacts begin with.
pub const CONTACTS: &str = "contact/";
/// What the names of notes begin with that tell whose a WhatsApp id is.
pub const ALIASES: &str = "alias/";
/// What the names of threads' records begin with.
pub const THREADS: &str = "thread/";

/// The name of a contact: SMS, MMS and RCS of one pair of addresses share one, WhatsApp has its own.
/// Source: changelog of 2026-03-15: opt-outs of SMS, MMS and RCS are one per pair of numbers.
#[must_use]
pub fn name(pair: &Pair) -> String {
    let class = match pair.medium {
        Medium::Sms | Medium::Rcs => Medium::Sms,
        Medium::Whatsapp => Medium::Whatsapp,
    };
    let shared = Pair { medium: class, ..pair.clone() };
    format!("{CONTACTS}{}", ThreadId::of_pair(&shared))
}

/// The name of what stands for a WhatsApp id: the address that its thread was begun with.
#[must_use]
pub fn alias_name(ours: &Pii, user_id: &str) -> String {
    let digest = bytes16::digest([ours.reveal().as_bytes(), user_id.as_bytes()]);
    format!("{ALIASES}{}", uuid::Uuid::from_bytes(digest).simple())
}

/// What is known of a thread.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ThreadRecord {
    /// Who writes to whom.
    pub pair: Pair,
    /// The address that the person wrote from last, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<Pii>,
    /// The day, counted from 1970, that segments are counted of.
    #[serde(default)]
    pub day: i64,
    /// How many segments went out on it.
    #[serde(default)]
    pub segments: u32,
    /// The day, counted from 1970, on which the person was noted to have written.
    #[serde(default)]
    pub seen: i64,
    /// Our newest messages, the newest last.
    #[serde(default)]
    pub sent: VecDeque<TextSid>,
    /// Until when what was said is over, and no history any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

impl ThreadRecord {
    /// Begins with nothing.
    #[must_use]
    pub const fn new(pair: Pair) -> Self {
        Self { pair, reach: None, day: 0, segments: 0, seen: 0, sent: VecDeque::new(), ended: None }
    }

    /// Ends it; says what is known then, or nothing if it ended later already.
    #[must_use]
    pub fn ended(self, at: Timestamp) -> Option<Self> {
        (self.ended < Some(at)).then_some(Self { ended: Some(at), ..self })
    }

    /// Hears a message of the person; says what is known then, or nothing if that is not worth a note.
    #[must_use]
    pub fn heard(self, reach: Option<&Pii>, today: i64) -> Option<Self> {
        let is_same = self.reach.as_ref() == reach;
        if is_same && !is_to_be_noted(self.seen, today) {
            return None;
        }
        let seen = self.seen.max(today);
        Some(Self { reach: reach.cloned(), seen, ..self })
    }

    /// Notes one of our messages; nothing if it is known already.
    #[must_use]
    pub fn with_sent(mut self, sid: TextSid, segments: u32, at: Timestamp) -> Option<Self> {
        if self.sent.contains(&sid) {
            return None;
        }
        let day = day(at);
        if day != self.day {
            (self.day, self.segments) = (day, 0);
        }
        self.segments = self.segments.saturating_add(segments);
        self.sent.push_back(sid);
        if self.sent.len() > SENT_MAX {
            let _oldest = self.sent.pop_front();
        }
        Some(self)
    }

    /// How many segments went out today.
    #[must_use]
    pub fn segments_today(&self, now: Timestamp) -> u32 {
        if day(now) == self.day { self.segments } else { 0 }
    }
}

/// How many days pass until it is noted again that somebody writes.
const SEEN_EVERY: i64 = 7;

/// Whether it is to be noted again that somebody writes.
#[must_use]
pub const fn is_to_be_noted(seen: i64, today: i64) -> bool {
    today - seen >= SEEN_EVERY
}

/// The day of a time, counted from 1970.
#[must_use]
pub const fn day(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(DAY_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    #[test]
    fn the_last_wish_counts_however_late_an_earlier_one_is_told() {
        let stopped = Contact::default().wishes(Wish::Stop, AT).unwrap();
        assert!(stopped.is_opted_out);
        assert_eq!(stopped.wishes(Wish::Stop, AT + Duration::from_secs(1)), None);
        let again = stopped.wishes(Wish::Start, AT + Duration::from_secs(5)).unwrap();
        assert!(!again.is_opted_out);
        assert_eq!(again.wishes(Wish::Stop, AT + Duration::from_secs(1)), None, "told late");
    }

    #[test]
    fn a_message_opens_the_window_and_is_noted_now_and_then() {
        let contact = Contact::default().heard(AT, None, true).unwrap();
        assert!(contact.is_window_open(AT + (WINDOW - Duration::from_secs(1))));
        assert!(!contact.is_window_open(AT + WINDOW));
        assert!(!Contact::default().is_window_open(AT));
        assert_eq!(contact.heard(AT + Duration::from_secs(60), None, true), None);
        let later = contact.heard(AT + Duration::from_secs(301), None, true).unwrap();
        assert_eq!(later.wrote, Some(AT + Duration::from_secs(301)));
        assert_eq!(Contact::default().heard(AT, None, false), None, "SMS has no window");
    }

    #[test]
    fn one_opt_out_holds_for_what_one_number_sends_but_whatsapp() {
        let pair =
            |medium| Pair { medium, ours: "+15555550100".into(), theirs: "+15555550123".into() };
        assert_eq!(name(&pair(Medium::Sms)), name(&pair(Medium::Rcs)));
        assert_ne!(name(&pair(Medium::Sms)), name(&pair(Medium::Whatsapp)));
        assert!(!name(&pair(Medium::Sms)).contains("5555"));
    }

    #[test]
    fn a_thread_is_noted_anew_once_a_week_and_when_the_person_moves() {
        let pair = Pair { medium: Medium::Sms, ours: "a".into(), theirs: "b".into() };
        let record = ThreadRecord::new(pair).heard(None, 20_000).unwrap();
        assert_eq!(record.clone().heard(None, 20_006), None);
        assert_eq!(record.clone().heard(None, 20_007).unwrap().seen, 20_007);
        let moved = record.heard(Some(&"c".into()), 20_001).unwrap();
        assert_eq!((moved.reach, moved.seen), (Some("c".into()), 20_001));
    }

    #[test]
    fn segments_are_counted_by_the_day_and_each_message_once() {
        let pair = Pair { medium: Medium::Sms, ours: "a".into(), theirs: "b".into() };
        let sid = |n: u32| format!("SM{n:032x}").parse::<TextSid>().unwrap();
        let record = ThreadRecord::new(pair).with_sent(sid(1), 2, AT).unwrap();
        assert_eq!(record.clone().with_sent(sid(1), 2, AT), None);
        assert_eq!(record.segments_today(AT), 2);
        assert_eq!(record.segments_today(AT + Duration::from_secs(86_400)), 0);
        let many = (2..200).fold(record, |record, n| record.with_sent(sid(n), 1, AT).unwrap());
        assert_eq!((many.sent.len(), many.segments), (SENT_MAX, 200));
        let bytes = serde_json::to_vec(&many).unwrap().len();
        assert!(bytes < crate::queue::Documents::VALUE_BYTES_MAX);
    }
}

//! Whether a person has taken a conversation over, and how fresh that knowledge is. Pure.
//!
//! The truth is the conversation's attribute `{"chimein":{"paused":true}}` at Twilio. It is heard of
//! on the socket, by webhook, in the answers of REST; each may be late. While the socket holds the
//! conversation its word counts alone, for it comes in order; of the others the one that Twilio dates
//! last.

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

/// Where something was heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// On the socket.
    Socket,
    /// By webhook or over REST, with the time that Twilio gives the change, where it does.
    Dated(Option<Timestamp>),
}

/// What is known of one conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Known {
    /// Whether a person has taken it over.
    pub is_paused: bool,
    at: Moment,
    updated: Option<Timestamp>,
    by_socket: bool,
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
        let updated_before = before.and_then(|known| known.updated);
        let updated = match source {
            Source::Socket => {
                return Self { is_paused, at: now, updated: updated_before, by_socket: true };
            }
            Source::Dated(updated) => updated,
        };
        match before {
            Some(known) if known.by_socket && has_socket => known,
            Some(known) if updated.is_some() && updated < known.updated => known,
            Some(_) | None => {
                let updated = updated.max(updated_before);
                Self { is_paused, at: now, updated, by_socket: false }
            }
        }
    }

    /// Whether it may be believed without asking Twilio.
    #[must_use]
    pub fn is_fresh(&self, now: Moment, has_socket: bool) -> bool {
        (self.by_socket && has_socket) || now.since(self.at) < FRESH_FOR
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
    fn the_socket_counts_alone_while_it_holds_the_conversation() {
        let heard = Known::hear(None, true, Source::Socket, (at(0), true));
        let late = Known::hear(Some(heard), false, dated(9), (at(1), true));
        assert_eq!(late, heard);
        let without = Known::hear(Some(heard), false, dated(9), (at(1), false));
        assert!(!without.is_paused);
        let again = Known::hear(Some(without), true, Source::Socket, (at(2), true));
        assert!(again.is_paused);
    }

    #[test]
    fn what_twilio_dates_earlier_changes_nothing() {
        let heard = Known::hear(None, false, dated(5), (at(0), false));
        assert!(!Known::hear(Some(heard), true, dated(4), (at(1), false)).is_paused);
        assert!(Known::hear(Some(heard), true, dated(5), (at(1), false)).is_paused);
        assert!(Known::hear(Some(heard), true, Source::Dated(None), (at(1), false)).is_paused);
    }

    #[test]
    fn knowledge_grows_old_without_a_socket() {
        let by_socket = Known::hear(None, true, Source::Socket, (at(0), true));
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

    const fn dated(seconds: i64) -> Source {
        Source::Dated(Some(Timestamp::from_millis(seconds * 1000)))
    }

    fn at(seconds: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(seconds)
    }
}

//! A page of the list of texts: which are wanted, and where the page begins and ends.
//!
//! Pure. Newest first; a page's token names the text that it follows, so that what comes in meanwhile
//! moves nothing. Source: API definition, `ListMessage` and its examples, read 2026-11-21. Assumed: a
//! text that has not left counts with the date of its making; a time means its whole second.

use std::time::Duration;

use super::text::Text;
use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::twilio::sid::TextSid;

/// Texts of a page at most.
pub const SIZE_MAX: usize = 1000;
/// Texts of a page if nobody says.
pub const SIZE_DEFAULT: usize = 50;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Which texts are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those to this address.
    pub to: Option<Pii>,
    /// Only those from this address.
    pub from: Option<Pii>,
    /// Only those of this day or second.
    pub on: Option<Span>,
    /// Only those up to the end of this day or second.
    pub until: Option<Span>,
    /// Only those from the start of this day or second on.
    pub since: Option<Span>,
}

/// A day or a second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span {
    first: i64,
    last: i64,
}

/// Where a page begins.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Start {
    /// At the newest.
    #[default]
    Newest,
    /// After this text.
    After(TextSid),
    /// So that it ends before this text.
    Before(TextSid),
}

/// A page.
#[derive(Debug)]
pub struct Page<'a> {
    /// Its texts.
    pub texts: Vec<&'a Text>,
    /// Whether others follow.
    pub has_next: bool,
    /// Whether others come before.
    pub has_previous: bool,
}

impl Span {
    /// Reads a day or a time.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(at) = Timestamp::parse_rfc3339(text) {
            return Some(Self { first: at.as_secs(), last: at.as_secs() });
        }
        let day = Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z"))?;
        Some(Self { first: day.as_secs(), last: (day + DAY).as_secs() - 1 })
    }
}

impl Start {
    /// Reads a page token; what names no text begins at the newest.
    #[must_use]
    pub fn parse(token: &str) -> Option<Self> {
        let (direction, sid) = token.split_at_checked(2)?;
        let sid = sid.parse().ok()?;
        match direction {
            "PA" => Some(Self::After(sid)),
            "PB" => Some(Self::Before(sid)),
            _ => None,
        }
    }

    /// The token that is read so.
    #[must_use]
    pub fn token(self) -> Option<String> {
        match self {
            Self::Newest => None,
            Self::After(sid) => Some(format!("PA{sid}")),
            Self::Before(sid) => Some(format!("PB{sid}")),
        }
    }
}

impl Filter {
    /// Whether a text is wanted.
    #[must_use]
    pub fn takes(&self, text: &Text) -> bool {
        let at = text.sent.unwrap_or(text.created).as_secs();
        self.to.as_ref().is_none_or(|to| *to == text.to)
            && self.from.as_ref().is_none_or(|from| text.from.as_ref() == Some(from))
            && self.on.is_none_or(|span| (span.first..=span.last).contains(&at))
            && self.until.is_none_or(|span| at <= span.last)
            && self.since.is_none_or(|span| at >= span.first)
    }

    /// Cuts a page out of the texts, newest first. A token that names a text which is gone gives none.
    pub fn page<'a>(
        &self,
        newest_first: impl Iterator<Item = &'a Text>,
        start: Start,
        size: usize,
    ) -> Page<'a> {
        let all: Vec<&Text> = newest_first.filter(|text| self.takes(text)).collect();
        let place = |sid| all.iter().position(|text| text.sid == sid);
        let (first, end) = match start {
            Start::Newest => (0, size),
            Start::After(sid) => {
                let first = place(sid).map_or(all.len(), |at| at.saturating_add(1));
                (first, first.saturating_add(size))
            }
            Start::Before(sid) => {
                let end = place(sid).unwrap_or(0);
                (end.saturating_sub(size), end)
            }
        };
        let (first, end) = (first.min(all.len()), end.min(all.len()));
        Page { texts: all[first..end].to_vec(), has_next: end < all.len(), has_previous: first > 0 }
    }
}

//! Objects from outside with the names that they may have. Pure.
//!
//! A name that nobody knows is refused by name, with what was meant if that can be told.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use url::Url;

use crate::json::{self, Members};
use crate::pii::Pii;
use crate::text::nearest;

/// Reads the entries of a list as they stand; none if it is no list.
pub(super) fn list(raw: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw.get()).ok()
}

/// Reads a member that may be absent or null.
pub(super) fn optional<T: DeserializeOwned>(
    members: &Members<'_>,
    name: &str,
    place: &str,
    wanted: &str,
) -> Result<Option<T>, String> {
    let raw = members.raw(name);
    raw.map(|raw| value(raw, &format!("{place}.{name}"), wanted)).transpose()
}

/// Reads a value.
pub(super) fn value<T: DeserializeOwned>(
    raw: &RawValue,
    place: &str,
    wanted: &str,
) -> Result<T, String> {
    json::from_str(raw.get()).map_err(|_| format!("`{place}` is not {wanted}"))
}

/// Whether a text is a whole URL of the web.
pub(super) fn is_url(url: &Pii) -> bool {
    Url::parse(url.reveal())
        .is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.host_str().is_some())
}

/// The names that an object may have.
pub(super) struct AnswerForm {
    /// Each of them.
    pub(super) names: &'static [&'static str],
    /// Names that others have for the same, and that no edit distance finds.
    pub(super) meant: &'static [(&'static str, &'static str)],
}

impl AnswerForm {
    /// Looks for one that is none of them.
    pub(super) fn check(&self, members: &Members<'_>) -> Result<(), Stranger> {
        match members.iter().find(|(name, _)| !self.names.contains(name)) {
            None => Ok(()),
            Some((name, _)) => Err(Stranger { name: name.to_owned(), meant: self.meant(name) }),
        }
    }

    fn meant(&self, name: &str) -> Option<&'static str> {
        // `mediaSids` is `media_sids` to whoever writes JavaScript.
        let plain = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
        let same = self.names.iter().find(|known| plain(known) == plain(name));
        let synonym = || self.meant.iter().find(|(other, _)| *other == name.to_ascii_lowercase());
        same.copied()
            .or_else(|| synonym().map(|(_, meant)| *meant))
            .or_else(|| nearest(&name.to_ascii_lowercase(), self.names.iter().copied()))
    }
}

/// A name that a form does not know.
pub(super) struct Stranger {
    /// What it is called.
    pub(super) name: String,
    meant: Option<&'static str>,
}

impl std::fmt::Display for Stranger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, meant } = self;
        // A name may be anything, a phone number too; only what looks like one is shown.
        let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.len() <= NAME_BYTES_MAX
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        match (is_name, meant) {
            (true, Some(meant)) => write!(f, "unknown field `{name}`, did you mean `{meant}`?"),
            (true, None) => write!(f, "unknown field `{name}`"),
            (false, _) => f.write_str("unknown field, whose name looks like none"),
        }
    }
}

/// The longest name that is shown.
const NAME_BYTES_MAX: usize = 40;

//! Twilio's error codes as data: what a code means and whether sending again can help.
//!
//! The table is `error-codes.json` beside this file, compiled in and read once; it says itself where
//! each line comes from. It decides the class of a *code* only: what to do about an operation also
//! depends on what the operation was, and belongs to its caller. Trust the code over the HTTP status,
//! which for some codes is a guess. Pure.

use std::sync::LazyLock;

use serde::Deserialize;

/// What may be done after a code.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Retry {
    /// Safe to send again after a wait.
    Yes,
    /// Counts as success: what was asked for is there already.
    Done,
    /// The answer names another resource; use that one.
    Adapt,
    /// Only after a long wait, or with less load.
    Later,
    /// Never with the same request.
    No,
}

/// One code of the catalogue.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Entry {
    /// Twilio's code.
    pub code: u32,
    /// The HTTP status it comes with, where it is a REST answer.
    pub http_status: Option<u16>,
    /// Whether sending again can help.
    pub retry: Retry,
    /// What it means, for people.
    pub meaning: String,
}

/// Looks a code up.
#[must_use]
pub fn lookup(code: u32) -> Option<&'static Entry> {
    let at = ENTRIES.binary_search_by_key(&code, |entry| entry.code).ok()?;
    Some(&ENTRIES[at])
}

/// What a code means, or that nothing is known of it.
#[must_use]
pub fn meaning(code: Option<u32>) -> &'static str {
    code.and_then(lookup).map_or("no meaning known", |entry| entry.meaning.as_str())
}

/// Gives every code, in ascending order.
#[must_use]
pub fn entries() -> &'static [Entry] {
    &ENTRIES
}

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct CodeTable {
        codes: Vec<Entry>,
    }
    let table: CodeTable = serde_json::from_str(include_str!("error-codes.json"))
        .expect("the compiled-in table is read by a test");
    let mut codes = table.codes;
    codes.sort_unstable_by_key(|entry| entry.code);
    codes
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_readable_and_names_each_code_once() {
        let codes: Vec<_> = entries().iter().map(|entry| entry.code).collect();
        assert_eq!(codes.len(), 159);
        assert!(codes.is_sorted_by(|a, b| a < b));
        assert!(entries().iter().all(|entry| !entry.meaning.is_empty()));
    }

    #[test]
    fn the_codes_that_decisions_rest_on_have_their_class() {
        for (code, status, retry) in [
            (20429, Some(429), Retry::Yes),
            (50433, Some(409), Retry::Done),
            (50437, Some(409), Retry::Done),
            (50416, Some(409), Retry::Adapt),
            (50419, Some(409), Retry::Yes),
            (20404, Some(404), Retry::No),
            (50377, Some(400), Retry::No),
            (50214, Some(403), Retry::No),
            (30001, None, Retry::Later),
        ] {
            let entry = lookup(code).unwrap();
            assert_eq!((entry.http_status, entry.retry), (status, retry), "{code}");
        }
        assert_eq!(lookup(1), None);
    }
}

//! The environment variables as a value.
//!
//! The process environment is read in one place, [`Environment::of_the_process`]; everything else
//! takes the value, so a test needs no global state. Secrets may be in it: `Debug` prints names.

use std::collections::BTreeMap;
use std::fmt;

/// Environment variables by name.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Reads the process environment; bytes that are no UTF-8 are replaced.
    #[must_use]
    pub fn of_the_process() -> Self {
        Self::from_pairs(std::env::vars_os().map(|(name, value)| {
            (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        }))
    }

    /// Takes names and values; of one name the last value holds.
    ///
    /// A byte order mark before either is dropped: the first line of a file of variables may have one,
    /// and so may a value that was taken from a file.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let unmarked = |text: String| match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        };
        let pairs = pairs.into_iter();
        Self(pairs.map(|(name, value)| (unmarked(name.into()), unmarked(value.into()))).collect())
    }

    /// Gives a variable's value; one that is set to nothing counts as not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.trim().is_empty())
    }

    /// Gives all names in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let environment = Environment::from_pairs([("A", ""), ("B", "  "), ("C", "c")]);
        assert_eq!(environment.get("A"), None);
        assert_eq!(environment.get("B"), None);
        assert_eq!(environment.get("C"), Some("c"));
        assert_eq!(environment.get("D"), None);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_name_or_a_value() {
        let environment = Environment::from_pairs([("\u{feff}A", "a"), ("B", "\u{feff}b")]);
        assert_eq!((environment.get("A"), environment.get("B")), (Some("a"), Some("b")));
    }

    #[test]
    fn debug_shows_names_only() {
        let environment = Environment::from_pairs([("TWILIO_AUTH_TOKEN", "planted-secret")]);
        assert_eq!(format!("{environment:?}"), r#"{"TWILIO_AUTH_TOKEN"}"#);
    }
}

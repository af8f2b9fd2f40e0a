//! How a proxy says who is signed in to it, and who of them may act.

use super::{Setting, items};

/// How long the name of a header or of somebody may be, in characters.
const CHARS_MAX: usize = 256;

/// How many people may be named.
const PEOPLE_MAX: usize = 256;

/// The name of a header, in small letters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeaderField(String);

impl HeaderField {
    /// Gives the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for HeaderField {
    const WANTED: &'static str = "the name of a header such as X-Forwarded-User; not Host, Origin, Cookie or \
         Authorization, which mean something else";

    fn parse(text: &str) -> Option<Self> {
        let name = text.to_ascii_lowercase();
        let fits = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let is_taken = ["host", "origin", "cookie", "authorization"].contains(&name.as_str());
        (fits && !is_taken && (1..=CHARS_MAX).contains(&name.len())).then_some(Self(name))
    }
}

/// Names of people, as a proxy says them; `*` is everybody.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct People(pub Vec<String>);

impl Setting for People {
    const WANTED: &'static str =
        "names as the proxy says them, separated by commas, or * for everybody";

    fn parse(text: &str) -> Option<Self> {
        let fits = |name: &str| {
            name.chars().count() <= CHARS_MAX
                && !name.chars().any(char::is_control)
                && (name == "*" || !name.contains('*'))
        };
        let people: Vec<_> = items(text).map(str::to_owned).collect();
        (people.len() <= PEOPLE_MAX && people.iter().all(|name| fits(name))).then_some(Self(people))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_name_that_means_nothing_else() {
        assert_eq!(HeaderField::parse("X-Forwarded-User").unwrap().as_str(), "x-forwarded-user");
        for text in ["", "x user", "x:user", "Cookie", "HOST", "authorization", "origin"] {
            assert_eq!(HeaderField::parse(text), None, "{text}");
        }
    }

    #[test]
    fn people_are_named_one_by_one_or_all() {
        assert_eq!(People::parse("ann, bob@example.com").unwrap().0, ["ann", "bob@example.com"]);
        assert_eq!(People::parse("*").unwrap().0, ["*"]);
        assert_eq!(People::parse("").unwrap().0.len(), 0);
        for text in ["a*", "a\u{7}"] {
            assert_eq!(People::parse(text), None, "{text:?}");
        }
    }
}

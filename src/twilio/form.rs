//! Forms as Twilio writes them: `application/x-www-form-urlencoded`, as the WHATWG rules read it.
//!
//! Decides nothing but where a name ends and a value begins. Every pair is kept: blank values, bare
//! names, repeats, in the order of the bytes; nothing is trimmed. Bad UTF-8 becomes the replacement
//! character. Pure; the caller bounds the bytes. `Debug` shows names only, because the values are
//! people's words and numbers.

use std::borrow::Cow;
use std::fmt;

use form_urlencoded::Serializer;

/// The pairs of one form, in the order they were written.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Form<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Form<'a> {
    /// Reads a raw body, or the raw query of a URL.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Self {
        Self { pairs: form_urlencoded::parse(bytes).collect() }
    }

    /// Gives the first value under `name`, which may be empty.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_ref())
    }

    /// Gives every value under `name`, in order.
    pub fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_ref())
    }

    /// Gives all pairs, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// Adds a pair at the end.
    pub fn push(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        self.pairs.push((name.into(), value.into()));
    }

    /// Writes the pairs as a body, space as `+`.
    #[must_use]
    pub fn encode(&self) -> String {
        encode(self.pairs())
    }
}

impl fmt::Debug for Form<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.pairs.iter().map(|(name, _)| name)).finish()
    }
}

impl<'a, N: Into<Cow<'a, str>>, V: Into<Cow<'a, str>>> FromIterator<(N, V)> for Form<'a> {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self { pairs: pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

/// Writes pairs as a form body, space as `+`.
#[must_use]
pub fn encode<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Vec<(String, String)> {
        Form::parse(text.as_bytes()).pairs().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    }

    #[test]
    fn every_pair_is_kept_as_written() {
        for (text, pairs) in [
            ("", vec![]),
            ("&A=1&&B=2&", vec![("A", "1"), ("B", "2")]),
            ("Flag&Empty=", vec![("Flag", ""), ("Empty", "")]),
            ("D=b&D=a&D=b", vec![("D", "b"), ("D", "a"), ("D", "b")]),
            ("a=b==c", vec![("a", "b==c")]),
            ("Body=++x+%09", vec![("Body", "  x \t")]),
            ("Messaging%42inding.Address=%2B1", vec![("MessagingBinding.Address", "+1")]),
            ("x=%ff", vec![("x", "\u{fffd}")]),
            ("x=%zz%", vec![("x", "%zz%")]),
        ] {
            let wanted: Vec<_> =
                pairs.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            assert_eq!(read(text), wanted, "{text}");
        }
    }

    #[test]
    fn debug_shows_names_and_never_values() {
        let form = Form::parse(b"Body=secret+words&From=%2B15555550123");
        assert_eq!(format!("{form:?}"), r#"["Body", "From"]"#);
    }

    #[test]
    fn a_name_gives_its_first_value_and_all_of_them() {
        let form = Form::parse(b"A=1&B=&A=2");
        assert_eq!(
            (form.first("A"), form.first("B"), form.first("C")),
            (Some("1"), Some(""), None)
        );
        assert_eq!(form.all("A").collect::<Vec<_>>(), ["1", "2"]);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(pairs in prop::collection::vec((".{1,12}", ".{0,24}"), 0..8)) {
            let form: Form<'_> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            prop_assert_eq!(read(&form.encode()), pairs);
        }

        #[test]
        fn no_bytes_make_it_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Form::parse(&bytes).encode();
        }
    }
}

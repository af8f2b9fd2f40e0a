//! The members of an object, each read by itself.
//!
//! What is missing, `null` or of another form than wanted is simply not there, unless nothing can be
//! done without it; then its name is told. Of a name that occurs twice the last one counts, as it does
//! for JavaScript. Pure, and borrows from the text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Says which member of an object is missing or not of the form wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{field} is missing or cannot be read")]
pub struct Unreadable {
    /// The member's name, one that we look for.
    pub field: &'static str,
}

/// An object's members; `Debug` shows their number only.
#[derive(Default)]
pub struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Gives names and values in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }

    /// Finds a value that is not `null`, as it is written.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().rev().find(|(given, _)| *given == name);
        found.map(|(_, value)| *value).filter(|value| value.get() != "null")
    }

    /// Whether there is a member of that name, be it `null`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(given, _)| *given == name)
    }

    /// Reads a value; none if it is missing, `null`, or of another form.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        super::from_str(self.raw(name)?.get()).ok()
    }

    /// Reads a value that nothing can be done without.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] where there is none.
    pub fn need<T: DeserializeOwned>(&self, field: &'static str) -> Result<T, Unreadable> {
        self.get(field).ok_or(Unreadable { field })
    }

    /// Reads a whole number, which may be written as text.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name).or_else(|| self.get::<String>(name)?.trim().parse().ok())
    }

    /// Reads the entries of a list that can be read.
    #[must_use]
    pub fn list<T: DeserializeOwned>(&self, name: &str) -> Vec<T> {
        let entries: Vec<&RawValue> = self
            .raw(name)
            .and_then(|list| serde_json::from_str(list.get()).ok())
            .unwrap_or_default();
        entries.into_iter().filter_map(|entry| super::from_str(entry.get()).ok()).collect()
    }

    /// Reads an object in the object; none if there is none.
    #[must_use]
    pub fn object(&self, name: &str) -> Members<'a> {
        self.raw(name).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Members({})", self.0.len())
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MemberObject)
    }
}

/// Reads an object without a look at its values.
struct MemberObject;

impl<'de> Visitor<'de> for MemberObject {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct MemberName<'a>(#[serde(borrow)] Cow<'a, str>);
        let mut members = Vec::with_capacity(map.size_hint().unwrap_or(0));
        while let Some((MemberName(name), value)) = map.next_entry()? {
            members.push((name, value));
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_member_costs_nothing_but_itself() {
        let text =
            r#"{"a":1,"b":"\ud83d","c":1e400,"d":null,"e":"12","f":[1,"x",2],"a":2,"g":{"h":3}}"#;
        let members: Members<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(members.get::<u8>("a"), Some(2), "the last one of a name counts");
        assert_eq!(members.get::<String>("b").as_deref(), Some("\u{fffd}"));
        assert_eq!(members.get::<f64>("c"), None);
        assert!(members.has("d") && members.raw("d").is_none());
        assert_eq!((members.number("e"), members.number("a")), (Some(12), Some(2)));
        assert_eq!(members.list::<u8>("f"), [1, 2]);
        assert!(members.list::<u8>("a").is_empty());
        assert_eq!(members.object("g").get::<u8>("h"), Some(3));
        assert!(!members.object("a").has("h"));
        assert_eq!(members.need::<u8>("b"), Err(Unreadable { field: "b" }));
        assert_eq!(format!("{members:?}"), "Members(8)");
    }

    #[test]
    fn only_objects_have_members_but_at_any_depth() {
        for text in ["[]", "7", "null", "\"x\"", "{", r#"{"a":1}x"#] {
            assert!(serde_json::from_str::<Members<'_>>(text).is_err(), "{text}");
        }
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert!(serde_json::from_str::<Members<'_>>(&deep).unwrap().has("a"));
    }
}

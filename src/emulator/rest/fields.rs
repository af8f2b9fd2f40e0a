//! Reads a request's form or query into typed values.
//!
//! Pure. In strict mode a name that the resource does not have is refused; otherwise it is ignored,
//! as Twilio does (error 20001 is a warning). Source: REST notes 7, read 2026-11-21.

use std::str::FromStr;

use crate::clock::Timestamp;
use crate::emulator::state::command::Dates;
use crate::emulator::state::refusal::Refusal;
use crate::pii::Pii;
use crate::twilio::form::Form;

/// The pairs of a form or a query.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    pairs: Vec<(String, Pii)>,
}

impl Fields {
    /// Reads a body or a query.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let form = Form::parse(bytes);
        let pairs = form.pairs().map(|(name, value)| (name.to_owned(), Pii::new(value))).collect();
        Self { pairs }
    }

    /// The pairs as they came.
    #[must_use]
    pub fn pairs(&self) -> &[(String, Pii)] {
        &self.pairs
    }

    /// Refuses names that are not in `known`.
    ///
    /// # Errors
    ///
    /// The first such name.
    pub fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        match self.pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(Refusal::ParameterUnknown(name.clone())),
            None => Ok(()),
        }
    }

    /// The first value of a name, which may be empty.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.reveal())
    }

    /// Every value of a name.
    pub fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.reveal())
    }

    /// A text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.first(name).map(str::to_owned)
    }

    /// A text that counts as absent when empty.
    #[must_use]
    pub fn filled(&self, name: &str) -> Option<String> {
        self.first(name).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// Anything that can be read from text; absent when empty.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn parsed<T: FromStr>(&self, name: &'static str) -> Result<Option<T>, Refusal> {
        self.read(name, |text| text.parse().ok())
    }

    /// Anything that a function can read; absent when empty.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn read<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        match self.first(name).filter(|value| !value.is_empty()) {
            None => Ok(None),
            Some(text) => read(text).map(Some).ok_or(Refusal::ParameterInvalid(name)),
        }
    }

    /// A time in RFC 3339, or a date.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn time(&self, name: &'static str) -> Result<Option<Timestamp>, Refusal> {
        self.read(name, |text| {
            Timestamp::parse_rfc3339(text)
                .or_else(|| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")))
        })
    }

    /// `DateCreated` and `DateUpdated`.
    ///
    /// # Errors
    ///
    /// If one cannot be read.
    pub fn dates(&self) -> Result<Dates, Refusal> {
        Ok(Dates { created: self.time("DateCreated")?, updated: self.time("DateUpdated")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_typed_and_names_can_be_held_to_a_list() {
        let fields = Fields::parse(b"Index=3&Empty=&A=1&A=2&DateCreated=2015-12-16T22:18:37Z");
        assert_eq!(fields.parsed::<u64>("Index"), Ok(Some(3)));
        assert_eq!(fields.parsed::<u64>("Empty"), Ok(None));
        assert_eq!(
            fields.parsed::<u64>("DateCreated"),
            Err(Refusal::ParameterInvalid("DateCreated"))
        );
        assert_eq!(fields.all("A").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(fields.dates().unwrap().created.unwrap().as_secs(), 1_450_304_317);
        assert_eq!(fields.only(&["Index", "Empty", "A", "DateCreated"]), Ok(()));
        assert_eq!(
            fields.only(&["Index", "A", "DateCreated"]),
            Err(Refusal::ParameterUnknown("Empty".into()))
        );
    }
}

//! The fields of one request, whichever way they came: form body, JSON body or query.
//!
//! A field that is there but empty counts as missing: Twilio sends both for "none". Pure; the caller
//! bounds the bytes. `Debug` shows names only.

use std::str::FromStr;

use serde_json::Value;

use super::Error;
use crate::clock::Timestamp;
use crate::json;
use crate::pii::Pii;
use crate::twilio::form::Form;
use crate::twilio::sid::ParseSidError;

/// Named texts of one request.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    form: Form<'a>,
}

impl<'a> Fields<'a> {
    /// Reads a form body, or the raw query of a GET.
    #[must_use]
    pub fn from_form(bytes: &'a [u8]) -> Self {
        Self { form: Form::parse(bytes) }
    }

    /// Takes a form that has been read already.
    #[must_use]
    pub const fn of_form(form: Form<'a>) -> Self {
        Self { form }
    }

    /// Reads a JSON object whose members are named as the form's fields.
    ///
    /// Numbers and truth values are read as their text, `null` as missing, lists of texts as repeated
    /// fields; `{"MessagingBinding": {"Address": …}}` as `MessagingBinding.Address`; anything deeper
    /// as JSON text. Assumed: Twilio documents no JSON form of these webhooks.
    ///
    /// # Errors
    ///
    /// Where the bytes are not a JSON object.
    pub fn from_json(bytes: &'a [u8]) -> Result<Self, Error> {
        let object = json::object(bytes)
            .map_err(|error| Error::Json { line: error.line(), column: error.column() })?;
        let mut form = Form::default();
        for (name, value) in object {
            match value {
                Value::Object(members) if name == "MessagingBinding" => {
                    for (member, value) in members {
                        push(&mut form, format!("{name}.{member}"), value);
                    }
                }
                value => push(&mut form, name, value),
            }
        }
        Ok(Self { form })
    }

    /// Gives a field's text, unless it is missing or empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.form.first(name).filter(|text| !text.is_empty())
    }

    pub(in crate::twilio) fn pii(&self, name: &str) -> Option<Pii> {
        self.text(name).map(Pii::new)
    }

    pub(in crate::twilio) fn all_pii(&self, name: &str) -> Vec<Pii> {
        self.form.all(name).filter(|text| !text.is_empty()).map(Pii::new).collect()
    }

    pub(in crate::twilio) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.trim().parse().ok()
    }

    pub(in crate::twilio) fn truth(&self, name: &str) -> Option<bool> {
        self.text(name)?.trim().to_ascii_lowercase().parse().ok()
    }

    pub(in crate::twilio) fn time(&self, name: &str) -> Option<Timestamp> {
        Timestamp::parse_rfc3339(self.text(name)?)
    }

    /// The names of all fields, in the order they came.
    pub(in crate::twilio) fn names(&self) -> impl Iterator<Item = &str> {
        self.form.pairs().map(|(name, _)| name)
    }

    /// A sid that the event cannot do without.
    pub(in crate::twilio) fn sid<S: FromStr<Err = ParseSidError>>(
        &self,
        field: &'static str,
    ) -> Result<S, Error> {
        let text = self.text(field).ok_or(Error::Missing { field })?;
        text.parse().map_err(|source| Error::Malformed { field, source })
    }

    /// A sid that may be missing; one that cannot be read counts as missing.
    pub(in crate::twilio) fn sid_if_any<S: FromStr<Err = ParseSidError>>(
        &self,
        name: &str,
    ) -> Option<S> {
        self.text(name)?.parse().ok()
    }
}

fn push(form: &mut Form<'_>, name: String, value: Value) {
    match value {
        Value::Null => {}
        Value::String(text) => form.push(name, text),
        Value::Array(values) if values.iter().all(Value::is_string) => {
            for value in values {
                push(form, name.clone(), value);
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            form.push(name, value.to_string());
        }
    }
}

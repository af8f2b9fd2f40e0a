//! What an examination found, and what to do about it. Pure.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// The service works with less than it could have.
    Warn,
    /// The service would not work.
    Fail,
}

/// The result of one check.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// What was looked at, in one word.
    pub check: &'static str,
    /// How bad it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it; nothing where all is well.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Finding {
    /// All is well.
    #[must_use]
    pub const fn ok(check: &'static str, found: String) -> Self {
        Self { check, verdict: Verdict::Ok, found, remedy: String::new() }
    }

    /// The service works with less than it could have.
    #[must_use]
    pub fn warn(check: &'static str, found: String, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warn, found, remedy: remedy.into() }
    }

    /// The service would not work.
    #[must_use]
    pub fn fail(check: &'static str, found: String, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fail, found, remedy: remedy.into() }
    }

    /// Its row in a table.
    #[must_use]
    pub fn row(&self) -> [String; 4] {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        [verdict.to_owned(), self.check.to_owned(), self.found.clone(), self.remedy.clone()]
    }
}

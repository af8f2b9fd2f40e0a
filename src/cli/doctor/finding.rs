//! What one check found, and what to do about it. Pure.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// The service works with less than it could have.
    Warn,
    /// The service would not work.
    Fail,
}

/// The result of one check.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) verdict: Verdict,
    pub(super) found: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) remedy: String,
}

impl Finding {
    pub(super) const fn ok(check: &'static str, found: String) -> Self {
        Self { check, verdict: Verdict::Ok, found, remedy: String::new() }
    }

    pub(super) fn warn(check: &'static str, found: String, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warn, found, remedy: remedy.into() }
    }

    pub(super) fn fail(check: &'static str, found: String, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fail, found, remedy: remedy.into() }
    }

    pub(super) fn row(&self) -> [String; 4] {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        [verdict.to_owned(), self.check.to_owned(), self.found.clone(), self.remedy.clone()]
    }
}

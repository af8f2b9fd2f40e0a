//! What an examination found, and what to do about it. Pure.
//!
//! What each check looks at, expects and is for stands once, in [`checks`]; a finding names its check by id.

pub mod checks;

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// The service works with less than it could have.
    Warn,
    /// The service would not work.
    Fail,
    /// Nobody could look: a right is missing, or there was no answer. Never the same as fine.
    Unchecked,
}

impl Verdict {
    /// The word for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Unchecked => "not_checked",
        }
    }

    /// The word for people; what is broken is seen from afar.
    #[must_use]
    pub const fn shown(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
            Self::Unchecked => "not checked",
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The check's id, one of [`checks::CHECKS`].
    pub check: &'static str,
    /// How bad it is.
    pub verdict: Verdict,
    /// What was found; for what was not checked, why not.
    pub found: String,
    /// What to do about it; nothing where all is well.
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

    /// Nobody could look.
    #[must_use]
    pub fn unchecked(check: &'static str, why: String, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Unchecked, found: why, remedy: remedy.into() }
    }

    /// Its row in a table.
    #[must_use]
    pub fn row(&self) -> [String; 4] {
        let verdict = self.verdict.shown().to_owned();
        [verdict, self.check.to_owned(), self.found.clone(), self.remedy.clone()]
    }
}

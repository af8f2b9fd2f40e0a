//! What can be wrong with the settings, and what to do about it.
//!
//! Pure. A problem names the key, where its value came from, what is wrong and the remedy. It never
//! repeats a value: the wrong one may be a secret in the wrong place.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::text::NotUtf8;

/// Where a value came from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SettingOrigin {
    /// Nothing set it, and there is no default.
    Nowhere,
    /// The manual's default.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A file that the named variable or key points to.
    SecretFile(String),
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => f.write_str("not set"),
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::SecretFile(name) => write!(f, "file named by {name}"),
        }
    }
}

/// One thing that is wrong with the settings.
#[derive(Debug)]
pub struct Problem {
    /// The key, or the unknown name that was found.
    pub key: String,
    /// Where the wrong value came from.
    pub origin: SettingOrigin,
    /// What is wrong.
    pub reason: Reason,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, origin, reason, remedy } = self;
        write!(f, "{key} ({origin}): {reason}; {remedy}")
    }
}

/// The kinds of problems.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// A value is needed and there is none.
    #[error("is required")]
    Missing,
    /// The value is not of the key's kind.
    #[error("is not {wanted}")]
    Malformed {
        /// What it should look like.
        wanted: Cow<'static, str>,
    },
    /// The value contradicts a limit or another setting.
    #[error("{0}")]
    Rule(&'static str),
    /// The value is set in two ways at once.
    #[error("is set both directly and by a file")]
    SetTwice,
    /// The file that should hold the value cannot be read.
    #[error("names a file that cannot be read ({0})")]
    Unreadable(io::ErrorKind),
    /// The file that should hold the value, or all values, is not in the one encoding that is read.
    #[error("names a file that {0}")]
    Encoding(NotUtf8),
    /// No key has this name.
    #[error("is no known setting")]
    Unknown,
    /// The configuration file is no TOML.
    #[error("is not TOML, see line {line}")]
    NotToml {
        /// The line that could not be read.
        line: usize,
    },
}

//! Whose matter it is that a server on an agent's road did not do what was asked of it. Pure.

use super::Error;

/// Whose matter a failure is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Matter {
    /// The operator's: it stays so until this is done.
    Configuration(&'static str),
    /// Nobody's: it asks for a slower pace.
    Pace,
    /// The turn's, or the message's, own.
    Message,
    /// It passes.
    Passing,
}

impl Matter {
    /// As what becomes of a turn, with the server's own number for it and all that is known of it.
    pub(super) fn about(
        self,
        turn: String,
        status: u16,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Error {
        match self {
            Self::Configuration(remedy) => Error::Misconfigured { turn, status, remedy },
            Self::Pace => Error::Status { turn, status: 429, retry_after: None },
            Self::Message => Error::Status { turn, status, retry_after: None },
            Self::Passing => Error::Bus { about: format!("turn {turn}"), source: Box::new(source) },
        }
    }
}

//! What Temporal refused or did not do, and whose matter that is. Pure. Holds no text and no address.

use std::time::Duration;

use temporalio_client::tonic::{Code, Status};

use crate::agent;
use crate::agent::matter::Matter;

/// Why Temporal did not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It did not answer in time.
    #[error("temporal did not {doing} within {} s", limit.as_secs())]
    Silent {
        /// What was asked.
        doing: &'static str,
        /// How long was waited.
        limit: Duration,
    },
    /// It refused. What it says beside the code is not shown, since it may quote.
    #[error("temporal did not {doing}: {code:?}")]
    Refused {
        /// What was asked.
        doing: &'static str,
        /// Its word for why.
        code: Code,
    },
    /// It could not be connected to.
    #[error("temporal cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Somebody else has just tried to connect, in vain.
    #[error("{told}")]
    Shared {
        /// What he was told.
        told: String,
        /// Whose matter it was.
        matter: Matter,
    },
    /// A file that the connection needs could not be read.
    #[error("{setting} cannot be read")]
    File {
        /// The setting that names it.
        setting: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What to do where the namespace is not found.
pub(super) const NO_NAMESPACE: &str = "make the namespace, or check TEMPORAL_NAMESPACE";
/// What to do where we are not let in.
pub(super) const NO_ENTRY: &str =
    "check TEMPORAL_API_KEY or the client certificate, and that they may use the namespace";
/// What to do where a file cannot be read.
const NO_FILE: &str = "check the file's path, and that chimein may read it";
/// What to do where the server is too old.
const TOO_OLD: &str = "use a newer server: this one does not know the call";

impl Error {
    /// Wraps what the server says.
    pub(super) fn of(doing: &'static str, status: &Status) -> Self {
        Self::Refused { doing, code: status.code() }
    }

    /// Whose matter it is.
    /// Source: grpc.io, "Status codes", and Temporal's `serviceerror`, which maps to them, read 2026-11-30.
    pub(super) fn matter(&self) -> Matter {
        let code = match self {
            Self::Shared { matter, .. } => return *matter,
            Self::File { .. } => return Matter::Configuration(NO_FILE),
            Self::Silent { .. } | Self::Unreachable(_) => return Matter::Passing,
            Self::Refused { code, .. } => code,
        };
        match code {
            Code::NotFound => Matter::Configuration(NO_NAMESPACE),
            Code::Unauthenticated | Code::PermissionDenied => Matter::Configuration(NO_ENTRY),
            Code::Unimplemented => Matter::Configuration(TOO_OLD),
            Code::ResourceExhausted => Matter::Pace,
            Code::InvalidArgument | Code::OutOfRange => Matter::Message,
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => Matter::Passing,
        }
    }

    /// As what becomes of a turn.
    pub(super) fn about(self, turn: String) -> agent::Error {
        let status = self.status();
        self.matter().about(turn, status, self)
    }

    /// The number of its code, which is not one of HTTP.
    fn status(&self) -> u16 {
        match self {
            Self::Refused { code, .. } => u16::try_from(i32::from(*code)).unwrap_or(0),
            Self::Silent { .. }
            | Self::Unreachable(_)
            | Self::Shared { .. }
            | Self::File { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{Retry, Sign};

    #[test]
    fn only_what_is_the_turns_own_matter_is_final() {
        for (code, sign, retry) in [
            (Code::NotFound, Sign::Away, Retry::Backoff),
            (Code::Unauthenticated, Sign::Away, Retry::Backoff),
            (Code::PermissionDenied, Sign::Away, Retry::Backoff),
            (Code::Unimplemented, Sign::Away, Retry::Backoff),
            (Code::Unavailable, Sign::Away, Retry::Backoff),
            (Code::Internal, Sign::Away, Retry::Backoff),
            (Code::Aborted, Sign::Away, Retry::Backoff),
            (Code::ResourceExhausted, Sign::Busy, Retry::Backoff),
            (Code::InvalidArgument, Sign::Alive, Retry::No),
        ] {
            let status = Status::new(code, "+15555550123 said secret things");
            let error = Error::of("start a workflow", &status).about("IM1".to_owned());
            assert_eq!((error.sign(), error.retry()), (sign, retry), "{code:?}: {error}");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("secret"), "{shown}");
        }
    }
}

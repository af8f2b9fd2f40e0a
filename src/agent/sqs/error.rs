//! What SQS refused or did not do, and whose matter that is. Pure. Holds no text and no address.

use std::time::Duration;

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use crate::agent;
use crate::agent::matter::Matter;

/// Why SQS did not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It did not answer in time.
    #[error("sqs did not {doing} within {} s", limit.as_secs())]
    Silent {
        /// What was asked.
        doing: &'static str,
        /// How long was waited.
        limit: Duration,
    },
    /// It refused. What it says beside the code is not shown, since it may quote.
    #[error("sqs did not {doing}: {code}, status {status}")]
    Refused {
        /// What was asked.
        doing: &'static str,
        /// The code of its error.
        code: String,
        /// The HTTP status.
        status: u16,
    },
    /// It could not be asked: no connection, no credentials, no region.
    #[error("sqs could not be asked to {doing}")]
    Unreachable {
        /// What was asked.
        doing: &'static str,
        /// What the SDK says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What to do where a queue is not found.
pub(super) const NO_QUEUE: &str = "make the queue, or check its URL and the region";
/// What to do where we are not let in.
pub(super) const NO_ENTRY: &str = "check the AWS credentials, and that they may use the queue";

impl Error {
    /// Wraps what the SDK says.
    pub(super) fn of<E>(doing: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        match (error.as_service_error(), status) {
            (Some(refusal), Some(status)) => {
                let code = refusal.code().unwrap_or("no code").to_owned();
                Self::Refused { doing, code, status }
            }
            _ => Self::Unreachable { doing, source: Box::new(error) },
        }
    }

    /// Whose matter it is.
    /// Source: Amazon SQS API Reference, `SendMessage`, `ReceiveMessage`, Common Errors; the names before the
    /// JSON protocol are still sent beside it, read 2026-11-30.
    pub(super) fn matter(&self) -> Matter {
        let Self::Refused { code, status, .. } = self else { return Matter::Passing };
        let code = code.rsplit(['#', '.']).next().unwrap_or_default();
        match code {
            "NonExistentQueue" | "QueueDoesNotExist" | "InvalidAddress" => {
                Matter::Configuration(NO_QUEUE)
            }
            "AccessDenied"
            | "AccessDeniedException"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "InvalidAccessKeyId"
            | "InvalidClientTokenId"
            | "InvalidSecurity"
            | "KmsAccessDenied"
            | "InvalidSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "NotAuthorized"
            | "OptInRequired"
            | "RequestExpired"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException" => Matter::Configuration(NO_ENTRY),
            "KmsDisabled" | "KmsInvalidKeyUsage" | "KmsInvalidState" | "KmsNotFound"
            | "KmsOptInRequired" => {
                Matter::Configuration("check the key that the queue is encrypted with")
            }
            "KmsThrottled"
            | "OverLimit"
            | "RequestThrottled"
            | "Throttling"
            | "ThrottlingException"
            | "TooManyRequestsException" => Matter::Pace,
            "RequestAbortedException" | "RequestTimeoutException" => Matter::Passing,
            _ if *status == 401 || *status == 403 => Matter::Configuration(NO_ENTRY),
            _ if *status == 429 => Matter::Pace,
            _ if (400..500).contains(status) => Matter::Message,
            _ => Matter::Passing,
        }
    }

    /// As what becomes of a turn.
    pub(super) fn about(self, turn: String) -> agent::Error {
        let status = match &self {
            Self::Refused { status, .. } => *status,
            Self::Silent { .. } | Self::Unreachable { .. } => 0,
        };
        self.matter().about(turn, status, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{Retry, Sign};

    #[test]
    fn only_what_is_the_turns_own_matter_is_final() {
        for (code, status, sign, retry) in [
            ("AWS.SimpleQueueService.NonExistentQueue", 400, Sign::Away, Retry::Backoff),
            ("com.amazonaws.sqs#QueueDoesNotExist", 400, Sign::Away, Retry::Backoff),
            ("AccessDenied", 403, Sign::Away, Retry::Backoff),
            ("InvalidClientTokenId", 403, Sign::Away, Retry::Backoff),
            ("SomethingNew", 403, Sign::Away, Retry::Backoff),
            ("RequestThrottled", 400, Sign::Busy, Retry::Backoff),
            ("RequestExpired", 400, Sign::Away, Retry::Backoff),
            ("InvalidSignatureException", 400, Sign::Away, Retry::Backoff),
            ("RequestTimeoutException", 400, Sign::Away, Retry::Backoff),
            ("InvalidMessageContents", 400, Sign::Alive, Retry::No),
            ("InternalError", 500, Sign::Away, Retry::Backoff),
            ("ServiceUnavailable", 503, Sign::Away, Retry::Backoff),
        ] {
            let refused = Error::Refused { doing: "take a turn", code: code.to_owned(), status };
            let error = refused.about("IM1".to_owned());
            assert_eq!((error.sign(), error.retry()), (sign, retry), "{code}: {error}");
        }
        let silent = Error::Silent { doing: "take a turn", limit: Duration::from_secs(10) };
        assert_eq!(silent.about("IM1".to_owned()).sign(), Sign::Away);
    }
}

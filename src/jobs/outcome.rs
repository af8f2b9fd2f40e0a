//! What a failed request to Twilio means for the job that made it. Pure.
//!
//! Every failure is one of five [`Class`]es. The transport says what is known for certain (a
//! [`Failure`]); this table says what follows, by the vendor's error codes where there is one and by
//! the status otherwise. Joining is idempotent, so an unknown outcome is simply tried again; sending
//! is not, so it is looked for first.
//!
//! | failure | join | send |
//! | --- | --- | --- |
//! | never left this machine | retry | retry |
//! | sent, answer lost | retry | look |
//! | answered by something that is not Twilio | retry | look |
//! | 429 (never processed) | retry | retry |
//! | 5xx, 408 | retry | look |
//! | 401, account or region wrong | reconfigure | reconfigure |
//! | 409 without a code that says otherwise | done | dead |
//! | code that the vendor says to retry | retry | retry |
//! | the bot is not a participant (50430; 50513 in a group) | dead | retry: its join may be under way |
//! | anything else | dead | dead |

use std::time::Duration;

use crate::thread::CauseClass;
use crate::twilio::catalogue::{self, Retry};

/// What was being done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// Adding the bot to a conversation.
    Join,
    /// Sending a reply.
    Send,
}

/// What is known of a request that did not succeed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// Twilio answered and refused.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The vendor's error code.
        code: Option<u32>,
        /// How long Twilio asks to wait.
        retry_after: Option<Duration>,
    },
    /// Nothing reached Twilio.
    NotSent,
    /// It was sent, and what became of it is unknown.
    Unknown,
    /// Something answered in Twilio's place; whether it passed the request on is unknown.
    Foreign,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// What was wanted is so already.
    Done,
    /// Try again by the schedule, not before the time Twilio asked for.
    Retry(Option<Duration>),
    /// It may have happened: look, not before the time Twilio asked for, and only then try again.
    Look(Option<Duration>),
    /// Nothing will work until somebody changes the configuration.
    Reconfigure,
    /// The same request would fail for ever.
    Dead,
}

impl Class {
    /// The word for logs, causes and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.cause().as_str()
    }

    /// The class of a cause that says no more.
    #[must_use]
    pub const fn cause(self) -> CauseClass {
        match self {
            Self::Done => CauseClass::Done,
            Self::Retry(_) => CauseClass::Retry,
            Self::Look(_) => CauseClass::Look,
            Self::Reconfigure => CauseClass::Reconfigure,
            Self::Dead => CauseClass::Dead,
        }
    }
}

/// Codes that no retry cures and that concern every request alike: credentials, account, region.
const RECONFIGURE_CODES: [u32; 5] = [20003, 20005, 20006, 20403, 50385];

/// The author is not in the conversation.
pub const NOT_PARTICIPANT: u32 = 50430;

/// The same over REST, which asks for it in group MMS only.
/// Source: error dictionary 50513, read 2026-11-21.
const NOT_IN_GROUP: u32 = 50513;

/// Decides what a failure means.
#[must_use]
pub fn classify(operation: Operation, failure: Failure) -> Class {
    let uncertain = match operation {
        Operation::Join => Class::Retry(None),
        Operation::Send => Class::Look(None),
    };
    match failure {
        Failure::NotSent => Class::Retry(None),
        Failure::Unknown | Failure::Foreign => uncertain,
        Failure::Refused { status: 429, retry_after, .. } => Class::Retry(retry_after),
        Failure::Refused { status: 401, .. } => Class::Reconfigure,
        Failure::Refused { code: Some(code), .. } if RECONFIGURE_CODES.contains(&code) => {
            Class::Reconfigure
        }
        Failure::Refused { status: 408 | 500..=599, retry_after, .. } => match uncertain {
            Class::Look(_) => Class::Look(retry_after),
            _ => Class::Retry(retry_after),
        },
        Failure::Refused { status, code, retry_after } => {
            refused(operation, status, code, retry_after)
        }
    }
}

fn refused(
    operation: Operation,
    status: u16,
    code: Option<u32>,
    retry_after: Option<Duration>,
) -> Class {
    let advice = code.and_then(catalogue::lookup).map(|entry| entry.retry);
    match (operation, advice) {
        (_, Some(Retry::Yes | Retry::Later)) => Class::Retry(retry_after),
        (Operation::Join, Some(Retry::Done)) => Class::Done,
        (Operation::Join, Some(Retry::Adapt) | None) if status == 409 => Class::Done,
        (Operation::Send, _) if matches!(code, Some(NOT_PARTICIPANT | NOT_IN_GROUP)) => {
            Class::Retry(retry_after)
        }
        (Operation::Join | Operation::Send, _) => Class::Dead,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn refusal(status: u16, code: Option<u32>) -> Failure {
        Failure::Refused { status, code, retry_after: None }
    }

    #[test]
    fn every_failure_of_a_join_has_its_class() {
        for (failure, class) in [
            (Failure::NotSent, Class::Retry(None)),
            (Failure::Unknown, Class::Retry(None)),
            (Failure::Foreign, Class::Retry(None)),
            (refusal(409, Some(50433)), Class::Done),
            (refusal(400, Some(50433)), Class::Done),
            (refusal(409, Some(50437)), Class::Done),
            (refusal(409, None), Class::Done),
            (refusal(409, Some(20409)), Class::Done),
            (refusal(409, Some(50419)), Class::Retry(None)),
            (refusal(409, Some(50391)), Class::Retry(None)),
            (refusal(409, Some(20162)), Class::Retry(None)),
            (refusal(429, Some(20429)), Class::Retry(None)),
            (refusal(500, Some(20500)), Class::Retry(None)),
            (refusal(503, None), Class::Retry(None)),
            (refusal(401, Some(20003)), Class::Reconfigure),
            (refusal(403, Some(20003)), Class::Reconfigure),
            (refusal(401, None), Class::Reconfigure),
            (refusal(400, Some(50385)), Class::Reconfigure),
            (refusal(400, Some(50377)), Class::Dead),
            (refusal(403, Some(50214)), Class::Dead),
            (refusal(404, Some(20404)), Class::Dead),
            (refusal(404, None), Class::Dead),
            (refusal(400, Some(99999)), Class::Dead),
        ] {
            assert_eq!(classify(Operation::Join, failure), class, "{failure:?}");
        }
    }

    #[test]
    fn a_send_that_may_have_happened_is_looked_for() {
        for (failure, class) in [
            (Failure::NotSent, Class::Retry(None)),
            (Failure::Unknown, Class::Look(None)),
            (Failure::Foreign, Class::Look(None)),
            (refusal(408, None), Class::Look(None)),
            (refusal(500, Some(20500)), Class::Look(None)),
            (refusal(502, None), Class::Look(None)),
            (refusal(503, Some(20503)), Class::Look(None)),
            (refusal(504, None), Class::Look(None)),
            (refusal(429, Some(50063)), Class::Retry(None)),
            (refusal(429, None), Class::Retry(None)),
            (refusal(409, Some(20162)), Class::Retry(None)),
            (refusal(409, None), Class::Dead),
            (refusal(403, Some(50430)), Class::Retry(None)),
            (refusal(400, Some(50513)), Class::Retry(None)),
            (refusal(401, None), Class::Reconfigure),
            (refusal(400, Some(50377)), Class::Dead),
            (refusal(404, Some(50350)), Class::Dead),
        ] {
            assert_eq!(classify(Operation::Send, failure), class, "{failure:?}");
        }
    }

    #[test]
    fn the_wait_that_twilio_asks_for_is_kept() {
        let asked = Some(Duration::from_secs(9));
        let failure = Failure::Refused { status: 429, code: Some(20429), retry_after: asked };
        for operation in [Operation::Join, Operation::Send] {
            assert_eq!(classify(operation, failure), Class::Retry(asked));
        }
        let failure = Failure::Refused { status: 503, code: None, retry_after: asked };
        assert_eq!(classify(Operation::Join, failure), Class::Retry(asked));
        assert_eq!(classify(Operation::Send, failure), Class::Look(asked));
    }
}

//! What follows of a reply that failed after Twilio had taken it. Pure.

use uuid::Uuid;

use super::{Fallen, SentReply};
use crate::queue::Cause;
use crate::thread::{CauseClass, SkipReason};
use crate::twilio::catalogue;
use crate::twilio::messaging::MessageStatus;

/// The person has opted out. Source: error dictionary 21610, read 2026-11-21.
pub const OPTED_OUT: u32 = 21610;
/// WhatsApp's window is closed. Source: error dictionary 63016, read 2026-11-29.
pub const WINDOW_CLOSED: u32 = 63016;

/// What follows of a failure after the fact.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is sent once more.
    Again,
    /// It is a dead letter, of this class.
    Dead(CauseClass),
}

/// Judges a failure by Twilio's code as one before the fact would be.
///
/// Source: error dictionary, read 2026-11-29: 30001 queue overflow and 30008 unknown error pass; 30003,
/// 30005 and 30006 are of the handset and stay; 21610 is an opt-out, 63016 WhatsApp's window.
#[must_use]
pub const fn judge(code: Option<u32>, was_again: bool) -> Verdict {
    match code {
        Some(30001 | 30008) if !was_again => Verdict::Again,
        Some(OPTED_OUT) => Verdict::Dead(CauseClass::Skipped(SkipReason::OptedOut)),
        Some(WINDOW_CLOSED) => Verdict::Dead(CauseClass::WindowClosed),
        _ => Verdict::Dead(CauseClass::Undelivered),
    }
}

/// What the pipeline is told of a reply that failed so.
#[must_use]
pub fn fallen(
    reply: Uuid,
    sent: SentReply,
    (status, code): (MessageStatus, Option<u32>),
) -> Fallen {
    let (again, class) = match judge(code, sent.again) {
        Verdict::Again => (true, CauseClass::Retry),
        Verdict::Dead(class) => (false, class),
    };
    let (status, meaning) = (status.as_str(), catalogue::meaning(code));
    let detail = format!("twilio took the reply, and then it was {status}: {meaning}");
    let cause = Cause { code, ..Cause::of(class).with_detail(detail) };
    Fallen { reply, sent, again, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_is_tried_again_and_only_once() {
        for (code, was_again, verdict) in [
            (Some(30008), false, Verdict::Again),
            (Some(30001), false, Verdict::Again),
            (Some(30008), true, Verdict::Dead(CauseClass::Undelivered)),
            (Some(30003), false, Verdict::Dead(CauseClass::Undelivered)),
            (Some(30005), false, Verdict::Dead(CauseClass::Undelivered)),
            (Some(30006), false, Verdict::Dead(CauseClass::Undelivered)),
            (Some(21610), false, Verdict::Dead(CauseClass::Skipped(SkipReason::OptedOut))),
            (Some(63016), false, Verdict::Dead(CauseClass::WindowClosed)),
            (None, false, Verdict::Dead(CauseClass::Undelivered)),
        ] {
            assert_eq!(judge(code, was_again), verdict, "{code:?}");
        }
    }
}

//! The word in the log on what became of a message, where somebody may wonder.

use crate::thread::MessageId;
use crate::twilio::catalogue;
use crate::twilio::messaging::MessageStatus;

/// Says it: a failure loudly, what is on its way softly.
pub(super) fn tell(message: MessageId, (status, code): (MessageStatus, Option<u32>)) {
    let state = status.as_str();
    match status {
        _ if status.is_failure() => {
            tracing::warn!(message_sid = %message, state, code, reason = catalogue::meaning(code),
                "a message that twilio took did not arrive");
        }
        _ if status.has_arrived() => {
            tracing::debug!(message_sid = %message, state, "a message has arrived");
        }
        _ => tracing::trace!(message_sid = %message, state, "a message is on its way"),
    }
}

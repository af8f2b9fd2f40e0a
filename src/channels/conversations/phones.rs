//! Asks whether a phone reads along in a conversation, since what a phone reads is cut.
//!
//! Twilio stores a message of any length and answers that it did; that it is too long for a phone
//! shows only afterwards, as a delivery that failed with 21617. So it is asked before, once for each
//! over-long answer; nothing is remembered, since phones come and go. Decides nothing about cutting:
//! that is in `outbound`. I/O is Twilio's REST API; no time is read and nothing personal leaves.

use crate::twilio::rest;
use crate::twilio::sid::ConversationSid;

/// Whether any participant reads the thread over SMS, WhatsApp or the like.
///
/// In a conversation that Twilio does not know nobody does; the send says so, and better.
///
/// # Errors
///
/// If Twilio did not say.
pub(super) async fn read_along(
    rest: &rest::Client,
    conversation: ConversationSid,
) -> Result<bool, rest::Error> {
    let mut pages = rest.list_participants(conversation);
    loop {
        match pages.next().await {
            Ok(Some(page)) if page.iter().any(has_phone) => return Ok(true),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(false),
            Err(error) if error.status() == Some(404) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

/// A chat participant of a group has a binding too, where it stands for a number.
const fn has_phone(participant: &rest::Participant) -> bool {
    participant.messaging_binding.is_some()
}

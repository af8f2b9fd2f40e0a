//! The way of a message to the phones in its conversation, and its delivery receipts.
//!
//! Pure. A message to each phone becomes one [`Effect::Deliver`]; the caller reports progress with
//! [`World::advance_delivery`]. What Twilio would not deliver fails at once or later, as known:
//! opted-out recipients 21610, free text outside WhatsApp's window 63016.
//! Source: REST notes 2.4, 4 and 6.4, read 2026-11-21.

use super::command::Actor;
use super::event::{EventKind, delivery_fields};
use super::model::{Channel, Conversation, DeliveryStatus, Message, Participant, Receipt};
use super::refusal::Refusal;
use super::{Effect, World, about, pair};
use crate::clock::Timestamp;
use crate::emulator::record::Happening;
use crate::pii::Pii;
use crate::twilio::sid::{ConversationSid, MessageSid, ParticipantSid};

/// Recipient has opted out.
const OPTED_OUT: u32 = 21610;
/// WhatsApp: more than 24 hours since the user's last message.
const OUTSIDE_WINDOW: u32 = 63016;
/// Body over 1,600 characters. That a conversation's message fails so late is assumed.
const BODY_TOO_LONG: u32 = 21617;

impl World {
    /// Moves a message's delivery on. Never back: a status of lower or equal rank, or any after a
    /// final one, changes nothing and tells nobody.
    ///
    /// # Errors
    ///
    /// If there is no such message or receipt.
    pub fn advance_delivery(
        &mut self,
        at: Timestamp,
        (conversation, message, participant): (ConversationSid, MessageSid, ParticipantSid),
        (status, error_code): (DeliveryStatus, Option<u32>),
    ) -> Result<bool, Refusal> {
        let index = self.find_message(conversation, message)?.1.index;
        let stored = self
            .conversation_mut(conversation)?
            .messages
            .get_mut(&index)
            .ok_or(Refusal::MessageNotFound)?;
        let receipt = stored
            .receipts
            .iter_mut()
            .find(|receipt| receipt.participant == participant)
            .ok_or(Refusal::NotFound)?;
        if is_final(receipt.status) || rank(status) <= rank(receipt.status) {
            return Ok(false);
        }
        receipt.status = status;
        receipt.error_code = error_code;
        receipt.updated = at;
        let receipt = receipt.clone();
        self.tell_delivery(at, conversation, message, &receipt)?;
        Ok(true)
    }

    /// Starts a message's way to every phone but its author's.
    pub(super) fn dispatch(
        &mut self,
        at: Timestamp,
        sid: ConversationSid,
        message: MessageSid,
    ) -> Result<(), Refusal> {
        let (conversation, stored) = self.find_message(sid, message)?;
        let author = stored.participant.and_then(|one| conversation.participant_by_sid(one));
        // The carrier takes a member's message to the group, Twilio does not.
        let by_group_phone = author.is_some_and(Participant::is_group_phone);
        let recipients: Vec<(Participant, Option<u32>)> = conversation
            .participants
            .values()
            .filter(|other| is_phone(other) && Some(other.sid) != stored.participant)
            .filter(|other| !(by_group_phone && other.is_group_phone()))
            .map(|other| (other.clone(), self.reason_to_fail(at, (conversation, other), stored)))
            .collect();
        let index = stored.index;
        for (recipient, failure) in recipients {
            let receipt = Receipt {
                sid: self.ids.delivery_receipt(),
                participant: recipient.sid,
                channel_message_sid: self.ids.raw("SM"),
                status: failure.map_or(DeliveryStatus::Sent, |_| DeliveryStatus::Failed),
                error_code: failure,
                created: at,
                updated: at,
            };
            let conversation = self.conversation_mut(sid)?;
            if let Some(stored) = conversation.messages.get_mut(&index) {
                stored.receipts.push(receipt.clone());
            }
            self.tell_delivery(at, sid, message, &receipt)?;
            if failure.is_none() {
                self.effects.push_back(Effect::Deliver {
                    conversation: sid,
                    message,
                    participant: recipient.sid,
                });
            }
        }
        Ok(())
    }

    /// `onDeliveryUpdated` arrives whether or not the message's own event did.
    /// Source: webhook notes 1.3, read 2026-11-21.
    fn tell_delivery(
        &mut self,
        at: Timestamp,
        sid: ConversationSid,
        message: MessageSid,
        receipt: &Receipt,
    ) -> Result<(), Refusal> {
        self.project_message(at, sid, message);
        self.happened(Happening::DeliveryUpdated {
            conversation_sid: sid,
            message_sid: message,
            participant_sid: receipt.participant,
            status: receipt.status.as_str(),
            error_code: receipt.error_code,
        });
        let (conversation, stored) = self.find_message(sid, message)?;
        let fields = delivery_fields(conversation, stored, receipt);
        let occurrence = about(conversation, EventKind::DeliveryUpdated, fields);
        self.fire(&Actor::Api { hooks: true }, occurrence);
        Ok(())
    }

    fn reason_to_fail(
        &self,
        at: Timestamp,
        (conversation, recipient): (&Conversation, &Participant),
        message: &Message,
    ) -> Option<u32> {
        let binding = recipient.binding.as_ref()?;
        let ours = binding.proxy.as_ref().or_else(|| conversation.group_number())?;
        let phone = binding.address.as_ref()?;
        if self.has_opted_out(phone, ours) {
            return Some(OPTED_OUT);
        }
        let limits = &self.settings.limits;
        let chars = message.body.as_ref().map_or(0, |body| body.chars().count());
        if chars > limits.channel_body_chars {
            return Some(BODY_TOO_LONG);
        }
        let is_free_text = message.content_sid.is_none();
        (binding.channel == Channel::Whatsapp && is_free_text && self.is_silent(at, phone, ours))
            .then_some(OUTSIDE_WINDOW)
    }

    /// Whether WhatsApp's window is closed between a person and a number.
    pub(super) fn is_silent(&self, at: Timestamp, phone: &Pii, ours: &Pii) -> bool {
        let hours = self.settings.limits.whatsapp_window_hours;
        let window = std::time::Duration::from_secs(hours.saturating_mul(3600));
        let heard = self.last_heard.get(&pair(phone, ours));
        heard.is_none_or(|heard| at.since(*heard) > window)
    }
}

/// Our own number in a group is none.
fn is_phone(participant: &Participant) -> bool {
    participant.binding.as_ref().is_some_and(|binding| binding.address.is_some())
}

const fn rank(status: DeliveryStatus) -> u8 {
    match status {
        DeliveryStatus::Sent => 0,
        DeliveryStatus::Delivered => 1,
        DeliveryStatus::Read | DeliveryStatus::Failed | DeliveryStatus::Undelivered => 2,
    }
}

const fn is_final(status: DeliveryStatus) -> bool {
    match status {
        DeliveryStatus::Sent | DeliveryStatus::Delivered => false,
        DeliveryStatus::Read | DeliveryStatus::Failed | DeliveryStatus::Undelivered => true,
    }
}

impl World {
    /// A message's aggregated delivery receipt, null if it went to no phone.
    #[must_use]
    pub fn delivery(message: &Message) -> serde_json::Value {
        super::projection::delivery(message).unwrap_or_default()
    }
}

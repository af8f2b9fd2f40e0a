//! The messaging product's way out: its webhooks, what they answer, and texts that faults meet.
//!
//! Decides little: what is told and when is the world's, see [`super::state::messaging`]; what a fault
//! does to a text is its [`TextFate`]. An inbound webhook's answer may be messages to the phone.

use super::faults::{Action, Occasion};
use super::hub::{Core, Hub, PhoneDelivery};
use super::record::Happening;
use super::state::messaging::{Draft, INBOUND, Ring, Text, TextFate, twiml};
use super::state::model::DeliveryStatus;
use super::state::refusal::Refusal;
use super::webhooks::caller::Answer;
use super::webhooks::{OutgoingWebhook, Product};
use crate::clock::Timestamp;
use crate::twilio::sid::TextSid;

impl Hub {
    /// Puts a webhook of the messaging product in line.
    pub(super) fn ring(&self, core: &mut Core, at: Timestamp, ring: Ring) {
        let outgoing = OutgoingWebhook {
            target: ring.target,
            event: ring.event,
            product: Product::Messaging,
            conversation: None,
            fields: ring.fields,
            delivery_id: core.world.ids_mut().uuid().to_string(),
            delay: None,
            mis_sign: false,
            about: Some(ring.text),
            fallback: ring.fallback,
        };
        self.post(core, at, outgoing);
    }

    /// Takes a text to be sent, unless a fault has something else in mind for it.
    ///
    /// # Errors
    ///
    /// If it is refused at once.
    pub(super) fn send_text(&self, draft: Draft) -> Result<Text, Refusal> {
        self.with(|core, at| {
            let to = draft.to.clone().unwrap_or_default();
            let fault = self.fault_in(core, Occasion::Text(to.reveal()));
            let fate = fate(fault.as_ref()).unwrap_or(draft.fate);
            core.world.send_text(at, Draft { fate, ..draft })
        })
    }

    /// Does what the answer of the messaging product's webhook says.
    pub(super) fn hear_answer(&self, item: &OutgoingWebhook, answer: &Answer) {
        let Some(sid) = item.about else { return };
        if let Some(code) = answer.complaint() {
            return self.record(Happening::Complaint { sid, code });
        }
        let Ok((_, body)) = &answer.result else { return };
        if item.event != INBOUND {
            return;
        }
        let said = twiml::read(answer.content_type.as_deref(), body.reveal());
        for code in said.problems {
            self.record(Happening::Complaint { sid, code });
        }
        for message in said.messages {
            self.answer_text(sid, message);
        }
    }

    /// Sends a message that an inbound webhook answered, from the number that was written to.
    fn answer_text(&self, sid: TextSid, said: twiml::TwimlMessage) {
        let pair = self.with(|core, _| {
            let text = core.world.messaging().find(sid)?;
            Some((text.from.clone()?, text.to.clone()))
        });
        let Some((theirs, ours)) = pair else { return };
        let draft = Draft {
            to: said.to.or(Some(theirs)),
            from: said.from.or(Some(ours)),
            body: said.body,
            media_urls: said.media_urls,
            callback: said.callback,
            is_reply: true,
            ..Draft::default()
        };
        if let Err(refusal) = self.send_text(draft) {
            self.record(Happening::Complaint { sid, code: refusal.code() });
        }
    }
}

impl Hub {
    /// Lets a conversation's message on its way to a phone, unless a fault has something else in mind for
    /// it. A delay is none here: all wait equally long.
    pub(super) fn take_to_phone(&self, core: &mut Core, at: Timestamp, delivery: PhoneDelivery) {
        let (conversation, _, participant) = delivery;
        let conversation = core.world.conversation(conversation);
        let receiver = conversation.and_then(|known| known.participant_by_sid(participant));
        let phone = receiver.and_then(|one| one.binding.as_ref()?.address.clone());
        let fault = self.fault_in(core, Occasion::Text(phone.unwrap_or_default().reveal()));
        let end = match fate(fault.as_ref()) {
            Some(TextFate::Fails(code)) => {
                let failed = (DeliveryStatus::Failed, Some(code));
                let told = core.world.advance_delivery(at, delivery, failed);
                debug_assert!(told.is_ok(), "a message that leaves is there");
                return;
            }
            Some(TextFate::Fades | TextFate::Waits) => return,
            Some(TextFate::Strays(code)) => (DeliveryStatus::Undelivered, Some(code)),
            Some(TextFate::Lags(_) | TextFate::Arrives) | None => (DeliveryStatus::Delivered, None),
        };
        self.arrives(delivery, end);
    }
}

fn fate(fault: Option<&Action>) -> Option<TextFate> {
    match fault {
        Some(Action::Fail { code }) => Some(TextFate::Fails(*code)),
        Some(Action::Stray { code }) => Some(TextFate::Strays(*code)),
        Some(Action::Lose) => Some(TextFate::Fades),
        Some(Action::Silence) => Some(TextFate::Waits),
        Some(Action::Delay { ms }) => Some(TextFate::Lags(*ms)),
        Some(_) | None => None,
    }
}

//! The way of a text from its queue to the phone, step by step as time passes.
//!
//! Pure: [`World::tick`] calls each step at its time. A status is never taken back: what is told from
//! outside ([`World::move_text`]) moves a text forward only.

use std::time::Duration;

use super::fields::status_fields;
use super::refusal::TextRefusal;
use super::ring::{Ring, STATUS};
use super::text::{Text, TextFate};
use crate::clock::Timestamp;
use crate::emulator::record::Happening;
use crate::emulator::state::model::{Channel, HookMethod};
use crate::emulator::state::refusal::Refusal;
use crate::emulator::state::target::{Scope, Target};
use crate::emulator::state::{Effect, World};
use crate::pii::Pii;
use crate::twilio::messaging::MessageStatus;
use crate::twilio::sid::{MediaSid, TextSid};

/// Sent faster than the sender may.
const QUEUE_OVERFLOW: u32 = 30001;
/// The time in which it might have left is over. Source: error dictionary, assumed for this case.
const EXPIRED: u32 = 30036;
/// The messaging service has no sender for the recipient.
const NO_SENDER: u32 = 21703;
/// WhatsApp: more than 24 hours since the user's last message.
const OUTSIDE_WINDOW: u32 = 63016;

impl World {
    /// Lets everything happen to texts that is due by `at`, each thing at its own time.
    pub(in crate::emulator::state) fn tick_texts(&mut self, at: Timestamp) {
        while let Some((due, seq)) = self.messaging.pop_due(at) {
            let Some(text) = self.messaging.text_mut(seq) else { continue };
            match text.status {
                MessageStatus::Scheduled | MessageStatus::Accepted => self.find_sender(due, seq),
                MessageStatus::Queued => self.set_out(due, seq),
                MessageStatus::Sending => self.move_on(due, seq, (MessageStatus::Sent, None)),
                MessageStatus::Sent => {
                    let next = if let TextFate::Strays(code) = text.fate {
                        (MessageStatus::Undelivered, Some(code))
                    } else {
                        (MessageStatus::Delivered, None)
                    };
                    self.move_on(due, seq, next);
                }
                MessageStatus::Delivered => self.move_on(due, seq, (MessageStatus::Read, None)),
                MessageStatus::PartiallyDelivered
                | MessageStatus::Read
                | MessageStatus::Undelivered
                | MessageStatus::Failed
                | MessageStatus::Canceled
                | MessageStatus::Receiving
                | MessageStatus::Received => {}
            }
        }
    }

    /// Moves a text on by hand, which never takes it back; says whether it did.
    ///
    /// # Errors
    ///
    /// If there is no such text, it came in, or such a status is only for one that did.
    pub fn move_text(
        &mut self,
        at: Timestamp,
        sid: TextSid,
        (status, error_code): (MessageStatus, Option<u32>),
    ) -> Result<bool, Refusal> {
        let text = self.messaging.find(sid).ok_or(Refusal::NotFound)?;
        if text.is_inbound() {
            return Err(Refusal::ParameterInvalid("sid"));
        }
        if matches!(status, MessageStatus::Receiving | MessageStatus::Received) {
            return Err(Refusal::ParameterInvalid("status"));
        }
        let is_over = text.status.is_failure() || status.rank() <= text.status.rank();
        if is_over {
            return Ok(false);
        }
        let seq = text.seq;
        self.move_on(at, seq, (status, error_code));
        Ok(true)
    }

    /// Takes a scheduled text back.
    ///
    /// # Errors
    ///
    /// If there is none, or it is under way.
    pub fn cancel_text(&mut self, at: Timestamp, sid: TextSid) -> Result<(), Refusal> {
        let text = self.messaging.find(sid).ok_or(Refusal::NotFound)?;
        if text.status != MessageStatus::Scheduled {
            return Err(TextRefusal::NotCancelable.into());
        }
        let seq = text.seq;
        self.move_on(at, seq, (MessageStatus::Canceled, None));
        Ok(())
    }

    /// Empties a text.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn redact_text(&mut self, at: Timestamp, sid: TextSid) -> Result<(), Refusal> {
        let text = self.messaging.find_mut(sid).ok_or(Refusal::NotFound)?;
        text.body = Pii::default();
        text.updated = at;
        Ok(())
    }

    /// Removes a text.
    ///
    /// # Errors
    ///
    /// If there is none. Twilio refuses to remove one under way (20009); here it goes, as the tests of
    /// official clients want it.
    pub fn remove_text(&mut self, sid: TextSid) -> Result<(), Refusal> {
        self.messaging.find(sid).ok_or(Refusal::NotFound)?;
        self.messaging.remove(sid);
        Ok(())
    }

    /// Removes a file of a text.
    ///
    /// # Errors
    ///
    /// If there is no such text or file.
    pub fn remove_file(&mut self, sid: TextSid, file: MediaSid) -> Result<(), Refusal> {
        let text = self.messaging.find_mut(sid).ok_or(Refusal::NotFound)?;
        let before = text.media.len();
        text.media.retain(|one| one.sid != file);
        if text.media.len() == before { Err(Refusal::NotFound) } else { Ok(()) }
    }

    /// A messaging service's text gets a sender and its turn.
    fn find_sender(&mut self, at: Timestamp, seq: u64) {
        let Some(text) = self.messaging.text_mut(seq).cloned() else { return };
        let chosen = text.service.and_then(|service| self.choose_sender(service, &text.to));
        let Some(from) = text.from.or(chosen) else {
            return self.move_on(at, seq, (MessageStatus::Failed, Some(NO_SENDER)));
        };
        if let Some(text) = self.messaging.text_mut(seq) {
            text.from = Some(from.clone());
        }
        match self.take_turn(at, (&text.to, &from), text.segments) {
            Ok(turn) => {
                self.move_on(at, seq, (MessageStatus::Queued, None));
                self.messaging.wake(turn, seq);
            }
            Err(Refusal::Text(TextRefusal::OptedOut)) => {
                let code = TextRefusal::OptedOut.code();
                self.move_on(at, seq, (MessageStatus::Failed, Some(code)));
            }
            Err(_) => self.move_on(at, seq, (MessageStatus::Failed, Some(QUEUE_OVERFLOW))),
        }
    }

    /// A text's turn has come.
    fn set_out(&mut self, at: Timestamp, seq: u64) {
        let Some(text) = self.messaging.text_mut(seq).cloned() else { return };
        let is_expired = text.expires.is_some_and(|expires| expires < at);
        let is_whatsapp = Channel::of(text.to.reveal()) == Some(Channel::Whatsapp);
        let from = text.from.clone().unwrap_or_default();
        let is_outside =
            is_whatsapp && text.content.is_none() && self.is_silent(at, &text.to, &from);
        let reason = if let TextFate::Fails(code) = text.fate {
            Some(code)
        } else {
            is_expired.then_some(EXPIRED).or(is_outside.then_some(OUTSIDE_WINDOW))
        };
        if reason.is_some() {
            self.move_on(at, seq, (MessageStatus::Failed, reason));
        } else if text.fate != TextFate::Waits {
            self.move_on(at, seq, (MessageStatus::Sending, None));
        }
    }

    fn move_on(&mut self, at: Timestamp, seq: u64, (status, code): (MessageStatus, Option<u32>)) {
        let step = self.messaging.step;
        let is_read = self.settings.limits.read_receipts;
        // Into the queue by hand: what it waited for before lets it leave.
        if status != MessageStatus::Queued {
            self.messaging.rest(seq);
        }
        let Some(text) = self.messaging.text_mut(seq) else { return };
        text.status = status;
        text.error_code = code;
        text.updated = at;
        if status == MessageStatus::Sent {
            text.sent = Some(at);
        }
        let text = text.clone();
        if let Some(after) = wait_after(&text, step, is_read) {
            self.messaging.wake(at + after, seq);
        }
        self.happened(Happening::TextUpdated {
            sid: text.sid,
            status: status.as_str(),
            error_code: code,
        });
        self.tell_status(at, &text);
    }

    fn tell_status(&mut self, at: Timestamp, text: &Text) {
        let Some(url) = text.callback.clone().filter(|_| text.status != MessageStatus::Sending)
        else {
            return;
        };
        let fields = status_fields(self.settings.account, at, text);
        self.effects.push_back(Effect::Ring(Ring {
            event: STATUS,
            target: Target { scope: Scope::Message, url, method: HookMethod::Post },
            fallback: None,
            text: text.sid,
            fields,
        }));
    }
}

/// How long a text stays where it is, if it goes on by itself.
fn wait_after(text: &Text, step: Duration, is_read: bool) -> Option<Duration> {
    let reads = matches!(Channel::of(text.to.reveal()), Some(Channel::Whatsapp | Channel::Rcs));
    let lag = if let TextFate::Lags(ms) = text.fate { ms } else { 0 };
    match text.status {
        MessageStatus::Sending => Some(step),
        MessageStatus::Sent => {
            (text.fate != TextFate::Fades).then(|| step + Duration::from_millis(lag))
        }
        MessageStatus::Delivered => (reads && is_read).then_some(step),
        MessageStatus::Accepted
        | MessageStatus::Scheduled
        | MessageStatus::Queued
        | MessageStatus::PartiallyDelivered
        | MessageStatus::Read
        | MessageStatus::Undelivered
        | MessageStatus::Failed
        | MessageStatus::Canceled
        | MessageStatus::Receiving
        | MessageStatus::Received => None,
    }
}

//! A text is sent: what is refused at once, and what is kept to go its way.
//!
//! Pure. A text by a number of its own takes its turn in the number's queue here; one by a messaging
//! service is accepted, and finds its sender later. Source: REST notes 2.4, read 2026-11-21.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check;
use super::pace::Load;
use super::refusal::TextRefusal;
use super::text::{Content, Direction, Draft, File, Text, TextFate};
use crate::channels::segments;
use crate::clock::Timestamp;
use crate::emulator::record::Happening;
use crate::emulator::state::model::Channel;
use crate::emulator::state::refusal::Refusal;
use crate::emulator::state::{World, pair};
use crate::json;
use crate::pii::Pii;
use crate::twilio::messaging::MessageStatus;
use crate::twilio::sid::{MessagingServiceSid, MmsSid, SmsSid, TextSid};

/// How long a text may wait when nobody says. Source: API definition, `ValidityPeriod`.
const VALIDITY_DEFAULT_S: u64 = 36_000;

/// Over 15 replies in a chain, see [`super::chains`].
const TOO_MANY_REPLIES: u32 = 14107;

/// Texts that are looked through for the sender that a phone knows.
const STICKY_MAX: usize = 1000;

impl World {
    /// Takes a text to be sent.
    ///
    /// # Errors
    ///
    /// The reason if it is refused at once; nothing is kept then.
    pub fn send_text(&mut self, at: Timestamp, mut draft: Draft) -> Result<Text, Refusal> {
        let to = draft.to.clone().filter(|to| !to.is_empty());
        let to = to.ok_or(TextRefusal::RecipientMissing)?;
        let channel = recipient(&to).ok_or(TextRefusal::RecipientInvalid)?;
        let service = self.named_service(&draft)?;
        check::content(&draft)?;
        if let Some(from) = &draft.from {
            self.check_sender(from, (&to, channel))?;
        }
        if draft.is_reply {
            let key = pair(&to, &draft.from.clone().unwrap_or_default());
            if !self.messaging.chains.takes(at, key) {
                draft.fate = TextFate::Fails(TOO_MANY_REPLIES);
            }
        }
        let body = self.body_of(&draft);
        let segments = segments::count(body.reveal());
        let (status, due) = match (service, &draft.from) {
            (None, Some(from)) => {
                let turn = self.take_turn(at, (&to, from), segments);
                (MessageStatus::Queued, turn?)
            }
            (None, None) => return Err(TextRefusal::SenderMissing.into()),
            (Some(_), _) => match draft.send_at {
                Some(due) => (MessageStatus::Scheduled, due),
                None => (MessageStatus::Accepted, at + self.messaging.step),
            },
        };
        let text = self.keep_text(at, draft, (to, body, segments), (status, service));
        self.messaging.wake(due, text.seq);
        Ok(text)
    }

    /// Keeps a text that goes out.
    pub(super) fn keep_text(
        &mut self,
        at: Timestamp,
        draft: Draft,
        (to, body, segments): (Pii, Pii, u32),
        (status, service): (MessageStatus, Option<MessagingServiceSid>),
    ) -> Text {
        let media = draft.media_urls.into_iter().map(|url| File {
            sid: self.ids.media(),
            // Nobody has looked at the file (assumed).
            content_type: "application/octet-stream".to_owned(),
            url: Some(url),
        });
        let media: Vec<File> = media.collect();
        let validity = Duration::from_secs(draft.validity_s.unwrap_or(VALIDITY_DEFAULT_S));
        let begins = draft.send_at.unwrap_or(at);
        let callback = draft.callback.or_else(|| self.usual_callback(service, draft.from.as_ref()));
        let text = Text {
            sid: self.text_sid(draft.as_mms || !media.is_empty()),
            seq: self.messaging.seq(),
            direction: if draft.is_reply {
                Direction::OutboundReply
            } else {
                Direction::OutboundApi
            },
            from: draft.from,
            to,
            body,
            segments,
            media,
            content: draft
                .content_sid
                .map(|sid| Content { sid, variables: draft.content_variables }),
            service,
            status,
            error_code: None,
            created: at,
            updated: at,
            sent: None,
            callback,
            actions: draft.actions,
            expires: Some(begins + validity),
            due: None,
            fate: draft.fate,
        };
        self.messaging.keep(text.clone(), self.settings.limits.plain_messages);
        self.happened(Happening::TextSent {
            sid: text.sid,
            from: text.from.clone(),
            to: text.to.clone(),
            body: text.body.clone(),
        });
        text
    }

    /// Makes a sid for a text, with files or without.
    pub(super) fn text_sid(&mut self, is_mms: bool) -> TextSid {
        let bytes = self.ids.bytes();
        if is_mms {
            TextSid::Mms(MmsSid::from_bytes(bytes))
        } else {
            TextSid::Sms(SmsSid::from_bytes(bytes))
        }
    }

    /// Takes a sender's next turn.
    pub(super) fn take_turn(
        &mut self,
        at: Timestamp,
        (to, from): (&Pii, &Pii),
        segments: u32,
    ) -> Result<Timestamp, Refusal> {
        if self.has_opted_out(to, from) {
            return Err(TextRefusal::OptedOut.into());
        }
        let limits = &self.settings.limits;
        let own = self.messaging.number(from).and_then(|number| number.rate);
        let load = Load::of(from.reveal(), segments, own, limits);
        let wait_max = Duration::from_secs(limits.sender_queue_hours.saturating_mul(3600));
        let turn = self.messaging.queues.take(at, from.reveal(), load, wait_max);
        turn.ok_or_else(|| TextRefusal::QueueFull.into())
    }

    /// Chooses a sender of a messaging service: the one that the phone knows, else the one that is
    /// free first. Source: messaging services, "Sticky Sender", read 2026-11-29. A service without
    /// numbers, where the account has none at all, sends from one that is made up.
    pub(super) fn choose_sender(&self, service: MessagingServiceSid, to: &Pii) -> Option<Pii> {
        let channel = Channel::of(to.reveal());
        let mut pool: Vec<&Pii> = self
            .messaging
            .numbers()
            .filter(|one| one.service == Some(service))
            .map(|number| &number.address)
            .filter(|address| Channel::of(address.reveal()) == channel)
            .collect();
        let known = self.messaging.texts().rev().take(STICKY_MAX).find_map(|text| {
            let is_one = text.service == Some(service);
            let (theirs, ours) = if text.is_inbound() {
                (text.from.as_ref()?, &text.to)
            } else {
                (&text.to, text.from.as_ref()?)
            };
            (is_one && theirs == to && pool.contains(&ours)).then(|| ours.clone())
        });
        pool.sort_by_key(|address| self.messaging.queues.free_at(address.reveal()));
        let made_up = || (self.messaging.numbers().next().is_none()).then(|| made_up(channel));
        known.or_else(|| pool.first().map(|address| (*address).clone())).or_else(made_up)
    }

    fn named_service(&self, draft: &Draft) -> Result<Option<MessagingServiceSid>, Refusal> {
        let Some(text) = &draft.service else {
            // Only a messaging service sends at a time.
            let is_scheduled = draft.send_at.is_some();
            return match is_scheduled {
                true => Err(Refusal::ParameterMissing("MessagingServiceSid")),
                false => Ok(None),
            };
        };
        let sid: MessagingServiceSid = text.parse().map_err(|_| TextRefusal::ServiceInvalid)?;
        let is_known = sid == self.default_messaging_service
            || self.settings_of(Some(sid)).is_some()
            || self.messaging.services().next().is_none();
        is_known.then_some(Some(sid)).ok_or_else(|| TextRefusal::ServiceInvalid.into())
    }

    fn check_sender(&self, from: &Pii, (to, channel): (&Pii, Channel)) -> Result<(), Refusal> {
        let own = Channel::of(from.reveal()).ok_or(TextRefusal::SenderInvalid)?;
        if own != channel {
            return Err(TextRefusal::ChannelMismatch.into());
        }
        if from == to {
            return Err(TextRefusal::SenderIsRecipient.into());
        }
        let mut numbers = self.messaging.numbers();
        let is_open = numbers.next().is_none();
        match is_open || self.messaging.number(from).is_some() {
            true => Ok(()),
            false if own == Channel::Sms => Err(TextRefusal::SenderUnknown.into()),
            false => Err(TextRefusal::ChannelUnknown.into()),
        }
    }

    /// What a text says: of a template that is known its text with the variables filled in.
    fn body_of(&self, draft: &Draft) -> Pii {
        let template = draft.content_sid.as_ref().and_then(|sid| self.messaging.templates.get(sid));
        let Some(template) = template else { return draft.body.clone() };
        let variables = draft.content_variables.as_ref();
        let variables = variables.and_then(|text| json::from_str(text.reveal()).ok());
        let variables: BTreeMap<String, String> = variables.unwrap_or_default();
        let mut body = template.reveal().to_owned();
        for (name, value) in variables {
            body = body.replace(&format!("{{{{{name}}}}}"), &value);
        }
        Pii::new(body)
    }

    /// The status callback of texts that name none.
    fn usual_callback(
        &self,
        service: Option<MessagingServiceSid>,
        from: Option<&Pii>,
    ) -> Option<String> {
        let of_service = self.settings_of(service).and_then(|one| one.status_callback.clone());
        let number = from.and_then(|from| self.messaging.number(from));
        of_service.or_else(|| number.and_then(|number| number.status_callback.clone()))
    }
}

/// The channel of an address that texts can be sent to: short codes and agents only send. Source: error
/// 21211, "Possible causes", read 2026-11-29.
fn recipient(to: &Pii) -> Option<Channel> {
    let channel = Channel::of(to.reveal())?;
    let is_person = match channel {
        Channel::Sms => to.reveal().starts_with('+'),
        Channel::Whatsapp => true,
        Channel::Rcs => to.reveal().starts_with("rcs:+"),
    };
    is_person.then_some(channel)
}

fn made_up(channel: Option<Channel>) -> Pii {
    Pii::new(match channel {
        Some(Channel::Whatsapp) => "whatsapp:+15555550100",
        Some(Channel::Rcs) => "rcs:emulator_agent",
        Some(Channel::Sms) | None => "+15555550100",
    })
}

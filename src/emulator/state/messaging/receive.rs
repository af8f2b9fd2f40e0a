//! A phone writes: the text is kept as received, and the number's own webhook is told.
//!
//! Pure. That it makes a conversation besides is decided elsewhere: both roads are open where both are
//! set, so one text may come to a service twice. Source: webhook notes 1.8 and 2.1, read 2026-11-21.

use super::fields::{InboundFields as Fields, inbound_fields};
use super::ring::{INBOUND, Ring};
use super::text::{Direction, Draft, File, Text, TextFate};
use crate::channels::segments;
use crate::clock::Timestamp;
use crate::emulator::record::Happening;
use crate::emulator::state::inbound::Inbound;
use crate::emulator::state::model::{Channel, HookMethod};
use crate::emulator::state::target::{Scope, Target};
use crate::emulator::state::{Effect, World};
use crate::pii::Pii;
use crate::twilio::keywords::{Keyword, KeywordEffect as Answered};
use crate::twilio::messaging::MessageStatus;
use crate::twilio::sid::{MessagingServiceSid, TextSid};

impl World {
    /// Keeps a phone's text and tells the number's webhook; gives its sid, and whether anybody is told.
    pub fn take_text(&mut self, at: Timestamp, inbound: &Inbound) -> (TextSid, bool) {
        let body = inbound.body.clone().unwrap_or_default();
        let media: Vec<File> = inbound.media.iter().map(|sid| self.file(*sid)).collect();
        let service = self.service_of(&inbound.to);
        let text = Text {
            // A group's text has an MM sid and no files. Source: webhook notes 2.1.
            sid: self.text_sid(inbound.is_group() || !media.is_empty()),
            seq: self.messaging.seq(),
            direction: Direction::Inbound,
            from: Some(inbound.from.clone()),
            to: inbound.to.clone(),
            segments: segments::count(body.reveal()),
            body,
            media,
            content: None,
            service,
            status: MessageStatus::Received,
            error_code: None,
            created: at,
            updated: at,
            sent: Some(at),
            callback: None,
            actions: Vec::new(),
            expires: None,
            due: None,
            fate: TextFate::Arrives,
        };
        self.messaging.keep(text.clone(), self.settings.limits.plain_messages);
        self.happened(Happening::TextReceived {
            sid: text.sid,
            from: inbound.from.clone(),
            to: inbound.to.clone(),
            body: text.body.clone(),
        });
        if self.settings.limits.keyword_answers {
            self.answer_keyword(at, &text, inbound.keyword);
        }
        let Some((target, fallback)) = self.told(&inbound.to, service) else {
            return (text.sid, false);
        };
        let opt_out = inbound.keyword.filter(|_| self.has_advanced_opt_out(&inbound.to));
        let fields = inbound_fields(&Fields {
            account: self.settings.account,
            text: &text,
            extras: &inbound.extras,
            others: &inbound.others,
            opt_out: opt_out.map(|keyword| keyword.effect),
            root: &self.messaging.root,
        });
        self.effects.push_back(Effect::Ring(Ring {
            event: INBOUND,
            target,
            fallback,
            text: text.sid,
            fields,
        }));
        (text.sid, true)
    }

    /// Twilio's own answer to a word, which goes out although its receiver has opted out. Source: Twilio
    /// support for opt-out keywords, read 2026-11-29; the words are ours.
    fn answer_keyword(&mut self, at: Timestamp, text: &Text, keyword: Option<Keyword>) {
        let is_sms = Channel::of(text.to.reveal()) == Some(Channel::Sms);
        let keyword = keyword.filter(|_| is_sms);
        let (Some(keyword), Some(theirs)) = (keyword, text.from.clone()) else { return };
        let body = match keyword.effect {
            Answered::Stop => "You get no more messages from this number. Reply START to get them.",
            Answered::Start => "You get messages from this number again. Reply STOP to end them.",
            Answered::Help => "Reply STOP to get no more messages.",
        };
        let answer = Draft { is_reply: true, body: body.into(), ..Draft::default() };
        let segments = segments::count(body);
        let (from, status) = (Some(text.to.clone()), MessageStatus::Queued);
        let answer = Draft { from, ..answer };
        let said = (theirs, answer.body.clone(), segments);
        let seq = self.keep_text(at, answer, said, (status, text.service)).seq;
        self.messaging.wake(at, seq);
    }

    fn file(&self, sid: crate::twilio::sid::MediaSid) -> File {
        let content_type = self.media(sid).map(|media| media.content_type.clone());
        File { sid, content_type: content_type.unwrap_or_default(), url: None }
    }

    /// The messaging service's webhook goes before the number's. Source: PhoneNumber resource of
    /// messaging services, read 2026-11-29.
    fn told(
        &self,
        ours: &Pii,
        service: Option<MessagingServiceSid>,
    ) -> Option<(Target, Option<String>)> {
        let to = |url: String, method| Target { scope: Scope::Number, url, method };
        if let Some(service) = self.settings_of(service).filter(|service| !service.uses_numbers_url)
            && let Some(url) = service.url.clone()
        {
            let method = service.method.unwrap_or(HookMethod::Post);
            return Some((to(url, method), service.fallback_url.clone()));
        }
        match self.messaging.number(ours) {
            Some(number) if number.application.is_some() => None,
            Some(number) => {
                let method = number.method.unwrap_or(HookMethod::Post);
                Some((to(number.url.clone()?, method), number.fallback_url.clone()))
            }
            None => Some((to(self.messaging.url.clone()?, HookMethod::Post), None)),
        }
    }
}

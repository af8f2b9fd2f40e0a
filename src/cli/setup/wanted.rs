//! What an account should have, as the settings say it: our URLs, the roads of our numbers. Pure.

use std::collections::BTreeSet;

use crate::cli::doors::Doors;
use crate::config::Settings;
use crate::config::kinds::Source;
use crate::pii::Pii;
use crate::twilio::sid::{ChatServiceSid, MessagingServiceSid};
use crate::webhook::{PublicBase, ROUTE, TEXT_ROUTES};

/// What makes Twilio bring a text again that was answered 503. Source: Connection overrides, read 2026-11-21.
const OVERRIDES: &str = "#rc=3&rp=5xx,ct,rt";

/// What is wanted.
#[derive(Clone, Debug)]
pub(super) struct WantedSetup {
    base: PublicBase,
    /// All that leads here.
    doors: Doors,
    /// The chat service, if the bot is in conversations.
    pub(super) service: Option<ChatServiceSid>,
    /// Addresses of ours that are to make conversations.
    pub(super) conversations: Vec<Pii>,
    /// Addresses of ours that the bot answers without conversations.
    pub(super) direct: Vec<Pii>,
    /// The messaging service that sends for them.
    pub(super) messaging_service: Option<MessagingServiceSid>,
    /// Whether what somebody else has set may be replaced.
    pub(super) take_over: bool,
    /// URLs that were set by an earlier setup, and so are ours.
    former: BTreeSet<String>,
}

/// Whose URL it is that is set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum WhoseUrl {
    /// None is set.
    Nobodys,
    /// This service's, as it signs.
    Ours,
    /// This service's, but not as it signs, or where another of it belongs.
    OursWrongly,
    /// Somebody else's.
    Foreign,
}

/// Why it cannot be said what is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnsaidWish {
    /// Twilio is off.
    #[error("TWILIO_ENABLED is false: there is no account to set up")]
    Off,
    /// Nobody knows our URL.
    #[error(
        "set CHIMEIN_WEBHOOK_PUBLIC_URL to what Twilio is to call, such as https://bot.example.com"
    )]
    Url,
    /// A number cannot make conversations.
    #[error(
        "--address is for numbers that make conversations, which need TWILIO_CHAT_SERVICE_SID and an API key; \
         see `chimein manual twilio`"
    )]
    NoService,
    /// A number is told to go both roads.
    #[error(
        "an --address is set to direct in CHIMEIN_MESSAGING_SOURCES: name it in one of the two"
    )]
    TwoRoads,
}

impl WantedSetup {
    /// Reads it from the settings and what the command was told.
    pub(super) fn read(
        settings: &Settings,
        named: &[Pii],
        take_over: bool,
        former: BTreeSet<String>,
    ) -> Result<Self, UnsaidWish> {
        let twilio = settings.twilio.as_ref().ok_or(UnsaidWish::Off)?;
        let url = settings.webhook.public_url.as_ref().ok_or(UnsaidWish::Url)?;
        let service = twilio.conversations.as_ref().map(|of| of.chat_service_sid);
        let messaging = &settings.messaging;
        let mut wanted = Self {
            base: PublicBase::new(url.as_typed()),
            doors: Doors::of(settings),
            service,
            conversations: Vec::new(),
            direct: Vec::new(),
            messaging_service: messaging.service_sid,
            take_over,
            former,
        };
        if service.is_none() {
            wanted.direct = messaging.addresses();
            return if named.is_empty() { Ok(wanted) } else { Err(UnsaidWish::NoService) };
        }
        let source = |address: &Pii| messaging.sources.of(address);
        if named.iter().any(|address| source(address) == Some(Source::Direct)) {
            return Err(UnsaidWish::TwoRoads);
        }
        for address in named.iter().cloned().chain(settings.conversation_addresses()) {
            if !wanted.conversations.contains(&address) {
                wanted.conversations.push(address);
            }
        }
        let is_direct =
            |one: &Pii| settings.road(one) == Source::Direct && !wanted.conversations.contains(one);
        wanted.direct = messaging.addresses().into_iter().filter(is_direct).collect();
        Ok(wanted)
    }

    /// Where events of conversations are to go.
    pub(super) fn events_url(&self) -> String {
        self.base.called(ROUTE)
    }

    /// Where texts of an address are to go.
    pub(super) fn texts_url(&self, address: Option<&Pii>) -> String {
        let is_whatsapp = address.is_some_and(|one| one.reveal().starts_with("whatsapp:"));
        let route = TEXT_ROUTES[usize::from(is_whatsapp)];
        format!("{}{OVERRIDES}", self.base.called(route))
    }

    /// Says whose the URL is that events go to.
    pub(super) fn whose_events(&self, set: Option<&str>) -> WhoseUrl {
        self.whose(set, |url| self.doors.takes_events(url))
    }

    /// Says whose the URL is that texts go to; one without overrides is not as it should be.
    pub(super) fn whose_texts(&self, set: Option<&str>) -> WhoseUrl {
        match self.whose(set, |url| self.doors.takes_texts(url)) {
            WhoseUrl::Ours if set.is_some_and(|set| !set.contains('#')) => WhoseUrl::OursWrongly,
            whose => whose,
        }
    }

    fn whose(&self, set: Option<&str>, is_right: impl FnOnce(&str) -> bool) -> WhoseUrl {
        let Some(set) = set else { return WhoseUrl::Nobodys };
        if is_right(set) {
            return WhoseUrl::Ours;
        }
        if self.doors.are_meant_by(set) || self.former.contains(set) {
            WhoseUrl::OursWrongly
        } else {
            WhoseUrl::Foreign
        }
    }

    /// Whether what is set may be replaced by ours.
    pub(super) const fn may_replace(&self, whose: WhoseUrl) -> bool {
        match whose {
            WhoseUrl::Nobodys | WhoseUrl::Ours | WhoseUrl::OursWrongly => true,
            WhoseUrl::Foreign => self.take_over,
        }
    }
}

#[cfg(test)]
impl WantedSetup {
    /// Wants nothing but that events come here.
    pub(super) fn nothing(base: &str) -> Self {
        Self {
            base: PublicBase::new(base),
            doors: Doors::at(base),
            service: None,
            conversations: Vec::new(),
            direct: Vec::new(),
            messaging_service: None,
            take_over: false,
            former: BTreeSet::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_ours_by_how_it_signs_and_by_what_setup_once_wrote() {
        let mut wanted = WantedSetup::nothing("https://bot.example.com/base");
        wanted.former.insert("https://old.example.com/webhooks/twilio".to_owned());
        for (set, events, texts) in [
            (None, WhoseUrl::Nobodys, WhoseUrl::Nobodys),
            (
                Some("https://bot.example.com/base/webhooks/twilio"),
                WhoseUrl::Ours,
                WhoseUrl::OursWrongly,
            ),
            (
                Some("https://bot.example.com/base/webhooks/twilio/sms#rc=1"),
                WhoseUrl::OursWrongly,
                WhoseUrl::Ours,
            ),
            (
                Some("https://bot.example.com/base/webhooks/twilio/sms"),
                WhoseUrl::OursWrongly,
                WhoseUrl::OursWrongly,
            ),
            (
                Some("https://Bot.example.com/base/webhooks/twilio"),
                WhoseUrl::OursWrongly,
                WhoseUrl::OursWrongly,
            ),
            (
                Some("https://old.example.com/webhooks/twilio"),
                WhoseUrl::OursWrongly,
                WhoseUrl::OursWrongly,
            ),
            (
                Some("http://bot.example.com/base/webhooks/twilio/"),
                WhoseUrl::OursWrongly,
                WhoseUrl::OursWrongly,
            ),
            (Some("https://bot.example.com/base/other"), WhoseUrl::Foreign, WhoseUrl::Foreign),
            (Some("https://bot.example.com.evil.example/"), WhoseUrl::Foreign, WhoseUrl::Foreign),
        ] {
            assert_eq!(wanted.whose_events(set), events, "{set:?}");
            assert_eq!(wanted.whose_texts(set), texts, "{set:?}");
        }
    }
}

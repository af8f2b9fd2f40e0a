//! What an account should have, as the settings say it: our URLs, the roads of our numbers. Pure.

use std::collections::BTreeSet;

use crate::config::Settings;
use crate::config::kinds::{Senders, Setting as _, Source};
use crate::pii::Pii;
use crate::twilio::sid::{ChatServiceSid, MessagingServiceSid};
use crate::twilio::signature::is_signed_as;
use crate::webhook::{PublicBase, ROUTE, TEXT_ROUTES, TEXT_STATUS_ROUTE};

/// What makes Twilio bring a text again that was answered 503. Source: Connection overrides, read 2026-11-21.
const OVERRIDES: &str = "#rc=3&rp=5xx,ct,rt";

/// What is wanted.
#[derive(Clone, Debug)]
pub(super) struct WantedSetup {
    base: PublicBase,
    /// Further paths of ours that texts arrive at.
    paths: Vec<String>,
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
            paths: messaging.paths.0.clone(),
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
        // A beginning of addresses, such as `whatsapp:`, names none.
        let whole = settings.join.addresses.0.iter().filter_map(|item| Senders::parse(item));
        let by_road =
            messaging.sources.addresses().filter(|one| source(one) == Some(Source::Conversations));
        let joined = whole.flat_map(|senders| senders.0);
        let all = named.iter().cloned().chain(joined).chain(by_road.cloned());
        for address in all {
            if source(&address) != Some(Source::Direct) && !wanted.conversations.contains(&address)
            {
                wanted.conversations.push(address);
            }
        }
        for address in messaging.addresses() {
            // As the service has it: conversations where there are any, unless it is told otherwise.
            match messaging.source(&address, Source::Conversations) {
                Source::Direct => wanted.direct.push(address),
                Source::Conversations if !wanted.conversations.contains(&address) => {
                    wanted.conversations.push(address);
                }
                Source::Conversations => {}
            }
        }
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
        self.whose(set, &[self.events_url()])
    }

    /// Says whose the URL is that texts go to; one without overrides is not as it should be.
    pub(super) fn whose_texts(&self, set: Option<&str>) -> WhoseUrl {
        let paths = TEXT_ROUTES.into_iter().chain(self.paths.iter().map(String::as_str));
        let ours: Vec<String> = paths.map(|path| self.base.called(path)).collect();
        match self.whose(set, &ours) {
            WhoseUrl::Ours if set.is_some_and(|set| !set.contains('#')) => WhoseUrl::OursWrongly,
            whose => whose,
        }
    }

    fn whose(&self, set: Option<&str>, ours: &[String]) -> WhoseUrl {
        let Some(set) = set else { return WhoseUrl::Nobodys };
        // The query comes with each request.
        let (typed, _) = set.split_once(['?', '#']).unwrap_or((set, ""));
        if ours.iter().any(|own| is_signed_as(typed, own)) {
            return WhoseUrl::Ours;
        }
        let is_meant = self.routes().any(|route| is_alike(typed, &self.base.called(route)));
        if is_meant || self.former.contains(set) {
            WhoseUrl::OursWrongly
        } else {
            WhoseUrl::Foreign
        }
    }

    /// Every path of ours that Twilio may be told of.
    fn routes(&self) -> impl Iterator<Item = &str> {
        let further = self.paths.iter().map(String::as_str);
        TEXT_ROUTES.into_iter().chain([ROUTE, TEXT_STATUS_ROUTE]).chain(further)
    }

    /// Whether what is set may be replaced by ours.
    pub(super) const fn may_replace(&self, whose: WhoseUrl) -> bool {
        match whose {
            WhoseUrl::Nobodys | WhoseUrl::Ours | WhoseUrl::OursWrongly => true,
            WhoseUrl::Foreign => self.take_over,
        }
    }
}

/// Whether two URLs mean the same place, though they may be signed otherwise: by scheme, case, a slash at the end.
fn is_alike(one: &str, other: &str) -> bool {
    let place = |url: &str| {
        let url = url.to_ascii_lowercase();
        let (_, place) = url.split_once("://").unwrap_or(("", &url));
        place.trim_end_matches('/').to_owned()
    };
    place(one) == place(other)
}

#[cfg(test)]
impl WantedSetup {
    /// Wants nothing but that events come here.
    pub(super) fn nothing(base: &str) -> Self {
        Self {
            base: PublicBase::new(base),
            paths: Vec::new(),
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

//! What this service is at Twilio: which URLs lead to it, which events it goes by, which right it needs. Pure.
//!
//! The doctor looks for it, and setup writes it.

use url::Url;

use crate::config::Settings;
use crate::net::place::place_of;
use crate::twilio::signature::is_signed_as;
use crate::webhook::{PublicBase, ROUTE, TEXT_ROUTES, TEXT_STATUS_ROUTE};

/// The events without which the bot learns of conversations by its sweep alone.
/// Source: Conversations webhooks, post-action events, read 2026-11-21.
pub(super) const EVENTS_NEEDED: [&str; 2] = ["onConversationAdded", "onMessageAdded"];

/// The event that tells how replies fare; the bot answers without it.
pub(super) const DELIVERIES: &str = "onDeliveryUpdated";

/// All events that the service goes by. Source: `chimein manual twilio`, step 4.
pub(super) const EVENTS: [&str; 7] = [
    EVENTS_NEEDED[0],
    "onConversationStateUpdated",
    "onConversationUpdated",
    EVENTS_NEEDED[1],
    "onParticipantAdded",
    "onParticipantRemoved",
    DELIVERIES,
];

/// What a role must allow for the bot to answer over the socket. Source: error 50107, read 2026-11-30; the
/// permission's name: Conversations, Permissions.
pub(super) const MAY_SEND: &str = "sendMessage";

/// The URLs of this service, as far as its settings know them.
#[derive(Clone, Debug)]
pub(super) struct Doors {
    base: Option<PublicBase>,
    text_paths: Vec<String>,
}

impl Doors {
    pub(super) fn of(all: &Settings) -> Self {
        let base = all.webhook.public_url.as_ref().map(|base| PublicBase::new(base.as_typed()));
        let own = TEXT_ROUTES.into_iter().map(str::to_owned);
        Self { base, text_paths: own.chain(all.messaging.paths.0.iter().cloned()).collect() }
    }

    /// The URL for the events of conversations, where it is known.
    pub(super) fn conversations(&self) -> Option<String> {
        self.base.as_ref().map(|base| base.called(ROUTE))
    }

    /// The URL for plain messages, where it is known, else how it ends.
    pub(super) fn texts(&self) -> String {
        match &self.base {
            Some(base) => base.called(TEXT_ROUTES[0]),
            None => format!("https://…{}", TEXT_ROUTES[0]),
        }
    }

    /// Whether a URL brings events of conversations here.
    pub(super) fn takes_events(&self, url: &str) -> bool {
        self.takes(url, [ROUTE])
    }

    /// Whether a URL brings plain messages here.
    pub(super) fn takes_texts(&self, url: &str) -> bool {
        self.takes(url, self.text_paths.iter().map(String::as_str))
    }

    /// Whether a URL is anywhere on this service.
    pub(super) fn has(&self, url: &str) -> bool {
        let Some(base) = &self.base else { return false };
        let (own, other) = (Url::parse(&base.called("/")), Url::parse(url));
        let (Ok(own), Ok(other)) = (own, other) else { return false };
        own.origin() == other.origin() && other.path().starts_with(own.path())
    }

    /// Whether a URL is meant to lead to one of our paths, though it may be signed otherwise: by scheme, case, a
    /// slash at the end.
    pub(super) fn are_meant_by(&self, url: &str) -> bool {
        let Some(base) = &self.base else { return false };
        let own = self.text_paths.iter().map(String::as_str).chain([ROUTE, TEXT_STATUS_ROUTE]);
        let typed = typed(url);
        own.into_iter().any(|path| is_alike(typed, &base.called(path)))
    }

    fn takes<'p>(&self, url: &str, paths: impl IntoIterator<Item = &'p str>) -> bool {
        let typed = typed(url);
        paths.into_iter().any(|path| match &self.base {
            Some(base) => is_signed_as(typed, &base.called(path)),
            None => Url::parse(typed).is_ok_and(|url| url.path().ends_with(path)),
        })
    }
}

/// A URL without its query, which comes with each request, and without what only Twilio reads.
fn typed(url: &str) -> &str {
    url.split_once(['?', '#']).map_or(url, |(typed, _)| typed)
}

/// Whether two URLs mean the same place.
fn is_alike(one: &str, other: &str) -> bool {
    let place = |url: &str| {
        let url = url.to_ascii_lowercase();
        let (_, place) = url.split_once("://").unwrap_or(("", &url));
        place.trim_end_matches('/').to_owned()
    };
    place(one) == place(other)
}

/// A URL as it may be shown.
pub(super) fn shown(url: &str) -> String {
    Url::parse(url).map_or_else(|_| "what is no URL".to_owned(), |url| place_of(&url))
}

#[cfg(test)]
impl Doors {
    /// Those of a service at this place.
    pub(super) fn at(base: &str) -> Self {
        let text_paths = TEXT_ROUTES.into_iter().map(str::to_owned).collect();
        Self { base: Some(PublicBase::new(base)), text_paths }
    }
}

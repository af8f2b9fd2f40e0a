//! Whether a URL that somebody has set at Twilio leads to this service. Pure.

use url::Url;

use crate::config::Settings;
use crate::net::place::place_of;
use crate::twilio::signature::is_signed_as;
use crate::webhook::{PublicBase, ROUTE, TEXT_ROUTES};

/// The URLs of this service, as far as its settings know them.
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

    fn takes<'p>(&self, url: &str, paths: impl IntoIterator<Item = &'p str>) -> bool {
        // The query comes with each request.
        let (typed, _) = url.split_once(['?', '#']).unwrap_or((url, ""));
        paths.into_iter().any(|path| match &self.base {
            Some(base) => is_signed_as(typed, &base.called(path)),
            None => Url::parse(typed).is_ok_and(|url| url.path().ends_with(path)),
        })
    }
}

/// A URL as it may be shown.
pub(super) fn shown(url: &str) -> String {
    Url::parse(url).map_or_else(|_| "what is no URL".to_owned(), |url| place_of(&url))
}

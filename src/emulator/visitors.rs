//! Who may talk to the emulator: those who call it by a name of its own, and no page of another origin.
//!
//! It gives its secrets to everybody who asks. What keeps them on the machine is that a browser lets a
//! page read only answers of its own origin, and a page gets around that by pointing its own name at
//! this address; so the name in `Host` has to be one that the emulator is meant to be called by. A
//! WebSocket is under no such rule, and neither is a write; there the page's origin is looked at, which
//! programs do not send. Knows headers alone: no I/O, no time.

use std::net::SocketAddr;

use axum::http::HeaderMap;
use url::Url;

use crate::http::caller::{self, Page};
use crate::net::authority::{Authority, Hosts};

/// By which names it may be called.
#[derive(Clone, Debug)]
pub(super) struct Visitors {
    own: SocketAddr,
    allowed: Hosts,
}

/// Why a request is not served.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Unwelcome {
    #[error(
        "the emulator is not called by this host; start it with --allow-host NAME if it is meant to be"
    )]
    Host,
    #[error(
        "a page of another origin may not do this; start the emulator with --allow-host NAME if it may"
    )]
    Origin,
}

impl Visitors {
    /// `own` is the bound address; its public URL's host and the listed ones are allowed besides it.
    pub(super) fn new(own: SocketAddr, public_url: Option<&Url>, listed: &Hosts) -> Self {
        let public = public_url.and_then(Url::host_str).and_then(|host| Hosts::new([host]));
        let allowed = public.unwrap_or_default().and(listed);
        Self { own, allowed }
    }

    /// Checks by which name a request calls.
    pub(super) fn check_host(&self, headers: &HeaderMap) -> Result<(), Unwelcome> {
        let host = caller::host(headers).and_then(Authority::parse);
        let is_own = |host: &Authority<'_>| self.is_own(host) || self.allowed.lists(host);
        host.filter(is_own).map(drop).ok_or(Unwelcome::Host)
    }

    /// Checks that no page of another origin asks, for what browsers let any page ask.
    pub(super) fn check_origin(&self, headers: &HeaderMap) -> Result<(), Unwelcome> {
        let origin = match Page::of(headers) {
            Page::None => return Ok(()),
            Page::Unreadable => None,
            Page::Of(place) => Authority::parse(place),
        };
        let host = caller::host(headers);
        let is_ours = origin.is_some_and(|origin| {
            let is_same = host.is_some_and(|host| host.eq_ignore_ascii_case(origin.as_str()));
            is_same || self.allowed.lists(&origin)
        });
        if is_ours { Ok(()) } else { Err(Unwelcome::Origin) }
    }

    /// Whether a host is the machine itself, or the address listened on: a page's name is neither.
    fn is_own(&self, host: &Authority<'_>) -> bool {
        let own = self.own.ip();
        host.is_this_machine()
            || host.address().is_some_and(|named| named == own || own.is_unspecified())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    #[test]
    fn only_names_of_its_own_are_answered() {
        let public = Url::parse("https://Emulator.Example/base").unwrap();
        let listed = Hosts::new(["twilio:4000"]).unwrap();
        let visitors = Visitors::new(address("127.0.0.1:4000"), Some(&public), &listed);
        for (host, is_welcome) in [
            ("127.0.0.1:4000", true),
            ("localhost:4000", true),
            ("LOCALHOST", true),
            ("[::1]:4000", true),
            ("127.8.9.10:1", true),
            ("emulator.example", true),
            ("twilio:4000", true),
            ("twilio:4001", false),
            ("rebound.example:4000", false),
            ("127.0.0.1.rebound.example", false),
            ("localhost.rebound.example", false),
            ("192.0.2.7:4000", false),
            ("", false),
            ("localhost/evil", false),
        ] {
            let checked = visitors.check_host(&headers(&[("host", host)]));
            assert_eq!(checked.is_ok(), is_welcome, "{host}");
        }
        assert_eq!(visitors.check_host(&headers(&[])), Err(Unwelcome::Host));
        let twice = headers(&[("host", "localhost"), ("host", "localhost")]);
        assert_eq!(visitors.check_host(&twice), Err(Unwelcome::Host));
        let everywhere = Visitors::new(address("0.0.0.0:4000"), None, &Hosts::default());
        for (host, is_welcome) in [("192.0.2.7:4000", true), ("rebound.example:4000", false)] {
            let checked = everywhere.check_host(&headers(&[("host", host)]));
            assert_eq!(checked.is_ok(), is_welcome, "{host}");
        }
    }

    #[test]
    fn programs_and_its_own_page_may_write_and_no_other_page() {
        let listed = Hosts::new(["bench.example"]).unwrap();
        let visitors = Visitors::new(address("127.0.0.1:4000"), None, &listed);
        for (origin, is_welcome) in [
            ("http://127.0.0.1:4000", true),
            ("https://bench.example:8443", true),
            ("http://127.0.0.1:4001", false),
            ("http://localhost:4000", false),
            ("http://rebound.example:4000", false),
            ("null", false),
            ("file://", false),
            ("", false),
        ] {
            let headers = headers(&[("host", "127.0.0.1:4000"), ("origin", origin)]);
            assert_eq!(visitors.check_origin(&headers).is_ok(), is_welcome, "{origin}");
        }
        assert_eq!(visitors.check_origin(&headers(&[("host", "127.0.0.1:4000")])), Ok(()));
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        headers
    }
}

//! Endpoints: where requests go and where listeners listen.
//!
//! Pure. A URL of the settings holds no user and no password, and what is shown of it ends before
//! its query, since either may hold a secret.

use std::fmt;
use std::net::SocketAddr;

use url::Url;

use super::{Setting, items, without_query};
use crate::net::authority::Hosts;
use crate::net::network::Network;
use crate::net::proxies::{DirectHosts, Proxy};
use crate::twilio::signature::is_callable;

/// A region or an edge location: one part of a host's name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostPart(String);

impl HostPart {
    /// Gives the part.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for HostPart {
    const WANTED: &'static str = "1 to 63 small letters and digits, hyphens between them";

    fn parse(text: &str) -> Option<Self> {
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        (text.len() <= 63 && text.split('-').all(is_word)).then(|| Self(text.to_owned()))
    }
}

/// Networks that connections come from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Networks(pub Vec<Network>);

/// How many networks can be named.
const NETWORKS_MAX: usize = 256;

impl Setting for Networks {
    const WANTED: &'static str =
        "addresses or networks such as 192.0.2.7, 10.0.0.0/8 or fd00::/8, separated by commas";

    fn parse(text: &str) -> Option<Self> {
        let networks: Option<Vec<Network>> = items(text).map(|item| item.parse().ok()).collect();
        networks.filter(|networks| networks.len() <= NETWORKS_MAX).map(Self)
    }
}

/// A place that requests go to; `Debug` shows no query, since one may hold a secret.
#[derive(Clone, Eq, PartialEq)]
pub struct Endpoint<const WEBSOCKET: bool>(Url);

impl<const WEBSOCKET: bool> Endpoint<WEBSOCKET> {
    /// Gives the URL.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.0
    }

    fn parse_with(text: &str, schemes: [&str; 2]) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let is_clean = url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
            && url.has_host();
        (is_clean && schemes.contains(&url.scheme())).then_some(Self(url))
    }
}

impl<const WEBSOCKET: bool> fmt::Debug for Endpoint<WEBSOCKET> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_query(self.0.as_str()))
    }
}

/// An endpoint of HTTP.
pub type HttpUrl = Endpoint<false>;

/// An endpoint of WebSocket.
pub type SocketUrl = Endpoint<true>;

impl Setting for HttpUrl {
    const WANTED: &'static str = "an http or https URL without user, password and fragment";

    fn parse(text: &str) -> Option<Self> {
        Self::parse_with(text, ["https", "http"])
    }
}

impl Setting for SocketUrl {
    const WANTED: &'static str = "a ws or wss URL without user, password and fragment";

    fn parse(text: &str) -> Option<Self> {
        Self::parse_with(text, ["wss", "ws"])
    }
}

/// Scheme, host and path prefix; the path and query of something else are put after it.
///
/// Keeps the text as it was typed beside the URL that it is read as: reading lowers the host's case,
/// drops dot segments and default ports and escapes blanks, and a signature covers none of that.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BaseUrl {
    typed: String,
    url: Url,
}

impl BaseUrl {
    /// Gives the text as it was typed.
    #[must_use]
    pub fn as_typed(&self) -> &str {
        &self.typed
    }

    /// Gives the URL, to tell the host or the scheme by.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }
}

impl Setting for BaseUrl {
    const WANTED: &'static str = "an http or https URL without user, password, query and fragment";

    fn parse(text: &str) -> Option<Self> {
        let url = HttpUrl::parse(text)?.0;
        let is_base = url.query().is_none() && is_callable(text);
        is_base.then(|| Self { typed: text.to_owned(), url })
    }
}

/// The addresses of NATS servers, at least one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NatsUrls(Vec<Url>);

impl NatsUrls {
    /// Gives the addresses.
    #[must_use]
    pub fn urls(&self) -> &[Url] {
        &self.0
    }
}

impl Setting for NatsUrls {
    const WANTED: &'static str = "addresses such as nats://localhost:4222 or tls://nats.example.com, \
         without user and password, separated by commas";

    fn parse(text: &str) -> Option<Self> {
        let address = |item: &str| {
            let url = Url::parse(item).ok()?;
            let is_clean = url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
                && matches!(url.path(), "" | "/")
                && url.has_host();
            (is_clean && ["nats", "tls"].contains(&url.scheme())).then_some(url)
        };
        let urls: Vec<Url> = super::items(text).map(address).collect::<Option<_>>()?;
        (!urls.is_empty()).then_some(Self(urls))
    }
}

impl Setting for Proxy {
    const WANTED: &'static str =
        "the URL of a proxy, such as http://user:password@proxy.example.com:3128";
    const SECRET: bool = true;

    fn parse(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

impl Setting for Hosts {
    const WANTED: &'static str = "hosts such as bot.example.com or bot.example.com:8443, without \
         scheme and path, separated by commas";

    fn parse(text: &str) -> Option<Self> {
        Self::new(super::items(text))
    }
}

impl Setting for DirectHosts {
    const WANTED: &'static str = "hosts separated by commas";

    fn parse(text: &str) -> Option<Self> {
        Some(Self::parse(text))
    }
}

/// Where a listener that can be switched off listens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Listen {
    /// Nowhere.
    Off,
    /// On this address.
    On(SocketAddr),
}

impl Setting for Listen {
    const WANTED: &'static str = "an address and port such as 127.0.0.1:9464, or off";

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.eq_ignore_ascii_case("off") {
            return Some(Self::Off);
        }
        text.parse().ok().map(Self::On)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_all_networks_or_none() {
        for (text, wanted) in [
            ("", Some(0)),
            ("10.0.0.0/8, ::1,", Some(2)),
            ("10.0.0.0/8 ::1", None),
            ("10.0.0.0/8, proxy.example.com", None),
        ] {
            assert_eq!(Networks::parse(text).map(|Networks(all)| all.len()), wanted, "{text}");
        }
    }

    #[test]
    fn urls_hold_no_credentials_and_show_no_query() {
        for text in [
            "https://user@example.com/",
            "https://user:password@example.com/",
            "https://example.com/#part",
            "ftp://example.com/",
            "example.com",
            "/turns",
        ] {
            assert_eq!(HttpUrl::parse(text), None, "{text}");
        }
        let url = HttpUrl::parse("https://example.com/turns?token=planted").unwrap();
        assert_eq!(format!("{url:?}"), "https://example.com/turns?…");
        assert_eq!(BaseUrl::parse("https://example.com/?a=b"), None);
        assert!(SocketUrl::parse("ws://127.0.0.1:9/v3/wsconnect").is_some());
        assert_eq!(SocketUrl::parse("http://127.0.0.1/"), None);
        let servers = NatsUrls::parse("nats://a:4222, tls://b").unwrap();
        assert_eq!(servers.urls().len(), 2);
        for text in ["", ",", "a:4222", "nats://u:planted@a", "nats://a/b", "nats://a,http://b"] {
            assert_eq!(NatsUrls::parse(text), None, "{text}");
        }
    }

    #[test]
    fn hosts_are_listed_without_scheme_and_path() {
        let hosts = |listed: &[&str]| Hosts::new(listed.iter().copied());
        assert_eq!(Hosts::parse(""), hosts(&[]));
        assert_eq!(
            Hosts::parse("a.example, b.example:8443"),
            hosts(&["a.example", "b.example:8443"])
        );
        for text in ["https://a.example", "a.example/p", "a.example,u@b.example", "*"] {
            assert_eq!(Hosts::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_base_is_kept_as_it_was_typed() {
        for text in [
            "https://Bot.Example.com",
            "https://h/a b",
            "https://h:443/x/../y/",
            "https://bücher.example/ü",
            "HTTP://h",
        ] {
            assert_eq!(BaseUrl::parse(text).unwrap().as_typed(), text);
        }
        for text in
            ["https:h", "https:/h", "https:\\\\h", "https://h/a\tb", "https://h?", "https://h/#"]
        {
            assert_eq!(BaseUrl::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_listener_can_be_off() {
        assert_eq!(Listen::parse("off"), Some(Listen::Off));
        assert_eq!(Listen::parse(""), Some(Listen::Off));
        assert_eq!(Listen::parse("0.0.0.0:80"), Some(Listen::On(([0, 0, 0, 0], 80).into())));
        assert_eq!(Listen::parse("9464"), None);
    }

    #[test]
    fn regions_and_edges_can_be_part_of_any_host() {
        for text in ["us1", "ie1", "dublin", "singapore-ix", "a"] {
            let part = HostPart::parse(text).unwrap();
            let url = format!("https://conversations.{}.twilio.com", part.as_str());
            assert!(Url::parse(&url).is_ok(), "{url}");
        }
        for text in ["", "-", "a-", "xn--a", "US1", "evil.example/", "a.b", "ü", &"x".repeat(64)] {
            assert_eq!(HostPart::parse(text), None, "{text}");
        }
    }
}

//! Which URL Twilio called, as far as it can be known behind proxies. Pure.
//!
//! A configured public base is taken before all else, because forwarded headers and `Host` are what
//! the sender chooses. They are used only where nothing is configured, and forge nothing by
//! themselves: a wrong URL only makes a signature fail.

use super::ROUTE;
use crate::twilio::signature::signed_url;

/// A listener's scheme.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Scheme, host and path prefix by which Twilio reaches this service, to the byte.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicBase(String);

impl PublicBase {
    /// Takes the base as it is configured.
    ///
    /// User info, query and fragment are never part of what is signed before the path, so they are
    /// dropped; so is [`ROUTE`] at its end, for those who configure the whole webhook URL.
    #[must_use]
    pub fn new(configured: &str) -> Self {
        let signed = signed_url(configured);
        let base = signed.split_once('?').map_or(signed.as_str(), |(base, _)| base);
        let base = base.trim_end_matches('/');
        Self(base.strip_suffix(ROUTE).unwrap_or(base).to_owned())
    }

    /// Gives the URL that was called below the base; `path_and_query` is the request line's.
    #[must_use]
    pub fn called(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.0)
    }
}

/// What a request says about the URL that was called.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hints<'a> {
    /// `Host`.
    pub(super) host: Option<&'a str>,
    /// `X-Forwarded-Proto`, if forwarded headers are trusted.
    pub(super) forwarded_proto: Option<&'a str>,
    /// `X-Forwarded-Host`, if forwarded headers are trusted.
    pub(super) forwarded_host: Option<&'a str>,
}

/// Builds the URL that was called; `path_and_query` is the request line's, as written there.
pub(super) fn called(
    base: Option<&PublicBase>,
    listener: Scheme,
    hints: Hints<'_>,
    path_and_query: &str,
) -> String {
    if let Some(base) = base {
        return base.called(path_and_query);
    }
    let scheme = first(hints.forwarded_proto).unwrap_or(listener.as_str());
    let host = first(hints.forwarded_host).or(hints.host).unwrap_or("");
    format!("{scheme}://{host}{path_and_query}")
}

/// The first value of a list: `https, https` has been seen behind two proxies.
fn first(list: Option<&str>) -> Option<&str> {
    list?.split(',').next().map(str::trim).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_base_wins_over_everything_a_request_says() {
        let hints = Hints {
            host: Some("internal:3000"),
            forwarded_proto: Some("http"),
            forwarded_host: Some("evil.example"),
        };
        for (base, url) in [
            ("https://bot.example.com", "https://bot.example.com/webhooks/twilio?a=%2F"),
            ("https://bot.example.com/", "https://bot.example.com/webhooks/twilio?a=%2F"),
            (
                "https://Bot.Example.com:8443/p/",
                "https://Bot.Example.com:8443/p/webhooks/twilio?a=%2F",
            ),
            ("https://u:p@h#rc=2", "https://h/webhooks/twilio?a=%2F"),
            ("https://h/p/webhooks/twilio", "https://h/p/webhooks/twilio?a=%2F"),
            ("https://h/webhooks/twilio?x=1", "https://h/webhooks/twilio?a=%2F"),
        ] {
            let base = PublicBase::new(base);
            let called = called(Some(&base), Scheme::Http, hints, "/webhooks/twilio?a=%2F");
            assert_eq!(called, url);
        }
    }

    #[test]
    fn forwarded_headers_come_before_the_host_and_their_first_value_counts() {
        for (proto, forwarded, url) in [
            (None, None, "http://internal:3000/w"),
            (Some("https"), None, "https://internal:3000/w"),
            (Some("https, http"), Some("bot.example.com , proxy"), "https://bot.example.com/w"),
            (Some(""), Some(" ,x"), "http://internal:3000/w"),
        ] {
            let hints = Hints {
                host: Some("internal:3000"),
                forwarded_proto: proto,
                forwarded_host: forwarded,
            };
            assert_eq!(called(None, Scheme::Http, hints, "/w"), url);
        }
        assert_eq!(called(None, Scheme::Https, Hints::default(), "/w"), "https:///w");
    }
}

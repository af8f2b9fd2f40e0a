//! Which URL Twilio called, as far as it can be known behind proxies. Pure.
//!
//! A configured public base is taken before all else, because forwarded headers and `Host` are what
//! the sender chooses. They are used only where nothing is configured, and then as one scheme of HTTP
//! and one strict `host[:port]` that is listed, or where any may be named. Both matter: nothing
//! stands between the URL and the fields in the text that is signed, so a host like
//! `vendor.example/hookAccountSidAC…` would make any text out of a request signed for another service.

use uuid::Uuid;

use crate::net::authority::{Authority, Hosts};
use crate::twilio::signature::signed_url;

/// Where events of Conversations arrive.
pub const ROUTE: &str = "/webhooks/twilio";

/// Where messages arrive that belong to no conversation.
pub const TEXT_ROUTES: [&str; 2] = ["/webhooks/twilio/sms", "/webhooks/twilio/whatsapp"];

/// Where Twilio says how such messages fare that we have sent; the reply's id is in the query.
pub const TEXT_STATUS_ROUTE: &str = "/webhooks/twilio/status";

/// The name that the reply's id has in the query.
pub(super) const REPLY: &str = "reply";

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
    /// dropped; so is a route at its end, for those who configure the whole webhook URL.
    #[must_use]
    pub fn new(configured: &str) -> Self {
        let signed = signed_url(configured);
        let base = signed.split_once('?').map_or(signed.as_str(), |(base, _)| base);
        let base = base.trim_end_matches('/');
        let mut routes = TEXT_ROUTES.into_iter().chain([TEXT_STATUS_ROUTE, ROUTE]);
        let stem = routes.find_map(|route| base.strip_suffix(route));
        Self(stem.unwrap_or(base).to_owned())
    }

    /// Gives the URL by which Twilio says how a reply fares.
    #[must_use]
    pub fn status_callback(&self, reply: Uuid) -> String {
        self.called(&format!("{TEXT_STATUS_ROUTE}?{REPLY}={reply}"))
    }

    /// Gives the URL that was called below the base; `path_and_query` is the request line's.
    #[must_use]
    pub fn called(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.0)
    }
}

/// What a request says about the URL that was called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hints<'a> {
    /// The scheme that the listener speaks.
    pub(super) listener: Scheme,
    /// `Host`.
    pub(super) host: Option<&'a str>,
    /// `X-Forwarded-Proto`, if forwarded headers are trusted.
    pub(super) forwarded_proto: Option<&'a str>,
    /// `X-Forwarded-Host`, if forwarded headers are trusted.
    pub(super) forwarded_host: Option<&'a str>,
}

/// Which hosts a request may name, where there is no public base.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Nameable {
    /// These.
    Listed(Hosts),
    /// Any: whoever has seen a request that Twilio signed for another service of the account can
    /// bring it here.
    Any,
}

/// Says why it is not known what was called.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Unknown {
    /// There is no host, or it is none.
    #[error("the request names no host of the form host[:port]")]
    Host,
    /// A proxy says that it was called by something else than HTTP.
    #[error("the forwarded scheme is neither http nor https")]
    Scheme,
    /// The host is another one.
    #[error("the host {host} is not in webhook.hosts")]
    Unlisted {
        /// Which one, well-formed.
        host: String,
    },
}

impl Unknown {
    /// Names the reason in one word of a closed set.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Scheme => "scheme",
            Self::Unlisted { .. } => "unlisted_host",
        }
    }
}

/// Builds the URL that was called; `path_and_query` is the request line's, as written there.
pub(super) fn called(
    base: Option<&PublicBase>,
    nameable: &Nameable,
    hints: Hints<'_>,
    path_and_query: &str,
) -> Result<String, Unknown> {
    if let Some(base) = base {
        return Ok(base.called(path_and_query));
    }
    let scheme = match first(hints.forwarded_proto) {
        None => hints.listener,
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
        Some(scheme) if scheme.eq_ignore_ascii_case("http") => Scheme::Http,
        Some(_) => return Err(Unknown::Scheme),
    };
    let named = first(hints.forwarded_host).or(hints.host).unwrap_or("");
    let host = Authority::parse(named).ok_or(Unknown::Host)?;
    match nameable {
        Nameable::Listed(hosts) if !hosts.lists(&host) => {
            Err(Unknown::Unlisted { host: named.to_owned() })
        }
        Nameable::Listed(_) | Nameable::Any => {
            Ok(format!("{}://{named}{path_and_query}", scheme.as_str()))
        }
    }
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
            forwarded_proto: Some("gopher"),
            forwarded_host: Some("evil.example/p"),
            ..HINTS
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
            ("https://h/p/webhooks/twilio/sms", "https://h/p/webhooks/twilio?a=%2F"),
            ("https://h/webhooks/twilio/whatsapp/", "https://h/webhooks/twilio?a=%2F"),
            ("https://h/webhooks/twilio/status", "https://h/webhooks/twilio?a=%2F"),
            ("https://h/sms", "https://h/sms/webhooks/twilio?a=%2F"),
        ] {
            let base = PublicBase::new(base);
            let called = called(Some(&base), &none(), hints, "/webhooks/twilio?a=%2F");
            assert_eq!(called.as_deref(), Ok(url));
        }
    }

    #[test]
    fn a_reply_is_told_of_below_the_base() {
        let base = PublicBase::new("https://h/p/webhooks/twilio/sms");
        assert_eq!(
            base.status_callback(Uuid::from_u128(7)),
            "https://h/p/webhooks/twilio/status?reply=00000000-0000-0000-0000-000000000007"
        );
    }

    #[test]
    fn forwarded_headers_come_before_the_host_and_their_first_value_counts() {
        for (proto, forwarded, url) in [
            (None, None, "http://internal:3000/w"),
            (Some("https"), None, "https://internal:3000/w"),
            (Some("HTTPS, http"), Some("bot.example.com , proxy"), "https://bot.example.com/w"),
            (Some(""), Some(" ,x"), "http://internal:3000/w"),
        ] {
            let hints = Hints { forwarded_proto: proto, forwarded_host: forwarded, ..HINTS };
            assert_eq!(called(None, &Nameable::Any, hints, "/w").as_deref(), Ok(url));
        }
        let hints = Hints { listener: Scheme::Https, ..HINTS };
        let url = called(None, &Nameable::Any, hints, "/w");
        assert_eq!(url.as_deref(), Ok("https://internal:3000/w"));
    }

    #[test]
    fn a_request_cannot_write_more_than_a_scheme_and_a_host() {
        let unlisted = |host: &str| Err(Unknown::Unlisted { host: host.to_owned() });
        for (proto, host, nameable, expected) in [
            ("https", "bot.example.com", listed(), Ok("https://bot.example.com/w".to_owned())),
            ("https", "Bot.example.com:1", listed(), Ok("https://Bot.example.com:1/w".to_owned())),
            ("https", "vendor.example", listed(), unlisted("vendor.example")),
            ("https", "vendor.example", Nameable::Any, Ok("https://vendor.example/w".to_owned())),
            ("https", "vendor.example", none(), unlisted("vendor.example")),
            ("https", "vendor.example/hookAccountSidAC", Nameable::Any, Err(Unknown::Host)),
            ("https", "u@bot.example.com", Nameable::Any, Err(Unknown::Host)),
            ("https", "bot.example.com?a", listed(), Err(Unknown::Host)),
            ("https", "a b", Nameable::Any, Err(Unknown::Host)),
            ("https://vendor.example/hook", "bot.example.com", listed(), Err(Unknown::Scheme)),
            ("ftp", "bot.example.com", Nameable::Any, Err(Unknown::Scheme)),
        ] {
            let forwarded =
                Hints { forwarded_proto: Some(proto), forwarded_host: Some(host), ..HINTS };
            assert_eq!(called(None, &nameable, forwarded, "/w"), expected, "{proto} {host}");
            let own = Hints { forwarded_proto: Some(proto), host: Some(host), ..HINTS };
            assert_eq!(called(None, &nameable, own, "/w"), expected, "{proto} {host}");
        }
        let nobody = Hints { host: None, ..HINTS };
        assert_eq!(called(None, &Nameable::Any, nobody, "/w"), Err(Unknown::Host));
    }

    const HINTS: Hints<'static> = Hints {
        listener: Scheme::Http,
        host: Some("internal:3000"),
        forwarded_proto: None,
        forwarded_host: None,
    };

    fn listed() -> Nameable {
        Nameable::Listed(Hosts::new(["bot.example.com"]).unwrap())
    }

    fn none() -> Nameable {
        Nameable::Listed(Hosts::default())
    }
}

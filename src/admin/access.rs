//! Who may call the admin listener, and the debug pages wherever they are.
//!
//! Decides by a bearer token, and where none is asked for, by who cannot be a web page: a browser on the
//! operator's machine calls whatever a page tells it to, also under a name that leads here only since a
//! moment ago (DNS rebinding), and it says so in `Host` and `Origin`. So every route of the admin listener,
//! health too, stands behind a [`HostGate`] that knows by which names it may be called. A token is compared by
//! digest, so that the time taken says nothing about it.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::http::caller::{self, Page};
use crate::http::problem::problem;
use crate::net::authority::{Authority, Hosts};

/// Who may call.
#[derive(Clone, Debug)]
pub enum Access {
    /// Whoever has this token.
    Token(SecretString),
    /// Whoever is on this machine.
    Loopback,
    /// Whoever is on this machine, or has this token.
    LoopbackOr(SecretString),
    /// Nobody.
    Closed,
}

impl Access {
    /// Decides for what an operator does and sees, by where the listener is and whether there is a token.
    #[must_use]
    pub fn new(listen: SocketAddr, token: Option<SecretString>) -> Self {
        match token {
            Some(token) => Self::Token(token),
            None if is_near(listen) => Self::Loopback,
            None => Self::Closed,
        }
    }

    /// Decides for metrics, which programs on the same machine collect without a token.
    #[must_use]
    pub fn to_metrics(listen: SocketAddr, token: Option<SecretString>) -> Self {
        match token {
            Some(token) if is_near(listen) => Self::LoopbackOr(token),
            token => Self::new(listen, token),
        }
    }

    /// Lets in whoever has the token, and nobody where there is none.
    #[must_use]
    pub fn by_token(token: Option<SecretString>) -> Self {
        token.map_or(Self::Closed, Self::Token)
    }

    /// Whether a request comes from a program or a browser on this machine, and that is enough here.
    #[must_use]
    pub fn is_open_to(&self, headers: &HeaderMap) -> bool {
        matches!(self, Self::Loopback) && is_of_this_machine(headers)
    }

    /// Says why a request is not let in.
    fn refusal(&self, headers: &HeaderMap) -> Option<NotAllowed> {
        match self {
            Self::Token(token) if !carries(headers, token) => Some(NotAllowed::NoToken),
            Self::Token(_) => (!is_of_its_own(headers)).then_some(NotAllowed::Foreign),
            Self::Loopback => (!is_of_this_machine(headers)).then_some(NotAllowed::Foreign),
            Self::LoopbackOr(token) => {
                let has_token = carries(headers, token) && is_of_its_own(headers);
                (!has_token && !is_of_this_machine(headers)).then_some(NotAllowed::Foreign)
            }
            Self::Closed => Some(NotAllowed::Closed),
        }
    }
}

/// By which names the admin listener may be called, before any of its routes is reached.
///
/// A browser that was led here by a name of somebody else's says that name in `Host`; by an address, or by
/// `localhost`, nobody can lead it. Whoever carries a token is no browser that was led.
#[derive(Clone, Debug, Default)]
pub struct HostGate {
    hosts: Hosts,
    tokens: Vec<SecretString>,
}

impl HostGate {
    /// Lets in whoever calls by an address, by `localhost` or by one of these names, or carries a token.
    #[must_use]
    pub const fn new(hosts: Hosts, tokens: Vec<SecretString>) -> Self {
        Self { hosts, tokens }
    }

    /// Sets it before every route of a router, its fallback included.
    pub fn before(self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self, pass))
    }

    fn is_open_to(&self, headers: &HeaderMap) -> bool {
        is_of_its_own(headers) && (self.is_known_by(headers) || self.is_carried_by(headers))
    }

    /// Whether the name is one that nobody else can have, or none: a browser always says one.
    fn is_known_by(&self, headers: &HeaderMap) -> bool {
        if !headers.contains_key(header::HOST) {
            return true;
        }
        let host = caller::host(headers).and_then(Authority::parse);
        host.is_some_and(|host| {
            host.address().is_some() || host.is_this_machine() || self.hosts.lists(&host)
        })
    }

    fn is_carried_by(&self, headers: &HeaderMap) -> bool {
        self.tokens.iter().any(|token| carries(headers, token))
    }
}

async fn pass(State(gate): State<HostGate>, request: Request, next: Next) -> Response {
    if gate.is_open_to(request.headers()) {
        return next.run(request).await;
    }
    let detail = "call by an address, by localhost, or by a name of CHIMEIN_ADMIN_HOSTS, and from no page of \
                  another origin";
    problem(StatusCode::FORBIDDEN, "forbidden_host", detail)
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum NotAllowed {
    NoToken,
    Foreign,
    Closed,
}

impl NotAllowed {
    fn answer(self) -> Response {
        match self {
            Self::NoToken => {
                let detail = "send the token of admin.debug_token as Authorization: Bearer …";
                let mut answer = problem(StatusCode::UNAUTHORIZED, "unauthorized", detail);
                let scheme = header::HeaderValue::from_static("Bearer");
                answer.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
                answer
            }
            Self::Foreign => {
                let detail = "no web page may call, and without a token only programs on this machine, by \
                              its loopback address";
                problem(StatusCode::FORBIDDEN, "forbidden_origin", detail)
            }
            Self::Closed => {
                let detail = "set CHIMEIN_ADMIN_DEBUG_TOKEN and send it; without one only an admin \
                              listener on a loopback address (CHIMEIN_ADMIN_LISTEN) answers";
                problem(StatusCode::FORBIDDEN, "no_token_configured", detail)
            }
        }
    }
}

/// Lets a request through, or answers it.
pub(super) async fn guard(State(access): State<Access>, request: Request, next: Next) -> Response {
    match access.refusal(request.headers()) {
        None => next.run(request).await,
        Some(refusal) => refusal.answer(),
    }
}

fn is_near(listen: SocketAddr) -> bool {
    listen.ip().to_canonical().is_loopback()
}

/// Whether a request carries the token as its one bearer token.
fn carries(headers: &HeaderMap, token: &SecretString) -> bool {
    let Ok(Some(value)) = caller::one(headers, &header::AUTHORIZATION) else { return false };
    let Some((scheme, given)) = value.split_once(' ') else { return false };
    scheme.eq_ignore_ascii_case("bearer") && is_same(given.trim(), token)
}

/// Whether a text is the token, in a time that does not tell how much of it is right.
#[must_use]
pub fn is_same(given: &str, token: &SecretString) -> bool {
    Sha256::digest(given) == Sha256::digest(token.expose_secret())
}

/// Whether the caller is a program on this machine, and no page that makes a browser on it call.
fn is_of_this_machine(headers: &HeaderMap) -> bool {
    let host = caller::host(headers).and_then(Authority::parse);
    host.is_some_and(|host| host.is_this_machine()) && is_of_its_own(headers)
}

/// Whether the caller is no page of somebody else: `Origin` is what `Host` says, where there is one.
fn is_of_its_own(headers: &HeaderMap) -> bool {
    match Page::of(headers) {
        Page::None => true,
        Page::Unreadable => false,
        Page::Of(place) => caller::host(headers) == Some(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_listener_is_and_a_token_decide_who_may_call() {
        for (listen, token, operate, metrics) in [
            ("127.0.0.1:9464", None, "Loopback", "Loopback"),
            ("[::1]:9464", None, "Loopback", "Loopback"),
            ("[::ffff:127.0.0.1]:9464", None, "Loopback", "Loopback"),
            ("0.0.0.0:9464", None, "Closed", "Closed"),
            ("10.0.0.7:9464", None, "Closed", "Closed"),
            ("0.0.0.0:9464", Some("planted"), "Token(", "Token("),
            ("127.0.0.1:9464", Some("planted"), "Token(", "LoopbackOr("),
        ] {
            let (listen, token) = (listen.parse().unwrap(), token.map(SecretString::from));
            let found = [Access::new(listen, token.clone()), Access::to_metrics(listen, token)];
            let shown = found.map(|found| format!("{found:?}"));
            assert!(shown[0].starts_with(operate) && shown[1].starts_with(metrics), "{shown:?}");
            assert!(!shown.concat().contains("planted"));
        }
        assert!(matches!(Access::by_token(None), Access::Closed));
    }

    #[test]
    fn without_a_token_only_programs_on_this_machine_get_through() {
        let foreign = Some(NotAllowed::Foreign);
        for (headers, refusal) in [
            (&[("host", "127.0.0.1:9464")][..], None),
            (&[("host", "LocalHost")], None),
            (&[("host", "[::1]:9464")], None),
            (&[("host", "[::1]"), ("origin", "http://[::1]")], None),
            (&[], foreign),
            (&[("host", "")], foreign),
            (&[("host", "rebound.example")], foreign),
            (&[("host", "127.0.0.1.evil.example")], foreign),
            (&[("host", "u@127.0.0.1")], foreign),
            (&[("host", "127.0.0.1"), ("host", "rebound.example")], foreign),
            (&[("host", "127.0.0.1"), ("origin", "null")], foreign),
            (&[("host", "127.0.0.1"), ("origin", "http://127.0.0.1:3000")], foreign),
        ] {
            assert_eq!(Access::Loopback.refusal(&given(headers)), refusal, "{headers:?}");
            let or_token = Access::LoopbackOr("planted".into());
            assert_eq!(or_token.refusal(&given(headers)), refusal, "{headers:?}");
            assert_eq!(Access::Closed.refusal(&given(headers)), Some(NotAllowed::Closed));
        }
    }

    #[test]
    fn with_the_token_every_name_is_good_but_no_foreign_page() {
        let (host, right) = (("host", "a.example"), ("authorization", "Bearer planted"));
        for (headers, refusal) in [
            (&[host, right][..], None),
            (&[host, right, ("origin", "https://a.example")], None),
            (&[host, right, ("origin", "https://b.example")], Some(NotAllowed::Foreign)),
            (&[host, right, right], Some(NotAllowed::NoToken)),
            (&[host, ("authorization", "Bearer other")], Some(NotAllowed::NoToken)),
            (&[host], Some(NotAllowed::NoToken)),
        ] {
            let access = Access::Token("planted".into());
            assert_eq!(access.refusal(&given(headers)), refusal, "{headers:?}");
            let near = Access::LoopbackOr("planted".into());
            assert_eq!(near.refusal(&given(headers)).is_none(), refusal.is_none(), "{headers:?}");
        }
    }

    #[test]
    fn no_name_of_somebody_elses_leads_to_any_route() {
        let hosts = Hosts::new(["chimein.example"]).unwrap();
        let gate = HostGate::new(hosts, vec!["planted".into()]);
        let right = ("authorization", "Bearer planted");
        for (headers, is_open) in [
            (&[][..], true),
            (&[("host", "127.0.0.1:9464")], true),
            (&[("host", "10.0.0.7:9464")], true),
            (&[("host", "[fd00::7]:9464")], true),
            (&[("host", "localhost:9464")], true),
            (&[("host", "chimein.example")], true),
            (&[("host", "chimein.example"), ("origin", "https://chimein.example")], true),
            (&[("host", "rebound.example")], false),
            (&[("host", "rebound.example"), ("origin", "http://rebound.example")], false),
            (&[("host", "rebound.example"), ("authorization", "Bearer other")], false),
            (&[("host", "prometheus.example"), right], true),
            (&[("host", "prometheus.example"), right, ("origin", "null")], false),
            (&[("host", "127.0.0.1:9464"), ("origin", "http://127.0.0.1:3000")], false),
            (&[("host", "127.0.0.1:9464"), ("origin", "http://evil.example")], false),
            (&[("host", "127.0.0.1"), ("host", "rebound.example")], false),
            (&[("host", "")], false),
        ] {
            assert_eq!(gate.is_open_to(&given(headers)), is_open, "{headers:?}");
        }
    }

    fn given(headers: &[(&'static str, &str)]) -> HeaderMap {
        let mut given = HeaderMap::new();
        for (name, value) in headers {
            given.append(*name, value.parse().unwrap());
        }
        given
    }
}

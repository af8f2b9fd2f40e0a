//! Who calls: the other end of the connection, and what a request's head says, also of by which name.
//!
//! A header that came twice is believed in neither form. Knows heads alone: no I/O, no time.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, HeaderName, header};

/// The page that makes a browser call, as far as `Origin` tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Page<'a> {
    /// None: a program, which sends no origin.
    None,
    /// One whose origin cannot be read.
    Unreadable,
    /// One of this host and port.
    Of(&'a str),
}

impl<'a> Page<'a> {
    /// Reads the origin.
    #[must_use]
    pub fn of(headers: &'a HeaderMap) -> Self {
        let Ok(origin) = one(headers, &header::ORIGIN) else { return Self::Unreadable };
        let Some(origin) = origin else { return Self::None };
        let place = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        place.map_or(Self::Unreadable, Self::Of)
    }
}

/// The address of the other end of a request's connection, where the listener has noted it.
#[must_use]
pub fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip())
}

/// The name by which a request calls; `None` if it names none, or several.
#[must_use]
pub fn host(headers: &HeaderMap) -> Option<&str> {
    one(headers, &header::HOST).ok().flatten()
}

/// A header has several values, or one that is no text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotOneText;

/// The one value of a header, if it is there.
///
/// # Errors
///
/// [`NotOneText`].
pub fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, NotOneText> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| NotOneText),
        (Some(_), Some(_)) => Err(NotOneText),
    }
}

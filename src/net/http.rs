//! The one way to make an HTTP client, and to read for how long a server wants to be left alone.
//!
//! Decides what all of them have in common: the TLS configuration and the proxies that are given,
//! nothing taken from the process's environment; no redirect is followed, no request repeated, no
//! referer told. I/O: none before the client is used, but [`direct`] reads the system's certificates.

use std::time::{Duration, UNIX_EPOCH};

use reqwest::ClientBuilder;

use super::proxies::Proxies;
use super::public::PublicNames;
use super::tls;
use crate::clock::Timestamp;

/// The longest wait that a `Retry-After` may ask for; a longer one is cut to this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// Says why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no TLS configuration.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The client could not be made of its options.
    #[error("the http client could not be made")]
    Client(#[from] reqwest::Error),
}

/// Whether a server was reached and then took too long; who could not be reached in time has done nothing.
#[must_use]
pub fn is_too_slow(error: &reqwest::Error) -> bool {
    error.is_timeout() && !error.is_connect()
}

/// Begins a client that goes by these proxies; times and sizes are the caller's to add.
pub fn builder(tls: rustls::ClientConfig, proxies: &Proxies) -> ClientBuilder {
    let builder = ClientBuilder::new()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false);
    if proxies.are_none() {
        return builder.no_proxy();
    }
    let proxies = proxies.clone();
    let chosen = move |url: &url::Url| proxies.of(url).map(|proxy| proxy.url().clone());
    builder.proxy(reqwest::Proxy::custom(chosen))
}

/// Begins a client for places that an answer from outside has named: it goes by no proxy, and of names to
/// addresses of the internet at large only. Whoever names an address instead is the caller's to judge, by
/// [`super::public::is_led_inside`].
pub fn public(tls: rustls::ClientConfig) -> ClientBuilder {
    builder(tls, &Proxies::default()).dns_resolver(PublicNames)
}

/// Begins a client that goes by no proxy, for what is on this machine or near it.
///
/// # Errors
///
/// If there is no TLS configuration.
pub fn direct() -> Result<ClientBuilder, tls::Error> {
    let (tls, _) = tls::client_config()?;
    Ok(builder(tls, &Proxies::default()))
}

/// Reads a `Retry-After`, seconds or a date, cut to [`RETRY_AFTER_MAX`].
#[must_use]
pub fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse::<u64>() {
        Ok(secs) => Duration::from_secs(secs),
        Err(_) => {
            let at = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
            let at = i64::try_from(at.as_millis()).ok()?;
            Timestamp::from_millis(at).since(now)
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date_and_never_above_an_hour() {
        let now = Timestamp::parse_rfc3339("2026-11-21T04:00:00Z").unwrap();
        for (text, secs) in [
            ("0", Some(0)),
            (" 17 ", Some(17)),
            ("86400", Some(3600)),
            ("Sat, 21 Nov 2026 04:01:30 GMT", Some(90)),
            ("Sat, 21 Nov 2026 03:00:00 GMT", Some(0)),
            ("Sun, 22 Nov 2026 04:00:00 GMT", Some(3600)),
            ("soon", None),
            ("-1", None),
            ("99999999999999999999999", None),
            ("", None),
            ("7", Some(7)),
            ("999999", Some(3600)),
            ("Thu, 01 Jan 1970 00:00:10 GMT", Some(0)),
            ("Fri, 01 Jan 2100 00:00:00 GMT", Some(3600)),
        ] {
            assert_eq!(retry_after(text, now), secs.map(Duration::from_secs), "{text}");
        }
    }
}

//! The one way to make an HTTP client.
//!
//! Decides what all of them have in common: the TLS configuration and the proxies that are given,
//! nothing taken from the process's environment; no redirect is followed, no request repeated, no
//! referer told. I/O: none before the client is used, but [`direct`] reads the system's certificates.

use reqwest::ClientBuilder;

use super::proxies::Proxies;
use super::tls;

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

/// Begins a client that goes by no proxy, for what is on this machine or near it.
///
/// # Errors
///
/// If there is no TLS configuration.
pub fn direct() -> Result<ClientBuilder, tls::Error> {
    let (tls, _) = tls::client_config()?;
    Ok(builder(tls, &Proxies::default()))
}

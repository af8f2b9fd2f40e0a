//! The one TLS configuration that every client of this program uses.
//!
//! Decides which roots are trusted: the system's, which `SSL_CERT_FILE` and `SSL_CERT_DIR` replace,
//! or where there are none, as in a bare container, those compiled in. The provider is `ring`; no
//! ALPN is offered, because a WebSocket must not be answered with HTTP/2. I/O: reads the system's
//! certificates once, when called.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// Where the trusted roots came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Roots {
    /// The system, or the file or directory that the environment names.
    System {
        /// How many roots were taken.
        count: usize,
        /// How many certificates or places could not be read.
        unreadable: usize,
    },
    /// The copy of Mozilla's roots that is compiled in.
    CompiledIn,
}

/// Says why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
#[error("setting up tls")]
pub struct Error(#[source] rustls::Error);

/// Builds the configuration and says which roots it trusts.
///
/// # Errors
///
/// Where the provider lacks what TLS 1.2 and 1.3 need.
pub fn client_config() -> Result<(ClientConfig, Roots), Error> {
    let (store, roots) = self::roots();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error)?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok((config, roots))
}

/// Gathers whom we trust, for clients that make their configuration themselves.
#[must_use]
pub fn roots() -> (RootCertStore, Roots) {
    let loaded = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    let (count, ignored) = store.add_parsable_certificates(loaded.certs);
    let roots = if count == 0 {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        Roots::CompiledIn
    } else {
        Roots::System { count, unreadable: ignored + loaded.errors.len() }
    };
    (store, roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_trusts_somebody_and_offers_no_alpn() {
        let (config, roots) = client_config().unwrap();
        assert!(config.alpn_protocols.is_empty());
        match roots {
            Roots::System { count, .. } => assert!(count > 0),
            Roots::CompiledIn => assert!(!webpki_roots::TLS_SERVER_ROOTS.is_empty()),
        }
    }
}

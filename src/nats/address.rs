//! The address of a NATS server. Pure.
//!
//! Takes `nats://` and `tls://` with host and port. User and password belong into the settings, where
//! they are secrets; an address that carries them is refused, and never shown.

use std::fmt;

use async_nats::ServerAddr;
use url::Url;

/// The address of a NATS server, such as `nats://localhost:4222`.
#[derive(Clone, Eq, PartialEq)]
pub struct ServerAddress {
    url: Url,
    server: ServerAddr,
}

/// Says why a text is no address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AddressError {
    /// It is no URL of the kind.
    #[error("it must be an address like nats://localhost:4222 or tls://nats.example.com:4222")]
    Form,
    /// It carries a user or a password.
    #[error("it must not carry user or password: set CHIMEIN_NATS_USER and CHIMEIN_NATS_PASSWORD")]
    UserInfo,
}

impl ServerAddress {
    /// Reads an address; `nats://` may be left out.
    ///
    /// # Errors
    ///
    /// If it is none, or carries a user.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let full = if text.contains("://") { text.to_owned() } else { format!("nats://{text}") };
        let url = Url::parse(&full).map_err(|_| AddressError::Form)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressError::UserInfo);
        }
        let is_known = matches!(url.scheme(), "nats" | "tls") && url.host_str().is_some();
        let has_rest = !matches!(url.path(), "" | "/") || url.query().is_some();
        if !is_known || has_rest {
            return Err(AddressError::Form);
        }
        let server = ServerAddr::from_url(url.clone()).map_err(|_| AddressError::Form)?;
        Ok(Self { url, server })
    }

    /// The address as the client wants it.
    #[must_use]
    pub fn server(&self) -> ServerAddr {
        self.server.clone()
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host) = (self.url.scheme(), self.server.host());
        write!(f, "{scheme}://{host}:{}", self.server.port())
    }
}

impl fmt::Debug for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_with_their_port() {
        for (given, shown) in [
            ("nats://localhost:4222", "nats://localhost:4222"),
            ("localhost", "nats://localhost:4222"),
            ("tls://nats.example.com", "tls://nats.example.com:4222"),
            ("nats://10.0.0.1:5222/", "nats://10.0.0.1:5222"),
        ] {
            assert_eq!(ServerAddress::parse(given).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "http://localhost:4222", "nats://", "nats://a/b", "nats://a:x", "a b"] {
            assert_eq!(ServerAddress::parse(text), Err(AddressError::Form), "{text}");
        }
        let given = ServerAddress::parse("nats://user:secret@localhost:4222");
        assert_eq!(given, Err(AddressError::UserInfo));
    }
}

//! Basic authentication: the account with its token, or the API key with its secret.
//!
//! Pure; compares in constant time by comparing hashes.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::emulator::options::Credentials;

/// Whether the request may be served.
pub(in crate::emulator) fn check(credentials: &Credentials, headers: &HeaderMap) -> bool {
    let Some((user, password)) = basic(headers) else { return false };
    let pairs = [
        (credentials.account_sid.to_string(), &credentials.auth_token),
        (credentials.api_key.to_string(), &credentials.api_secret),
    ];
    pairs.iter().any(|(name, secret)| *name == user && is_same(secret, &password))
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn is_same(secret: &SecretString, given: &str) -> bool {
    Sha256::digest(secret.expose_secret().as_bytes()) == Sha256::digest(given.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::state::ids::Ids;

    #[test]
    fn the_account_and_the_key_may_in_and_nobody_else() {
        let credentials = Credentials::made_up(&mut Ids::seeded(1));
        let token = credentials.auth_token.expose_secret().to_owned();
        let secret = credentials.api_secret.expose_secret().to_owned();
        let (account, key) = (credentials.account_sid.to_string(), credentials.api_key.to_string());
        for (user, password, may) in [
            (&account, &token, true),
            (&key, &secret, true),
            (&account, &secret, false),
            (&key, &token, false),
            (&account, &String::new(), false),
        ] {
            let mut headers = HeaderMap::new();
            let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            assert_eq!(check(&credentials, &headers), may);
        }
        assert!(!check(&credentials, &HeaderMap::new()));
    }
}

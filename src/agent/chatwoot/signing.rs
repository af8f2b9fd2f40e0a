//! The signature that Chatwoot puts on what it posts. Pure: the time is an argument.
//!
//! `X-Chatwoot-Signature: sha256=` and the HMAC-SHA256 in hexadecimal of `<timestamp>.<body>`, with the
//! time in seconds in `X-Chatwoot-Timestamp`, and an id of the delivery in `X-Chatwoot-Delivery`.
//! Source: Chatwoot's API definition, `webhook`, `secret` (as the JSON Schema of api-evangelist/chatwoot has it),
//! read 2026-11-30. That the key is the secret's own text is from tests of programs that check it, read 2026-11-29.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::clock::Timestamp;

/// The header with the signature.
pub(super) const SIGNATURE: &str = "x-chatwoot-signature";
/// The header with the time of signing, in seconds since the epoch.
pub(super) const TIMESTAMP: &str = "x-chatwoot-timestamp";
/// The header with the id of the delivery.
pub(super) const DELIVERY: &str = "x-chatwoot-delivery";

/// Signs a body: gives the value of the header [`SIGNATURE`].
pub(super) fn sign(secret: &SecretString, at: Timestamp, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
        .expect("HMAC takes keys of every length");
    for part in [at.as_secs().to_string().as_bytes(), b".", body] {
        mac.update(part);
    }
    let mut text = "sha256=".to_owned();
    for byte in mac.finalize().into_bytes() {
        write!(text, "{byte:02x}").expect("a String takes any text");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_others_compute() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret
        let at = Timestamp::from_millis(1_700_000_000_999);
        let signature = sign(&"secret".into(), at, br#"{"a":1}"#);
        let expected = "sha256=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686";
        assert_eq!(signature, expected);
    }
}

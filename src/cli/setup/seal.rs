//! Old values that may hold a secret, sealed so that the copy of them tells nobody.
//!
//! A URL that somebody else has set may have a password or a key in it. It has to come back byte for byte, so it
//! is kept, encrypted under a key that is made of the account's auth token: whoever may undo has that anyway.
//! ChaCha20-Poly1305 with a random nonce; what the value belongs to is bound to it. It is written in hexadecimal
//! digits: who looks for the beginning of a token in a file does not meet one by chance. Randomness enters here.

use std::fmt::Write as _;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::SecretString;

use crate::bytes16::nibble;
use crate::derived_key::DerivedKey;

/// Tells the key from all else that is made of the token.
const LABEL: &[u8] = b"chimein setup: old values";

/// Seals and opens.
pub(super) struct Seal(LessSafeKey);

/// Says why a value is not sealed or opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The system gives no random bytes.
    #[error("the system gives no random bytes to seal an old value with")]
    Random,
    /// It was sealed with another token, or somebody has changed it.
    #[error(
        "an old value was sealed with another TWILIO_AUTH_TOKEN: run it with the token of that time"
    )]
    Token,
}

impl Seal {
    /// Makes the key of an account's token.
    pub(super) fn of(token: &SecretString) -> Self {
        let bytes = DerivedKey::of(token, LABEL).sign(b"1");
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes);
        Self(LessSafeKey::new(key.expect("a digest has the length of a key")))
    }

    /// Seals a value of what `of` names.
    pub(super) fn close(&self, of: &str, value: &str) -> Result<String, Error> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| Error::Random)?;
        let mut bytes = value.as_bytes().to_vec();
        let aad = Aad::from(of.as_bytes());
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes)
            .map_err(|_| Error::Random)?;
        Ok(digits(nonce.iter().chain(&bytes)))
    }

    /// Opens it again.
    pub(super) fn open(&self, of: &str, sealed: &str) -> Result<String, Error> {
        let bytes = bytes_of(sealed).ok_or(Error::Token)?;
        let (nonce, rest) = bytes.split_at_checked(NONCE_LEN).ok_or(Error::Token)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Error::Token)?;
        let mut rest = rest.to_vec();
        let aad = Aad::from(of.as_bytes());
        let opened = self.0.open_in_place(nonce, aad, &mut rest).map_err(|_| Error::Token)?;
        String::from_utf8(opened.to_vec()).map_err(|_| Error::Token)
    }
}

fn digits<'b>(bytes: impl Iterator<Item = &'b u8>) -> String {
    bytes.fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes any text");
        text
    })
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_bytes().as_chunks() else { return None };
    pairs.iter().map(|&[high, low]| Some(nibble(high)? << 4 | nibble(low)?)).collect()
}

/// Whether a value may hold a secret: a URL with a user's name, a query, or something behind `#` that is no
/// connection override.
pub(super) fn must_be_sealed(text: &str) -> bool {
    let (place, fragment) = text.split_once('#').unwrap_or((text, ""));
    let is_override = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        name.len() <= 2 && value.len() <= 12
    };
    let is_url = place.contains("://");
    is_url
        && (place.contains('?')
            || place.contains('@')
            || !(fragment.is_empty() || fragment.split('&').all(is_override)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_comes_back_with_the_same_token_and_place_alone() {
        let (seal, other) = (Seal::of(&"planted".into()), Seal::of(&"other".into()));
        let sealed = seal.close("place", "https://a:b@c/?d=e").unwrap();
        assert!(!sealed.contains("a:b"), "{sealed}");
        assert!(sealed.bytes().all(|byte| byte.is_ascii_hexdigit()), "{sealed}");
        assert_eq!(seal.open("place", &sealed).as_deref(), Ok("https://a:b@c/?d=e"));
        assert_ne!(seal.close("place", "https://a:b@c/?d=e").unwrap(), sealed);
        assert_eq!(other.open("place", &sealed), Err(Error::Token));
        assert_eq!(seal.open("elsewhere", &sealed), Err(Error::Token));
        for broken in ["", "AAAA", "AAA", "%", &sealed[4..]] {
            assert_eq!(seal.open("place", broken), Err(Error::Token), "{broken}");
        }
    }

    #[test]
    fn a_url_with_a_password_a_query_or_an_odd_fragment_is_sealed() {
        for (text, must) in [
            ("https://h.example/x", false),
            ("https://h.example/x#rc=3&rp=5xx,ct,rt", false),
            ("https://u:p@h.example/x", true),
            ("https://h.example/x?key=1", true),
            ("https://h.example/x#secret-of-somebody", true),
            ("onMessageAdded", false),
            ("", false),
        ] {
            assert_eq!(must_be_sealed(text), must, "{text}");
        }
    }
}

//! Keys that are made of a secret of the installation, and what is signed with them. Pure.
//!
//! All instances have the secret, so all make the same keys. A label tells one key from all else that is
//! made with the same secret.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;

/// A key.
#[derive(Clone, Debug)]
pub struct DerivedKey(SecretSlice<u8>);

impl DerivedKey {
    /// Makes the key of a label.
    #[must_use]
    pub fn of(secret: &SecretString, label: &[u8]) -> Self {
        let key = keyed(secret.expose_secret().as_bytes(), label).finalize().into_bytes();
        Self(SecretSlice::from(key.to_vec()))
    }

    /// Signs a text.
    #[must_use]
    pub fn sign(&self, text: &[u8]) -> [u8; 32] {
        keyed(self.0.expose_secret(), text).finalize().into_bytes().into()
    }

    /// Whether a signature is the text's, in a time that does not tell how much of it is right.
    #[must_use]
    pub fn signed(&self, text: &[u8], signature: &[u8]) -> bool {
        keyed(self.0.expose_secret(), text).verify_slice(signature).is_ok()
    }
}

fn keyed(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(text);
    mac
}

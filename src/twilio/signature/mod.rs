//! `X-Twilio-Signature`: how Twilio signs a request, and whether a request was signed by it.
//!
//! The signed text is the URL that was called, to the byte, and after it, for a form, every distinct
//! name and value in byte order with nothing between. A body of any other type is covered by its
//! SHA-256 in the URL's query (`bodySHA256`). The text is signed by HMAC: SHA-1 with the account's
//! auth token, or what the settings header says with a shared key.
//! Source: Security, "Validating requests", read 2026-11-21; shared keys: Webhook shared keys
//! (public beta), read 2026-11-21, and the python helper 9.13.0, which has them.
//!
//! Because nothing stands between names and values, `a=bc` and `ab=c` sign alike: take meaning from
//! expected names only, and never build the URL out of what the sender chooses.
//!
//! Pure. Secrets come in with [`Keys`] and leave only inside an HMAC; an [`Error`] holds neither
//! signature, nor secret, nor body, and URLs without the values of their query. Compares are constant
//! time, and every key that may have signed is tried, so that timing does not tell which one did.

mod url;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::twilio::form::Form;

pub use self::url::{is_callable, is_signed_as, signed_url, without_values};

/// The header that holds the signature.
pub const HEADER: &str = "X-Twilio-Signature";

/// The header that names the shared key and the algorithm, where one signs.
pub const SETTINGS_HEADER: &str = "X-Twilio-Webhooks-Signature-Settings";

/// The query parameter that covers a body which is no form. Its name is case-sensitive.
pub const BODY_HASH_PARAMETER: &str = "bodySHA256";

/// What signs: the hash under the HMAC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    /// HMAC with SHA-1, the rule.
    HmacSha1,
    /// HMAC with SHA-256, with shared keys only.
    HmacSha256,
}

/// What a signature covers besides the URL.
#[derive(Clone, Copy)]
pub enum Body<'a> {
    /// A GET: all fields are in the query already.
    None,
    /// A form, raw as it came.
    Form(&'a [u8]),
    /// A form that has been read already.
    ReadForm(&'a Form<'a>),
    /// Any other body, raw as it came; the URL's query holds its hash.
    Other(&'a [u8]),
}

impl<'a> Body<'a> {
    /// Tells the kind from method and content type, never from the URL.
    ///
    /// No content type and no body is a form without fields.
    #[must_use]
    pub fn of(method: &str, content_type: Option<&str>, bytes: &'a [u8]) -> Self {
        let essence = content_type.unwrap_or("").split(';').next().unwrap_or("").trim();
        if method.eq_ignore_ascii_case("GET") {
            Self::None
        } else if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
            || (essence.is_empty() && bytes.is_empty())
        {
            Self::Form(bytes)
        } else {
            Self::Other(bytes)
        }
    }
}

/// A request as far as its signature matters.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The public URL that Twilio called, as it is written there, without a fragment.
    pub url: &'a str,
    /// What was sent.
    pub body: Body<'a>,
    /// Every value of [`HEADER`]; exactly one is wanted.
    pub signatures: &'a [&'a [u8]],
    /// Every value of [`SETTINGS_HEADER`]; none or one is wanted.
    pub settings: &'a [&'a [u8]],
}

/// A secret that a customer made for signing, known by its id.
#[derive(Clone, Debug)]
pub struct SharedKey {
    /// The id in the settings header, `webhooks_sharedkey_…`.
    pub id: String,
    /// The secret.
    pub secret: SecretString,
}

/// The secrets that may have signed.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Auth tokens: the primary one, and during a rotation the one that will be promoted.
    pub auth_tokens: Vec<SecretString>,
    /// Shared keys; one of these signs only when the settings header names it.
    pub shared: Vec<SharedKey>,
}

/// Says why a request is not taken as signed by Twilio.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no signature header.
    #[error("the signature header is missing")]
    Missing,
    /// There is more than one value where one is wanted.
    #[error("the {header} header came {count} times")]
    Repeated {
        /// Which header.
        header: &'static str,
        /// How many values came.
        count: usize,
    },
    /// The signature is not base64 of the algorithm's length.
    #[error("the signature is not base64 of {wanted} bytes")]
    Malformed {
        /// The length of the algorithm's output.
        wanted: usize,
    },
    /// The settings header cannot be read.
    #[error("the signature settings cannot be read")]
    Settings,
    /// The settings header names an algorithm that nobody knows.
    #[error("the signature settings name an unknown algorithm")]
    UnknownAlgorithm,
    /// No secret is configured for what the request says has signed it.
    #[error("no key is configured for {0}")]
    NoKey(Signer),
    /// A body that is no form came without its hash in the URL.
    #[error("the url carries no {BODY_HASH_PARAMETER} for a body that is no form")]
    NoBodyHash {
        /// The URL, without the values of its query.
        url: String,
    },
    /// The body is not the one that was signed.
    #[error("the body does not match {BODY_HASH_PARAMETER}")]
    BodyHash {
        /// The URL, without the values of its query.
        url: String,
    },
    /// No key and no way of writing the URL gives this signature.
    #[error("no match with {keys} key(s) of {signer} over {}", .tried.join(", "))]
    Mismatch {
        /// Whose keys were tried.
        signer: Signer,
        /// How many keys were tried.
        keys: usize,
        /// Every URL that was tried, without the values of its query.
        tried: Vec<String>,
    },
}

impl Error {
    /// Names the reason in one word of a closed set, for a counter or a log field.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Repeated { .. } => "repeated",
            Self::Malformed { .. } => "malformed",
            Self::Settings => "settings",
            Self::UnknownAlgorithm => "unknown_algorithm",
            Self::NoKey(_) => "no_key",
            Self::NoBodyHash { .. } => "no_body_hash",
            Self::BodyHash { .. } => "body_hash",
            Self::Mismatch { .. } => "mismatch",
        }
    }

    /// Gives the URLs that were tried, without the values of their queries.
    #[must_use]
    pub fn tried(&self) -> &[String] {
        match self {
            Self::Mismatch { tried, .. } => tried,
            Self::NoBodyHash { url } | Self::BodyHash { url } => std::slice::from_ref(url),
            Self::Missing
            | Self::Repeated { .. }
            | Self::Malformed { .. }
            | Self::Settings
            | Self::UnknownAlgorithm
            | Self::NoKey(_) => &[],
        }
    }
}

/// Whose secret a request says has signed it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signer {
    /// The account, with its auth token.
    AuthToken,
    /// A shared key, named in the settings header.
    SharedKey,
}

impl std::fmt::Display for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AuthToken => "the auth token",
            Self::SharedKey => "the shared key",
        })
    }
}

/// Signs a request the way Twilio does and gives the header's value.
///
/// For [`Body::Other`] the URL must carry the hash already, see [`url_with_body_hash`].
#[must_use]
pub fn sign(secret: &SecretString, algorithm: Algorithm, url: &str, body: Body<'_>) -> String {
    let tail = tail(body);
    match algorithm {
        Algorithm::HmacSha1 => STANDARD.encode(mac::<Hmac<Sha1>>(secret, url, &tail).into_bytes()),
        Algorithm::HmacSha256 => {
            STANDARD.encode(mac::<Hmac<Sha256>>(secret, url, &tail).into_bytes())
        }
    }
}

/// Appends a body's hash to the query of the URL that is to be called with it.
#[must_use]
pub fn url_with_body_hash(url: &str, body: &[u8]) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{BODY_HASH_PARAMETER}={}", body_hash(body))
}

/// Decides whether a request was signed with one of `keys`.
///
/// # Errors
///
/// Gives the reason where it was not; see [`Error`].
pub fn verify(keys: &Keys, request: &Request<'_>) -> Result<(), Error> {
    let signature = match request.signatures {
        [] => return Err(Error::Missing),
        [one] => *one,
        several => return Err(Error::Repeated { header: HEADER, count: several.len() }),
    };
    let (signer, algorithm, secrets) = signing_secrets(keys, request.settings)?;
    if secrets.is_empty() {
        return Err(Error::NoKey(signer));
    }
    if let Body::Other(bytes) = request.body {
        check_body_hash(request.url, bytes)?;
    }
    let wanted = match algorithm {
        Algorithm::HmacSha1 => Sha1::output_size(),
        Algorithm::HmacSha256 => Sha256::output_size(),
    };
    let signature = STANDARD
        .decode(signature)
        .ok()
        .filter(|bytes| bytes.len() == wanted)
        .ok_or(Error::Malformed { wanted })?;
    let tail = tail(request.body);
    let candidates = url::candidates(request.url);
    for candidate in &candidates {
        // All keys, also after a match: timing must not tell which one it was.
        let matching = secrets
            .iter()
            .filter(|secret| match algorithm {
                Algorithm::HmacSha1 => matches::<Hmac<Sha1>>(secret, candidate, &tail, &signature),
                Algorithm::HmacSha256 => {
                    matches::<Hmac<Sha256>>(secret, candidate, &tail, &signature)
                }
            })
            .count();
        if matching > 0 {
            return Ok(());
        }
    }
    let tried = candidates.iter().map(|candidate| without_values(candidate)).collect();
    Err(Error::Mismatch { signer, keys: secrets.len(), tried })
}

/// The secrets that the settings header allows: it never turns one kind of key into the other.
///
/// Source: python helper 9.13.0: no header, an empty one, or one without `algorithm=` means SHA-1
/// with the auth token; the algorithm's name is read without case.
fn signing_secrets<'k>(
    keys: &'k Keys,
    settings: &[&[u8]],
) -> Result<(Signer, Algorithm, Vec<&'k SecretString>), Error> {
    let settings = match settings {
        [] => "",
        [one] => std::str::from_utf8(one).map_err(|_| Error::Settings)?,
        several => {
            return Err(Error::Repeated { header: SETTINGS_HEADER, count: several.len() });
        }
    };
    let setting = |wanted: &str| {
        settings
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .find(|(name, _)| name.trim() == wanted)
            .map(|(_, value)| value.trim())
    };
    let Some(algorithm) = setting("algorithm") else {
        return Ok((Signer::AuthToken, Algorithm::HmacSha1, keys.auth_tokens.iter().collect()));
    };
    let algorithm = if algorithm.eq_ignore_ascii_case("HMAC_SHA1") {
        Algorithm::HmacSha1
    } else if algorithm.eq_ignore_ascii_case("HMAC_SHA256") {
        Algorithm::HmacSha256
    } else {
        return Err(Error::UnknownAlgorithm);
    };
    let id = setting("key").ok_or(Error::Settings)?;
    let named = keys.shared.iter().filter(|key| key.id == id).map(|key| &key.secret).collect();
    Ok((Signer::SharedKey, algorithm, named))
}

fn check_body_hash(url: &str, body: &[u8]) -> Result<(), Error> {
    let (_, query) = url.split_once('?').unwrap_or((url, ""));
    let query = Form::parse(query.as_bytes());
    match query.first(BODY_HASH_PARAMETER) {
        None => Err(Error::NoBodyHash { url: without_values(url) }),
        Some(hash) if hash == body_hash(body) => Ok(()),
        Some(_) => Err(Error::BodyHash { url: without_values(url) }),
    }
}

fn body_hash(body: &[u8]) -> String {
    let mut hex = String::with_capacity(2 * Sha256::output_size());
    for byte in Sha256::digest(body) {
        write!(hex, "{byte:02x}").expect("a String takes any text");
    }
    hex
}

/// What is signed after the URL.
///
/// Names are sorted, then the distinct values of each; the joined strings are not what is sorted.
fn tail(body: Body<'_>) -> Vec<u8> {
    match body {
        Body::None | Body::Other(_) => Vec::new(),
        Body::Form(bytes) => form_tail(&Form::parse(bytes)),
        Body::ReadForm(form) => form_tail(form),
    }
}

fn form_tail(form: &Form<'_>) -> Vec<u8> {
    let mut pairs: Vec<_> = form.pairs().collect();
    pairs.sort_unstable();
    pairs.dedup();
    let length = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
    let mut text = Vec::with_capacity(length);
    for (name, value) in pairs {
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(value.as_bytes());
    }
    text
}

fn mac<M: KeyInit + Mac>(
    secret: &SecretString,
    url: &str,
    tail: &[u8],
) -> hmac::digest::CtOutput<M> {
    keyed::<M>(secret, url, tail).finalize()
}

fn matches<M: KeyInit + Mac>(
    secret: &SecretString,
    url: &str,
    tail: &[u8],
    signature: &[u8],
) -> bool {
    keyed::<M>(secret, url, tail).verify_slice(signature).is_ok()
}

fn keyed<M: KeyInit + Mac>(secret: &SecretString, url: &str, tail: &[u8]) -> M {
    let mut mac = <M as KeyInit>::new_from_slice(secret.expose_secret().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(url.as_bytes());
    mac.update(tail);
    mac
}

#[cfg(test)]
mod tests;

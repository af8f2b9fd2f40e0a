//! Signatures by the Standard Webhooks scheme, made and checked. Pure: the time is an argument.
//!
//! The signed text is `<webhook-id>.<webhook-timestamp>.<body>`; the signature is `v1,` and the base64
//! of its HMAC-SHA256. The header may list several signatures, divided by blanks, so that a secret can
//! be rotated. Source: Standard Webhooks specification, "Signature scheme", read 2026-11-21.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;

use crate::clock::Timestamp;

/// Header with the message id, which is the idempotency key.
pub const ID: &str = "webhook-id";
/// Header with the time of signing, in seconds since the epoch.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// Header with the signatures.
pub const SIGNATURE: &str = "webhook-signature";
/// How far the signer's clock may be from ours, to limit replays. The specification leaves the
/// number open; its reference libraries take five minutes.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// The shared secret of both sides.
#[derive(Clone, Debug)]
pub struct Secret(SecretSlice<u8>);

/// Why a secret cannot be used. Never holds the secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SecretError {
    /// The text is no base64.
    #[error("not a Standard Webhooks secret: wanted whsec_ followed by base64")]
    NotBase64,
    /// The key has another length than the specification allows.
    #[error("a Standard Webhooks secret has 24 to 64 bytes, this one has {0}")]
    Length(usize),
}

impl Secret {
    /// Reads `whsec_<base64>`; the prefix may be missing.
    ///
    /// # Errors
    ///
    /// If the text is no base64, or the key is shorter than 24 or longer than 64 bytes.
    pub fn parse(text: &SecretString) -> Result<Self, SecretError> {
        let text = text.expose_secret().trim();
        let key = BASE64
            .decode(text.strip_prefix("whsec_").unwrap_or(text))
            .map_err(|_| SecretError::NotBase64)?;
        if !(24..=64).contains(&key.len()) {
            return Err(SecretError::Length(key.len()));
        }
        Ok(Self(SecretSlice::from(key)))
    }

    /// Makes a secret that nobody has.
    #[must_use]
    pub fn random() -> Self {
        let halves = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(uuid::Uuid::into_bytes);
        Self(SecretSlice::from(halves.concat()))
    }

    /// As both sides write it into their settings.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        format!("whsec_{}", BASE64.encode(self.0.expose_secret())).into()
    }

    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret())
            .expect("HMAC takes keys of every length");
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }
}

/// Why a request is refused. Never holds a signature or a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// One of the three headers is missing or unreadable.
    #[error("header {0} is missing or malformed")]
    Header(&'static str),
    /// The time of signing is too far from now.
    #[error("header webhook-timestamp is more than five minutes from this machine's clock")]
    Stale,
    /// No signature fits.
    #[error("no signature in header webhook-signature fits the body")]
    Mismatch,
}

/// Signs a body: gives the value of the header [`SIGNATURE`].
#[must_use]
pub fn sign(secret: &Secret, id: &str, at: Timestamp, body: &[u8]) -> String {
    let mac = secret.mac(id, &at.as_secs().to_string(), body);
    format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
}

/// The three headers of a signed request.
#[must_use]
pub fn headers(
    secret: &Secret,
    id: &str,
    at: Timestamp,
    body: &[u8],
) -> [(&'static str, String); 3] {
    [
        (ID, id.to_owned()),
        (TIMESTAMP, at.as_secs().to_string()),
        (SIGNATURE, sign(secret, id, at, body)),
    ]
}

/// What the headers of a request say, as far as it can be judged without its body.
#[derive(Clone, Copy, Debug)]
pub struct HeaderClaim<'a> {
    id: &'a str,
    timestamp: &'a str,
    signatures: &'a str,
}

/// Checks the three headers before there is a body: that they are there, that the time is about now,
/// and that something in them has the form of a signature.
///
/// # Errors
///
/// See [`Error`].
pub fn claim<'a>(headers: &Headers<'a>, now: Timestamp) -> Result<HeaderClaim<'a>, Error> {
    let id = headers.id.filter(|id| !id.is_empty()).ok_or(Error::Header(ID))?;
    let timestamp = headers.timestamp.ok_or(Error::Header(TIMESTAMP))?;
    let seconds: i64 = timestamp.parse().map_err(|_| Error::Header(TIMESTAMP))?;
    let signed = Timestamp::from_millis(seconds.saturating_mul(1000));
    if now.since(signed) > TOLERANCE || signed.since(now) > TOLERANCE {
        return Err(Error::Stale);
    }
    let signatures = headers.signature.ok_or(Error::Header(SIGNATURE))?;
    let claim = HeaderClaim { id, timestamp, signatures };
    if claim.given().next().is_none() { Err(Error::Mismatch) } else { Ok(claim) }
}

impl HeaderClaim<'_> {
    /// Checks a body against what its headers claim; all listed signatures are tried.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`].
    pub fn prove(&self, secret: &Secret, body: &[u8]) -> Result<(), Error> {
        // Every listed signature is computed, so that timing does not tell which one fits.
        let mut fits = false;
        for given in self.given() {
            let mac = secret.mac(self.id, self.timestamp, body);
            fits |= mac.verify_slice(&given).is_ok();
        }
        if fits { Ok(()) } else { Err(Error::Mismatch) }
    }

    /// The listed signatures that have the form of one.
    fn given(&self) -> impl Iterator<Item = Vec<u8>> {
        let entries = self.signatures.split(' ').take(SIGNATURES_MAX);
        let given = entries.filter_map(|entry| BASE64.decode(entry.strip_prefix("v1,")?).ok());
        given.filter(|given| given.len() == MAC_BYTES)
    }
}

/// Checks a body against its three headers.
///
/// # Errors
///
/// See [`Error`].
pub fn verify(
    secret: &Secret,
    headers: &Headers<'_>,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Error> {
    claim(headers, now)?.prove(secret, body)
}

/// Bytes of an HMAC-SHA256.
const MAC_BYTES: usize = 32;

/// How many listed signatures are looked at; a rotation needs two.
const SIGNATURES_MAX: usize = 8;

/// The three headers of a request, as far as they are there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// `webhook-id`.
    pub id: Option<&'a str>,
    /// `webhook-timestamp`.
    pub timestamp: Option<&'a str>,
    /// `webhook-signature`.
    pub signature: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret::parse(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).unwrap()
    }

    // Source: Standard Webhooks reference libraries, test vector of their READMEs, read 2026-11-21.
    const ID_GIVEN: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const AT: Timestamp = Timestamp::from_millis(1_614_265_330_000);
    const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn headers(signature: &str) -> Headers<'_> {
        Headers { id: Some(ID_GIVEN), timestamp: Some("1614265330"), signature: Some(signature) }
    }

    #[test]
    fn signs_as_the_reference_libraries_do() {
        assert_eq!(sign(&secret(), ID_GIVEN, AT, BODY), SIGNED);
    }

    #[test]
    fn any_fitting_signature_of_the_list_is_enough() {
        for list in [SIGNED.to_owned(), format!("v1,AAAA {SIGNED}"), format!("{SIGNED} v1a,zzz")] {
            assert_eq!(verify(&secret(), &headers(&list), BODY, AT), Ok(()), "{list}");
        }
    }

    #[test]
    fn forged_changed_old_and_incomplete_requests_are_refused() {
        let later = AT + Duration::from_secs(301);
        assert_eq!(verify(&secret(), &headers(SIGNED), b"{}", AT), Err(Error::Mismatch));
        assert_eq!(verify(&secret(), &headers("v1,AAAA"), BODY, AT), Err(Error::Mismatch));
        assert_eq!(verify(&secret(), &headers(""), BODY, AT), Err(Error::Mismatch));
        assert_eq!(verify(&secret(), &headers(SIGNED), BODY, later), Err(Error::Stale));
        assert_eq!(
            verify(&secret(), &headers(SIGNED), BODY, AT.before(Duration::from_secs(301))),
            Err(Error::Stale)
        );
        let forms = [headers("v1,AAAA"), headers("v2,AAAA"), headers("")];
        for refused in forms.map(|headers| claim(&headers, AT).map(|_| ()).unwrap_err()) {
            assert_eq!(refused, Error::Mismatch, "without a body");
        }
        let none = Headers::default();
        assert_eq!(verify(&secret(), &none, BODY, AT), Err(Error::Header(ID)));
        let no_time = Headers { timestamp: Some("soon"), ..headers(SIGNED) };
        assert_eq!(verify(&secret(), &no_time, BODY, AT), Err(Error::Header(TIMESTAMP)));
    }

    #[test]
    fn secrets_that_are_no_secrets_are_refused_without_being_shown() {
        let made = Secret::random().to_text();
        assert_eq!(Secret::parse(&made).unwrap().to_text().expose_secret(), made.expose_secret());
        assert_eq!(Secret::parse(&"whsec_!!".into()).unwrap_err(), SecretError::NotBase64);
        assert_eq!(Secret::parse(&"whsec_AAAA".into()).unwrap_err(), SecretError::Length(3));
        assert!(!format!("{:?}", secret()).contains("MfKQ"));
    }
}

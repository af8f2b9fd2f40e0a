//! Access tokens: what lets the bot open a realtime session, and how the other side checks one.
//!
//! A token is a JWT signed with HS256 by the secret of an API key. [`mint`] writes the claims that
//! Twilio's own helper libraries write; [`verify`] is for the emulator, which stands for Twilio. The
//! time comes in as an argument, so nothing here reads a clock; the secret leaves only inside an HMAC.
//! Source: access token protocol notes, header and claims, observed with the REST helper; Access
//! Tokens, read 2026-11-21.
//!
//! The `jsonwebtoken` crate wants a process-wide provider of cryptography; [`install_crypto`] installs
//! one that knows HS256 and nothing else, so that no other algorithm can be asked for by a header.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result as JwtResult};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::clock::Timestamp;
use crate::pii::Pii;
use crate::twilio::sid::{AccountSid, ApiKeySid, ChatServiceSid};

/// The longest lifetime that Twilio takes. Source: Access Tokens, read 2026-11-21.
pub const LIFETIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The lifetime that Twilio's helper libraries give. Source: node helper 6.2.0.
pub const LIFETIME_DEFAULT: Duration = Duration::from_secs(60 * 60);

const CONTENT_TYPE: &str = "twilio-fpa;v=1";

/// A token and when it ends.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The token.
    pub jwt: SecretString,
    /// When it ends.
    pub expires: Timestamp,
}

/// What a token is to say.
#[derive(Clone, Debug)]
pub struct Request {
    /// The account.
    pub account_sid: AccountSid,
    /// The API key whose secret signs.
    pub key_sid: ApiKeySid,
    /// The chat service that may be used.
    pub service_sid: ChatServiceSid,
    /// Who the bearer is.
    pub identity: String,
    /// How long it lasts, above zero and at most [`LIFETIME_MAX`].
    pub lifetime: Duration,
    /// The region, where it is not `us1`.
    pub region: Option<String>,
}

/// What a valid token says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// The account.
    pub account_sid: AccountSid,
    /// The API key that signed.
    pub key_sid: ApiKeySid,
    /// The chat service that may be used.
    pub service_sid: ChatServiceSid,
    /// Who the bearer is.
    pub identity: Pii,
    /// When it ends.
    pub expires: Timestamp,
}

/// Says why a token cannot be made or is not taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The wanted lifetime is zero or longer than Twilio takes.
    #[error("an access token lasts above 0 s and at most {} s", LIFETIME_MAX.as_secs())]
    Lifetime,
    /// The process uses another provider of cryptography, which cannot sign.
    #[error("the installed jwt provider cannot sign with hs256")]
    Provider,
    /// It is no JWT, or its claims are not those of an access token.
    #[error("not an access token")]
    Malformed,
    /// It is signed with something else than HS256, or is of another content type.
    #[error("not signed as access tokens are")]
    Header,
    /// Nobody knows the key that it names.
    #[error("the access token names the unknown key {0}")]
    UnknownKey(ApiKeySid),
    /// The signature is not the key's.
    #[error("the access token's signature is wrong")]
    Signature,
    /// It has run out.
    #[error("the access token expired at {0}")]
    Expired(Timestamp),
    /// It is not valid yet.
    #[error("the access token is not valid before {0}")]
    NotYet(Timestamp),
    /// It names nobody.
    #[error("the access token grants no identity")]
    NoIdentity,
    /// It allows no chat service.
    #[error("the access token grants no chat service")]
    NoService,
}

#[derive(Deserialize, Serialize)]
struct TokenClaims {
    jti: String,
    grants: Grants,
    iat: i64,
    exp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    iss: ApiKeySid,
    sub: AccountSid,
}

#[derive(Deserialize, Serialize)]
struct Grants {
    #[serde(default)]
    identity: Option<String>,
    #[serde(default)]
    chat: Option<ChatGrant>,
}

#[derive(Deserialize, Serialize)]
struct ChatGrant {
    #[serde(default)]
    service_sid: Option<ChatServiceSid>,
}

/// Makes a token, valid from `now` on.
///
/// # Errors
///
/// [`Error::Lifetime`], or [`Error::Provider`] where the process has installed another provider.
pub fn mint(
    request: &Request,
    secret: &SecretString,
    now: Timestamp,
) -> Result<AccessToken, Error> {
    install_crypto();
    if request.lifetime.is_zero() || request.lifetime > LIFETIME_MAX {
        return Err(Error::Lifetime);
    }
    let issued = now.as_secs();
    // Whole seconds, so that the claim and what is remembered are one moment; rounded up to one.
    let expires = (now + request.lifetime).as_secs().max(issued.saturating_add(1));
    let claims = TokenClaims {
        jti: format!("{}-{issued}", request.key_sid),
        grants: Grants {
            identity: Some(request.identity.clone()),
            chat: Some(ChatGrant { service_sid: Some(request.service_sid) }),
        },
        iat: issued,
        exp: expires,
        nbf: None,
        iss: request.key_sid,
        sub: request.account_sid,
    };
    let mut header = Header::new(Algorithm::HS256);
    header.cty = Some(CONTENT_TYPE.to_owned());
    if let Some(region) = &request.region {
        header.extras.insert("twr", region);
    }
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    let jwt = jsonwebtoken::encode(&header, &claims, &key).map_err(|_| Error::Provider)?;
    Ok(AccessToken {
        jwt: SecretString::from(jwt),
        expires: Timestamp::from_millis(expires.saturating_mul(1000)),
    })
}

/// Checks a token at `now` and says what it grants; `secret_of` knows the API keys.
///
/// # Errors
///
/// Gives the reason where the token is not taken.
pub fn verify(
    jwt: &str,
    now: Timestamp,
    secret_of: impl FnOnce(ApiKeySid) -> Option<SecretString>,
) -> Result<Grant, Error> {
    install_crypto();
    let header = jsonwebtoken::decode_header(jwt).map_err(|_| Error::Malformed)?;
    if header.alg != Algorithm::HS256 || header.cty.as_deref() != Some(CONTENT_TYPE) {
        return Err(Error::Header);
    }
    let unchecked: TokenClaims =
        jsonwebtoken::dangerous::insecure_decode_claims(jwt).map_err(|_| Error::Malformed)?;
    let secret = secret_of(unchecked.iss).ok_or(Error::UnknownKey(unchecked.iss))?;
    let mut validation = Validation::new(Algorithm::HS256);
    // The time is an argument here, and the crate would read the clock.
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
    let claims = jsonwebtoken::decode::<TokenClaims>(jwt, &key, &validation)
        .map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => Error::Signature,
            _ => Error::Malformed,
        })?
        .claims;
    granted(claims, now)
}

/// Installs the provider of cryptography that `jsonwebtoken` asks for; may be called again.
pub fn install_crypto() {
    // An error says that one is installed already: ours, or one that the program chose.
    let _ = PROVIDER.install_default();
}

fn granted(claims: TokenClaims, now: Timestamp) -> Result<Grant, Error> {
    let expires = Timestamp::from_millis(claims.exp.saturating_mul(1000));
    if now >= expires {
        return Err(Error::Expired(expires));
    }
    if let Some(from) = claims.nbf.map(|secs| Timestamp::from_millis(secs.saturating_mul(1000)))
        && now < from
    {
        return Err(Error::NotYet(from));
    }
    let identity =
        claims.grants.identity.filter(|name| !name.is_empty()).ok_or(Error::NoIdentity)?;
    let service_sid =
        claims.grants.chat.and_then(|chat| chat.service_sid).ok_or(Error::NoService)?;
    Ok(Grant {
        account_sid: claims.sub,
        key_sid: claims.iss,
        service_sid,
        identity: Pii::new(identity),
        expires,
    })
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> JwtResult<Box<dyn JwtSigner>> {
    Ok(Box::new(Hs256(keyed(*algorithm, key.as_bytes())?)))
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> JwtResult<Box<dyn JwtVerifier>> {
    Ok(Box::new(Hs256(keyed(*algorithm, key.try_get_as_bytes()?)?)))
}

fn keyed(algorithm: Algorithm, key: &[u8]) -> JwtResult<Hmac<Sha256>> {
    if algorithm != Algorithm::HS256 {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Hmac::<Sha256>::new_from_slice(key).map_err(|_| ErrorKind::InvalidKeyFormat.into())
}

struct Hs256(Hmac<Sha256>);

impl signature::Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let mut mac = self.0.clone();
        mac.update(message);
        Ok(mac.finalize().into_bytes().to_vec())
    }
}

impl signature::Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.verify_slice(signature).map_err(signature::Error::from_source)
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn header_and_claims_are_those_of_the_official_helper() {
        let token = mint(&request(), &secret(), NOW).unwrap();
        let parts: Vec<_> = token.jwt.expose_secret().split('.').map(str::to_owned).collect();
        assert_eq!(
            decoded(&parts[0]),
            json!({"cty": "twilio-fpa;v=1", "typ": "JWT", "alg": "HS256"})
        );
        assert_eq!(
            decoded(&parts[1]),
            json!({
                "jti": "SK00000000000000000000000000000002-1700000000",
                "grants": {
                    "identity": "bot",
                    "chat": { "service_sid": "IS00000000000000000000000000000003" }
                },
                "iat": 1_700_000_000,
                "exp": 1_700_003_600,
                "iss": "SK00000000000000000000000000000002",
                "sub": "AC00000000000000000000000000000001"
            })
        );
        assert_eq!(token.expires, Timestamp::from_millis(1_700_003_600_000));
        // The signature, by the plain rule: HMAC-SHA256 over the first two parts.
        let mut mac = Hmac::<Sha256>::new_from_slice(b"the secret").unwrap();
        mac.update(format!("{}.{}", parts[0], parts[1]).as_bytes());
        assert_eq!(URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()), parts[2]);
    }

    #[test]
    fn a_region_is_named_in_the_header() {
        let request = Request { region: Some("ie1".to_owned()), ..request() };
        let token = mint(&request, &secret(), NOW).unwrap();
        let header = token.jwt.expose_secret().split('.').next().unwrap().to_owned();
        assert_eq!(decoded(&header)["twr"], "ie1");
        assert!(check(&token, NOW).is_ok());
    }

    #[test]
    fn a_token_is_taken_until_the_second_it_ends() {
        let token = mint(&request(), &secret(), NOW).unwrap();
        let last = Timestamp::from_millis(token.expires.as_millis() - 1);
        assert_eq!(check(&token, last).unwrap().identity.reveal(), "bot");
        assert_eq!(check(&token, token.expires), Err(Error::Expired(token.expires)));
    }

    #[test]
    fn lifetimes_that_twilio_refuses_are_refused_here() {
        for (lifetime, fine) in [
            (Duration::ZERO, false),
            (Duration::from_millis(1), true),
            (LIFETIME_MAX, true),
            (LIFETIME_MAX + Duration::from_millis(1), false),
        ] {
            let made = mint(&Request { lifetime, ..request() }, &secret(), NOW);
            assert_eq!(made.is_ok(), fine, "{lifetime:?}");
            if let Ok(token) = made {
                assert!(token.expires > NOW, "{lifetime:?}");
            }
        }
    }

    #[test]
    fn each_flaw_has_its_reason() {
        let good = mint(&request(), &secret(), NOW).unwrap();
        let jwt = good.jwt.expose_secret();
        let key = request().key_sid;
        let other = SecretString::from("other".to_owned());
        assert_eq!(verify(jwt, NOW, |_| None), Err(Error::UnknownKey(key)));
        assert_eq!(verify(jwt, NOW, |_| Some(other.clone())), Err(Error::Signature));
        for junk in ["", "a.b", "a.b.c", "e30.e30.e30", "..."] {
            assert_eq!(verify(junk, NOW, |_| Some(other.clone())), Err(Error::Malformed), "{junk}");
        }
        let header = json!({"alg": "HS256", "typ": "JWT", "cty": CONTENT_TYPE});
        let claims = |change: &dyn Fn(&mut Value)| {
            let mut claims = decoded(jwt.split('.').nth(1).unwrap());
            change(&mut claims);
            claims
        };
        for (header, claims, reason) in [
            (json!({"alg": "HS256", "typ": "JWT"}), claims(&|_| {}), Error::Header),
            (json!({"alg": "HS512", "cty": CONTENT_TYPE}), claims(&|_| {}), Error::Header),
            (json!({"alg": "none", "cty": CONTENT_TYPE}), claims(&|_| {}), Error::Malformed),
            (header.clone(), claims(&|c| c["grants"]["identity"] = json!("")), Error::NoIdentity),
            (header.clone(), claims(&|c| c["grants"] = json!({"identity": "b"})), Error::NoService),
            (header.clone(), claims(&|c| c["sub"] = json!("x")), Error::Malformed),
            (
                header,
                claims(&|c| c["nbf"] = json!(1_700_000_001)),
                Error::NotYet(Timestamp::from_millis(1_700_000_001_000)),
            ),
        ] {
            let token = signed(&header, &claims);
            assert_eq!(verify(&token, NOW, |_| Some(secret())).unwrap_err(), reason);
        }
    }

    #[test]
    fn debug_shows_neither_token_nor_identity() {
        let token = mint(&request(), &secret(), NOW).unwrap();
        let shown = format!("{token:?} {:?}", check(&token, NOW));
        assert!(!shown.contains("eyJ") && !shown.contains("\"bot\""), "{shown}");
    }

    proptest! {
        #[test]
        fn what_is_minted_verifies_and_what_is_tampered_with_does_not(
            identity in ".{1,40}", secs in 1u64..86_400, at: prop::sample::Index, flip in 1u8..=63,
        ) {
            let request =
                Request { identity: identity.clone(), lifetime: Duration::from_secs(secs), ..request() };
            let token = mint(&request, &secret(), NOW).unwrap();
            let grant = check(&token, NOW).unwrap();
            prop_assert_eq!(grant.identity.reveal(), identity);
            prop_assert_eq!(grant.expires, token.expires);

            let mut bytes = token.jwt.expose_secret().as_bytes().to_vec();
            let at = at.index(bytes.len());
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let Some(was) = alphabet.iter().position(|letter| *letter == bytes[at]) else {
                return Ok(()); // a dot
            };
            bytes[at] = alphabet[(was + usize::from(flip)) % alphabet.len()];
            let tampered = String::from_utf8(bytes).unwrap();
            prop_assert!(verify(&tampered, NOW, |_| Some(secret())).is_err());
        }
    }

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_400);

    fn secret() -> SecretString {
        SecretString::from("the secret".to_owned())
    }

    fn request() -> Request {
        Request {
            account_sid: "AC00000000000000000000000000000001".parse().unwrap(),
            key_sid: "SK00000000000000000000000000000002".parse().unwrap(),
            service_sid: "IS00000000000000000000000000000003".parse().unwrap(),
            identity: "bot".to_owned(),
            lifetime: LIFETIME_DEFAULT,
            region: None,
        }
    }

    fn check(token: &AccessToken, now: Timestamp) -> Result<Grant, Error> {
        verify(token.jwt.expose_secret(), now, |_| Some(secret()))
    }

    fn decoded(part: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    fn signed(header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", encode(header), encode(claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(b"the secret").unwrap();
        mac.update(text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }
}

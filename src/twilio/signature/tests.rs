//! Every vector of `tests/data/twilio/signature-vectors.json`, and what the vectors do not cover.

use super::*;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
    disagreements: Vec<Case>,
    sha256_cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    url: String,
    method: String,
    content_type: String,
    body: String,
    auth_token: String,
    signature: String,
    settings_header: Option<String>,
    valid: bool,
}

#[test]
fn every_case_that_both_helpers_agree_on_gets_their_verdict() {
    let cases = vectors().cases;
    assert_eq!(cases.len(), 130);
    check(&cases);
}

#[test]
fn every_case_that_the_helpers_differ_on_gets_ours() {
    let cases = vectors().disagreements;
    assert_eq!(cases.len(), 15);
    check(&cases);
}

#[test]
fn every_shared_key_case_gets_its_verdict() {
    let cases = vectors().sha256_cases;
    assert_eq!(cases.len(), 12);
    check(&cases);
}

#[test]
fn our_own_signature_is_the_vectors_signature() {
    // Cases of one spelling: signed over the URL as received.
    for name in ["doc_worked_example", "helper_suite_duplicates", "json_plain", "conversations_get"]
    {
        let cases = vectors().cases;
        let case = cases.iter().find(|case| case.name == name).unwrap();
        let body = Body::of(&case.method, Some(&case.content_type), case.body.as_bytes());
        let secret = SecretString::from(case.auth_token.clone());
        assert_eq!(sign(&secret, Algorithm::HmacSha1, &case.url, body), case.signature, "{name}");
    }
}

#[test]
fn exactly_one_signature_is_wanted() {
    let good = signed(b"a=1");
    let verdict = |signatures: &[&[u8]]| {
        let request = Request { url: URL, body: Body::Form(b"a=1"), signatures, settings: &[] };
        verify(&keys(&["token"]), &request)
    };
    assert_eq!(verdict(&[good.as_bytes()]), Ok(()));
    assert_eq!(verdict(&[]), Err(Error::Missing));
    let twice = [good.as_bytes(), good.as_bytes()];
    assert_eq!(verdict(&twice), Err(Error::Repeated { header: HEADER, count: 2 }));
}

#[test]
fn any_of_several_tokens_may_have_signed() {
    let good = signed(b"a=1");
    let request = Request {
        url: URL,
        body: Body::Form(b"a=1"),
        signatures: &[good.as_bytes()],
        settings: &[],
    };
    assert_eq!(verify(&keys(&["token", "next"]), &request), Ok(()));
    assert_eq!(verify(&keys(&["old", "token"]), &request), Ok(()));
    assert!(matches!(
        verify(&keys(&["old", "next"]), &request),
        Err(Error::Mismatch { signer: Signer::AuthToken, keys: 2, .. })
    ));
    assert_eq!(verify(&Keys::default(), &request), Err(Error::NoKey(Signer::AuthToken)));
}

#[test]
fn the_settings_header_never_turns_one_kind_of_key_into_the_other() {
    let secret = SecretString::from("token".to_owned());
    let sha1 = sign(&secret, Algorithm::HmacSha1, URL, Body::None);
    let sha256 = sign(&secret, Algorithm::HmacSha256, URL, Body::None);
    let verdict = |keys: &Keys, signature: &str, settings: &[&[u8]]| {
        let signatures = &[signature.as_bytes()];
        verify(keys, &Request { url: URL, body: Body::None, signatures, settings })
    };
    let token_only = keys(&["token"]);
    let shared = SharedKey { id: "k1".to_owned(), secret: secret.clone() };
    let shared_only = Keys { auth_tokens: vec![], shared: vec![shared] };

    let named: &[&[u8]] = &[b"key=k1,algorithm=HMAC_SHA256"];
    assert_eq!(verdict(&shared_only, &sha256, named), Ok(()));
    assert_eq!(verdict(&token_only, &sha256, named), Err(Error::NoKey(Signer::SharedKey)));
    assert_eq!(verdict(&shared_only, &sha1, &[]), Err(Error::NoKey(Signer::AuthToken)));
    assert_eq!(verdict(&shared_only, &sha1, &[b"key=k1"]), Err(Error::NoKey(Signer::AuthToken)));
    assert_eq!(verdict(&shared_only, &sha1, &[b""]), Err(Error::NoKey(Signer::AuthToken)));
    let other: &[&[u8]] = &[b"key=k2,algorithm=HMAC_SHA256"];
    assert_eq!(verdict(&shared_only, &sha256, other), Err(Error::NoKey(Signer::SharedKey)));
    assert_eq!(verdict(&shared_only, &sha256, &[b"algorithm=HMAC_SHA256"]), Err(Error::Settings));
    assert_eq!(
        verdict(&shared_only, &sha256, &[b"key=k1,algorithm=MD5"]),
        Err(Error::UnknownAlgorithm)
    );
    assert_eq!(verdict(&shared_only, &sha256, &[b"\xff"]), Err(Error::Settings));
    assert!(matches!(
        verdict(&shared_only, &sha256, &[named[0], named[0]]),
        Err(Error::Repeated { header: SETTINGS_HEADER, count: 2 })
    ));
}

#[test]
fn a_hash_made_for_a_body_covers_it() {
    let secret = SecretString::from("token".to_owned());
    for url in ["https://h/p", "https://h/p?a=1"] {
        let url = url_with_body_hash(url, b"{}");
        let signature = sign(&secret, Algorithm::HmacSha1, &url, Body::Other(b"{}"));
        let signatures = &[signature.as_bytes()];
        let verdict = |body| {
            verify(&keys(&["token"]), &Request { url: &url, body, signatures, settings: &[] })
        };
        assert_eq!(verdict(Body::Other(b"{}")), Ok(()));
        assert!(matches!(verdict(Body::Other(b"{ }")), Err(Error::BodyHash { .. })));
    }
}

#[test]
fn a_refusal_holds_no_secret_no_signature_and_no_value() {
    let forged = STANDARD.encode([7; 20]);
    let request = Request {
        url: "https://u:planted-password@h/p?From=%2B15555550123",
        body: Body::Form(b"Body=planted+words"),
        signatures: &[forged.as_bytes()],
        settings: &[],
    };
    let refusal = verify(&keys(&["planted-token"]), &request).unwrap_err();
    let shown = format!("{refusal} {refusal:?} {:?}", keys(&["planted-token"]));
    for secret in ["planted", "5555", &forged] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert_eq!(refusal.tried(), ["https://h/p?From=…", "https://h:443/p?From=…"]);
    assert_eq!(refusal.reason(), "mismatch");
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_a_changed_value_does_not(
        pairs in prop::collection::vec(("[A-Za-z.]{1,8}", ".{0,20}"), 1..6),
        sha256: bool,
    ) {
        let algorithm = if sha256 { Algorithm::HmacSha256 } else { Algorithm::HmacSha1 };
        let secret = SecretString::from("s".to_owned());
        let shared = SharedKey { id: "k".to_owned(), secret: secret.clone() };
        let keys = Keys { auth_tokens: vec![], shared: vec![shared] };
        let settings: &[u8] =
            if sha256 { b"key=k,algorithm=HMAC_SHA256" } else { b"key=k,algorithm=HMAC_SHA1" };
        let mut form: Form<'_> =
            pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let body = form.encode();
        let signature = sign(&secret, algorithm, URL, Body::Form(body.as_bytes()));
        let verdict = |body: &str| {
            let body = Body::Form(body.as_bytes());
            let signatures = &[signature.as_bytes()];
            verify(&keys, &Request { url: URL, body, signatures, settings: &[settings] })
        };
        prop_assert_eq!(verdict(&body), Ok(()));
        form.push("added", "x");
        prop_assert!(verdict(&form.encode()).is_err());
    }
}

const URL: &str = "https://bot.example.com/webhooks/twilio";

fn vectors() -> Vectors {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/twilio/signature-vectors.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn check(cases: &[Case]) {
    for case in cases {
        let secret = SecretString::from(case.auth_token.clone());
        let keys = if case.settings_header.is_some() {
            let id = "webhooks_sharedkey_01EXAMPLE".to_owned();
            Keys { auth_tokens: vec![], shared: vec![SharedKey { id, secret }] }
        } else {
            Keys { auth_tokens: vec![secret], shared: vec![] }
        };
        let content_type = Some(case.content_type.as_str()).filter(|text| !text.is_empty());
        let settings: Vec<&[u8]> =
            case.settings_header.iter().map(|text| text.as_bytes()).collect();
        let verdict = verify(
            &keys,
            &Request {
                url: &case.url,
                body: Body::of(&case.method, content_type, case.body.as_bytes()),
                signatures: &[case.signature.as_bytes()],
                settings: &settings,
            },
        );
        assert_eq!(verdict.is_ok(), case.valid, "{}: {verdict:?}", case.name);
    }
}

fn keys(tokens: &[&str]) -> Keys {
    let auth_tokens = tokens.iter().map(|token| SecretString::from((*token).to_owned())).collect();
    Keys { auth_tokens, shared: vec![] }
}

fn signed(body: &[u8]) -> String {
    sign(&SecretString::from("token".to_owned()), Algorithm::HmacSha1, URL, Body::Form(body))
}

//! Connections to real servers.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{Auth, Error, Options, ServerAddress, connect, reconnect_delay};
use crate::test_nats::{NatsServer, programs};

/// The example of NATS docs, "NKeys", read 2026-11-21.
const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
const NKEY: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

#[tokio::test]
async fn every_way_to_sign_in_lets_in_who_has_it_and_nobody_else() {
    let password = "planted".into();
    let ways = [
        (
            "authorization { user: bot, password: planted }".to_owned(),
            Auth::UserPassword { user: "bot".into(), password },
        ),
        ("authorization { token: planted }".to_owned(), Auth::Token("planted".into())),
        (format!("authorization {{ users: [ {{ nkey: {NKEY} }} ] }}"), Auth::NkeySeed(SEED.into())),
    ];
    for (config, auth) in ways {
        let server = NatsServer::start_plain(&programs()[0], &config);
        connect(options(&server.url(), auth)).await.unwrap();
        let refused = connect(options(&server.url(), Auth::None)).await.unwrap_err();
        assert!(matches!(refused, Error::Refused { .. }), "{config}: {refused:?}");
        assert!(refused.to_string().contains(&server.url()), "{refused}");
    }
}

#[tokio::test]
async fn a_credentials_file_lets_in_whom_the_operators_account_knows() {
    let (operator, account, user) =
        (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
    let unlimited = json!({ "subs": -1, "data": -1, "payload": -1, "conn": -1 });
    let of_account = jwt(&operator, &account, json!({ "type": "account", "limits": unlimited }));
    let of_operator = jwt(&operator, &operator, json!({ "type": "operator" }));
    let name = account.public_key();
    let config = format!(
        "operator: {of_operator}\nresolver: MEMORY\nresolver_preload: {{ {name}: {of_account} }}\n"
    );
    let server = NatsServer::start_plain(&programs()[0], &config);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chimein.creds");
    for (issuer, is_let_in) in [(&account, true), (&KeyPair::new_account(), false)] {
        let of_user = jwt(issuer, &user, json!({ "type": "user", "subs": -1, "data": -1 }));
        std::fs::write(&path, creds(&of_user, &user.seed().unwrap())).unwrap();
        let signed_in = connect(options(&server.url(), Auth::CredsFile(path.clone()))).await;
        match signed_in {
            Ok(_) => assert!(is_let_in),
            Err(error) => {
                assert!(!is_let_in && matches!(error, Error::Refused { .. }), "{error:?}");
            }
        }
    }
    let refused = connect(options(&server.url(), Auth::None)).await.unwrap_err();
    assert!(matches!(refused, Error::Refused { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_wrong_password_is_named_and_not_shown() {
    let config = "authorization { user: bot, password: right }";
    let server = NatsServer::start_plain(&programs()[0], config);
    let password = SecretString::from("planted");
    let auth = Auth::UserPassword { user: "bot".into(), password };
    let refused = connect(options(&server.url(), auth)).await.unwrap_err();
    assert!(matches!(refused, Error::Refused { .. }), "{refused:?}");
    let told = format!("{refused:?} {refused} {}", crate::telemetry::chain::Chain(&refused));
    assert!(!told.contains("planted"), "{told}");
}

#[tokio::test]
async fn what_cannot_be_reached_or_read_is_named() {
    let error = connect(options("nats://127.0.0.1:1", Auth::None)).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("nats://127.0.0.1:1"), "{error}");
    let auth = Auth::CredsFile("/nowhere/chimein.creds".into());
    let error = connect(options("nats://127.0.0.1:1", auth)).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/chimein.creds"), "{error}");
    let auth = Auth::NkeySeed("SAplanted".into());
    let error = connect(options("nats://127.0.0.1:1", auth)).await.unwrap_err();
    assert!(matches!(error, Error::NkeySeed) && !error.to_string().contains("planted"));
}

#[tokio::test]
async fn tls_is_used_and_a_stranger_is_not_trusted() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (cert, key) = (cert.display(), key.display());
    let config = format!("tls {{ cert_file: \"{cert}\", key_file: \"{key}\" }}");
    let server = NatsServer::start_plain(&programs()[0], &config);
    let url = format!("tls://localhost:{}", server.port());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let trusting = Options { tls: Some(tls(roots)), ..options(&url, Auth::None) };
    connect(trusting).await.unwrap();
    let strange = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(strange.cert.der().clone()).unwrap();
    let distrusting = Options { tls: Some(tls(roots)), ..options(&url, Auth::None) };
    let error = connect(distrusting).await.unwrap_err();
    assert!(matches!(error, Error::Tls { .. } | Error::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_connection_outlives_its_server() {
    let mut server = NatsServer::start();
    let client = connect(options(&server.url(), Auth::None)).await.unwrap();
    server.kill();
    server.begin();
    let flushed = tokio::time::timeout(Duration::from_secs(30), async {
        while client.flush().await.is_err()
            || client.connection_state() != async_nats::connection::State::Connected
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    flushed.await.unwrap();
}

#[test]
fn pauses_between_tries_grow_to_a_second() {
    let pauses = [1, 2, 3, 8, 1000].map(|attempts| reconnect_delay(attempts).as_millis());
    assert_eq!(pauses, [20, 40, 80, 1000, 1000]);
}

fn tls(roots: rustls::RootCertStore) -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    config.with_root_certificates(roots).with_no_client_auth()
}

/// What `issuer` says of `subject`, in the form that the server takes.
fn jwt(issuer: &KeyPair, subject: &KeyPair, mut nats: Value) -> String {
    let (issuer_key, subject_key) = (issuer.public_key(), subject.public_key());
    nats["version"] = 2.into();
    let claims =
        json!({ "iss": issuer_key, "sub": subject_key, "name": "test", "iat": 0, "nats": nats });
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = encode(json!({ "typ": "JWT", "alg": "ed25519-nkey" }));
    let signed = format!("{head}.{}", encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

/// A credentials file, as `nsc` writes it.
fn creds(jwt: &str, seed: &str) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

fn options(url: &str, auth: Auth) -> Options {
    let servers = vec![ServerAddress::parse(url).unwrap()];
    Options { servers, auth, tls: None, name: "chimein test".into() }
}

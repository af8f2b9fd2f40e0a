//! Connections to real servers.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::{Address, Auth, Error, Options, connect, reconnect_delay};
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

fn options(url: &str, auth: Auth) -> Options {
    let servers = vec![Address::parse(url).unwrap()];
    Options { servers, auth, tls: None, name: "chimein test".into() }
}

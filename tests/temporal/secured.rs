//! A server behind TLS that wants a certificate of whoever asks, directly and behind a proxy.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use chimein::finding::Verdict;
use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::examined::{examine, verdicts};
use crate::proxy::TestProxy;
use crate::temporal_server::TemporalServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_behind_tls_is_told_by_its_certificate_and_tells_us_by_ours() {
    let server = TemporalServer::start().await;
    let (theirs, ours, strangers) = (made("localhost"), made("chimein"), made("localhost"));
    let door = door(server.address().parse().unwrap(), &theirs, &ours).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        text_of(&path)
    };
    let (ca, stranger) =
        (file("ca.pem", theirs.cert.pem()), file("stranger.pem", strangers.cert.pem()));
    let (certificate, key) =
        (file("our.pem", ours.cert.pem()), file("our.key", ours.signing_key.serialize_pem()));
    let named = format!("localhost:{}", door.port());
    let trusts = ("TEMPORAL_TLS_SERVER_CA_CERT_PATH", ca.as_str());
    let shows = [
        ("TEMPORAL_TLS_CLIENT_CERT_PATH", certificate.as_str()),
        ("TEMPORAL_TLS_CLIENT_KEY_PATH", key.as_str()),
    ];
    let is_well = [Verdict::Ok, Verdict::Warn];

    let whole = [&[("TEMPORAL_ADDRESS", named.as_str()), trusts], &shows[..]].concat();
    let found = examine(&server, &whole).await;
    assert_eq!(verdicts(&found), is_well, "{found:?}");
    let nobody = [("TEMPORAL_ADDRESS", named.as_str()), trusts];
    let found = examine(&server, &nobody).await;
    assert_eq!(verdicts(&found), [Verdict::Fail], "without our certificate: {found:?}");
    let distrusts = ("TEMPORAL_TLS_SERVER_CA_CERT_PATH", stranger.as_str());
    let wrong = [&[("TEMPORAL_ADDRESS", named.as_str()), distrusts], &shows[..]].concat();
    let found = examine(&server, &wrong).await;
    assert_eq!(verdicts(&found), [Verdict::Fail], "by another certificate: {found:?}");

    let proxy = TestProxy::start(door, None).await;
    let through = format!("http://{}", proxy.address);
    let behind = [
        ("TEMPORAL_ADDRESS", "temporal.test:7233"),
        ("TEMPORAL_TLS_SERVER_NAME", "localhost"),
        ("HTTPS_PROXY", through.as_str()),
        trusts,
    ];
    let found = examine(&server, &[&behind, &shows[..]].concat()).await;
    assert_eq!(verdicts(&found), is_well, "{found:?}");
    let asked = proxy.asked();
    assert!(asked[0].starts_with("CONNECT temporal.test:7233 HTTP/1.1\r\n"), "{asked:?}");
}

fn made(name: &str) -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap()
}

fn text_of(path: &Path) -> String {
    path.display().to_string()
}

/// Decrypts what comes of who has a certificate, and leads it to a place.
async fn door(
    to: SocketAddr,
    own: &CertifiedKey<KeyPair>,
    callers: &CertifiedKey<KeyPair>,
) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(callers.cert.der().clone()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![own.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut server = TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

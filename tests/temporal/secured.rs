//! A server behind TLS that wants a certificate of whoever asks, directly and behind a proxy; one that wants a key.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use chimein::finding::Verdict;
use hyper::Request;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_goes_with_every_call_and_the_namespace_with_each_that_is_of_one() {
    let server = TemporalServer::start().await;
    let theirs = made("localhost");
    let (address, calls) = recorder(&theirs).await;
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, theirs.cert.pem()).unwrap();
    let (named, ca) = (format!("localhost:{}", address.port()), text_of(&ca));
    let found = examine(
        &server,
        &[
            ("TEMPORAL_ADDRESS", named.as_str()),
            ("TEMPORAL_TLS_SERVER_CA_CERT_PATH", ca.as_str()),
            ("TEMPORAL_API_KEY", "key-of-ours"),
            ("TEMPORAL_NAMESPACE", "shop.a1b2c"),
        ],
    )
    .await;
    assert_eq!(verdicts(&found), [Verdict::Fail], "{found:?}");
    assert!(found[0].remedy.contains("TEMPORAL_API_KEY"), "{found:?}");
    assert!(!format!("{found:?}").contains("key-of-ours"), "{found:?}");
    let calls = calls.lock().unwrap().clone();
    let of = |method: &str| calls.iter().find(|call| call.uri().path().ends_with(method)).unwrap();
    let header = |call: &Request<()>, name: &str| {
        call.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    for call in [of("/GetSystemInfo"), of("/DescribeNamespace")] {
        assert_eq!(header(call, "authorization").as_deref(), Some("Bearer key-of-ours"));
    }
    let namespace = header(of("/DescribeNamespace"), "temporal-namespace");
    assert_eq!(namespace.as_deref(), Some("shop.a1b2c"));
}

/// A server that keeps the heads of its calls and knows no key. What it is it says to nobody, as servers of old.
async fn recorder(own: &CertifiedKey<KeyPair>) -> (SocketAddr, Arc<Mutex<Vec<Request<()>>>>) {
    let acceptor = acceptor(own, None);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, kept) = (acceptor.clone(), Arc::clone(&kept));
            tokio::spawn(async move {
                let Ok(client) = acceptor.accept(client).await else { return };
                let answer = service_fn(move |call: Request<hyper::body::Incoming>| {
                    let (head, _) = call.into_parts();
                    let is_first = head.uri.path().ends_with("/GetSystemInfo");
                    kept.lock().unwrap().push(Request::from_parts(head, ()));
                    let (status, word) =
                        if is_first { (12, "unknown method") } else { (16, "unknown key") };
                    let answer = hyper::Response::builder()
                        .header("content-type", "application/grpc")
                        .header("grpc-status", status)
                        .header("grpc-message", word)
                        .body(axum::body::Body::empty());
                    std::future::ready(answer)
                });
                let served = http2::Builder::new(TokioExecutor::new());
                let _gone = served.serve_connection(TokioIo::new(client), answer).await;
            });
        }
    });
    (address, calls)
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
    let acceptor = acceptor(own, Some(callers));
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

/// What decrypts; of whom it wants a certificate if it wants one.
fn acceptor(own: &CertifiedKey<KeyPair>, callers: Option<&CertifiedKey<KeyPair>>) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = match callers {
        Some(callers) => {
            let mut roots = RootCertStore::empty();
            roots.add(callers.cert.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            config.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => config.with_no_client_auth(),
    };
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let mut config =
        config.with_single_cert(vec![own.cert.der().clone()], PrivateKeyDer::Pkcs8(key)).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

//! Tests of dialling and of the HTTP client, by proxies and without, over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use url::Url;

use super::dial::{Deadline, DialRoute, Error, dial};
use super::proxies::{DirectHosts, Proxies, Proxy};
use crate::telemetry::chain::Chain;
use crate::test_ports;
use crate::test_proxy::TestProxy;

/// How long a test's steps may take; a machine may be slow.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the proxy wants to be told.
const AUTHORIZATION: &str = "Proxy-Authorization: Basic dXNlcjpwQHNz\r\n";

#[tokio::test]
async fn a_stream_is_opened_directly_or_through_a_proxy_with_tls_inside_the_tunnel() {
    let (tls, server) = Server::start().await;
    let proxy = TestProxy::start(server.address, None).await;
    let port = server.address.port();
    let by_proxy = proxies(proxy.address);
    for (url, proxies, is_asked) in [
        (format!("https://localhost:{port}"), &Proxies::default(), false),
        (format!("wss://localhost:{port}"), &by_proxy, false),
        // The name is the proxy's to resolve.
        ("wss://tsock.example.test/v3/wsconnect".to_owned(), &by_proxy, true),
        ("https://tsock.example.test:8443".to_owned(), &by_proxy, true),
    ] {
        let before = proxy.asked().len();
        let mut stream = open(&url, Some(&tls), proxies, PATIENCE).await.unwrap();
        stream.write_all(b"ping").await.unwrap();
        stream.flush().await.unwrap();
        let mut heard = [0; 4];
        let _ = stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"ping");
        assert_eq!(proxy.asked().len() - before, usize::from(is_asked), "{url}");
    }
    let asked = proxy.asked();
    assert!(asked[0].starts_with("CONNECT tsock.example.test:443 HTTP/1.1\r\n"), "{asked:?}");
    assert!(asked[1].starts_with("CONNECT tsock.example.test:8443 HTTP/1.1\r\n"), "{asked:?}");
    assert!(asked.iter().all(|head| head.contains(AUTHORIZATION)), "{asked:?}");
}

#[tokio::test]
async fn a_proxy_may_want_tls_itself() {
    let (tls, server) = Server::start().await;
    // Behind the TLS of the first server is a proxy, behind that the server once more.
    let proxy = TestProxy::start(server.address, None).await;
    let front = Server::leading_to(&server.acceptor, proxy.address).await;
    let url = format!("https://user:p%40ss@localhost:{}", front.address.port());
    let proxies = Proxies { https: Proxy::parse(&url), ..Proxies::default() };
    let mut stream =
        open("wss://tsock.example.test", Some(&tls), &proxies, PATIENCE).await.unwrap();
    stream.write_all(b"ping").await.unwrap();
    stream.flush().await.unwrap();
    let mut heard = [0; 4];
    let _ = stream.read_exact(&mut heard).await.unwrap();
    assert_eq!((&heard, proxy.asked().len()), (b"ping", 1));
}

#[tokio::test]
async fn http_clients_go_by_the_same_proxies_and_loopback_is_exempt() {
    let (tls, server) = Server::start().await;
    let plain =
        answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi").await;
    let secure_proxy = TestProxy::start(server.address, None).await;
    let plain_proxy = TestProxy::start(plain.address, None).await;
    let proxies = Proxies {
        http: proxies(plain_proxy.address).http,
        direct: DirectHosts::parse("direct.example.test"),
        ..proxies(secure_proxy.address)
    };
    let client = super::http::builder(ClientConfig::clone(&tls), &proxies).timeout(PATIENCE);
    let client = client.build().unwrap();
    let get = async |url: String| client.get(url).send().await;
    assert_eq!(get(format!("http://{}/turns", plain.address)).await.unwrap().status(), 200);
    assert_eq!((plain_proxy.asked().len(), secure_proxy.asked().len()), (0, 0), "loopback");
    assert_eq!(get("http://agent.example.test/turns".to_owned()).await.unwrap().status(), 200);
    let asked = plain_proxy.asked();
    assert!(asked[0].starts_with("GET http://agent.example.test/turns HTTP/1.1\r\n"), "{asked:?}");
    assert!(asked[0].to_ascii_lowercase().contains(&AUTHORIZATION.to_ascii_lowercase()));
    // The server echoes, which is no HTTP; that it was reached is enough.
    assert!(get("https://api.example.test/".to_owned()).await.is_err());
    assert!(secure_proxy.asked()[0].starts_with("CONNECT api.example.test:443 "));
    assert!(get("https://direct.example.test/".to_owned()).await.is_err());
    assert_eq!(secure_proxy.asked().len(), 1, "NO_PROXY");
}

#[tokio::test]
async fn each_step_that_fails_is_named_with_its_cause_and_no_secret() {
    let (tls, server) = Server::start().await;
    let gone = test_ports::free_address();
    let refusing = TestProxy::start(gone, Some("HTTP/1.1 407 Who\r\nX: pl4nted\r\n\r\n")).await;
    let talking = TestProxy::start(gone, Some("220 mail.example.com ESMTP\r\n\r\n")).await;
    let (untrusting, _) = super::tls::client_config().unwrap();
    let (none, untrusting) = (Proxies::default(), Arc::new(untrusting));
    let target = "wss://tsock.example.test/?k=pl4nted";
    let here = format!("wss://localhost:{}", server.address.port());
    for (url, tls, proxies, told) in [
        (
            format!("ws://{gone}/?k=pl4nted"),
            None,
            &none,
            format!("cannot connect to {gone}: Connection refused (os error 111)"),
        ),
        (
            "ws://no-such-host.invalid".to_owned(),
            None,
            &none,
            "the name no-such-host.invalid cannot be resolved: ".to_owned(),
        ),
        (here.clone(), Some(&untrusting), &none, "invalid peer certificate".to_owned()),
        (here, None, &none, "no TLS configuration for localhost:".to_owned()),
        (
            target.to_owned(),
            Some(&tls),
            &proxies(gone),
            format!("cannot connect to {gone}: Connection refused"),
        ),
        (
            target.to_owned(),
            Some(&tls),
            &proxies(refusing.address),
            format!(
                "the proxy {} refused the way to tsock.example.test:443 with status 407",
                refusing.address
            ),
        ),
        (
            target.to_owned(),
            Some(&tls),
            &proxies(talking.address),
            format!("{} does not answer as a proxy does", talking.address),
        ),
    ] {
        let error = open(&url, tls, proxies, PATIENCE).await.err().expect("it fails");
        let shown = Chain(&error).to_string();
        assert!(shown.contains(&told), "{told}: {shown}");
        assert!(!shown.contains("pl4nted") && !shown.contains("p@ss"), "{shown}");
        assert!(!format!("{error:?}").contains("pl4nted"), "{error:?}");
    }
}

#[tokio::test]
async fn the_limit_holds_for_every_step() {
    let limit = Duration::from_millis(100);
    let silent = silent().await;
    let (tls, _server) = Server::start().await;
    let here = format!("wss://localhost:{}", silent.address.port());
    for (url, proxies, told) in [
        (here.as_str(), &Proxies::default(), "no TLS with localhost:"),
        ("wss://tsock.example.test", &proxies(silent.address), "no answer of the proxy 127.0.0.1:"),
    ] {
        let error = open(url, Some(&tls), proxies, limit).await.err().expect("it fails");
        assert!(matches!(error, Error::TimedOut(_)), "{error:?}");
        let shown = error.to_string();
        assert!(shown.starts_with(told) && shown.ends_with("within 100 ms"), "{shown}");
    }
}

#[tokio::test]
async fn a_proxys_answer_is_read_up_to_a_bound() {
    let endless = endless().await;
    let error = open("ws://tsock.example.test", None, &proxies(endless.address), PATIENCE).await;
    assert!(matches!(error, Err(Error::NoProxy { .. })));
}

async fn open(
    url: &str,
    tls: Option<&Arc<ClientConfig>>,
    proxies: &Proxies,
    limit: Duration,
) -> Result<super::dial::DialledStream, Error> {
    let route = DialRoute { tls, proxies, deadline: Deadline::after(limit) };
    dial(&Url::parse(url).unwrap(), route).await
}

/// One proxy for everything, with a user.
fn proxies(address: SocketAddr) -> Proxies {
    let proxy = Proxy::parse(&format!("http://user:p%40ss@{address}"));
    Proxies { https: proxy.clone(), http: proxy, ..Proxies::default() }
}

/// A server that ends when it is dropped.
struct Peer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes connections and says nothing.
async fn silent() -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok(taken) = listener.accept().await {
            kept.push(taken);
        }
    });
    Peer { address, task }
}

/// Answers every request with the same text and hangs up.
async fn answering(answer: &'static str) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                head.push(byte);
            }
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    Peer { address, task }
}

/// Answers with headers that never end.
async fn endless() -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
            while stream.write_all(&[b'x'; 1024]).await.is_ok() {}
        }
    });
    Peer { address, task }
}

/// A TLS server for every name that the tests use, and who trusts it.
struct Server {
    address: SocketAddr,
    acceptor: TlsAcceptor,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts a server that says what it hears.
    async fn start() -> (Arc<ClientConfig>, Self) {
        let names = ["localhost", "tsock.example.test", "api.example.test"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names.to_vec()).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let certificate = made.cert.der().clone();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], PrivateKeyDer::Pkcs8(key))
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        (Arc::new(client), Self::serve(acceptor, None).await)
    }

    /// Starts a server that leads what it decrypts to another place.
    async fn leading_to(acceptor: &TlsAcceptor, place: SocketAddr) -> Self {
        Self::serve(acceptor.clone(), Some(place)).await
    }

    async fn serve(acceptor: TlsAcceptor, to: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = acceptor.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(tokio::spawn(talk(accepting.clone(), stream, to)));
            }
        });
        Self { address, acceptor, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn talk(acceptor: TlsAcceptor, stream: tokio::net::TcpStream, to: Option<SocketAddr>) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    match to {
        Some(place) => {
            let mut further = tokio::net::TcpStream::connect(place).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut further).await;
        }
        None => {
            let (mut reading, mut writing) = tokio::io::split(stream);
            let _ = tokio::io::copy(&mut reading, &mut writing).await;
        }
    }
}

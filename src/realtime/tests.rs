//! What a client says of a socket that does not open.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::SecretString;
use tokio::net::TcpListener;
use url::Url;

use super::*;
use crate::clock::Clock;
use crate::net::proxies::{Proxies, Proxy};
use crate::test_ports;
use crate::test_proxy::TestProxy;

/// How long a line may take to be there.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_socket_that_cannot_be_opened_says_why_and_shows_no_secret() {
    let nobody = test_ports::free_address();
    let refusing = TestProxy::start(nobody, Some("HTTP/1.1 403 No\r\n\r\n")).await;
    let proxy = Proxy::parse(&format!("http://planted:planted@{}", refusing.address));
    let by_proxy = Proxies { http: proxy, ..Proxies::default() };
    let web = TestProxy::start(nobody, Some("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")).await;
    let web = web.address;
    let (silent, silent_listener) = silent().await;
    for (url, proxies, told) in [
        (
            format!("ws://{nobody}/v3/wsconnect?k=planted"),
            Proxies::default(),
            format!("cannot connect to {nobody}: Connection refused"),
        ),
        (
            "ws://tsock.invalid/".to_owned(),
            Proxies::default(),
            "the name tsock.invalid cannot be resolved: ".to_owned(),
        ),
        (
            "ws://tsock.example.test/?k=planted".to_owned(),
            by_proxy,
            format!("the proxy {} refused the way to tsock.example.test:80", refusing.address),
        ),
        (
            format!("ws://{web}/"),
            Proxies::default(),
            "the upgrade was answered with status 404".to_owned(),
        ),
        (
            format!("ws://{silent}/?k=planted"),
            Proxies::default(),
            "no answer to the upgrade within 200 ms".to_owned(),
        ),
    ] {
        let mut config = config(&url);
        config.proxies = proxies;
        let log = lines_of(config, &told).await;
        assert!(log.contains("WARN") && log.contains("socket could not be opened"), "{log}");
        assert!(!log.contains("planted"), "{log}");
    }
    drop(silent_listener);
}

#[tokio::test]
async fn the_limit_for_opening_holds_for_a_probe_too() {
    let (silent, _listener) = silent().await;
    let started = Clock::start();
    let error = probe(&config(&format!("ws://{silent}/"))).await.unwrap_err();
    assert!(matches!(error, SocketError::TimedOut(_)), "{error:?}");
    assert!(started.now().since(crate::clock::Moment::ORIGIN) < PATIENCE);
}

fn config(url: &str) -> Config {
    let host = |name: &str| Url::parse(&format!("https://{name}.us1.twilio.com")).unwrap();
    let mut config = Config::for_urls(Url::parse(url).unwrap(), host("aim"), host("cds"));
    config.session.connect_timeout = Duration::from_millis(200);
    config.session.backoff_base = Duration::from_millis(10);
    config
}

/// An address that takes connections and says nothing, while the listener lives.
async fn silent() -> (std::net::SocketAddr, TcpListener) {
    // Connections wait in the listener's backlog.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap(), listener)
}

/// Lets a client try until something is in its log; gives the log.
async fn lines_of(config: Config, wanted: &str) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let (client, _events) = Client::connect(config, Arc::new(Given), Arc::new(NoWatermarks));
    let waited = tokio::time::timeout(PATIENCE, async {
        while !log.text().contains(wanted) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{wanted} is not in the log: {}", log.text());
    let _ = client.shutdown().await;
    drop(guard);
    log.text()
}

/// Gives the same token whenever one is asked for.
struct Given;

impl TokenProvider for Given {
    fn token(&self) -> BoxFuture<'_, Result<AccessToken, TokenError>> {
        let expires = Clock::start().wall() + Duration::from_secs(3600);
        let token = AccessToken { jwt: SecretString::from("planted".to_owned()), expires };
        Box::pin(std::future::ready(Ok(token)))
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

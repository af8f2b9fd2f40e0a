//! Which places are gone to, and by which client.

use secrecy::SecretString;

use super::*;
use crate::net::proxies::Proxies;
use crate::net::tls;
use crate::twilio::rest::Credentials;

#[tokio::test]
async fn only_configured_places_and_https_on_the_internet_at_large_are_gone_to() {
    let fetch = fetch();
    for (place, expected) in [
        ("http://127.0.0.1:4010/media-store/ME1", Ok("http://127.0.0.1:4010/media-store/ME1")),
        ("http://emulator:4011/v1/a", Ok("http://emulator:4011/v1/a")),
        ("https://media.example/a?b=c", Ok("https://media.example/a?b=c")),
        ("http://media.example/a", Ok("https://media.example/a")),
        ("https://1.1.1.1/a", Ok("https://1.1.1.1/a")),
        ("http://media.example:8080/a", Err(Misled::Scheme)),
        ("ftp://media.example/a", Err(Misled::Scheme)),
        ("https://user@media.example/a", Err(Misled::Scheme)),
        ("https://user:word@media.example/a", Err(Misled::Scheme)),
        // The configured place at another port or by another scheme is not the configured place.
        ("http://127.0.0.1:4012/a", Err(Misled::Inside)),
        ("https://127.0.0.1:4010/a", Err(Misled::Inside)),
        ("https://169.254.169.254/latest", Err(Misled::Inside)),
        ("https://[::1]/a", Err(Misled::Inside)),
        ("https://0x7f.1/a", Err(Misled::Inside)),
        ("file:///etc/passwd", Err(Misled::Inside)),
    ] {
        let way = fetch.way(place.parse().unwrap());
        let way = way.map(|(_, place)| place.to_string());
        assert_eq!(way, expected.map(str::to_owned), "{place}");
    }
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_not_connected_to() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let place = format!("https://localhost:{port}/a").parse().unwrap();
    let error = fetch().follow(place).await.unwrap_err();
    assert!(matches!(error, Error::Http(_)), "{error:?}");
    let nobody = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(nobody.is_err(), "somebody has connected");
}

fn fetch() -> Fetch {
    let credentials = Credentials::AuthToken(SecretString::from("planted"));
    let account = format!("AC{:032x}", 1).parse().unwrap();
    let mut options = rest::Options::new(account, credentials);
    options.api_base_url = "http://127.0.0.1:4010".parse().unwrap();
    options.media_base_url = "http://emulator:4011/".parse().unwrap();
    let (tls, _) = tls::client_config().unwrap();
    let clock = Clock::start();
    let rest = rest::Client::new(options, tls.clone(), clock, None).unwrap();
    let options = Options {
        proxies: Proxies::default(),
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(5),
    };
    Fetch::new(rest, options, tls, clock).unwrap()
}

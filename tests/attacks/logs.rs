//! Somebody fills the disk with log lines.

use chimein::clock::{Clock, Moment};
use chimein::emulator::{self, Emulator};
use reqwest::{Client, Method};

use crate::child::Service;

/// How often each of them tries.
const TRIES: usize = 300;

/// How many lines a start and a stop have to say at most.
const OWN_LINES: usize = 20;

/// How many lines all that an outsider sends may cause a minute: five of each of two kinds.
const LINES_A_MINUTE: usize = 10;

/// How long a line may be.
const LINE_BYTES_MAX: usize = 2_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outsider_does_not_fill_the_log() {
    let emulator = Emulator::start(emulator::Options::default()).await.unwrap();
    let agent = [
        ("CHIMEIN_AGENT_KIND", "http"),
        ("CHIMEIN_AGENT_URL", "http://127.0.0.1:9/turns"),
        ("CHIMEIN_AGENT_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("LOG_LEVEL", "info"),
    ];
    let mut service = Service::of(&emulator, &agent);
    service.start(&[]);
    assert!(service.is_listening().await, "{}", service.log_tail());
    let clock = Clock::start();
    let client = chimein::net::http::direct().unwrap().build().unwrap();
    let base = format!("http://127.0.0.1:{}", service.port());
    let long = "x".repeat(20_000);
    for n in 0..TRIES {
        let webhook = format!("{base}/webhooks/twilio/../twilio?a={n}&planted={long}");
        let late = format!("{base}/v1/conversations/CH{n:032x}/replies?{long}");
        for (method, url, body) in [
            (Method::POST, &webhook, "EventType=onMessageAdded".to_owned()),
            (Method::GET, &webhook, String::new()),
            (Method::DELETE, &webhook, String::new()),
            (Method::POST, &late, "{".to_owned()),
            (Method::GET, &format!("{base}/{long}"), String::new()),
        ] {
            let status = ask(&client, method, url, body).await;
            assert!((400..500).contains(&status), "{status} of {}", &url[..60]);
        }
    }
    for _ in 0..20 {
        let large = "y".repeat(2 << 20);
        let webhook = format!("{base}/webhooks/twilio");
        // It may hang up before all is sent.
        let _ = client.post(webhook).body(large).send().await;
    }
    service.stop().await;
    let log = service.log().concat();
    assert!(log.contains("refused a webhook request for its signature"), "{log}");
    assert!(log.contains("late replies were refused"), "{log}");
    assert!(!log.contains("planted"), "a query is in the log");
    let minutes = clock.now().since(Moment::ORIGIN).as_secs() / 60 + 1;
    let most = OWN_LINES + LINES_A_MINUTE * usize::try_from(minutes).unwrap();
    let lines = log.lines().count();
    assert!(lines <= most, "{lines} lines in {minutes} minutes:\n{log}");
    let longest = log.lines().map(str::len).max().unwrap_or(0);
    assert!(longest <= LINE_BYTES_MAX, "a line of {longest} bytes");
    emulator.shutdown().await;
}

async fn ask(client: &Client, method: Method, url: &str, body: String) -> u16 {
    let request = client
        .request(method, url)
        .header("x-twilio-signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        .body(body);
    request.send().await.unwrap().status().as_u16()
}

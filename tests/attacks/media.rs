//! A Twilio that has been taken over, or whose answers somebody changes: where it leads whoever fetches a file,
//! what it sends there, and how much of that it can bind. And those who follow links, all at once or never
//! reading.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::Response;
use chimein::agent::kinds;
use chimein::app::{self, App};
use chimein::clock::Clock;
use chimein::config::Environment;
use chimein::media::Links;
use chimein::media::door::{CARRIED_MAX, WAITING_MAX};
use chimein::twilio::rest::FileName;
use futures::StreamExt as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

/// The auth token, whose base64 must go nowhere else.
const TOKEN: &str = "planted-auth-token";

/// How long anything may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_led_inside_and_no_credentials_go_along() {
    let house = House::start().await;
    let inside = house.twilio.inside;
    for place in [
        format!("http://{inside}/x"),
        format!("https://{inside}/x"),
        format!("https://localhost:{}/x", inside.port()),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "https://[::1]/x".to_owned(),
        "https://[::ffff:169.254.169.254]/x".to_owned(),
        format!("http://user:word@{}/after", house.twilio.address),
        "file:///etc/passwd".to_owned(),
        "/loop".to_owned(),
    ] {
        house.twilio.lead_to(&place);
        assert_eq!(house.get("lead").await, (502, "unavailable".to_owned()), "{place}");
    }
    house.twilio.lead_to("/after");
    assert_eq!(house.get("lead").await, (200, "after".to_owned()));
    let seen = house.twilio.shared.seen.lock().unwrap().clone();
    assert!(seen.iter().any(|(path, _)| path == "/after"));
    for (path, is_signed) in seen {
        assert_eq!(is_signed, path.starts_with("/2010-04-01/"), "{path}");
    }
    let led = tokio::time::timeout(Duration::from_millis(50), house.twilio.caught.accept()).await;
    assert!(led.is_err(), "somebody came");
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_without_end_is_cut_and_one_that_stops_is_given_up() {
    let house = House::start().await;
    let mut answer = house.open("endless").await;
    assert_eq!(answer.status(), 200);
    let mut came = 0;
    let ended = loop {
        match answer.chunk().await {
            Ok(Some(piece)) => came += piece.len(),
            ended => break ended,
        }
    };
    assert!(ended.is_err(), "it looks whole");
    assert!(came <= 4 << 20, "{came}");
    let answer = house.open("stalled").await;
    assert!(answer.bytes().await.is_err(), "it looks whole");
    let given_back = async {
        while house.twilio.shared.under_way.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, given_back).await.expect("nothing is held");
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_links_at_once_are_served_a_few_at_a_time_and_the_rest_told_to_come_again() {
    let house = House::start().await;
    let asked = (0..1000).map(|_| house.get("brief"));
    let answers = futures::future::join_all(asked).await;
    let given = answers.iter().filter(|(status, _)| *status == 200).count();
    let busy = answers.iter().filter(|answer| **answer == (503, "busy".to_owned())).count();
    assert_eq!(given + busy, 1000);
    assert!(given >= CARRIED_MAX + WAITING_MAX, "{given}");
    let most = house.twilio.shared.most.load(Ordering::SeqCst);
    assert!(most <= CARRIED_MAX, "{most} at once");
    assert_eq!(house.get("brief").await.0, 200);
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_never_read_their_file_do_not_keep_others_from_theirs() {
    let house = House::start().await;
    let mut never_reading = Vec::new();
    for _ in 0..CARRIED_MAX {
        let mut stream = TcpStream::connect(house.app.address()).await.unwrap();
        let link = house.link("large");
        let path = link.split_once("/media/").unwrap().1;
        let request = format!("GET /media/{path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        never_reading.push(stream);
    }
    let served = async { while house.get("brief").await.0 != 200 {} };
    tokio::time::timeout(PATIENCE, served).await.expect("a file for somebody who reads");
    house.end().await;
}

/// What Twilio does with whoever asks for a file; its place in the list is in the message's sid.
const KINDS: [&str; 5] = ["lead", "endless", "stalled", "brief", "large"];

/// A Twilio in wrong hands.
struct Twilio {
    address: SocketAddr,
    /// An address that nobody should come to.
    inside: SocketAddr,
    caught: TcpListener,
    shared: Shared,
}

#[derive(Clone, Default)]
struct Shared {
    place: Arc<Mutex<String>>,
    seen: Arc<Mutex<Vec<(String, bool)>>>,
    under_way: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Twilio {
    async fn start() -> Self {
        let shared = Shared::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let caught = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inside = caught.local_addr().unwrap();
        Self { address, inside, caught, shared }
    }

    fn lead_to(&self, place: &str) {
        place.clone_into(&mut self.shared.place.lock().unwrap());
    }
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let is_signed = request.headers().contains_key(header::AUTHORIZATION);
    shared.seen.lock().unwrap().push((path.clone(), is_signed));
    let to = |place: &str| {
        let answer = Response::builder().status(307).header(header::LOCATION, place);
        answer.body(Body::empty()).unwrap()
    };
    if path == "/after" {
        return Response::new(Body::from("after"));
    }
    if path == "/loop" {
        return to("/loop");
    }
    let kind = KINDS.iter().enumerate().find(|(n, _)| path.contains(&message(*n)));
    match kind.map(|(_, kind)| *kind) {
        Some("lead") => to(&shared.place.lock().unwrap().clone()),
        Some(kind) => file(kind, &shared),
        None => Response::builder().status(404).body(Body::from(r#"{"code":20404}"#)).unwrap(),
    }
}

fn file(kind: &str, shared: &Shared) -> Response {
    let many = Bytes::from(vec![0; 64 * 1024]);
    let held = Held::new(shared);
    let one = |bytes: Bytes| futures::stream::iter([Ok::<_, std::io::Error>(bytes)]);
    let body = match kind {
        "endless" => {
            let endless = futures::stream::repeat(many).map(Ok::<_, std::io::Error>);
            Body::from_stream(held.over(endless))
        }
        "stalled" => Body::from_stream(held.over(one(many).chain(futures::stream::pending()))),
        "brief" => {
            let pause = async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok::<_, std::io::Error>(Bytes::from("brief"))
            };
            Body::from_stream(held.over(futures::stream::once(pause)))
        }
        _ => Body::from_stream(
            held.over(futures::stream::iter(vec![many; 60]).map(Ok::<_, std::io::Error>)),
        ),
    };
    Response::builder().header(header::CONTENT_TYPE, "image/png").body(body).unwrap()
}

/// A file under way.
struct Held(Arc<AtomicUsize>);

impl Held {
    fn new(shared: &Shared) -> Self {
        let now = shared.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most.fetch_max(now, Ordering::SeqCst);
        Self(Arc::clone(&shared.under_way))
    }

    fn over<S: futures::Stream>(self, stream: S) -> impl futures::Stream<Item = S::Item> {
        stream.map(move |item| {
            let _held = &self;
            item
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The service against it.
struct House {
    twilio: Twilio,
    app: App,
    links: Links,
    http: reqwest::Client,
    _folder: TempDir,
}

impl House {
    async fn start() -> Self {
        let twilio = Twilio::start().await;
        let folder = TempDir::new().unwrap();
        let listener = app::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let environment = [
            ("TWILIO_ACCOUNT_SID", format!("AC{}", "0".repeat(32))),
            ("TWILIO_AUTH_TOKEN", TOKEN.to_owned()),
            ("TWILIO_PHONE_NUMBER", "+15555550100".to_owned()),
            ("TWILIO_API_BASE_URL", format!("http://{}", twilio.address)),
            ("CHIMEIN_WEBHOOK_PUBLIC_URL", base.clone()),
            ("CHIMEIN_QUEUE_PATH", folder.path().join("chimein.db").display().to_string()),
            ("CHIMEIN_ADMIN_LISTEN", "off".to_owned()),
            ("CHIMEIN_MESSAGING_SWEEP_INTERVAL", "0s".to_owned()),
            ("CHIMEIN_MEDIA_MAX_BYTES", "4MiB".to_owned()),
        ];
        let report = kinds::load(None, &Environment::from_pairs(environment));
        let effective = report.effective.clone();
        let settings = report.into_settings().unwrap();
        let app = App::start(&settings, effective, listener).await.unwrap();
        let links = Links::new(&TOKEN.into(), Some(base), Duration::from_secs(3600));
        let http = chimein::net::http::direct().unwrap().build().unwrap();
        Self { twilio, app, links, http, _folder: folder }
    }

    fn link(&self, kind: &str) -> String {
        let n = KINDS.iter().position(|known| *known == kind).unwrap();
        let message = message(n).parse().unwrap();
        let file = format!("ME{:032x}", 7).parse().unwrap();
        let thread = format!("TH{:032x}", 7).parse().unwrap();
        let name = FileName::OfText { message, file };
        self.links.link(thread, name, Clock::start().wall()).unwrap().url.into_revealed()
    }

    async fn open(&self, kind: &str) -> reqwest::Response {
        self.http.get(self.link(kind)).send().await.unwrap()
    }

    /// The status, and the word of a refusal or the text of a file.
    async fn get(&self, kind: &str) -> (u16, String) {
        let answer = self.open(kind).await;
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        let word = serde_json::from_str::<Value>(&text).ok();
        let word = word.and_then(|problem| Some(problem["error"].as_str()?.to_owned()));
        (status, word.unwrap_or(text))
    }

    async fn end(self) {
        self.app.stop().await;
    }
}

fn message(n: usize) -> String {
    format!("MM{:032x}", 0xabc0 + n)
}

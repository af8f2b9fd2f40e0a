//! Tests of the console through its router, without a socket.

mod acting;
mod living;
mod proxied;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, header};
use axum::{Router, routing::post};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::findings::Findings;
use super::headers::HEADERS;
use super::lookout::Lookout;
use super::parts::{Options, STREAMS_MAX};
use super::plans::{Plans, ShownCall, ShownLeft, ShownPlan};
use super::proxy_login::ProxyLogin;
use super::visitor::Act;
use super::workbench::Workbench;
use super::*;
use crate::admin::access::HostGate;
use crate::admin::{self, Connector, Insight, Readiness};
use crate::agent::kinds;
use crate::alarms::rules::{Facts, QueueFacts, Thresholds};
use crate::alarms::teller::Witness;
use crate::clock::{Clock, Timestamp};
use crate::config::Environment;
use crate::finding::Finding;
use crate::jobs::recorder::Recorder;
use crate::telemetry::journal::Journal;
use crate::telemetry::metrics::Metrics;

const NEAR: &str = "127.0.0.1:9464";

#[tokio::test]
async fn without_a_session_every_page_leads_to_the_login_and_back() {
    let router = console(Some("acts"), "0.0.0.0:9464");
    for (path, next) in [
        ("/console/", "%2Fconsole%2F"),
        ("/console/unknown?a=b", "%2Fconsole%2Funknown%3Fa%3Db"),
        ("/console/events?page=now", "%2Fconsole%2F"),
    ] {
        let answer = get_page(&router, path, None).await;
        assert_eq!(answer.status, 303, "{path}");
        assert_eq!(answer.headers[header::LOCATION], format!("/console/login?next={next}"));
    }
    let answer = get_page(&router, "/console", None).await;
    assert_eq!(answer.headers[header::LOCATION], "/console/");
}

#[tokio::test]
async fn a_token_opens_the_console_for_what_it_is_good_for() {
    let router = console(Some("acts"), "0.0.0.0:9464");
    for (token, words) in [("acts", "may read, act"), ("reads", "may read<")] {
        let cookie = signed_in(&router, token).await;
        let page = get_page(&router, "/console/", Some(&cookie)).await;
        assert_eq!(page.status, 200);
        assert!(page.text.contains(words), "{}", page.text);
        assert!(page.text.contains("aria-current=\"page\">Now"), "{}", page.text);
    }
}

#[tokio::test]
async fn the_cookie_is_bound_to_the_host_over_tls_and_to_the_console_without() {
    let router = console(Some("acts"), "0.0.0.0:9464");
    for (origin, start) in [
        ("https://127.0.0.1:9464", "__Host-chimein="),
        ("http://127.0.0.1:9464", "chimein-console="),
    ] {
        let answer = log_in(&router, "acts", ("192.0.2.7", origin)).await;
        assert_eq!(
            (answer.status, &answer.headers[header::LOCATION]),
            (303, &"/console/".parse().unwrap())
        );
        let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.starts_with(start) && cookie.contains("SameSite=Strict"), "{cookie}");
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_tokens_are_refused_and_slowed_and_the_right_one_has_to_wait_too() {
    let router = console(Some("acts"), "0.0.0.0:9464");
    let origin = "http://127.0.0.1:9464";
    for expected in [401, 401, 401, 401, 429] {
        assert_eq!(log_in(&router, "wrong", ("192.0.2.7", origin)).await.status, expected);
    }
    let answer = log_in(&router, "acts", ("192.0.2.7", origin)).await;
    assert_eq!((answer.status, &answer.headers[header::RETRY_AFTER]), (429, &"1".parse().unwrap()));
    assert_eq!(log_in(&router, "acts", ("192.0.2.8", origin)).await.status, 303, "somebody else");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(log_in(&router, "acts", ("192.0.2.7", origin)).await.status, 303);
}

#[tokio::test]
async fn the_login_of_another_pages_form_is_refused() {
    let router = console(Some("acts"), "0.0.0.0:9464");
    let answer = send(&router, "/console/login", None, "token=acts").await;
    assert_eq!(answer.status, 403);
    assert!(!answer.headers.contains_key(header::SET_COOKIE));
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_by_itself_and_by_signing_out() {
    let router = console(Some("acts"), "0.0.0.0:9464");
    let cookie = signed_in(&router, "acts").await;
    tokio::time::advance(Duration::from_secs(3_599)).await;
    assert_eq!(get_page(&router, "/console/", Some(&cookie)).await.status, 200);
    tokio::time::advance(Duration::from_secs(3_601)).await;
    assert_eq!(get_page(&router, "/console/", Some(&cookie)).await.status, 303);

    let cookie = signed_in(&router, "acts").await;
    let form = form_of(&get_page(&router, "/console/", Some(&cookie)).await.text);
    assert_eq!(send(&router, "/console/logout", Some(&cookie), "form=00").await.status, 403);
    let answer = send(&router, "/console/logout", Some(&cookie), &format!("form={form}")).await;
    assert_eq!(
        (answer.status, answer.headers.get_all(header::SET_COOKIE).iter().count()),
        (303, 2)
    );
    assert_eq!(get_page(&router, "/console/", Some(&cookie)).await.status, 303);
}

#[tokio::test]
async fn acting_needs_the_role_and_a_form_that_was_shown_to_the_same_session() {
    let router = console(Some("acts"), "0.0.0.0:9464");
    let (acts, other, reads) = (
        signed_in(&router, "acts").await,
        signed_in(&router, "acts").await,
        signed_in(&router, "reads").await,
    );
    let mut forms = Vec::new();
    for cookie in [&acts, &other, &reads] {
        forms.push(form_of(&get_page(&router, "/console/", Some(cookie)).await.text));
    }
    let act = |form: &str| format!("form={form}&what=this+one");
    for (cookie, body, status) in [
        (Some(&acts), act(&forms[0]), 200),
        (Some(&acts), act(&forms[1]), 403),
        (Some(&acts), "what=this+one".to_owned(), 403),
        (Some(&reads), act(&forms[2]), 403),
        (None, act(&forms[0]), 303),
        (Some(&acts), format!("{}&{}", act(&forms[0]), "a".repeat(65 * 1024)), 413),
    ] {
        let answer = send(&router, "/console/test-act", cookie.map(String::as_str), &body).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert_eq!(answer.text == "did this one", status == 200);
    }
}

#[tokio::test]
async fn without_a_token_it_is_open_on_its_own_machine_alone() {
    let near = console(None, NEAR);
    let page = get_page(&near, "/console/", None).await;
    assert_eq!(page.status, 200);
    assert!(
        page.text.contains("may read, act") && !page.text.contains("Sign out"),
        "{}",
        page.text
    );
    for (host, origin, status) in [
        ("rebound.example:9464", None, 403),
        ("127.0.0.1:9464", Some("http://evil.example"), 403),
        ("127.0.0.1:9464", Some("null"), 403),
        // An address of this machine's that others can reach is not this machine.
        ("192.0.2.7:9464", None, 303),
        ("localhost:9464", Some("http://localhost:9464"), 200),
    ] {
        let request = Request::get("/console/").header(header::HOST, host);
        let request = match origin {
            Some(origin) => request.header(header::ORIGIN, origin),
            None => request,
        };
        let answer = ask(&near, request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{host} {origin:?}");
    }
    let far = console(None, "0.0.0.0:9464");
    assert_eq!(get_page(&far, "/console/", None).await.status, 303);
    let login = get_page(&far, "/console/login", None).await;
    assert_eq!(login.status, 403);
    assert!(login.text.contains("CHIMEIN_ADMIN_DEBUG_TOKEN"), "{}", login.text);
}

#[tokio::test]
async fn every_answer_forbids_frames_inline_code_and_keeping() {
    let router = console(None, NEAR);
    for path in [
        "/console/",
        "/console/login",
        "/console/console.css",
        "/console/console.js",
        "/console/nothing",
    ] {
        let answer = get_page(&router, path, None).await;
        for (name, value) in HEADERS {
            assert_eq!(
                answer.headers.get(*name).map(|found| found.to_str().unwrap()),
                Some(*value),
                "{path}"
            );
        }
        for inline in [" style=", " onclick=", "<style", "<script>"] {
            assert!(!answer.text.contains(inline), "{path} has {inline}");
        }
    }
}

#[tokio::test]
async fn now_shows_what_waits_and_what_is_wrong() {
    let page = get_page(&console(None, NEAR), "/console/", None).await.text;
    for shown in [
        "degraded",
        "agent_down",
        "<b>inbox</b>",
        "3 dead letters in the queue outbox",
        "chimein dead-letters list",
        "the agent default does not answer",
        "/console/dead-letters?queue=outbox",
    ] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
}

#[tokio::test]
async fn setup_shows_what_the_doctor_found_and_every_setting_with_its_origin() {
    let router = console(None, NEAR);
    let page = get_page(&router, "/console/setup", None).await.text;
    let (worst, best) = (page.find("store-disk").unwrap(), page.find("proxies</b>").unwrap());
    assert!(worst < best && page.contains("make room"), "{page}");
    assert!(page.contains("environment TWILIO_AUTH_TOKEN") && !page.contains("planted"), "{page}");
    let some = get_page(&router, "/console/setup?key=auth_token&set=1", None).await.text;
    assert!(some.contains("twilio.auth_token</td>") && !some.contains("agent.kind</td>"), "{some}");
    for shown in
        ["One call would be made", "POST Services/IS1", "left as it is", "<del>", "ask first"]
    {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    let form = form_of(&page);
    let answer = send(&router, "/console/setup/look", None, &format!("form={form}")).await;
    assert_eq!(
        (answer.status, &answer.headers[header::LOCATION]),
        (303, &"/console/setup".parse().unwrap())
    );
    assert_eq!(send(&router, "/console/setup/look", None, "").await.status, 403);
}

#[tokio::test]
async fn every_page_of_the_manual_is_there_and_found_by_a_word_of_it() {
    let router = console(None, NEAR);
    for page in crate::manual::PAGES {
        let shown = get_page(&router, &format!("/console/manual/{}", page.topic), None).await;
        assert_eq!(shown.status, 200, "{}", page.topic);
        assert!(!shown.text.contains(" style="), "{}", page.topic);
    }
    let found = get_page(&router, "/console/manual?word=CHIMEIN_ADMIN_READ_TOKEN", None).await.text;
    assert!(
        found.contains("/console/manual/operation") && !found.contains("/console/manual/celery"),
        "{found}"
    );
    assert_eq!(get_page(&router, "/console/manual/nothing", None).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_live_page_is_told_what_has_changed_and_the_streams_are_bounded() {
    let stop = CancellationToken::new();
    let router = with(None, NEAR, stop.clone());
    let mut streams = Vec::new();
    for _ in 0..STREAMS_MAX {
        let request = Request::get("/console/events?page=now").header(header::HOST, NEAR);
        let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
        streams.push(answer.into_body().into_data_stream());
    }
    assert_eq!(get_page(&router, "/console/events?page=now", None).await.status, 503);
    let mut first = streams.remove(0);
    assert_eq!(first.next().await.unwrap().unwrap(), "retry: 5000\n\n");
    let news = first.next().await.unwrap().unwrap();
    let news = std::str::from_utf8(&news).unwrap();
    assert!(news.contains("event: swap\ndata: {") && news.contains("now-tiles"), "{news}");
    drop(streams);
    stop.cancel();
    assert!(first.next().await.is_none(), "it ends with the service");
}

/// An answer, read whole.
struct Read {
    status: u16,
    headers: HeaderMap,
    text: String,
}

async fn ask(router: &Router, request: Request<Body>) -> Read {
    let answer = router.clone().oneshot(request).await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    Read { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

async fn get_page(router: &Router, path: &str, cookie: Option<&str>) -> Read {
    let request = Request::get(path).header(header::HOST, NEAR);
    let request = match cookie {
        Some(cookie) => request.header(header::COOKIE, cookie),
        None => request,
    };
    ask(router, request.body(Body::empty()).unwrap()).await
}

async fn send(router: &Router, path: &str, cookie: Option<&str>, body: &str) -> Read {
    let request = Request::post(path)
        .header(header::HOST, NEAR)
        .header(header::ORIGIN, "http://127.0.0.1:9464");
    let request = match cookie {
        Some(cookie) => request.header(header::COOKIE, cookie),
        None => request,
    };
    ask(router, request.body(Body::from(body.to_owned())).unwrap()).await
}

async fn log_in(router: &Router, token: &str, (peer, origin): (&str, &str)) -> Read {
    let form = form_of(&get_page(router, "/console/login", None).await.text);
    let peer = SocketAddr::new(peer.parse().unwrap(), 40_000);
    let request = Request::post("/console/login")
        .header(header::HOST, NEAR)
        .header(header::ORIGIN, origin)
        .extension(ConnectInfo(peer))
        .body(Body::from(format!("form={form}&token={token}&next=https://evil.example/")));
    ask(router, request.unwrap()).await
}

/// The cookie of a new session.
async fn signed_in(router: &Router, token: &str) -> String {
    let answer = log_in(router, token, ("192.0.2.9", "http://127.0.0.1:9464")).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

/// What a page's form says of itself.
fn form_of(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"form\" value=\"").expect("the page has a form");
    rest.split('"').next().unwrap().to_owned()
}

fn console(token: Option<&str>, listen: &str) -> Router {
    with(token, listen, CancellationToken::new())
}

fn with(token: Option<&str>, listen: &str, stop: CancellationToken) -> Router {
    with_bench(token, (listen, None), stop)
}

fn with_bench(
    token: Option<&str>,
    (listen, workbench): (&str, Option<Workbench>),
    stop: CancellationToken,
) -> Router {
    let clock = Clock::start();
    let environment = Environment::from_pairs([("TWILIO_AUTH_TOKEN", "planted-secret")]);
    let recorder = Recorder {
        journal: Journal::new(16),
        metrics: Metrics::new(),
        clock,
        tally: Arc::default(),
    };
    let pages = admin::Options {
        service: "chimein".to_owned(),
        instance_id: "chimein-1".to_owned(),
        egress_topic: None,
        required_variables: Vec::new(),
        effective: kinds::load(None, &environment).effective,
        debug_token: token.map(Into::into),
        is_on_platform: false,
        metrics: recorder.metrics.clone(),
        insight: Arc::new(Still),
        clock,
    };
    let thresholds = Thresholds {
        depth: 100,
        oldest: Duration::from_secs(60),
        seats: 900,
        hold: Duration::from_secs(60),
        repeat: Duration::from_secs(3_600),
    };
    let console = Console::new(Options {
        pages: Arc::new(pages),
        listen: listen.parse().unwrap(),
        read_token: token.map(|_| "reads".into()),
        proxy_login: Some(proxy_login()),
        findings: findings(),
        plans: plans(),
        lookout: Lookout::new(Arc::new(Still), recorder.clone(), thresholds),
        workbench,
        recorder,
        stop,
    });
    let acting = Router::new()
        .route(
            "/console/test-act",
            post(|act: Act| async move { format!("did {}", act.field("what").unwrap()) }),
        )
        .with_state(console.clone());
    HostGate::default().before(router(console).merge(acting))
}

/// What the doctor found: one thing well, one not.
fn findings() -> Findings {
    let findings = Findings::default();
    let found = vec![
        Finding::ok("proxies", "none".to_owned()),
        Finding::fail("store-disk", "1 MiB is free".to_owned(), "make room"),
    ];
    findings.note(Timestamp::from_millis(0), found);
    findings
}

/// One proxy is believed, and lets one person act.
fn proxy_login() -> ProxyLogin {
    ProxyLogin {
        header: header::HeaderName::from_static("x-forwarded-user"),
        proxies: vec!["198.51.100.7".parse().unwrap()],
        may_act: vec!["ann@example.com".to_owned()],
    }
}

/// What setup would change: one field; something is somebody else's.
fn plans() -> Plans {
    let plans = Plans::default();
    let call = ShownCall {
        what: "service webhooks".to_owned(),
        request: "POST Services/IS1/Configuration/Webhooks".to_owned(),
        why: "events come by them".to_owned(),
        fields: vec![
            ["PostWebhookUrl", "nothing", "https://bot.example.com/webhooks/twilio"]
                .map(str::to_owned),
        ],
    };
    let [what, found, remedy] =
        ["account webhooks", "somebody else has set them", "ask first"].map(str::to_owned);
    let plan = ShownPlan { calls: vec![call], left: vec![ShownLeft { what, found, remedy }] };
    plans.note(Clock::start().wall(), Ok(plan));
    plans
}

/// A service whose agent is away and which has lost three replies.
struct Still;

impl Witness for Still {
    fn facts(&self) -> BoxFuture<'_, Facts> {
        let queue =
            |name, open, dead| QueueFacts { name, open, dead, oldest: Duration::from_secs(3) };
        let facts = Facts {
            agents: vec![("default".to_owned(), true)],
            queues: vec![queue("inbox", 2, 0), queue("outbox", 0, 3)],
            ..Facts::default()
        };
        std::future::ready(facts).boxed()
    }
}

impl Insight for Still {
    fn readiness(&self) -> Readiness {
        Readiness::Degraded(vec!["agent_down"])
    }

    fn twilio(&self) -> Option<Connector> {
        None
    }

    fn refresh(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }
}

//! Tests of the operator's routes through their router, on a real store.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::Method;
use futures::future::BoxFuture;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::admin::notes::Notes;
use crate::admin::replies::{self, Replies};
use crate::admin::threads::{self, ThreadDirectory};
use crate::admin::timeline;
use crate::admin::{forget, handoff};
use crate::channels::handover::{Handover, NotHandedOver, TakenThread};
use crate::channels::{Channels, KnownThreads};
use crate::clock::Clock;
use crate::pipeline::forget::Forget;
use crate::queue::{DocumentCursor, Store, embedded};
use crate::telemetry::journal::Journal;
use crate::thread::{Thread, ThreadId};

const REPLIES: &str = "/v1/conversations/CHcccccccccccccccccccccccccccccccc/replies";

#[tokio::test]
async fn every_route_asks_for_the_token() {
    let dead_letters = Bench::open(Access::Token("planted-token".into())).await;
    for (method, path) in OPERATE_PATHS {
        for (authorization, is_let_in) in [
            (None, false),
            (Some("Bearer wrong"), false),
            (Some("Basic planted-token"), false),
            (Some("Bearer planted-token"), true),
        ] {
            let mut request = ask(method, &concrete(path));
            if let Some(authorization) = authorization {
                let _ =
                    request.headers_mut().insert("authorization", authorization.parse().unwrap());
            }
            let (status, body) = dead_letters.call(request).await;
            assert_eq!(status != 401, is_let_in, "{method} {path} {authorization:?}: {body}");
        }
    }
}

#[tokio::test]
async fn without_a_token_a_far_listener_answers_nobody() {
    let dead_letters = Bench::open(Access::Closed).await;
    for (method, path) in OPERATE_PATHS {
        let (status, body) = dead_letters.call(ask(method, &concrete(path))).await;
        assert_eq!((status, &body["error"]), (403, &"no_token_configured".into()), "{path}");
        assert!(body["detail"].as_str().unwrap().contains("CHIMEIN_ADMIN_DEBUG_TOKEN"));
    }
}

#[tokio::test]
async fn without_a_token_no_web_page_gets_through() {
    let dead_letters = Bench::open(Access::Loopback).await;
    for (host, origin, status) in [
        ("127.0.0.1:9464", None, 200),
        ("localhost:9464", None, 200),
        ("localhost", None, 200),
        ("[::1]:9464", None, 200),
        ("[::1]", None, 200),
        ("127.0.0.1:9464", Some("http://127.0.0.1:9464"), 200),
        ("127.0.0.1:9464", Some("http://evil.example"), 403),
        ("127.0.0.1:9464", Some("http://127.0.0.1:3000"), 403),
        ("127.0.0.1:9464", Some("null"), 403),
        ("rebound.example:9464", None, 403),
        ("127.0.0.1.evil.example", None, 403),
        ("", None, 403),
    ] {
        let mut request = ask("GET", "/v1/queues");
        let _ = request.headers_mut().insert("host", host.parse().unwrap());
        if let Some(origin) = origin {
            let _ = request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        assert_eq!(dead_letters.call(request).await.0, status, "{host} {origin:?}");
    }
}

#[tokio::test]
async fn letters_are_listed_shown_redriven_and_dropped() {
    let dead_letters = Bench::open(Access::Loopback).await;
    let (_, listing) =
        dead_letters.call(ask("GET", "/v1/dead-letters?queue=outbox&class=dead")).await;
    let letters = listing["letters"].as_array().unwrap();
    assert_eq!((letters.len(), &listing["next"]), (2, &Value::Null));
    let paths: Vec<String> = letters
        .iter()
        .map(|letter| format!("/v1/dead-letters/outbox/{}", letter["id"].as_str().unwrap()))
        .collect();

    let (status, letter) = dead_letters.call(ask("GET", &paths[0])).await;
    assert_eq!((status, &letter["payload"]["author"]), (200, &"+…23".into()));
    assert_eq!(letter["history"][0]["cause"]["code"], 50400);
    let (_, letter) = dead_letters.call(ask("GET", &format!("{}?reveal=true", paths[0]))).await;
    assert_eq!(letter["payload"]["body"], "planted");

    let redrive = format!("{}/redrive", paths[0]);
    assert_eq!(dead_letters.call(ask("POST", &redrive)).await.0, 200);
    assert_eq!(dead_letters.call(ask("POST", &redrive)).await.0, 404);
    assert_eq!(dead_letters.call(ask("DELETE", &paths[1])).await.0, 200);
    let (_, counts) = dead_letters.call(ask("GET", "/v1/queues")).await;
    assert_eq!(counts["queues"][2]["queue"], "outbox");
    assert_eq!(
        (&counts["queues"][2]["ready"], &counts["queues"][2]["dead"]),
        (&1.into(), &0.into())
    );
}

#[tokio::test]
async fn bulk_calls_take_a_selection_and_a_bound() {
    let dead_letters = Bench::open(Access::Loopback).await;
    let body = r#"{"select":{"queue":"inbox"},"limit":1}"#;
    let (status, bulk) = dead_letters.call(with_body("/v1/dead-letters/drop", body)).await;
    assert_eq!((status, &bulk["done"], &bulk["more"]), (200, &1.into(), &true.into()));
    let absent = r#"{"select":{"queue":null,"class":null},"limit":null}"#;
    let none = r#"{"select":{"queue":"reports","before":null}}"#;
    let (_, bulk) = dead_letters.call(with_body("/v1/dead-letters/redrive", none)).await;
    assert_eq!((&bulk["done"], &bulk["more"]), (&0.into(), &false.into()));
    let (_, bulk) = dead_letters.call(with_body("/v1/dead-letters/redrive", absent)).await;
    assert_eq!((&bulk["done"], &bulk["more"]), (&4.into(), &false.into()));
}

#[tokio::test]
async fn an_act_touches_no_more_than_were_counted() {
    let dead_letters = Bench::open(Access::Loopback).await;
    let (status, causes) =
        dead_letters.call(ask("GET", "/v1/dead-letters/causes?queue=outbox&code=50400")).await;
    assert_eq!((status, &causes["count"], &causes["whole"]), (200, &2.into(), &true.into()));
    assert_eq!(causes["causes"][0]["helps"], "look at its code; drop it");
    let body = r#"{"select":{"queue":"outbox"},"expected":1}"#;
    let (status, refused) = dead_letters.call(with_body("/v1/dead-letters/drop", body)).await;
    assert_eq!((status, &refused["error"]), (409, &"count_changed".into()));
    assert!(refused["detail"].as_str().unwrap().contains("fits 2"), "{refused}");
    let body = r#"{"select":{"queue":"outbox"},"expected":2}"#;
    let (status, done) = dead_letters.call(with_body("/v1/dead-letters/drop", body)).await;
    assert_eq!((status, &done["done"]), (200, &2.into()));
}

#[tokio::test]
async fn chosen_letters_are_named_as_the_list_names_them() {
    let dead_letters = Bench::open(Access::Loopback).await;
    let (_, listing) = dead_letters.call(ask("GET", "/v1/dead-letters?queue=outbox")).await;
    let id = listing["letters"][1]["id"].as_str().unwrap();
    let body = format!(r#"{{"letters":["outbox/{id}","inbox/{}"]}}"#, "f".repeat(32));
    let (status, done) = dead_letters.call(with_body("/v1/dead-letters/redrive", &body)).await;
    assert_eq!((status, &done["done"]), (200, &1.into()));
    assert_eq!(done["missing"][0], format!("inbox/{}", "f".repeat(32)));
    for body in [r#"{"letters":["planted"]}"#, r#"{"letters":[],"select":{}}"#] {
        let (status, refused) = dead_letters.call(with_body("/v1/dead-letters/drop", body)).await;
        assert_eq!(status, 400, "{refused}");
        assert!(!refused.to_string().contains("planted"));
    }
}

#[tokio::test]
async fn no_selection_is_all_of_them_missing_or_null() {
    for body in ["{}", r#"{"select":null,"limit":null}"#] {
        let dead_letters = Bench::open(Access::Loopback).await;
        let (status, bulk) = dead_letters.call(with_body("/v1/dead-letters/redrive", body)).await;
        assert_eq!((status, &bulk["done"]), (200, &5.into()), "{body}");
    }
}

#[tokio::test]
async fn malformed_calls_are_answered_in_json_with_the_reason() {
    let dead_letters = Bench::open(Access::Loopback).await;
    let oversized = format!(r#"{{"select":{{"class":"{}"}}}}"#, "x".repeat(BULK_BYTES_MAX));
    for (request, status) in [
        (ask("GET", "/v1/dead-letters?queue=mail"), 400),
        (ask("GET", "/v1/dead-letters?quue=inbox"), 400),
        (ask("GET", "/v1/dead-letters?limit=1001"), 400),
        (ask("GET", "/v1/dead-letters?code=many"), 400),
        (ask("GET", "/v1/dead-letters/causes?since=yesterday"), 400),
        (ask("GET", "/v1/dead-letters/causes?limit=1"), 400),
        (ask("GET", "/v1/dead-letters/mail/00000000000000000000000000000000"), 404),
        (ask("GET", "/v1/dead-letters/inbox/ffffffffffffffffffffffffffffffff"), 404),
        (ask("GET", "/v1/dead-letters/inbox/01010101010101010101010101010101?reveal=perhaps"), 400),
        (with_body("/v1/dead-letters/drop", r#"{"planted":1}"#), 400),
        (with_body("/v1/dead-letters/drop", r#"{"select":{"everything":true}}"#), 400),
        (with_body("/v1/dead-letters/drop", "planted"), 400),
        (with_body("/v1/dead-letters/drop", &oversized), 413),
        (ask("PUT", "/v1/queues"), 405),
    ] {
        let shown = format!("{} {}", request.method(), request.uri());
        let (found, body) = dead_letters.call(request).await;
        assert_eq!(found, status, "{shown} {body}");
        assert!(!body.to_string().contains("planted"), "{body}");
    }
}

#[tokio::test]
async fn a_closed_store_is_answered_503_and_tells_nothing() {
    let dead_letters = Bench::open(Access::Loopback).await;
    dead_letters.store.close().await;
    for (method, path) in &OPERATE_PATHS[1..7] {
        let (status, body) = dead_letters.call(ask(method, &concrete(path))).await;
        assert_eq!((status, &body["error"]), (503, &"unavailable".into()), "{path}");
    }
}

#[tokio::test]
async fn the_document_has_every_route_and_no_other() {
    let dead_letters = Bench::open(Access::Loopback).await;
    let (status, document) = dead_letters.call(ask("GET", "/v1/openapi.json")).await;
    assert_eq!((status, &document["openapi"]), (200, &"3.1.0".into()));
    let mut told = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let methods = methods.as_object().unwrap().keys();
        told.extend(methods.map(|method| (method.to_uppercase(), path.clone())));
    }
    let pages = crate::admin::PUBLIC_PATHS.iter().chain(crate::admin::DEBUG_PATHS);
    let pages = pages.chain(&["/metrics"]).map(|path| ("GET", *path));
    let mut served: Vec<_> = OPERATE_PATHS.iter().copied().chain(pages).collect();
    served.sort_unstable_by_key(|(method, path)| (path.to_string(), method.to_lowercase()));
    let served = served.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned()));
    told.sort_unstable_by_key(|(method, path)| (path.clone(), method.to_lowercase()));
    assert_eq!(told, served.collect::<Vec<_>>());
}

#[tokio::test]
async fn answers_have_the_fields_that_the_document_says() {
    let dead_letters = Bench::open(Access::Loopback).await;
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let (_, listing) = dead_letters.call(ask("GET", "/v1/dead-letters?queue=outbox")).await;
    let letter = format!(
        "/v1/dead-letters/outbox/{}",
        listing["letters"][0]["id"].as_str().expect("there is one")
    );
    for (path, schema) in [
        ("/v1/dead-letters", "Letters"),
        ("/v1/dead-letters/causes", "Causes"),
        (letter.as_str(), "Letter"),
        ("/v1/threads", "ThreadsPage"),
        ("/v1/handoff", "Paused"),
        ("/v1/queues?planted", "QueueCounts"),
    ] {
        let (status, answer) = dead_letters.call(ask("GET", path)).await;
        assert_eq!(status, 200, "{path} {answer}");
        let answer = if schema == "QueueCounts" { &answer["queues"][0] } else { &answer };
        let fields = |of: &Value| -> Vec<String> {
            let mut names: Vec<_> = of.as_object().unwrap().keys().cloned().collect();
            names.sort_unstable();
            names
        };
        let told = &document["components"]["schemas"][schema]["properties"];
        assert_eq!(fields(answer), fields(told), "{path}");
    }
}

/// Nobody to give a conversation to.
struct NoHands;

impl Handover for NoHands {
    fn set(&self, _: ThreadId, _: bool) -> BoxFuture<'_, Result<(), NotHandedOver>> {
        Box::pin(std::future::ready(Err(NotHandedOver::Unknown)))
    }

    fn paused(&self, _: usize) -> BoxFuture<'_, Vec<TakenThread>> {
        Box::pin(std::future::ready(Vec::new()))
    }
}

/// Nobody has said anything.
struct NoReplies;

impl Replies for NoReplies {
    fn state(&self, _: ThreadId) -> BoxFuture<'_, Result<Option<&'static str>, replies::Failed>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn fate<'a>(
        &'a self,
        _: ThreadId,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<replies::RepliesFate>, replies::Failed>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// Nobody knows a thread.
struct NoThreads;

impl ThreadDirectory for NoThreads {
    fn thread(&self, _: ThreadId) -> BoxFuture<'_, Result<Option<Thread>, replies::Failed>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn ending<'a>(
        &'a self,
        _: &'a str,
        _: Option<DocumentCursor>,
    ) -> BoxFuture<'a, Result<KnownThreads, replies::Failed>> {
        Box::pin(std::future::ready(Ok(KnownThreads::default())))
    }
}

/// A router over a store with dead letters.
struct Bench {
    router: Router,
    store: Store,
    _place: TempDir,
}

impl Bench {
    async fn open(access: Access) -> Self {
        let place = TempDir::new().unwrap();
        let store = Store::open(embedded::Options::new(place.path().join("queue.db"))).unwrap();
        super::super::dead_letters::tests::bury(&store).await;
        let notes = Notes { journal: Journal::new(8), clock: Clock::start() };
        let threads = threads::ThreadSearch {
            directory: Arc::new(NoThreads),
            handover: Arc::new(NoHands),
            store: store.clone(),
            timeline: None,
            clock: Clock::start(),
        };
        let accepted = || post(|| async { StatusCode::ACCEPTED });
        let late = Router::new()
            .route("/v1/conversations/{conversation}/replies", accepted())
            .route("/v1/threads/{thread}/replies", accepted())
            .route("/v1/messages", accepted())
            .route("/v1/threads/find", accepted());
        let others = late
            .merge(handoff::router(Arc::new(NoHands), notes.clone()))
            .merge(replies::router(Arc::new(NoReplies)))
            .merge(timeline::router(None))
            .merge(forget::router(Forget {
                store: store.clone(),
                channels: Channels::default(),
                timeline: None,
                clock: Clock::start(),
            }))
            .merge(threads::router(threads));
        let dead_letters = DeadLetters::new(store.clone(), Clock::start()).noting(notes);
        let router = router(dead_letters, others, access);
        Self { router, store, _place: place }
    }

    /// Gives the status and the body, null if that is no JSON.
    async fn call(&self, request: Request) -> (u16, Value) {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}

fn ask(method: &str, path: &str) -> Request {
    let method: Method = method.parse().unwrap();
    let body = if path == REPLIES || method != Method::POST { "" } else { "{}" };
    let request = Request::builder().method(method).uri(path).header("host", "127.0.0.1:9464");
    request.body(Body::from(body)).unwrap()
}

fn with_body(path: &str, body: &str) -> Request {
    let request = Request::post(path).header("host", "127.0.0.1:9464");
    request.body(Body::from(body.to_owned())).unwrap()
}

fn concrete(path: &str) -> String {
    path.replace("{queue}", "inbox")
        .replace("{id}", "01010101010101010101010101010101")
        .replace("{conversation}", "CHcccccccccccccccccccccccccccccccc")
        .replace("{thread}", "THcccccccccccccccccccccccccccccccc")
        .replace("{key}", "k1")
}

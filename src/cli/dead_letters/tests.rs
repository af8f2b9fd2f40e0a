//! Tests of every action, once on the file and once through a running service.

use std::path::Path;

use axum::Router;
use clap::Parser;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::admin::access::Access;
use crate::admin::dead_letters::DeadLetters;
use crate::admin::dead_letters::tests::bury;
use crate::admin::operate;
use crate::clock::Clock;
use crate::http;
use crate::queue::{Store, embedded};

const FIRST_REPLY: &str = "outbox/03030303030303030303030303030303";
const SECOND_REPLY: &str = "outbox/04040404040404040404040404040404";
const NOBODY: &str = "inbox/ffffffffffffffffffffffffffffffff";

#[tokio::test]
async fn the_file_is_worked_on_when_no_service_has_it() {
    let bench = Bench::new().await;
    let outcome = bench.run(&["list"]).await.unwrap();
    assert_eq!((outcome.code, outcome.output.lines().count()), (0, 6), "{}", outcome.output);
    assert!(outcome.complaint.contains("no service has"), "{}", outcome.complaint);
    everything_works(&bench).await;
}

#[tokio::test]
async fn a_running_service_is_asked_instead() {
    let mut bench = Bench::new().await;
    bench.serve().await;
    let outcome = bench.run(&["list"]).await.unwrap();
    assert_eq!(
        (outcome.code, &*outcome.complaint),
        (0, &*format!("asked the service at http://{}/\n", bench.listen))
    );
    everything_works(&bench).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_page_names_where_the_next_one_starts() {
    let bench = Bench::new().await;
    let outcome = bench.run(&["list", "--limit", "3"]).await.unwrap();
    let (_, cursor) = outcome.output.trim_end().rsplit_once("--cursor ").unwrap();
    let rest = bench.run(&["list", "--cursor", cursor]).await.unwrap().output;
    assert!(rest.contains(FIRST_REPLY) && rest.contains(SECOND_REPLY), "{rest}");
    assert!(!rest.contains("there are more"), "{rest}");
}

#[tokio::test]
async fn nothing_of_people_is_shown_unless_asked() {
    let bench = Bench::new().await;
    for words in [&["list"][..], &["list", "--json"], &["show", FIRST_REPLY]] {
        let shown = bench.run(words).await.unwrap().output;
        assert!(!shown.contains("5555550123") && !shown.contains("planted"), "{words:?} {shown}");
    }
    let shown = bench.run(&["show", FIRST_REPLY, "--reveal"]).await.unwrap().output;
    assert!(shown.contains("+15555550123") && shown.contains("planted"), "{shown}");
}

#[tokio::test]
async fn what_cannot_be_undone_wants_yes() {
    let bench = Bench::new().await;
    for words in
        [&["drop", FIRST_REPLY][..], &["drop", "--all"], &["redrive", "--all", "--queue", "outbox"]]
    {
        let outcome = bench.run(words).await.unwrap();
        assert_eq!(outcome.code, MISUSE, "{words:?}");
        assert!(outcome.complaint.contains("add --yes"), "{}", outcome.complaint);
    }
    let outcome = bench.run(&["redrive", "--all", "--queue", "outbox"]).await.unwrap();
    assert!(outcome.complaint.contains("would redrive 2 dead letters"), "{}", outcome.complaint);
    assert_eq!(bench.count(&["list"]).await, 5);
}

#[tokio::test]
async fn a_selection_is_settled_page_by_page() {
    let mut bench = Bench::new().await;
    for page in [1, 2, 5] {
        let report = kinds::load(None, &environment(bench.place.path(), &bench.listen));
        let place = LetterStore::find(&report, None).await.unwrap();
        let (all, bounds) = (Selection::default(), BulkBounds { limit: page, expected: Some(5) });
        let done = settle_selection(&place, all, LetterFate::Redrive, bounds).await;
        assert_eq!(done.unwrap(), 5, "pages of {page}");
        place.close().await;
        bench = Bench::new().await;
    }
}

#[tokio::test]
async fn with_neither_file_nor_service_both_are_named() {
    let place = TempDir::new().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = work(&line(&["list"]).unwrap(), &environment(place.path(), &listen)).await;
    let Err(Error::Nowhere { path, source }) = error else { panic!("{error:?}") };
    assert_eq!(path, place.path().join("queue.db"));
    assert!(matches!(source, admin_api::Error::NoAnswer { .. }), "{source}");
}

#[cfg(feature = "nats")]
#[tokio::test]
async fn a_file_of_another_time_is_left_alone_when_the_queue_is_on_nats() {
    let bench = Bench::new().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = listener.local_addr().unwrap().to_string();
    drop(listener);
    let path = bench.place.path().join("queue.db");
    let environment = Environment::from_pairs([
        ("CHIMEIN_QUEUE_ENGINE", "nats"),
        ("CHIMEIN_QUEUE_PATH", path.to_str().unwrap()),
        ("CHIMEIN_ADMIN_LISTEN", listen.as_str()),
    ]);
    let error = work(&line(&["list"]).unwrap(), &environment).await.unwrap_err();
    assert!(matches!(error, Error::Api(admin_api::Error::NoAnswer { .. })), "{error}");
}

#[tokio::test]
async fn a_wrong_token_is_told_with_its_remedy() {
    let mut bench = Bench::new().await;
    bench.serve_as(Access::Token("planted-right".into())).await;
    let error = bench.run(&["list"]).await.unwrap_err();
    assert!(matches!(&error, Error::Api(admin_api::Error::Refused { status: 401, .. })));
    let told = outcome::chain(&error);
    assert!(told.contains("admin.debug_token") && !told.contains("planted"), "{told}");
    bench.stop().await;
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    for words in [
        &["list", "--queue", "mail"][..],
        &["list", "--limit", "0"],
        &["list", "--conversation", "IM01"],
        &["show"],
        &["show", "03030303030303030303030303030303"],
        &["redrive"],
        &["redrive", "--all", FIRST_REPLY],
        &["drop", "--yes"],
    ] {
        assert!(line(words).is_err(), "{words:?}");
    }
}

/// Every action with its result, on five dead letters.
async fn everything_works(bench: &Bench) {
    assert_eq!(bench.count(&["list", "--queue", "outbox"]).await, 2);
    assert_eq!(bench.count(&["list", "--class", "loop"]).await, 1);
    let sid = "CHcccccccccccccccccccccccccccccccc";
    assert_eq!(bench.count(&["list", "--conversation", sid]).await, 4);

    let shown = bench.run(&["show", FIRST_REPLY]).await.unwrap().output;
    assert!(shown.contains("dead 50400") && shown.contains("refused for good"), "{shown}");

    let outcome = bench.run(&["redrive", FIRST_REPLY, NOBODY]).await.unwrap();
    assert_eq!((outcome.code, outcome.output.as_str()), (1, "1 dead letter redriven\n"));
    assert!(outcome.complaint.contains(NOBODY), "{}", outcome.complaint);

    let outcome = bench.run(&["drop", SECOND_REPLY, "--yes", "--json"]).await.unwrap();
    let said: serde_json::Value = serde_json::from_str(&outcome.output).unwrap();
    assert_eq!((outcome.code, said), (0, json!({ "done": 1, "missing": [] })));

    let outcome = bench.run(&["redrive", "--all", "--yes"]).await.unwrap();
    assert_eq!((outcome.code, outcome.output.as_str()), (0, "3 dead letters redriven\n"));
    assert_eq!(bench.run(&["list"]).await.unwrap().output, "no dead letters\n");
}

/// A store with five dead letters and, if asked, a service that has it open.
struct Bench {
    place: TempDir,
    listen: String,
    service: Option<(Store, CancellationToken, TaskTracker)>,
}

impl Bench {
    async fn new() -> Self {
        let bench =
            Self { place: TempDir::new().unwrap(), listen: "off".to_owned(), service: None };
        let store = bench.store();
        bury(&store).await;
        store.close().await;
        bench
    }

    fn store(&self) -> Store {
        Store::open(embedded::Options::new(self.place.path().join("queue.db"))).unwrap()
    }

    async fn serve(&mut self) {
        self.serve_as(Access::Loopback).await;
    }

    async fn serve_as(&mut self, access: Access) {
        let store = self.store();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.listen = listener.local_addr().unwrap().to_string();
        let desk = DeadLetters::new(store.clone(), Clock::start());
        let router = operate::router(desk, Router::new(), access);
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(http::serve(listener, router, http::Options::default(), cancel.clone()));
        tasks.close();
        self.service = Some((store, cancel, tasks));
    }

    async fn stop(self) {
        if let Some((store, cancel, tasks)) = self.service {
            cancel.cancel();
            tasks.wait().await;
            store.close().await;
        }
    }

    async fn run(&self, words: &[&str]) -> Result<Outcome, Error> {
        work(&line(words).unwrap(), &environment(self.place.path(), &self.listen)).await
    }

    async fn count(&self, words: &[&str]) -> usize {
        let words: Vec<_> = words.iter().copied().chain(["--json"]).collect();
        let listing: serde_json::Value =
            serde_json::from_str(&self.run(&words).await.unwrap().output).unwrap();
        listing["letters"].as_array().unwrap().len()
    }
}

fn environment(place: &Path, listen: &str) -> Environment {
    let path = place.join("queue.db");
    Environment::from_pairs([
        ("CHIMEIN_QUEUE_PATH", path.to_str().unwrap()),
        ("CHIMEIN_ADMIN_LISTEN", listen),
    ])
}

fn line(words: &[&str]) -> Result<Args, clap::Error> {
    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }
    Ok(Line::try_parse_from(["dead-letters"].iter().chain(words))?.args)
}

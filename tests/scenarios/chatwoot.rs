//! Bots written for Chatwoot: they get what Chatwoot posts, and answer by the calls that they know.

use std::fmt::Write as _;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use chimein::clock::Clock;
use chimein::emulator::faults::{Action, Fault, Place};
use chimein::telemetry::journal::Stage;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Response;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::ports;
use crate::rig::{NUMBER, PHONE, Rig};

const TOKEN: &str = "token-of-the-bot-1234567";
const SECRET: &str = "secret of both";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_is_told_as_chatwoot_tells_it_and_answers_by_its_call() {
    let bot = Bot::start(|_, _| StatusCode::OK).await;
    let rig = bot.rig(&[("CHIMEIN_CHATWOOT_SECRET", SECRET)]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    let told = bot.told(&rig, 1).await.remove(0);
    assert_eq!(told.event["event"], "message_created");
    assert_eq!(told.event["content"], "hello");
    assert_eq!(told.event["sender"]["phone_number"], PHONE);
    assert_eq!(told.event["source_id"].as_str().unwrap().get(..2), Some("IM"));
    assert_eq!(told.header("x-chatwoot-signature"), told.signature());
    assert!(!told.header("x-chatwoot-delivery").is_empty());
    let said = say(&rig, &told.event, json!({"content": "re: hello"})).await;
    assert_eq!(said.status(), 200);
    let said: Value = said.json().await.unwrap();
    assert_eq!((&said["content"], &said["message_type"]), (&json!("re: hello"), &json!(1)));
    rig.expect(conversation, &["re: hello"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_note_never_leaves_and_what_is_said_twice_is_said_once() {
    let bot = Bot::start(|_, _| StatusCode::OK).await;
    let rig = bot.rig(&[]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    let event = bot.told(&rig, 1).await.remove(0).event;
    let note = say(&rig, &event, json!({"content": "a note", "private": true})).await;
    assert_eq!(note.status(), 200);
    for _ in 0..3 {
        assert_eq!(say(&rig, &event, json!({"content": "one"})).await.status(), 200);
    }
    assert_eq!(say(&rig, &event, json!({"content": "two"})).await.status(), 200);
    rig.expect(conversation, &["one", "two"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_gets_the_conversation_after_the_bots_last_words_and_gives_it_back() {
    let bot = Bot::start(|_, _| StatusCode::OK).await;
    let rig = bot.rig(&[]).await;
    let conversation = rig.sms(PHONE, "a person, please").await;
    let event = bot.told(&rig, 1).await.remove(0).event;
    say(&rig, &event, json!({"content": "One moment."})).await;
    let opened = turn_over(&rig, &event, "open").await;
    assert_eq!(opened.status(), 200);
    let opened: Value = opened.json().await.unwrap();
    assert_eq!(opened["payload"]["current_status"], "open");
    rig.expect(conversation, &["One moment."]).await;
    rig.sms(PHONE, "are you a person?").await;
    rig.eventually("it is skipped", |rig| {
        let records = rig.app().journal().recent(conversation);
        records.iter().any(|record| matches!(record.stage, Stage::Skipped { .. }))
    })
    .await;
    assert_eq!(turn_over(&rig, &event, "pending").await.status(), 200);
    rig.sms(PHONE, "and now?").await;
    let event = bot.told(&rig, 2).await.remove(1).event;
    assert_eq!(event["content"], "and now?");
    say(&rig, &event, json!({"content": "I am back."})).await;
    rig.expect(conversation, &["One moment.", "I am back."]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_open_and_pending_the_later_counts_though_the_earlier_still_waits_to_be_done() {
    let bot = Bot::start(|_, _| StatusCode::OK).await;
    let rig = bot.rig(&[("CHIMEIN_REALTIME_ENABLED", "false")]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    let event = bot.told(&rig, 1).await.remove(0).event;
    let path = Some(format!("/Conversations/{conversation}/Messages"));
    let place = Place::Rest { method: Some("POST".to_owned()), path };
    let action = Action::Answer { status: 500, code: None, retry_after: None };
    let fault = Fault { id: 0, place, action, times: None, skip: 0, percent: None };
    let fault = rig.control.add_fault(fault).unwrap();
    // What gives it to a person waits behind these words.
    say(&rig, &event, json!({"content": "One moment."})).await;
    for status in ["open", "pending", "open", "pending"] {
        assert_eq!(turn_over(&rig, &event, status).await.status(), 200);
    }
    assert!(rig.control.remove_fault(fault));
    rig.expect(conversation, &["One moment."]).await;
    rig.sms(PHONE, "and now?").await;
    let event = bot.told(&rig, 2).await.remove(1).event;
    say(&rig, &event, json!({"content": "Still me."})).await;
    rig.expect(conversation, &["One moment.", "Still me."]).await;
    // And the other way about.
    for status in ["pending", "open"] {
        assert_eq!(turn_over(&rig, &event, status).await.status(), 200);
    }
    rig.settled().await;
    rig.sms(PHONE, "are you a person?").await;
    rig.eventually("it is skipped", |rig| {
        let records = rig.app().journal().recent(conversation);
        records.iter().any(|record| matches!(record.stage, Stage::Skipped { .. }))
    })
    .await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_keeps_its_number_and_a_bot_its_word_over_a_restart() {
    let bot = Bot::start(|_, _| StatusCode::OK).await;
    let mut rig = bot.rig(&[]).await;
    let conversation = rig.sms(PHONE, "one").await;
    let first = bot.told(&rig, 1).await.remove(0).event;
    rig.stop_service().await;
    rig.start_service().await;
    assert_eq!(say(&rig, &first, json!({"content": "re: one"})).await.status(), 200);
    rig.sms(PHONE, "two").await;
    // The first may be told again, where the service stopped before it knew that it was taken.
    let is_second = |told: &Told| told.event["content"] == "two";
    let has_second = |bot: &Bot| bot.shared.told.lock().unwrap().iter().any(is_second);
    rig.eventually("the second is told", |_| has_second(&bot)).await;
    let second = bot.told(&rig, 2).await.into_iter().find(is_second).unwrap().event;
    assert_eq!(second["conversation"]["id"], first["conversation"]["id"]);
    assert_ne!(second["id"], first["id"]);
    say(&rig, &second, json!({"content": "re: two"})).await;
    rig.expect(conversation, &["re: one", "re: two"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_fails_is_asked_again_with_the_same_message_until_it_takes_it() {
    let bot = Bot::start(|_, before| match before {
        0 | 1 => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::OK,
    })
    .await;
    let rig = bot.rig(&[]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    let told = bot.told(&rig, 3).await;
    assert_eq!(told[0].event["id"], told[2].event["id"]);
    say(&rig, &told[2].event, json!({"content": "at last"})).await;
    rig.expect(conversation, &["at last"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_says_nothing_is_asked_once_more_and_then_it_is_a_dead_letter() {
    let bot = Bot::start(|_, _| StatusCode::OK).await;
    let extra = [("CHIMEIN_CHATWOOT_ANSWER_WITHIN", "1s"), ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0")];
    let rig = bot.rig(&extra).await;
    let conversation = rig.sms(PHONE, "hello").await;
    let told = bot.told(&rig, 2).await;
    assert_ne!(told[0].event["id"], told[1].event["id"], "it may have seen the one");
    let letter = rig.dead_letter_of("reports").await;
    assert_eq!(letter["cause"]["class"], "agent_timeout", "{letter}");
    let admin = rig.app().admin_address().unwrap();
    let redrive = format!(
        "http://{admin}/v1/dead-letters/reports/{}/redrive",
        letter["id"].as_str().unwrap()
    );
    let redriven = rig.http.post(redrive).send().await.unwrap();
    assert!(redriven.status().is_success(), "{}", redriven.status());
    let event = bot.told(&rig, 3).await.remove(2).event;
    say(&rig, &event, json!({"content": "sorry"})).await;
    rig.expect(conversation, &["sorry"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_silence_of_a_named_bot_is_watched_by_its_own_setting() {
    let bot = Bot::start(|_, _| StatusCode::OK).await;
    let rig = Rig::start(&[
        ("CHIMEIN_AGENT_KIND", "echo"),
        ("CHIMEIN_CHATWOOT_ANSWER_WITHIN", "0s"),
        ("CHIMEIN_AGENTS_DESK_KIND", "chatwoot"),
        ("CHIMEIN_AGENTS_DESK_URL", bot.url.as_str()),
        ("CHIMEIN_AGENTS_DESK_TOKEN", TOKEN),
        ("CHIMEIN_AGENTS_DESK_ANSWER_WITHIN", "1s"),
        ("CHIMEIN_ROUTES_1_AGENT", "desk"),
        ("CHIMEIN_ROUTES_1_KEYWORD", "desk"),
        ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0"),
    ])
    .await;
    rig.sms(PHONE, "desk").await;
    let told = bot.told(&rig, 2).await;
    assert_ne!(told[0].event["id"], told[1].event["id"], "it may have seen the one");
    let letter = rig.dead_letter_of("reports").await;
    assert_eq!(letter["cause"]["class"], "agent_timeout", "{letter}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_says_nothing_is_not_asked_again_while_a_person_has_the_conversation() {
    for (paused, is_asked_then) in [("skip", false), ("hold", true)] {
        let bot = Bot::start(|_, _| StatusCode::OK).await;
        let extra = [
            ("CHIMEIN_CHATWOOT_ANSWER_WITHIN", "2s"),
            ("CHIMEIN_TURNS_PAUSED", paused),
            ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0"),
        ];
        let rig = bot.rig(&extra).await;
        let conversation = rig.sms(PHONE, "hello").await;
        bot.told(&rig, 1).await;
        let answer = rig.tell_admin(&format!("/v1/threads/{conversation}/pause")).await;
        assert_eq!(answer["paused"], true, "{answer}");
        if is_asked_then {
            // The second look finds that its time is over.
            let clock = Clock::start();
            let start = clock.now();
            let is_over = |_: &Rig| clock.now().since(start) > Duration::from_secs(5);
            rig.eventually("its time is over", is_over).await;
        } else {
            rig.eventually("it is over", |rig| {
                let records = rig.app().journal().recent(conversation);
                records.iter().any(|record| matches!(record.stage, Stage::Skipped { .. }))
            })
            .await;
            rig.settled().await;
        }
        assert_eq!(bot.told(&rig, 1).await.len(), 1, "{paused}");
        rig.tell_admin(&format!("/v1/threads/{conversation}/resume")).await;
        if is_asked_then {
            let event = bot.told(&rig, 2).await.remove(1).event;
            say(&rig, &event, json!({"content": "here I am"})).await;
            rig.expect(conversation, &["here I am"]).await;
        }
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_flat_dialect_is_told_and_answered_by_its_texts() {
    let bot = Bot::start(|_, _| StatusCode::OK).await;
    let rig = Rig::on_numbers(&bot.settings(&[("CHIMEIN_CHATWOOT_DIALECT", "flat")])).await;
    rig.text(PHONE, NUMBER, "hello").await;
    let event = bot.told(&rig, 1).await.remove(0).event;
    assert_eq!((&event["channel"], &event["source"]), (&json!("sms"), &json!("chatwoot")));
    assert!(event["conversation"]["id"].is_string());
    assert_eq!(event.get("event"), None);
    say(&rig, &event, json!({"content": "re: hello"})).await;
    rig.expect_texts(PHONE, &["re: hello"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_not_the_token_or_names_nothing_that_is_there_is_refused() {
    let bot = Bot::start(|_, _| StatusCode::OK).await;
    let rig = bot.rig(&[]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    let event = bot.told(&rig, 1).await.remove(0).event;
    let number = event["conversation"]["id"].as_u64().unwrap();
    let good = json!({"content": "planted"}).to_string();
    let large = "x".repeat(64 << 20);
    let json = "application/json";
    let messages = |number: &str| format!("accounts/1/conversations/{number}/messages");
    let here = messages(&number.to_string());
    for (path, tokens, content_type, body, status, word) in [
        (here.clone(), &[][..], json, &good, 401, "invalid_token"),
        (here.clone(), &["wrong"], json, &good, 401, "invalid_token"),
        (here.clone(), &[TOKEN, "wrong"], json, &good, 401, "invalid_token"),
        (here.clone(), &[], json, &large, 401, "invalid_token"),
        (messages(&(number + 1).to_string()), &[TOKEN], json, &good, 404, "unknown_conversation"),
        (messages("0"), &[TOKEN], json, &good, 404, "unknown_conversation"),
        (messages(&"9".repeat(400)), &[TOKEN], json, &good, 404, "unknown_conversation"),
        (messages("..%2f..%2f"), &[TOKEN], json, &good, 404, "unknown_conversation"),
        (here.replace("accounts/1", "accounts/2"), &[TOKEN], json, &good, 404, "unknown_account"),
        (here.clone(), &[TOKEN], json, &large, 413, "too_large"),
        (here.clone(), &[TOKEN], "multipart/form-data", &good, 415, "unsupported_media_type"),
        (here.clone(), &[TOKEN], json, &"[".repeat(200_000), 422, "unprocessable"),
        (here.replace("messages", "toggle_status"), &[TOKEN], json, &good, 422, "unprocessable"),
    ] {
        let url = format!("http://{}/api/v1/{path}", rig.app().address());
        let mut request = rig.http.post(url).header("content-type", content_type);
        for token in tokens {
            request = request.header("api_access_token", *token);
        }
        // Whoever sends on after the answer may find the connection closed.
        let Ok(answer) = request.body(body.clone()).send().await else {
            assert!(body.len() > 1 << 20, "{path}");
            continue;
        };
        assert_eq!(answer.status(), status, "{path}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["error"], word, "{path}: {answer}");
        assert!(!answer.to_string().contains("planted"), "{answer}");
    }
    say(&rig, &event, json!({"content": "still here"})).await;
    rig.expect(conversation, &["still here"]).await;
    rig.end().await;
}

/// Python's own library is all that it takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bot_of_the_examples_answers_and_hands_over() {
    let address = ports::free_address();
    let url = format!("http://{address}/");
    let settings = [
        ("CHIMEIN_AGENT_KIND", "chatwoot"),
        ("CHIMEIN_CHATWOOT_URL", url.as_str()),
        ("CHIMEIN_CHATWOOT_TOKEN", TOKEN),
        ("CHIMEIN_CHATWOOT_SECRET", SECRET),
        ("CHIMEIN_CHATWOOT_ANSWER_WITHIN", "0s"),
    ];
    let rig = Rig::start(&settings).await;
    let Some(_bot) = Example::start(&rig, address.port()) else { return };
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["You said: hello"]).await;
    rig.sms(PHONE, "a person, please").await;
    let all = ["You said: hello", "You said: a person, please"];
    rig.expect(conversation, &all).await;
    rig.sms(PHONE, "hello?").await;
    rig.eventually("it is skipped", |rig| {
        let records = rig.app().journal().recent(conversation);
        records.iter().any(|record| matches!(record.stage, Stage::Skipped { .. }))
    })
    .await;
    rig.expect(conversation, &all).await;
    rig.end().await;
}

async fn say(rig: &Rig, event: &Value, message: Value) -> Response {
    call(rig, event, "messages", message).await
}

async fn turn_over(rig: &Rig, event: &Value, status: &str) -> Response {
    call(rig, event, "toggle_status", json!({ "status": status })).await
}

async fn call(rig: &Rig, event: &Value, path: &str, body: Value) -> Response {
    let id = &event["conversation"]["id"];
    let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
    let place = format!("http://{}/api/v1/accounts/1/conversations", rig.app().address());
    let request = rig.http.post(format!("{place}/{id}/{path}"));
    let request = request.header("api_access_token", TOKEN);
    let request = request.header("content-type", "application/json");
    request.body(body.to_string()).send().await.unwrap()
}

/// What a bot was told once.
#[derive(Clone)]
struct Told {
    event: Value,
    headers: HeaderMap,
    body: Bytes,
}

impl Told {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn signature(&self) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(self.header("x-chatwoot-timestamp").as_bytes());
        mac.update(b".");
        mac.update(&self.body);
        let mut text = "sha256=".to_owned();
        for byte in mac.finalize().into_bytes() {
            write!(text, "{byte:02x}").unwrap();
        }
        text
    }
}

type Answers = dyn Fn(&Value, usize) -> StatusCode + Send + Sync;

#[derive(Clone)]
struct Shared {
    told: Arc<Mutex<Vec<Told>>>,
    answer: Arc<Answers>,
}

/// A bot's server that keeps what it was told; gone when dropped.
struct Bot {
    shared: Shared,
    url: String,
    server: JoinHandle<()>,
}

impl Bot {
    /// Answers with a function of the event and of how often the same was told before.
    async fn start(answer: impl Fn(&Value, usize) -> StatusCode + Send + Sync + 'static) -> Self {
        let shared = Shared { told: Arc::default(), answer: Arc::new(answer) };
        let router = Router::new().route("/bot", post(hear)).with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/bot", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { shared, url, server }
    }

    fn settings<'a>(&'a self, extra: &[(&'static str, &'a str)]) -> Vec<(&'static str, &'a str)> {
        let ours = [
            ("CHIMEIN_AGENT_KIND", "chatwoot"),
            ("CHIMEIN_CHATWOOT_URL", self.url.as_str()),
            ("CHIMEIN_CHATWOOT_TOKEN", TOKEN),
            // What watches for silence is a job that is left.
            ("CHIMEIN_CHATWOOT_ANSWER_WITHIN", "0s"),
        ];
        [&ours, extra].concat()
    }

    async fn rig(&self, extra: &[(&'static str, &str)]) -> Rig {
        Rig::start(&self.settings(extra)).await
    }

    /// Waits until it was told so often; gives all of it.
    async fn told(&self, rig: &Rig, times: usize) -> Vec<Told> {
        rig.eventually("the bot is told", |_| self.shared.told.lock().unwrap().len() >= times)
            .await;
        self.shared.told.lock().unwrap().clone()
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn hear(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let event: Value = serde_json::from_slice(&body).unwrap();
    let before = {
        let mut told = shared.told.lock().unwrap();
        let before = told.iter().filter(|known| known.event["id"] == event["id"]).count();
        told.push(Told { event: event.clone(), headers, body });
        before
    };
    (shared.answer)(&event, before)
}

/// The example's process; killed when dropped.
struct Example(Child);

impl Example {
    /// Starts it, where there is a Python.
    fn start(rig: &Rig, port: u16) -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/chatwoot/bot.py");
        let child = Command::new("python3")
            .args([script, &port.to_string()])
            .env("CHATWOOT_URL", format!("http://{}", rig.app().address()))
            .env("CHATWOOT_TOKEN", TOKEN)
            .env("CHATWOOT_SECRET", SECRET)
            .spawn();
        child.ok().map(Self)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

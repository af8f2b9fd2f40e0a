//! Plain numbers: SMS and WhatsApp without a conversation keep the same promises.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chimein::admin::{Insight as _, Readiness};
use chimein::app::{self, App};
use chimein::clock::Clock;
use chimein::config::{self, Environment};
use chimein::emulator::faults::{Action, Fault, Place};
use chimein::emulator::record::Happening;
use chimein::emulator::state::limits::Limits;
use chimein::emulator::state::messaging::{Extras, Number, Text};
use chimein::emulator::{self, Control, Emulator, Incoming};
use chimein::pii::Pii;
use chimein::twilio::messaging::MessageStatus;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rig::Rig;

const NUMBER: &str = "+15555550100";
const PHONE: &str = "+15555550123";
const WHATSAPP: &str = "whatsapp:+15555550100";
const FRIEND: &str = "whatsapp:+15555550123";

/// How long something may take before the test has failed.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_text_is_answered_once_in_order_and_arrives() {
    let desk = Desk::start(&[]).await;
    for n in 0..5 {
        desk.text(PHONE, NUMBER, &format!("text {n}")).await;
        desk.text(FRIEND, WHATSAPP, &format!("chat {n}")).await;
    }
    desk.expect(PHONE, &["text 0", "text 1", "text 2", "text 3", "text 4"]).await;
    desk.expect(FRIEND, &["chat 0", "chat 1", "chat 2", "chat 3", "chat 4"]).await;
    desk.eventually("all have arrived", |desk| {
        desk.control
            .texts_to(PHONE)
            .iter()
            .chain(&desk.control.texts_to(FRIEND))
            .all(Text::has_arrived)
    })
    .await;
    assert!(desk.webhook_answers().iter().all(|status| *status == 200));
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_with_an_unknown_outcome_is_found_by_its_callback() {
    futures::future::join_all(mishaps().map(|action| answers_all(action, &[]))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_with_an_unknown_outcome_is_found_without_a_callback() {
    let lost = [Place::Webhook { event_type: Some("messageStatus".to_owned()) }];
    futures::future::join_all(mishaps().map(|action| answers_all(action, &lost))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_is_listed_late_is_not_sent_again() {
    let desk = Desk::start(&[]).await;
    desk.control.set_limits(Limits { list_lag_ms: 6_000, ..limits() });
    let lost = Place::Webhook { event_type: Some("messageStatus".to_owned()) };
    desk.fault(lost, Action::Lose, 100);
    desk.fault(create(), Action::BreakAfter, 1);
    desk.text(PHONE, NUMBER, "hello").await;
    desk.expect(PHONE, &["hello"]).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_found_is_not_taken_for_the_next_one_that_says_the_same() {
    let desk = Desk::start(&[]).await;
    let lost = Place::Webhook { event_type: Some("messageStatus".to_owned()) };
    desk.fault(lost, Action::Lose, 100);
    desk.fault(create(), Action::BreakAfter, 1);
    desk.text(PHONE, NUMBER, "ok").await;
    desk.expect(PHONE, &["ok"]).await;
    desk.fault(create(), Action::BreakBefore, 1);
    desk.text(PHONE, NUMBER, "ok").await;
    desk.expect(PHONE, &["ok", "ok"]).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_found_and_does_not_arrive_is_a_dead_letter_too() {
    let desk = Desk::start(&[]).await;
    desk.fault(create(), Action::BreakAfter, 1);
    let to = Place::Text { to: Some(PHONE.to_owned()) };
    desk.fault(to, Action::Fail { code: 30003 }, 1);
    desk.text(PHONE, NUMBER, "nobody there").await;
    assert_eq!(desk.dead_letter().await["cause"]["code"], 30003);
    desk.end().await;
}

/// What becomes of a request to send, or of its answer.
fn mishaps() -> impl Iterator<Item = Action> {
    let done = |status, code| Action::AnswerAfter { status, code };
    let undone = |status, code| Action::Answer { status, code, retry_after: None };
    [
        Action::BreakAfter,
        Action::BreakBefore,
        Action::CutOff,
        done(500, Some(20500)),
        done(502, None),
        done(504, None),
        undone(500, Some(20500)),
        undone(503, None),
        Action::Intercept { status: 502 },
        Action::Answer { status: 429, code: Some(20429), retry_after: Some(0) },
    ]
    .into_iter()
}

/// Somebody writes three times, twice the same, while a mishap happens twice and webhooks are lost.
async fn answers_all(action: Action, lost: &[Place]) {
    let desk = Desk::start(&[]).await;
    for place in lost {
        desk.fault(place.clone(), Action::Lose, 100);
    }
    desk.fault(create(), action, 2);
    for text in ["ok", "ok", "third"] {
        desk.text(PHONE, NUMBER, text).await;
    }
    desk.expect(PHONE, &["ok", "ok", "third"]).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_twice_or_by_no_webhook_is_answered_once() {
    let desk = Desk::start(&[("CHIMEIN_MESSAGING_SWEEP_INTERVAL", "1s")]).await;
    let inbound = || Place::Webhook { event_type: Some("inboundMessage".to_owned()) };
    desk.fault(inbound(), Action::Duplicate, 1);
    desk.text(PHONE, NUMBER, "twice").await;
    desk.expect(PHONE, &["twice"]).await;
    desk.fault(inbound(), Action::Lose, 2);
    desk.text(PHONE, NUMBER, "lost").await;
    desk.text(FRIEND, WHATSAPP, "lost too").await;
    desk.expect(PHONE, &["twice", "lost"]).await;
    desk.expect(FRIEND, &["lost too"]).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_installation_answers_nothing_that_came_before_it() {
    let mut desk = Desk::start(&[("CHIMEIN_MESSAGING_SWEEP_INTERVAL", "1s")]).await;
    if let Some(app) = desk.app.take() {
        app.stop().await;
    }
    for file in std::fs::read_dir(desk.folder.path()).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    desk.text(PHONE, NUMBER, "to the bot that was here before").await;
    let clock = Clock::start();
    let second = || clock.wall().as_millis() / 1000;
    let written = second();
    desk.eventually("the second is over, of which parts are not told", |_| second() > written)
        .await;
    let before = desk.sweeps();
    desk.start_service().await;
    desk.eventually("two sweeps", |desk| desk.sweeps() >= before + 2).await;
    desk.text(PHONE, NUMBER, "hello").await;
    desk.expect(PHONE, &["hello"]).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_stop_hears_nothing_more_until_start() {
    let mut desk = Desk::start(&[("CHIMEIN_MESSAGING_OPT_OUT_KEYWORDS", "halt")]).await;
    for (theirs, ours, stop) in [(PHONE, NUMBER, "STOP"), (FRIEND, WHATSAPP, "Halt")] {
        desk.text(theirs, ours, "hello").await;
        desk.expect(theirs, &["hello"]).await;
        desk.text(theirs, ours, stop).await;
        desk.settled().await;
        desk.restart().await;
        desk.text(theirs, ours, "anybody there?").await;
        let (status, _) =
            desk.send("k1", &json!({"to": theirs, "from": ours, "body": "buy"})).await;
        assert_eq!(status, 202);
        desk.settled().await;
        desk.expect_said(theirs, &["hello"]);
        desk.text(theirs, ours, "START").await;
        desk.settled().await;
        desk.text(theirs, ours, "back").await;
        desk.eventually("the bot speaks again", |desk| {
            desk.said(theirs).last().is_some_and(|text| text == "back")
        })
        .await;
        assert!(!desk.said(theirs).contains(&"buy".to_owned()));
    }
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twilios_word_that_somebody_has_opted_out_is_kept() {
    let desk = Desk::start(&[]).await;
    desk.fault(create(), Action::Answer { status: 400, code: Some(21610), retry_after: None }, 1);
    desk.text(PHONE, NUMBER, "hello").await;
    desk.settled().await;
    desk.text(PHONE, NUMBER, "hello?").await;
    desk.settled().await;
    assert!(desk.said(PHONE).is_empty());
    assert_eq!(desk.creates(), 1, "nobody asks Twilio a second time");
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn free_text_goes_to_whatsapp_within_a_day_only_else_the_template() {
    let template = format!("HX{:032x}", 7);
    let desk = Desk::start(&[]).await;
    let message = json!({"to": FRIEND, "from": WHATSAPP, "body": "It is time."});
    let (status, answer) = desk.send("k1", &message).await;
    assert_eq!(status, 202);
    desk.settled().await;
    assert_eq!(desk.creates(), 0, "it is known before the request");
    let fate = desk.fate(answer["thread"].as_str().unwrap(), "k1").await;
    assert_eq!(fate["cause"]["class"], "window_closed", "{fate}");
    desk.end().await;

    let desk = Desk::start(&[("CHIMEIN_WHATSAPP_TEMPLATE", &template)]).await;
    desk.control.set_template(&template, "Write to us.").unwrap();
    desk.send("k1", &message).await;
    desk.expect(FRIEND, &["Write to us."]).await;
    desk.text(FRIEND, WHATSAPP, "here I am").await;
    desk.expect(FRIEND, &["Write to us.", "here I am"]).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_whose_outcome_nobody_knows_is_not_sent_again() {
    let template = format!("HX{:032x}", 7);
    let desk = Desk::start(&[("CHIMEIN_WHATSAPP_TEMPLATE", &template)]).await;
    desk.control.set_template(&template, "Write to us.").unwrap();
    let lost = Place::Webhook { event_type: Some("messageStatus".to_owned()) };
    desk.fault(lost, Action::Lose, 100);
    desk.fault(create(), Action::BreakAfter, 1);
    desk.send("k1", &json!({"to": FRIEND, "from": WHATSAPP, "body": "It is time."})).await;
    desk.expect(FRIEND, &["Write to us."]).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_whose_number_is_hidden_goes_on_in_the_same_thread() {
    let desk = Desk::start(&[]).await;
    let id = "US.13491208655302741918";
    let both = Extras { user_id: Some(Pii::new(id)), ..Extras::default() };
    let first = Incoming { extras: both, ..Incoming::new(FRIEND, WHATSAPP, "by number") };
    desk.control.text(first).await.unwrap();
    desk.expect(FRIEND, &["by number"]).await;
    let hidden = format!("whatsapp:{id}");
    desk.text(&hidden, WHATSAPP, "by id").await;
    desk.expect(&hidden, &["by id"]).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_with_both_roads_is_answered_by_one() {
    let direct = format!("{NUMBER}=direct");
    for (sources, by_text) in [(direct.as_str(), 1), ("", 0)] {
        let roads = [
            ("TWILIO_PHONE_NUMBER", NUMBER),
            ("CHIMEIN_MESSAGING_SOURCES", sources),
            ("CHIMEIN_MESSAGING_SWEEP_INTERVAL", "1s"),
        ];
        let rig = Rig::start(&roads).await;
        let url = format!("http://{}/webhooks/twilio/sms", rig.app().address());
        let number = Number { conversations: true, ..Number::told_to(NUMBER, url) };
        rig.control.set_number(number).unwrap();
        let _texted = rig.control.text(Incoming::new(PHONE, NUMBER, "hello")).await.unwrap();
        rig.eventually("the conversation is there", |rig| !rig.control.conversations().is_empty())
            .await;
        let conversation = rig.control.conversations()[0].sid;
        let answers =
            |rig: &Rig| (rig.control.texts_to(PHONE).len(), rig.replies(conversation).len());
        rig.eventually("it is answered", |rig| answers(rig) != (0, 0)).await;
        rig.settled().await;
        assert_eq!(answers(&rig), (by_text, 1 - by_text), "{sources}");
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_nobody_asked_for_is_sent_once_under_its_key() {
    let desk = Desk::start(&[]).await;
    let message = json!({"to": PHONE, "body": "It is time."});
    for _ in 0..3 {
        let (status, answer) = desk.send("k1", &message).await;
        assert_eq!(status, 202, "{answer}");
    }
    desk.expect(PHONE, &["It is time."]).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_answers_arrive_in_parts_at_the_pace_of_their_number() {
    let desk = Desk::start(&[("CHIMEIN_MESSAGING_SENDER_RATES", "+15555550100=1000")]).await;
    let long = "A sentence of some length. ".repeat(80);
    desk.text(PHONE, NUMBER, long.trim()).await;
    desk.eventually("both parts have arrived", |desk| desk.control.texts_to(PHONE).len() == 2)
        .await;
    desk.settled().await;
    assert_eq!(desk.said(PHONE).join(" "), long.trim());
    assert!(desk.refusals().is_empty());
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_after_twilio_took_it_is_sent_once_more_or_a_dead_letter() {
    let desk = Desk::start(&[]).await;
    let to = |code| (Place::Text { to: Some(PHONE.to_owned()) }, Action::Fail { code });
    let (place, action) = to(30008);
    desk.fault(place, action, 1);
    desk.text(PHONE, NUMBER, "once more").await;
    desk.expect(PHONE, &["once more", "once more"]).await;
    let states = || desk.control.texts_to(PHONE).iter().map(|text| text.status).collect::<Vec<_>>();
    desk.eventually("the second one has arrived", |_| {
        states() == [MessageStatus::Failed, MessageStatus::Delivered]
    })
    .await;
    let (place, action) = to(30003);
    desk.fault(place, action, 1);
    desk.text(PHONE, NUMBER, "nobody there").await;
    assert_eq!(desk.dead_letter().await["cause"]["code"], 30003);
    desk.settled().await;
    assert_eq!(desk.control.texts_to(PHONE).len(), 3, "it is not sent again by itself");
    desk.end().await;
}

/// As fast as a test is.
fn limits() -> Limits {
    Limits { long_code_rate: 1000, whatsapp_rate: 1000, ..Limits::default() }
}

/// The request that sends.
fn create() -> Place {
    Place::Rest { method: Some("POST".to_owned()), path: Some("/Messages.json".to_owned()) }
}

/// A Twilio with two numbers, and the service on them alone.
struct Desk {
    emulator: Emulator,
    control: Control,
    folder: TempDir,
    extra: Vec<(&'static str, String)>,
    app: Option<App>,
    http: reqwest::Client,
}

impl Desk {
    async fn start(extra: &[(&'static str, &str)]) -> Self {
        let options = emulator::Options { seed: Some(7), ..emulator::Options::default() };
        let emulator = Emulator::start(options).await.unwrap();
        let control = emulator.control();
        // As fast as a test is; the paces have their own.
        control.set_limits(limits());
        let folder = tempfile::tempdir().unwrap();
        let rates = format!("{NUMBER}=1000,{WHATSAPP}=1000");
        let mut all = vec![("CHIMEIN_MESSAGING_SENDER_RATES", rates)];
        all.extend(extra.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let http = chimein::net::http::direct().unwrap().build().unwrap();
        let mut desk = Self { emulator, control, folder, extra: all, app: None, http };
        desk.start_service().await;
        desk
    }

    async fn start_service(&mut self) {
        let listener = app::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let public_url = format!("http://{}", listener.local_addr().unwrap());
        let report = config::load(None, &self.environment(public_url));
        let effective = report.effective.clone();
        let settings = report.into_settings().unwrap();
        self.app = Some(App::start(&settings, effective, listener).await.unwrap());
        for (address, door) in [(NUMBER, "sms"), (WHATSAPP, "whatsapp")] {
            self.control.set_number(self.number(address, door)).unwrap();
        }
        self.eventually("the service is ready", |desk| {
            desk.app().health().readiness() == Readiness::Ready
        })
        .await;
    }

    async fn restart(&mut self) {
        if let Some(app) = self.app.take() {
            app.stop().await;
        }
        self.start_service().await;
    }

    fn environment(&self, public_url: String) -> Environment {
        let (urls, credentials) = (self.emulator.urls(), self.emulator.credentials());
        let pairs = [
            ("TWILIO_ACCOUNT_SID", credentials.account_sid.to_string()),
            ("TWILIO_AUTH_TOKEN", credentials.auth_token.expose_secret().to_owned()),
            ("TWILIO_PHONE_NUMBER", NUMBER.to_owned()),
            ("TWILIO_WHATSAPP_NUMBER", WHATSAPP.to_owned()),
            ("TWILIO_API_BASE_URL", urls.api.to_string()),
            ("TWILIO_MESSAGING_BASE_URL", urls.api.to_string()),
            ("CHIMEIN_WEBHOOK_PUBLIC_URL", public_url),
            ("CHIMEIN_QUEUE_PATH", self.folder.path().join("chimein.db").display().to_string()),
            ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
            ("CHIMEIN_GUARD_TURNS_PER_MINUTE", "100000".to_owned()),
            ("CHIMEIN_SEND_SCHEDULE", "50ms,100ms,200ms,1s,1s,1s,1s".to_owned()),
        ];
        let extra = self.extra.iter().map(|(name, value)| (*name, value.clone()));
        Environment::from_pairs(pairs.into_iter().chain(extra))
    }

    fn app(&self) -> &App {
        self.app.as_ref().expect("the service runs")
    }

    /// A number that tells this service.
    fn number(&self, address: &str, door: &str) -> Number {
        let url = format!("http://{}/webhooks/twilio/{door}", self.app().address());
        Number::told_to(address, url)
    }

    /// Somebody writes, and writes again only once this has been told: Twilio tells of messages that are
    /// written at the same moment in any order.
    async fn text(&self, from: &str, to: &str, body: &str) {
        let _texted = self.control.text(Incoming::new(from, to, body)).await.unwrap();
        self.eventually("webhooks are told", |desk| desk.control.open_webhooks() == 0).await;
    }

    /// The service is asked to write to somebody.
    async fn send(&self, key: &str, message: &Value) -> (u16, Value) {
        let url = format!("http://{}/v1/messages", self.app().admin_address().unwrap());
        let request = self.http.post(url).header("webhook-id", key).body(message.to_string());
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// What became of what was said under a key.
    async fn fate(&self, thread: &str, key: &str) -> Value {
        let admin = self.app().admin_address().unwrap();
        let url = format!("http://{admin}/v1/threads/{thread}/replies/{key}");
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// Waits for a dead reply; gives it.
    async fn dead_letter(&self) -> Value {
        let admin = self.app().admin_address().unwrap();
        let url = format!("http://{admin}/v1/dead-letters?queue=outbox");
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let page: Value = self.http.get(&url).send().await.unwrap().json().await.unwrap();
                if let Some(letter) = page["letters"].as_array().and_then(|all| all.first()) {
                    return letter.clone();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        waited.await.expect("a dead letter")
    }

    fn fault(&self, place: Place, action: Action, times: u64) {
        let fault = Fault { id: 0, place, action, times: Some(times), skip: 0, percent: None };
        self.control.add_fault(fault).unwrap();
    }

    /// What was sent to somebody, oldest first.
    fn said(&self, theirs: &str) -> Vec<String> {
        let texts = self.control.texts_to(theirs).into_iter();
        texts.map(|text| text.body.into_revealed()).collect()
    }

    /// How often Twilio was asked to send.
    fn creates(&self) -> usize {
        let is_one = |what: &Happening| {
            matches!(what, Happening::Rest { method, path, .. }
                if method == "POST" && path.reveal().ends_with("/Messages.json"))
        };
        self.control.records(0).iter().filter(|record| is_one(&record.what)).count()
    }

    /// How often it was asked what came to the number.
    fn sweeps(&self) -> usize {
        let is_one = |what: &Happening| {
            matches!(what, Happening::Rest { method, path, .. }
                if method == "GET" && path.reveal().contains("/Messages.json"))
        };
        self.control.records(0).iter().filter(|record| is_one(&record.what)).count()
    }

    /// The statuses with which it refused that.
    fn refusals(&self) -> Vec<u16> {
        let status = |what: &Happening| match what {
            Happening::Rest { method, path, status, .. }
                if method == "POST" && path.reveal().ends_with("/Messages.json") =>
            {
                status.filter(|status| *status >= 400)
            }
            _ => None,
        };
        self.control.records(0).iter().filter_map(|record| status(&record.what)).collect()
    }

    fn webhook_answers(&self) -> Vec<u16> {
        let status = |what: &Happening| match what {
            Happening::WebhookAnswered { status, .. } => *status,
            _ => None,
        };
        self.control.records(0).iter().filter_map(|record| status(&record.what)).collect()
    }

    async fn expect(&self, theirs: &str, texts: &[&str]) {
        self.eventually(&format!("{} texts", texts.len()), |desk| {
            desk.control.texts_to(theirs).len() >= texts.len()
        })
        .await;
        self.settled().await;
        self.expect_said(theirs, texts);
    }

    fn expect_said(&self, theirs: &str, texts: &[&str]) {
        assert_eq!(self.said(theirs), texts);
    }

    /// Waits until no webhook is on its way and the service has nothing left to do.
    async fn settled(&self) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while self.control.open_webhooks() != 0
                || self.app().open_jobs().await.unwrap() != 0
                || self.control.open_webhooks() != 0
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(waited.await.is_ok(), "jobs are left after {} s", PATIENCE.as_secs());
    }

    async fn eventually(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(waited.await.is_ok(), "not within {} s: {what}", PATIENCE.as_secs());
    }

    async fn end(mut self) {
        if let Some(app) = self.app.take() {
            app.stop().await;
        }
        self.emulator.shutdown().await;
    }
}

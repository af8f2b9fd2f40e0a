//! Plain numbers: SMS and WhatsApp without a conversation keep the same promises.

use chimein::clock::Clock;
use chimein::emulator::faults::{Action, Place};
use chimein::emulator::record::Happening;
use chimein::emulator::state::limits::Limits;
use chimein::emulator::state::messaging::{Extras, Number, Text};
use chimein::emulator::{Incoming, Received};
use chimein::pii::Pii;
use chimein::twilio::messaging::MessageStatus;
use chimein::twilio::sid::ConversationSid;
use serde_json::{Value, json};

use crate::rig::{NUMBER, PHONE, Rig, WHATSAPP};

pub const FRIEND: &str = "whatsapp:+15555550123";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_text_is_answered_once_in_order_and_arrives() {
    let rig = Rig::on_numbers(&[]).await;
    for n in 0..5 {
        rig.text(PHONE, NUMBER, &format!("text {n}")).await;
        rig.text(FRIEND, WHATSAPP, &format!("chat {n}")).await;
    }
    rig.expect_texts(PHONE, &["text 0", "text 1", "text 2", "text 3", "text 4"]).await;
    rig.expect_texts(FRIEND, &["chat 0", "chat 1", "chat 2", "chat 3", "chat 4"]).await;
    rig.eventually("all have arrived", |rig| {
        rig.control
            .texts_to(PHONE)
            .iter()
            .chain(&rig.control.texts_to(FRIEND))
            .all(Text::has_arrived)
    })
    .await;
    assert!(rig.webhook_answers().iter().all(|status| *status == 200));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_with_an_unknown_outcome_is_found_by_its_callback() {
    futures::future::join_all(mishaps().map(|action| answers_all(action, &[]))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_with_an_unknown_outcome_is_found_without_a_callback() {
    let lost = [statuses()];
    futures::future::join_all(mishaps().map(|action| answers_all(action, &lost))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_is_listed_late_is_not_sent_again() {
    let rig = Rig::on_numbers(&[]).await;
    rig.control.set_limits(Limits { list_lag_ms: 6_000, ..limits() });
    rig.fault(statuses(), Action::Lose, 100);
    rig.fault(create(), Action::BreakAfter, 1);
    rig.text(PHONE, NUMBER, "hello").await;
    rig.expect_texts(PHONE, &["hello"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_found_is_not_taken_for_the_next_one_that_says_the_same() {
    let rig = Rig::on_numbers(&[]).await;
    rig.fault(statuses(), Action::Lose, 100);
    rig.fault(create(), Action::BreakAfter, 1);
    rig.text(PHONE, NUMBER, "ok").await;
    rig.expect_texts(PHONE, &["ok"]).await;
    rig.fault(create(), Action::BreakBefore, 1);
    rig.text(PHONE, NUMBER, "ok").await;
    rig.expect_texts(PHONE, &["ok", "ok"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_found_and_does_not_arrive_is_a_dead_letter_too() {
    let rig = Rig::on_numbers(&[]).await;
    rig.fault(create(), Action::BreakAfter, 1);
    let to = Place::Text { to: Some(PHONE.to_owned()) };
    rig.fault(to, Action::Fail { code: 30003 }, 1);
    rig.text(PHONE, NUMBER, "nobody there").await;
    assert_eq!(rig.dead_letter_of("outbox").await["cause"]["code"], 30003);
    rig.end().await;
}

/// What becomes of a request to send, or of its answer. With a callback that tells and without one these
/// are 20 of the 26 cases in which it is not known whether a reply went out. The other six are of the socket
/// alone, which plain numbers have none of: it breaks before the reply and after it, is silent, answers 500
/// although the work was done, 503 and 429 although it was not; see `sending`.
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
    let rig = Rig::on_numbers(&[]).await;
    for place in lost {
        rig.fault(place.clone(), Action::Lose, 100);
    }
    rig.fault(create(), action, 2);
    for text in ["ok", "ok", "third"] {
        rig.text(PHONE, NUMBER, text).await;
    }
    rig.expect_texts(PHONE, &["ok", "ok", "third"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_twice_or_by_no_webhook_is_answered_once() {
    let rig = Rig::on_numbers(&[("CHIMEIN_MESSAGING_SWEEP_INTERVAL", "1s")]).await;
    rig.fault(inbound(), Action::Duplicate, 1);
    rig.text(PHONE, NUMBER, "twice").await;
    rig.expect_texts(PHONE, &["twice"]).await;
    rig.fault(inbound(), Action::Lose, 2);
    rig.text(PHONE, NUMBER, "lost").await;
    rig.text(FRIEND, WHATSAPP, "lost too").await;
    rig.expect_texts(PHONE, &["twice", "lost"]).await;
    rig.expect_texts(FRIEND, &["lost too"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_installation_answers_nothing_that_came_before_it() {
    let mut rig = Rig::on_numbers(&[("CHIMEIN_MESSAGING_SWEEP_INTERVAL", "1s")]).await;
    rig.stop_service().await;
    rig.lose_store();
    rig.text(PHONE, NUMBER, "to the bot that was here before").await;
    let clock = Clock::start();
    let second = || clock.wall().as_millis() / 1000;
    let written = second();
    rig.eventually("the second is over, of which parts are not told", |_| second() > written).await;
    let before = rig.sweeps();
    rig.start_service().await;
    rig.eventually("two sweeps", |rig| rig.sweeps() >= before + 2).await;
    rig.text(PHONE, NUMBER, "hello").await;
    rig.expect_texts(PHONE, &["hello"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_stop_hears_nothing_more_until_start() {
    let mut rig = Rig::on_numbers(&[("CHIMEIN_MESSAGING_OPT_OUT_KEYWORDS", "halt")]).await;
    for (theirs, ours, stop) in [(PHONE, NUMBER, "STOP"), (FRIEND, WHATSAPP, "Halt")] {
        rig.text(theirs, ours, "hello").await;
        rig.expect_texts(theirs, &["hello"]).await;
        rig.text(theirs, ours, stop).await;
        rig.settled().await;
        rig.restart().await;
        rig.text(theirs, ours, "anybody there?").await;
        let (status, _) = rig.send("k1", &json!({"to": theirs, "from": ours, "body": "buy"})).await;
        assert_eq!(status, 202);
        rig.settled().await;
        rig.expect_said(theirs, &["hello"]);
        rig.text(theirs, ours, "START").await;
        rig.settled().await;
        rig.text(theirs, ours, "back").await;
        rig.eventually("the bot speaks again", |rig| {
            rig.said(theirs).last().is_some_and(|text| text == "back")
        })
        .await;
        assert!(!rig.said(theirs).contains(&"buy".to_owned()));
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twilios_word_that_somebody_has_opted_out_is_kept() {
    let rig = Rig::on_numbers(&[]).await;
    rig.fault(create(), Action::Answer { status: 400, code: Some(21610), retry_after: None }, 1);
    rig.text(PHONE, NUMBER, "hello").await;
    rig.settled().await;
    rig.text(PHONE, NUMBER, "hello?").await;
    rig.settled().await;
    assert!(rig.said(PHONE).is_empty());
    assert_eq!(rig.creates(), 1, "nobody asks Twilio a second time");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn free_text_goes_to_whatsapp_within_a_day_only_else_the_template() {
    let template = format!("HX{:032x}", 7);
    let rig = Rig::on_numbers(&[]).await;
    let message = json!({"to": FRIEND, "from": WHATSAPP, "body": "It is time."});
    let (status, answer) = rig.send("k1", &message).await;
    assert_eq!(status, 202);
    rig.settled().await;
    assert_eq!(rig.creates(), 0, "it is known before the request");
    let fate = rig.fate(answer["thread"].as_str().unwrap(), "k1").await;
    assert_eq!(fate["cause"]["class"], "window_closed", "{fate}");
    rig.end().await;

    let rig = Rig::on_numbers(&[("CHIMEIN_WHATSAPP_TEMPLATE", &template)]).await;
    rig.control.set_template(&template, "Write to us.").unwrap();
    rig.send("k1", &message).await;
    rig.expect_texts(FRIEND, &["Write to us."]).await;
    rig.text(FRIEND, WHATSAPP, "here I am").await;
    rig.expect_texts(FRIEND, &["Write to us.", "here I am"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_whose_outcome_nobody_knows_is_not_sent_again() {
    let template = format!("HX{:032x}", 7);
    let rig = Rig::on_numbers(&[("CHIMEIN_WHATSAPP_TEMPLATE", &template)]).await;
    rig.control.set_template(&template, "Write to us.").unwrap();
    rig.fault(statuses(), Action::Lose, 100);
    rig.fault(create(), Action::BreakAfter, 1);
    rig.send("k1", &json!({"to": FRIEND, "from": WHATSAPP, "body": "It is time."})).await;
    rig.expect_texts(FRIEND, &["Write to us."]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_whose_number_is_hidden_goes_on_in_the_same_thread() {
    let rig = Rig::on_numbers(&[]).await;
    let id = "US.13491208655302741918";
    let both = Extras { user_id: Some(Pii::new(id)), ..Extras::default() };
    let first = Incoming { extras: both, ..Incoming::new(FRIEND, WHATSAPP, "by number") };
    rig.control.text(first).await.unwrap();
    rig.expect_texts(FRIEND, &["by number"]).await;
    let hidden = format!("whatsapp:{id}");
    rig.text(&hidden, WHATSAPP, "by id").await;
    rig.expect_texts(&hidden, &["by id"]).await;
    rig.end().await;
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
        let number = Number { conversations: true, ..rig.number(NUMBER, "sms") };
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
async fn a_conversation_that_the_bot_sits_in_falls_silent_once_its_number_is_direct() {
    let rates = format!("{NUMBER}=1000");
    let both = [("TWILIO_PHONE_NUMBER", NUMBER), ("CHIMEIN_MESSAGING_SENDER_RATES", &rates)];
    for realtime in ["true", "false"] {
        let mut rig = Rig::without_service(&both).await;
        rig.control.set_limits(limits());
        rig.set("CHIMEIN_REALTIME_ENABLED", realtime);
        rig.start_service_of_both_roads().await;
        let conversation = rig.text_of_both_roads("before").await;
        rig.expect(conversation, &["before"]).await;
        rig.stop_service().await;
        rig.set("CHIMEIN_MESSAGING_SOURCES", "+15555550100=direct");
        rig.start_service_of_both_roads().await;
        for text in ["after", "and again"] {
            assert_eq!(rig.text_of_both_roads(text).await, conversation);
        }
        rig.expect_texts(PHONE, &["after", "and again"]).await;
        // Whoever has no phone there is answered as before.
        let path = format!("Conversations/{conversation}/Messages");
        rig.rest_post_told(&path, &[("Author", "ann"), ("Body", "by chat")]).await;
        rig.expect(conversation, &["before", "by chat"]).await;
        rig.expect_said(PHONE, &["after", "and again"]);
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_nobody_asked_for_is_sent_once_under_its_key() {
    let rig = Rig::on_numbers(&[]).await;
    let message = json!({"to": PHONE, "body": "It is time."});
    for _ in 0..3 {
        let (status, answer) = rig.send("k1", &message).await;
        assert_eq!(status, 202, "{answer}");
    }
    rig.expect_texts(PHONE, &["It is time."]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_answers_arrive_in_parts_at_the_pace_of_their_number() {
    let rig = Rig::on_numbers(&[("CHIMEIN_MESSAGING_SENDER_RATES", "+15555550100=1000")]).await;
    let long = "A sentence of some length. ".repeat(80);
    rig.text(PHONE, NUMBER, long.trim()).await;
    rig.eventually("both parts have arrived", |rig| rig.control.texts_to(PHONE).len() == 2).await;
    rig.settled().await;
    assert_eq!(rig.said(PHONE).join(" "), long.trim());
    assert!(rig.refusals().is_empty());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_after_twilio_took_it_is_sent_once_more_or_a_dead_letter() {
    let rig = Rig::on_numbers(&[]).await;
    let to = |code| (Place::Text { to: Some(PHONE.to_owned()) }, Action::Fail { code });
    let (place, action) = to(30008);
    rig.fault(place, action, 1);
    rig.text(PHONE, NUMBER, "once more").await;
    rig.expect_texts(PHONE, &["once more", "once more"]).await;
    let states = || rig.control.texts_to(PHONE).iter().map(|text| text.status).collect::<Vec<_>>();
    rig.eventually("the second one has arrived", |_| {
        states() == [MessageStatus::Failed, MessageStatus::Delivered]
    })
    .await;
    let (place, action) = to(30003);
    rig.fault(place, action, 1);
    rig.text(PHONE, NUMBER, "nobody there").await;
    assert_eq!(rig.dead_letter_of("outbox").await["cause"]["code"], 30003);
    rig.settled().await;
    assert_eq!(rig.control.texts_to(PHONE).len(), 3, "it is not sent again by itself");
    rig.end().await;
}

/// As fast as a test is.
pub fn limits() -> Limits {
    Limits { long_code_rate: 1000, whatsapp_rate: 1000, ..Limits::default() }
}

/// The request that sends.
pub fn create() -> Place {
    Place::Rest { method: Some("POST".to_owned()), path: Some("/Messages.json".to_owned()) }
}

/// The webhook that tells of a text's states.
pub fn statuses() -> Place {
    Place::Webhook { event_type: Some("messageStatus".to_owned()) }
}

/// The webhook that tells of a text to us.
pub fn inbound() -> Place {
    Place::Webhook { event_type: Some("inboundMessage".to_owned()) }
}

/// A service on two numbers, and what is asked about texts.
impl Rig {
    /// Starts both, the service on the numbers alone.
    pub async fn on_numbers(extra: &[(&'static str, &str)]) -> Self {
        let rates = format!("{NUMBER}=1000,{WHATSAPP}=1000");
        let usual = [
            ("TWILIO_PHONE_NUMBER", NUMBER),
            ("TWILIO_WHATSAPP_NUMBER", WHATSAPP),
            ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0"),
            ("CHIMEIN_MESSAGING_SENDER_RATES", &rates),
        ];
        let mut rig = Self::without_service(&[&NO_CONVERSATIONS, &usual[..], extra].concat()).await;
        // As fast as a test is; the paces have their own.
        rig.control.set_limits(limits());
        rig.start_service().await;
        rig
    }

    /// Starts the service, and has Twilio make conversations of what comes to its number besides.
    async fn start_service_of_both_roads(&mut self) {
        self.start_service().await;
        let number = Number { conversations: true, ..self.number(NUMBER, "sms") };
        self.control.set_number(number).unwrap();
    }

    /// Somebody writes to a number with both roads; gives the conversation.
    async fn text_of_both_roads(&self, body: &str) -> ConversationSid {
        let texted = self.control.text(Incoming::new(PHONE, NUMBER, body)).await.unwrap();
        self.eventually("webhooks are told", |rig| rig.control.open_webhooks() == 0).await;
        match texted.received {
            Received::Stored { conversation, .. } => conversation,
            Received::Dropped => panic!("no conversation was made"),
        }
    }

    async fn restart(&mut self) {
        self.stop_service().await;
        self.start_service().await;
    }

    /// Somebody writes, and writes again only once this has been told: Twilio tells of messages that are
    /// written at the same moment in any order.
    pub async fn text(&self, from: &str, to: &str, body: &str) {
        let _texted = self.control.text(Incoming::new(from, to, body)).await.unwrap();
        self.eventually("webhooks are told", |rig| rig.control.open_webhooks() == 0).await;
    }

    /// The service is asked to write to somebody.
    pub async fn send(&self, key: &str, message: &Value) -> (u16, Value) {
        let url = format!("http://{}/v1/messages", self.app().admin_address().unwrap());
        let request = self.http.post(url).header("webhook-id", key).body(message.to_string());
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// What became of what was said under a key.
    async fn fate(&self, thread: &str, key: &str) -> Value {
        self.ask_admin(&format!("/v1/threads/{thread}/replies/{key}")).await
    }

    /// What was sent to somebody, oldest first.
    pub fn said(&self, theirs: &str) -> Vec<String> {
        let texts = self.control.texts_to(theirs).into_iter();
        texts.map(|text| text.body.into_revealed()).collect()
    }

    /// How often Twilio was asked to send.
    fn creates(&self) -> usize {
        self.rest_requests("POST", "/Messages.json")
    }

    /// How often it was asked what came to the number.
    fn sweeps(&self) -> usize {
        self.rest_requests("GET", "/Messages.json")
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

    /// Waits until somebody was sent at least so many texts, then checks that it were exactly these.
    pub async fn expect_texts(&self, theirs: &str, texts: &[&str]) {
        self.eventually(&format!("{} texts", texts.len()), |rig| {
            rig.control.texts_to(theirs).len() >= texts.len()
        })
        .await;
        self.settled().await;
        self.expect_said(theirs, texts);
    }

    fn expect_said(&self, theirs: &str, texts: &[&str]) {
        assert_eq!(self.said(theirs), texts);
    }
}

/// What there is of conversations, unset.
const NO_CONVERSATIONS: [(&str, &str); 6] = [
    ("TWILIO_API_KEY", ""),
    ("TWILIO_API_SECRET", ""),
    ("TWILIO_CHAT_SERVICE_SID", ""),
    ("TWILIO_IDENTITY", ""),
    ("TWILIO_CONVERSATIONS_BASE_URL", ""),
    ("TWILIO_TWILSOCK_URL", ""),
];

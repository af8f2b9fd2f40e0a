//! Strangers at the doors of plain numbers: what is forged, replayed, too large, too slow or not theirs is
//! refused, the log tells of it in bounds and without a text or a number, and people are answered.

use chimein::clock::{Clock, Moment};
use chimein::emulator::faults::{Action, Fault, Place};
use chimein::emulator::state::messaging::Number;
use chimein::emulator::{self, Control, Emulator, Incoming};
use chimein::twilio::form;

use super::child::siege::{Twilio, ask};
use super::child::{self, NUMBER, Service};

/// The doors of messages, a further one among them, and that of their states.
const DOORS: [&str; 4] =
    ["/webhooks/twilio/sms", "/webhooks/twilio/whatsapp", "/sms", "/webhooks/twilio/status"];
/// A phone.
const PHONE: &str = "+15555550123";
/// What no line of the log may have in it.
const PLANTED: [&str; 2] = ["planted words", "5555550177"];
/// A signature that nobody made.
const FORGED: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// How often each of the doors is tried without a signature.
const TRIES: usize = 150;
/// How many lines a start has to say at most, and one unsigned kind of refusal a minute, beside one that is
/// signed.
const OWN_LINES: usize = 20;
const LINES_A_MINUTE: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_twilio_signed_for_this_door_and_account_is_taken() {
    let desk = Desk::start(&[]).await;
    let own = desk.message(1, "hello");
    for door in DOORS {
        let signature = desk.twilio.sign(&desk.url(door), &own);
        let elsewhere = desk.twilio.sign(&desk.url("/webhooks/twilio"), &own);
        let swapped = own.replace("hello", "hullo");
        for (what, signature, body) in [
            ("no signature", None, own.as_str()),
            ("a forged one", Some(FORGED), &own),
            ("one of another door", Some(&*elsewhere), &own),
            ("one of another text", Some(&*signature), &swapped),
        ] {
            let answer = desk.twilio.post_as(door, signature, body).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{door}, {what}: {answer}");
            assert!(answer.contains("application/json"), "{door}, {what}: {answer}");
        }
        let foreign = desk.message_of(&format!("AC{}", "7".repeat(32)), 1, "hello");
        let answer = desk.twilio.post_to(door, &foreign).await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("wrong_account"), "{answer}");
    }
    assert!(desk.said(PHONE).is_empty());
    let answer = desk.twilio.post_to(DOORS[0], &own).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    desk.expect(PHONE, &["hello"]).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_too_slow_or_too_many_is_refused() {
    let desk = Desk::start(&[("CHIMEIN_WEBHOOK_READ_TIMEOUT", "300ms")]).await;
    for door in DOORS {
        let head = |length: &str| {
            format!(
                "POST {door} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n{length}\r\n\r\n"
            )
        };
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000)).repeat(64);
        for (what, request, status) in [
            ("64 MB that are announced", head("content-length: 64000000"), "413"),
            ("4 MB that are not", head("transfer-encoding: chunked") + &chunk, "413"),
            ("a slow body", head("content-length: 100") + "MessageSid=", "408"),
        ] {
            let answer = ask(desk.service.port(), request.as_bytes()).await;
            // Whoever goes on sending may not hear it.
            let is_cut_off = answer.is_empty() && what.starts_with('4');
            let is_refused = answer.starts_with(&format!("HTTP/1.1 {status}"));
            assert!(is_refused || is_cut_off, "{door}, {what}: {answer}");
        }
        let bomb = desk.message(1, "hello") + &"&a=1".repeat(2000);
        let answer = desk.twilio.post_to(door, &bomb).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{door}: {answer}");
    }
    desk.answers_still().await;
    assert_eq!(desk.control.texts_to(PHONE).len(), 1, "nothing of all that was taken");
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_at_these_doors_fills_no_log_and_tells_it_no_text_and_no_number() {
    let mut desk = Desk::start(&[("LOG_LEVEL", "info")]).await;
    let clock = Clock::start();
    let planted = desk.message(1, PLANTED[0]).replace("5555550123", PLANTED[1]);
    for n in 0..TRIES {
        for door in DOORS {
            let path = format!("{door}?n={n}&From=%2B1{}", PLANTED[1]);
            let answer = desk.twilio.post_as(&path, Some(FORGED), &planted).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
            let signed = desk.twilio.post_to(&path, "MessageSid=planted+words").await;
            assert!(signed.starts_with("HTTP/1.1 400"), "{signed}");
        }
    }
    desk.answers_still().await;
    desk.service.stop().await;
    let log = desk.service.log().concat();
    for word in PLANTED.iter().chain(&["planted+words", "5555550123"]) {
        assert!(!log.contains(word), "{word} is in the log:\n{log}");
    }
    let minutes = clock.now().since(Moment::ORIGIN).as_secs() / 60 + 1;
    let most = OWN_LINES + LINES_A_MINUTE * usize::try_from(minutes).unwrap();
    let lines = log.lines().count();
    assert!(lines <= most, "{lines} lines in {minutes} minutes:\n{log}");
    desk.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_what_it_was_first_and_its_path_is_what_was_configured() {
    let desk = Desk::start(&[]).await;
    for (text, door) in [("first", 0), ("second", 0), ("third", 2)] {
        let answer = desk.twilio.post_to(DOORS[door], &desk.message(1, text)).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    desk.expect(PHONE, &["first"]).await;
    for path in ["/sms/../sms", "/sms/%2e%2e/sms", "//sms", "/sms/", "/sms%2f", "/SMS", "/%73ms/"] {
        let answer = desk.twilio.post_to(path, &desk.message(2, "in by another way")).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(["403", "404"].contains(&status), "{path}: {answer}");
    }
    let twice = format!("{}&MessageSid=SM{:032x}", desk.message(3, "which of the two"), 4);
    let answer = desk.twilio.post_to(DOORS[0], &twice).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    desk.expect(PHONE, &["first", "which of the two"]).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_of_one_message_says_nothing_of_anothers_reply() {
    let desk = Desk::start(&[]).await;
    let fades = Place::Text { to: Some(PHONE.to_owned()) };
    desk.fault(fades, Action::Lose);
    desk.text("hello").await;
    desk.expect(PHONE, &["hello"]).await;
    let ours = desk.control.texts_to(PHONE).remove(0);
    let callback = ours.callback.clone().unwrap();
    let place = &callback[callback.find("/webhooks").unwrap()..];
    let failed = |sid: &str| {
        form::encode([
            ("AccountSid", desk.account.as_str()),
            ("MessageSid", sid),
            ("MessageStatus", "failed"),
            ("ErrorCode", "30008"),
            ("To", PHONE),
            ("From", NUMBER),
        ])
    };
    let unknown = place.replace(|c: char| c.is_ascii_digit(), "1");
    let other = format!("SM{:032x}", 7);
    let own = ours.sid.to_string();
    for (path, sid) in [(place, &other), (&*unknown, &own), ("/webhooks/twilio/status", &own)] {
        let answer = desk.twilio.post_to(path, &failed(sid)).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    desk.settled().await;
    assert_eq!(desk.said(PHONE), ["hello"], "none of them was about this reply");
    // What is about it has it sent once more, however often it is told.
    for _ in 0..3 {
        desk.twilio.post_to(place, &failed(&own)).await;
    }
    desk.expect(PHONE, &["hello", "hello"]).await;
    desk.end().await;
}

/// A service on a plain number, and Twilio's hand to sign with.
struct Desk {
    emulator: Emulator,
    control: Control,
    service: Service,
    twilio: Twilio,
    account: String,
}

impl Desk {
    async fn start(extra: &[(&str, &str)]) -> Self {
        let emulator = Emulator::start(emulator::Options::default()).await.unwrap();
        let control = emulator.control();
        let settings = [
            ("TWILIO_PHONE_NUMBER", NUMBER),
            ("CHIMEIN_MESSAGING_SOURCES", "+15555550100=direct"),
            ("CHIMEIN_MESSAGING_PATHS", "/sms"),
        ];
        let mut service = Service::of(&emulator, &[&settings, extra].concat());
        let base = format!("http://127.0.0.1:{}", service.port());
        service.set("CHIMEIN_WEBHOOK_PUBLIC_URL", &base);
        control.set_number(Number::told_to(NUMBER, format!("{base}{}", DOORS[0]))).unwrap();
        service.start(&[]);
        assert!(service.is_listening().await, "{}", service.log_tail());
        let twilio = Twilio::of(&emulator, service.port(), "");
        let account = emulator.credentials().account_sid.to_string();
        Self { emulator, control, service, twilio, account }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.service.port())
    }

    /// The form of a message that came in.
    fn message(&self, sid: u32, body: &str) -> String {
        self.message_of(&self.account, sid, body)
    }

    fn message_of(&self, account: &str, sid: u32, body: &str) -> String {
        let sid = format!("SM{sid:032x}");
        form::encode([
            ("AccountSid", account),
            ("MessageSid", sid.as_str()),
            ("SmsStatus", "received"),
            ("From", PHONE),
            ("To", NUMBER),
            ("Body", body),
        ])
    }

    fn fault(&self, place: Place, action: Action) {
        let fault = Fault { id: 0, place, action, times: Some(1), skip: 0, percent: None };
        self.control.add_fault(fault).unwrap();
    }

    /// Somebody writes.
    async fn text(&self, body: &str) {
        self.control.text(Incoming::new(PHONE, NUMBER, body)).await.unwrap();
    }

    fn said(&self, theirs: &str) -> Vec<String> {
        let texts = self.control.texts_to(theirs).into_iter();
        texts.map(|text| text.body.into_revealed()).collect()
    }

    /// Waits until so much was said and nothing is left to do.
    async fn expect(&self, theirs: &str, texts: &[&str]) {
        let said = child::eventually(|| self.said(theirs).len() >= texts.len()).await;
        assert!(said, "{}", self.service.log_tail());
        self.settled().await;
        assert_eq!(self.said(theirs), texts);
    }

    /// Waits until no webhook is on its way and the service has no job.
    async fn settled(&self) {
        let told = || self.control.open_webhooks() == 0;
        let is_over = || told() && self.service.open_jobs() == 0 && told();
        assert!(child::eventually(is_over).await, "jobs are left\n{}", self.service.log_tail());
    }

    async fn answers_still(&self) {
        self.text("are you there").await;
        let said = child::eventually(|| !self.said(PHONE).is_empty()).await;
        assert!(said, "{}", self.service.log_tail());
    }

    async fn end(mut self) {
        self.service.kill().await;
        self.emulator.shutdown().await;
    }
}

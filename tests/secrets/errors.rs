//! Settings and errors, as `Debug` and `Display` print them, after being given planted values.

use std::error::Error;

use chimein::agent::kinds;
use chimein::clock::{Clock, Timestamp};
use chimein::config::Environment;
use chimein::net::tls;
use chimein::queue::{Append, JobId, Key, QueueName, Store, embedded};
use chimein::realtime::twilsock::frame;
use chimein::twilio::access_token;
use chimein::twilio::events::{self, Fields};
use chimein::twilio::rest::{self, Credentials};
use secrecy::SecretString;

use crate::planted::{AGENT_SECRET, API_SECRET, AUTH_TOKEN, MARK, PHONE, assert_clean};
use crate::ports::free_address;

#[test]
fn settings_print_no_secret() {
    let pairs = [
        ("TWILIO_ACCOUNT_SID", "AC0123456789abcdef0123456789abcdef"),
        ("TWILIO_AUTH_TOKEN", AUTH_TOKEN),
        ("TWILIO_AUTH_TOKEN_NEXT", AUTH_TOKEN),
        ("TWILIO_API_KEY", "SK0123456789abcdef0123456789abcdef"),
        ("TWILIO_API_SECRET", API_SECRET),
        ("TWILIO_CHAT_SERVICE_SID", "IS0123456789abcdef0123456789abcdef"),
        ("TWILIO_IDENTITY", "bot"),
        ("CHIMEIN_WEBHOOK_PUBLIC_URL", "https://bot.example.com"),
        ("CHIMEIN_AGENT_SECRET", AGENT_SECRET),
        ("CHIMEIN_ADMIN_DEBUG_TOKEN", AUTH_TOKEN),
    ];
    let report = kinds::load(None, &Environment::from_pairs(pairs));
    assert_clean("the report", &format!("{report:?}"));
    assert_clean("the environment", &format!("{:?}", Environment::from_pairs(pairs)));
    assert_clean("the settings", &format!("{:?}", report.into_settings().unwrap()));
}

#[test]
fn problems_repeat_no_value() {
    for key in kinds::schema().keys() {
        for variable in key.variables() {
            let environment = Environment::from_pairs([(variable.as_str(), MARK)]);
            let report = kinds::load(None, &environment);
            if let Err(error) = report.into_settings() {
                let own: Vec<_> =
                    error.0.iter().filter(|problem| problem.key == key.name).collect();
                assert_clean(&variable, &format!("{own:?} {error}"));
            }
        }
    }
}

#[test]
fn what_cannot_be_read_is_not_repeated() {
    let now = Timestamp::from_millis(1_795_000_000_000);
    for token in [MARK.to_owned(), format!("{MARK}.{MARK}.{MARK}")] {
        let error = access_token::verify(&token, now, |_| None).unwrap_err();
        assert_clean("access_token::Error", &printed(&error));
    }
    for body in [format!("Body={MARK}"), format!("EventType=onMessageAdded&MessageSid={PHONE}")] {
        let error = events::decode(&Fields::from_form(body.as_bytes())).unwrap_err();
        assert_clean("events::Error", &printed(&error));
    }
    let error = Fields::from_json(format!("{{\"Body\": {MARK}").as_bytes()).err().unwrap();
    assert_clean("events::Error", &printed(&error));
    for message in [MARK.to_owned(), format!("TWILSOCK V3.0 {}\r\n{MARK}\r\n", MARK.len())] {
        let error = frame::decode(&message.into(), &frame::Limits::default()).unwrap_err();
        assert_clean("frame::Error", &printed(&error));
    }
    let error = MARK.parse::<chimein::twilio::sid::ConversationSid>().unwrap_err();
    assert_clean("ParseSidError", &printed(&error));
    let error = MARK.parse::<JobId>().unwrap_err();
    assert_clean("ParseJobIdError", &printed(&error));
}

#[tokio::test]
async fn rest_errors_name_neither_credentials_nor_people() {
    let nobody = free_address();
    let account = "AC0123456789abcdef0123456789abcdef".parse().unwrap();
    let token = Credentials::AuthToken(SecretString::from(AUTH_TOKEN));
    let base = format!("http://{nobody}").parse().unwrap();
    let options =
        rest::Options { conversations_base_url: base, ..rest::Options::new(account, token) };
    assert_clean("rest::Options", &format!("{options:?}"));
    let (tls, _) = tls::client_config().unwrap();
    let client = rest::Client::new(options, tls, Clock::start(), None).unwrap();
    assert_clean("rest::Client", &format!("{client:?}"));
    let conversation = "CH0123456789abcdef0123456789abcdef".parse().unwrap();
    let error = client.fetch_participant(conversation, PHONE).await.unwrap_err();
    assert_clean("rest::Error", &printed(&error));
}

#[tokio::test]
async fn the_queue_prints_neither_keys_nor_payloads() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(embedded::Options::new(folder.path().join("queue.db"))).unwrap();
    let append = Append {
        id: JobId::from_bytes([1; 16]),
        key: Key::new(PHONE).unwrap(),
        position: None,
        not_before: None,
        payload: MARK.into(),
    };
    assert_clean("Append", &format!("{append:?}"));
    let inbox = store.queue(QueueName::Inbox);
    inbox.append(vec![append]).await.unwrap();
    let delivery = inbox.next().await.unwrap();
    assert_clean("Delivery", &format!("{delivery:?}"));
    delivery.dead(chimein::queue::Cause::new("dead")).await.unwrap();
    let letter = inbox.show(JobId::from_bytes([1; 16])).await.unwrap();
    assert_clean("DeadLetter", &format!("{letter:?}"));
    store.close().await;
    let error = inbox.stats().await.unwrap_err();
    assert_clean("queue::Error", &printed(&error));
}

/// An error and its sources, both ways.
fn printed(error: &(dyn Error + 'static)) -> String {
    let mut text = format!("{error:?} {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(" {cause:?} {cause}"));
        source = cause.source();
    }
    text
}

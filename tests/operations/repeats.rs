//! What is said of messages that come again.

use std::time::Duration;

use chimein::clock::{Clock, Timestamp};
use chimein::emulator::state::model::Message;
use serde_json::Value;

use crate::child;
use crate::hooks::FirstMessage;
use crate::rig::{PHONE, Rig};

const DUPLICATE: &str = "message is a duplicate";

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_is_told_at_info_with_since_when_it_is_known() {
    let mut rig = Rig::start(&[("LOG_LEVEL", "info")]).await;
    let conversation = rig.sms("nobody's business").await;
    rig.answered(conversation, 1).await;
    let message = rig.emulator.control().messages(conversation).remove(0);
    let now = Clock::start().wall();
    // By now the webhook may be still to come, and one of these two is no duplicate of its door.
    hook(&rig, &message, now).await;
    hook(&rig, &message, now).await;
    let line = told(&rig, "info", DUPLICATE).await;
    assert_eq!(line["source"], "webhook");
    assert_eq!(line["message_sid"], message.sid.to_string());
    assert_eq!(line["conversation_sid"], conversation.to_string());
    let since = Timestamp::parse_rfc3339(line["since"].as_str().unwrap()).unwrap();
    assert!(now.since(since) < Duration::from_secs(60), "{line}");

    // After a restart the store knows.
    rig.service.stop().await;
    let before = rig.service.log().concat().matches(DUPLICATE).count();
    rig.service.start(&[]);
    assert!(rig.service.is_listening().await, "{}", rig.service.log_tail());
    hook(&rig, &message, now).await;
    let again = || rig.service.log().concat().matches(DUPLICATE).count() > before;
    assert!(child::eventually(again).await, "{}", rig.service.log_tail());

    // The sid of an emulator that began anew.
    hook(&rig, &message, now + Duration::from_secs(600)).await;
    let line = told(&rig, "warn", "message has the sid of one").await;
    assert_eq!(line["message_sid"], message.sid.to_string());
    assert!(line["since"].is_string(), "{line}");

    for secret in ["business", &PHONE[1..]] {
        let log = rig.service.log().concat();
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
    let said = rig.emulator.control().messages(conversation);
    assert_eq!(said.iter().filter(|one| one.author == child::BOTS[0]).count(), 1);
    rig.end().await;
}

/// Waits for a line that begins so.
async fn told(rig: &Rig, level: &str, words: &str) -> Value {
    let find = || {
        let is_it = |line: &Value| {
            line["level"] == level && line["msg"].as_str().is_some_and(|msg| msg.starts_with(words))
        };
        rig.lines().into_iter().find(is_it)
    };
    assert!(child::eventually(|| find().is_some()).await, "{}", rig.service.log_tail());
    find().unwrap()
}

/// Sends a message's webhook once more, with another time of its creation.
async fn hook(rig: &Rig, message: &Message, created: Timestamp) {
    let url = format!("http://127.0.0.1:{}{}", rig.service.port(), chimein::webhook::ROUTE);
    let conversation = rig.emulator.control().conversations().remove(0).sid;
    let message = &Message { created, ..message.clone() };
    let told = FirstMessage { conversation, message, author: PHONE, body: "nobody's business" };
    told.post(&rig.emulator, &url).await;
}

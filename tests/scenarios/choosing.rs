//! Which conversations the bot is in, by the operator's wishes.

use chimein::emulator::faults::{Action, Place};
use chimein::twilio::sid::ConversationSid;

use crate::rig::{BOT, NUMBER, PHONE, Rig};

const ATTRIBUTE: (&str, &str) = ("CHIMEIN_JOIN_ATTRIBUTE", "bot=on");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_conversations_over_a_wished_address_are_joined_and_answered() {
    let rig = Rig::start(&[("CHIMEIN_JOIN_ADDRESSES", "+15555550999,whatsapp:")]).await;
    let refused = rig.sms(PHONE, "by sms").await;
    let from = format!("whatsapp:{PHONE}");
    let wished = rig.message(&from, &format!("whatsapp:{NUMBER}"), "by whatsapp").await;
    rig.expect(wished, &["by whatsapp"]).await;
    rig.sms(PHONE, "by sms again").await;
    rig.sms(PHONE, "and again").await;
    rig.settled().await;
    assert!(rig.replies(refused).is_empty());
    assert_eq!(rig.rest_requests("POST", "/Participants"), 1);
    assert_eq!(rig.rest_requests("GET", &refused.to_string()), 0, "the webhook said all");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_only_a_message_told_of_is_asked_about_once() {
    let rig = Rig::start(&[("CHIMEIN_JOIN_ADDRESSES", "whatsapp:")]).await;
    let event_type = Some("onConversationAdded".to_owned());
    rig.fault(Place::Webhook { event_type }, Action::Lose, 1);
    let conversation = rig.sms(PHONE, "one").await;
    rig.eventually("the conversation is refused", |rig| {
        rig.rest_requests("GET", &format!("{conversation}/Participants")) > 0
    })
    .await;
    rig.settled().await;
    let asked = rig.rest_requests("GET", &conversation.to_string());
    rig.sms(PHONE, "two").await;
    rig.sms(PHONE, "three").await;
    rig.settled().await;
    assert!(rig.replies(conversation).is_empty());
    assert_eq!(rig.rest_requests("POST", "/Participants"), 0);
    assert_eq!(rig.rest_requests("GET", &conversation.to_string()), asked);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_gets_the_attribute_is_joined_by_the_sweep() {
    let mut rig = Rig::start(&[ATTRIBUTE]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.settled().await;
    assert!(rig.replies(conversation).is_empty());
    // The webhook that tells of it finds nobody.
    rig.stop_service().await;
    rig.rest_post(&format!("Conversations/{conversation}"), &[("Attributes", r#"{"bot":"on"}"#)])
        .await;
    rig.start_service().await;
    rig.eventually("the bot is added", |rig| rig.rest_requests("POST", "/Participants") == 1).await;
    rig.sms(PHONE, "hello again").await;
    rig.eventually("an answer", |rig| !rig.replies(conversation).is_empty()).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_gets_the_attribute_is_joined_at_once() {
    let rig = Rig::start(&[ATTRIBUTE]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.settled().await;
    assert_eq!(rig.rest_requests("GET", &conversation.to_string()), 0, "the webhook said all");
    let path = format!("Conversations/{conversation}");
    rig.rest_post_told(&path, &[("Attributes", r#"{"bot":"on"}"#)]).await;
    rig.eventually("the bot is added", |rig| rig.rest_requests("POST", "/Participants") > 0).await;
    rig.sms(PHONE, "hello again").await;
    rig.eventually("an answer", |rig| !rig.replies(conversation).is_empty()).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_asks_whatever_was_refused_before() {
    let rig = Rig::start(&[ATTRIBUTE]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.settled().await;
    // Who heard that the refusal no longer holds is another instance.
    let event_type = Some("onConversationUpdated".to_owned());
    rig.fault(Place::Webhook { event_type }, Action::Lose, 3);
    let path = format!("Conversations/{conversation}");
    rig.rest_post(&path, &[("Attributes", r#"{"bot":"on"}"#)]).await;
    for state in ["inactive", "active"] {
        rig.rest_post_told(&path, &[("State", state)]).await;
    }
    rig.eventually("the bot is added", |rig| rig.rest_requests("POST", "/Participants") == 1).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_the_bot_was_put_into_is_answered_whatever_the_wishes() {
    let rig = Rig::start(&[ATTRIBUTE]).await;
    let made = rig.rest_post("Conversations", &[]).await;
    let conversation: ConversationSid = made["sid"].as_str().unwrap().parse().unwrap();
    let participants = format!("Conversations/{conversation}/Participants");
    rig.rest_post(&participants, &[("Identity", BOT)]).await;
    let binding = [("MessagingBinding.Address", PHONE), ("MessagingBinding.ProxyAddress", NUMBER)];
    rig.rest_post(&participants, &binding).await;
    assert_eq!(rig.sms(PHONE, "hello").await, conversation);
    rig.expect(conversation, &["hello"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_does_not_walk_into_old_conversations() {
    let mut rig = Rig::without_service(&[("CHIMEIN_JOIN_CREATED_AFTER", "30d")]).await;
    let old = [("DateCreated", "2020-01-01T00:00:00Z"), ("DateUpdated", "2020-01-01T00:00:00Z")];
    for _ in 0..3 {
        rig.rest_post("Conversations", &old).await;
    }
    let young = rig.sms(PHONE, "hello").await;
    rig.start_service().await;
    rig.expect(young, &["hello"]).await;
    assert_eq!(rig.rest_requests("POST", "/Participants"), 1);
    rig.end().await;
}

//! Group MMS over every door: control, webhooks, REST.

use serde_json::json;

use super::*;
use crate::emulator::control::Webhook;
use crate::emulator::state::limits::Limits;

const PHONE: &str = "+15555550123";
const OTHER: &str = "+15555550124";
const OURS: &str = "+15555550100";

#[tokio::test]
async fn a_group_is_told_in_twilios_order_signed_and_becomes_active_by_itself() {
    let twilio = Twilio::start().await;
    let mut receiver = Receiver::start(&twilio).await;
    let url = Some(receiver.url.clone());
    twilio.control().set_webhook(Webhook {
        pre_url: url.clone(),
        post_url: url,
        ..Webhook::default()
    });
    let set_up_after = |group_setup_ms| Limits { group_setup_ms, ..Limits::default() };
    twilio.control().set_limits(set_up_after(3_600_000));
    let sid = begin(&twilio).await;
    let path = format!("/v1/Conversations/{sid}");
    assert_eq!(twilio.call("GET", &path, &[]).await.1["state"], "initializing");
    let add = format!("{path}/Participants");
    let (status, refused) = twilio.call("POST", &add, &[("Identity", "bot")]).await;
    assert_eq!((status, &refused["code"]), (409, &json!(50391)));
    twilio.control().set_limits(set_up_after(0));
    let mut told = Vec::new();
    for _ in 0..7 {
        let one = receiver.next().await;
        assert!(one.is_signed, "{one:?}");
        told.push(one.fields);
    }
    let events: Vec<&str> = told.iter().map(|one| one["EventType"].as_str()).collect();
    assert_eq!(
        events,
        [
            "onConversationAdd",
            "onConversationAdded",
            "onParticipantAdded",
            "onParticipantAdded",
            "onParticipantAdded",
            "onMessageAdded",
            "onConversationStateUpdated",
        ]
    );
    assert_eq!(told[0]["MessagingBinding.AuthorAddress"], PHONE);
    assert_eq!(told[6]["Reason"], "EVENT");
    assert_eq!(twilio.call("GET", &path, &[]).await.1["state"], "active");
    assert_eq!(twilio.call("POST", &add, &[("Identity", "bot")]).await.0, 201);
    twilio.emulator.shutdown().await;
}

#[tokio::test]
async fn a_second_group_of_the_same_addresses_is_not_made_over_rest() {
    let twilio = Twilio::start().await;
    let limits = Limits { group_setup_ms: 0, ..Limits::default() };
    twilio.control().set_limits(limits);
    let sid = begin(&twilio).await;
    // Our number need not come last in the request.
    let binding = |name: &str, value: &str| json!({"messaging_binding": {name: value}}).to_string();
    let ours = binding("projected_address", OURS);
    let (one, other) = (binding("address", PHONE), binding("address", OTHER));
    let third = binding("address", "+15555550125");
    let path = "/v1/ConversationWithParticipants";
    let twin = [("Participant", ours.as_str()), ("Participant", &one), ("Participant", &other)];
    let (status, refused) = twilio.call("POST", path, &twin).await;
    assert_eq!((status, &refused["code"]), (409, &json!(50438)));
    let expected = format!("already exists as Conversation {sid}");
    assert!(refused["message"].as_str().unwrap().ends_with(&expected));
    assert_eq!(twilio.control().conversations().len(), 1);
    let larger = [&twin[..], &[("Participant", third.as_str())]].concat();
    assert_eq!(twilio.call("POST", path, &larger).await.0, 202);
    twilio.emulator.shutdown().await;
}

/// A phone writes to our number and another phone, by the control API; gives the conversation.
async fn begin(twilio: &Twilio) -> String {
    let url = twilio.emulator.urls().control.join("inbound").unwrap();
    let body = json!({"from": PHONE, "to": OURS, "others": [OTHER], "body": "hello all"});
    let answer = twilio
        .client
        .post(url)
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(answer["created"], true, "{answer}");
    answer["conversation_sid"].as_str().unwrap().to_owned()
}

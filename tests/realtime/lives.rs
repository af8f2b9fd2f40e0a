//! What becomes of messages and conversations, end to end: receipts, closing.
//!
//! Invitations are not here: the emulator makes none, as Twilio makes none any more; accepting one
//! is held against a recording in `recorded.rs`.

use chimein::realtime::{ConversationState, Event, Outcome, SendMessage, Share};
use secrecy::ExposeSecret;
use uuid::Uuid;

use super::rig::Rig;

#[tokio::test]
async fn a_delivery_receipt_comes_as_an_updated_message() {
    let rig = Rig::start().await;
    let conversation = rig.seated("+15550001111", "hello").await;
    let (client, mut watch) = rig.connect(rig.config());
    watch.live().await;
    let sent = client.send(SendMessage::text(conversation, Uuid::now_v7(), "to a phone")).await;
    let Outcome::Done(sent) = sent else { panic!("{sent:?}") };
    let updated = watch.until(|event| match event {
        Event::MessageUpdated(message) => {
            let is_there = message.delivery.as_ref().is_some_and(|of| of.delivered == Share::All);
            is_there.then_some(message)
        }
        _ => None,
    });
    let updated = updated.await;
    assert_eq!((updated.sid, updated.index), (sent.sid, sent.index));
    client.shutdown().await;
    rig.emulator.shutdown().await;
}

#[tokio::test]
async fn a_closed_conversation_is_told_of_and_takes_no_message() {
    let rig = Rig::start().await;
    let conversation = rig.seated("+15550001111", "hello").await;
    let (client, mut watch) = rig.connect(rig.config());
    watch.live().await;
    let keys = rig.emulator.credentials();
    let path = format!("v1/Conversations/{conversation}");
    let url = rig.emulator.urls().conversations.join(&path).unwrap();
    let http = chimein::net::http::direct().unwrap().build().unwrap();
    let closed = http
        .post(url)
        .basic_auth(keys.account_sid, Some(keys.auth_token.expose_secret()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("State=closed")
        .send()
        .await
        .unwrap();
    assert!(closed.status().is_success(), "{closed:?}");
    watch
        .until(|event| match event {
            Event::ConversationUpdated { details, .. } => {
                (details.state == ConversationState::Closed).then_some(())
            }
            _ => None,
        })
        .await;
    let late = client.send(SendMessage::text(conversation, Uuid::now_v7(), "late")).await;
    assert!(matches!(late, Outcome::Refused { .. }), "{late:?}");
    client.shutdown().await;
    rig.emulator.shutdown().await;
}

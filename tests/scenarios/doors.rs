//! How messages and conversations are heard of.

use crate::rig::{NUMBER, PHONE, Rig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_message_that_makes_a_conversation_is_answered_once() {
    let rig = Rig::start(&[]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["hello"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_one_conversation_are_answered_in_order() {
    let rig = Rig::start(&[]).await;
    let conversation = rig.sms(PHONE, "0").await;
    for n in 1..20 {
        rig.sms(PHONE, &n.to_string()).await;
    }
    let expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    rig.expect(conversation, &expected).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_socket_the_webhook_and_rest_are_enough() {
    let rig = Rig::start(&[("CHIMEIN_REALTIME_ENABLED", "false")]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["hello"]).await;
    rig.sms(PHONE, "again").await;
    rig.expect(conversation, &["hello", "again"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_whose_webhook_never_came_is_found_by_the_sweep() {
    let mut rig = Rig::without_service(&[]).await;
    let conversation = rig.sms(PHONE, "anybody there?").await;
    rig.start_service().await;
    rig.expect(conversation, &["anybody there?"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatsapp_is_answered_like_sms() {
    let rig = Rig::start(&[]).await;
    let from = format!("whatsapp:{PHONE}");
    let to = format!("whatsapp:{NUMBER}");
    let conversation = rig.message(&from, &to, "hello").await;
    rig.expect(conversation, &["hello"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_conversations_are_answered_side_by_side() {
    let rig = Rig::start(&[]).await;
    let mut conversations = Vec::new();
    for n in 0..50 {
        conversations.push(rig.sms(&format!("+1555555{n:04}"), "hello").await);
    }
    for conversation in conversations {
        rig.expect(conversation, &["hello"]).await;
    }
    rig.end().await;
}

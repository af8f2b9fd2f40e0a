//! The platform's words of progress: to whom they are sent, and never after the answer.

use chimein::twilio::sid::ConversationSid;
use serde_json::{Value, json};

use crate::nats_server::NatsServer;
use crate::platform::{OWN, Platform, SHARED, delivered, service};
use crate::rig::{PHONE, Rig};

const SHARED_DURABLE: &str = "local-internal-egress-v1-twilio-ingress-durable";
const THINKING: &str = "Thinking about your request...";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_answer_brings_a_phone_no_other_text() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, |_| None).await;
    let rig = service(&server, &[]).await;
    let (conversation, asked) = ask(&platform, &rig).await;
    // As llm-bot does it: both when the thinking is over, on two topics.
    platform.publish(SHARED, &progress(&asked)).await;
    platform.publish(OWN, &delivered(&asked, "cand-1", "the answer")).await;
    platform.await_acknowledged(SHARED_DURABLE).await;
    rig.expect(conversation, &["the answer"]).await;
    rig.end().await;
    platform.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_of_progress_that_is_asked_for_comes_before_its_answer_or_not_at_all() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, |_| None).await;
    let rig = service(&server, &[("CHIMEIN_BITBRAT_PROGRESS", "always")]).await;
    let (conversation, asked) = ask(&platform, &rig).await;
    platform.publish(SHARED, &progress(&asked)).await;
    rig.eventually("it is said", |rig| rig.replies(conversation) == [THINKING]).await;
    platform.publish(OWN, &delivered(&asked, "cand-1", "the answer")).await;
    rig.expect(conversation, &[THINKING, "the answer"]).await;
    // The shared topic is behind.
    platform.publish(SHARED, &progress(&asked)).await;
    platform.await_acknowledged(SHARED_DURABLE).await;
    rig.expect(conversation, &[THINKING, "the answer"]).await;
    rig.end().await;
    platform.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_agent_itself_says_on_the_way_is_sent() {
    let server = NatsServer::start();
    let platform = Platform::start(&server, |_| None).await;
    let rig = service(&server, &[]).await;
    let (conversation, asked) = ask(&platform, &rig).await;
    let mut word = delivered(&asked, "cand-0", "I look that up");
    word["correlationId"] = json!("2c0c8a3e-2f0e-4b7c-9a51-6b0e3f4f7a10");
    word["annotations"] = json!([{"kind": "progress_update", "value": "{}"}]);
    platform.publish(OWN, &word).await;
    rig.expect(conversation, &["I look that up"]).await;
    rig.end().await;
    platform.end();
}

/// A phone writes; gives the event that asks the platform.
async fn ask(platform: &Platform, rig: &Rig) -> (ConversationSid, Value) {
    let conversation = rig.sms(PHONE, "hello").await;
    rig.eventually("the platform is asked", |_| !platform.asked().is_empty()).await;
    (conversation, platform.asked().remove(0).body)
}

/// What the feedback middleware says of a request.
/// Source: `BitBrat` 0.33.3, `src/common/middleware/feedback-middleware.ts`, `sendTemplateMessage`, read
/// 2026-11-29.
fn progress(asked: &Value) -> Value {
    let of = json!({"originalCorrelationId": asked["correlationId"], "stage": "initial"});
    json!({
        "v": "2",
        "correlationId": "1d0c8a3e-2f0e-4b7c-9a51-6b0e3f4f7a10",
        "type": "internal.egress.v1",
        "ingress": asked["ingress"],
        "identity": asked["identity"],
        "egress": asked["egress"],
        "message": {"id": "6f0c8a3e-2f0e-4b7c-9a51-6b0e3f4f7a10", "role": "assistant", "text": THINKING},
        "payload": {"type": "internal.egress.v1"},
        "routing": {"stage": "response", "slip": [], "history": []},
        "annotations": [{
            "kind": "progress_feedback", "value": of.to_string(), "source": "feedback-middleware",
        }],
    })
}

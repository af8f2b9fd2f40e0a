//! Servers of models that are not ours: a gateway, and one that fails as it is told and judges whoever asks it.

use chimein::telemetry::journal::Stage;
use chimein::twilio::sid::ConversationSid;
use serde_json::json;

use crate::openai_server::OpenAiServer;
use crate::rig::{PHONE, Rig};

/// Turns are tried again soon, and often enough for all that is to fail.
const SCHEDULE: (&str, &str) = ("CHIMEIN_AGENT_SCHEDULE", "100ms,300ms,1s,2s,2s,2s");
const ADMIN: (&str, &str) = ("CHIMEIN_ADMIN_LISTEN", "127.0.0.1:0");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fails_in_every_way_finds_no_fault_with_how_it_is_asked() {
    let faults = json!([
        {"type": "fail", "status": 429, "retry_after": 2},
        {"type": "fail", "status": 500},
        {"type": "fail", "status": 503, "retry_after": 1},
        {"type": "stream_fault", "kind": "disconnect"},
        {"type": "stream_fault", "kind": "truncate"},
        {"type": "stream_fault", "kind": "malformed"},
    ]);
    for api in ["chat", "responses"] {
        let server = OpenAiServer::that_fails(&[]).await;
        let rig = rig(&server, "gpt-4o", &[SCHEDULE, ADMIN, ("CHIMEIN_OPENAI_API", api)]).await;
        server.is_to(&faults).await;
        let conversation = rig.sms(PHONE, "one").await;
        rig.expect(conversation, &["Hello! You said: one"]).await;
        server.is_to(&json!([{"type": "fail", "status": 400}])).await;
        rig.sms(PHONE, "two").await;
        let letter = rig.dead_letter_of("inbox").await;
        assert_eq!(letter["cause"]["class"], "agent_status", "{letter}");
        rig.sms(PHONE, "three").await;
        rig.expect(conversation, &["Hello! You said: one", "Hello! You said: three"]).await;
        let verdict = server.verdict().await;
        assert_eq!(verdict["passed"], true, "{api}: {verdict:#}");
        assert_eq!(verdict["faults_injected"], 7, "{api}: {verdict:#}");
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_before_is_halved_once_where_the_model_finds_it_too_long() {
    let server = OpenAiServer::that_fails(&["--context-window", "300"]).await;
    let history = [("CHIMEIN_OPENAI_HISTORY_MESSAGES", "20")];
    let rig = rig(&server, "gpt-4o", &history).await;
    for (at, word) in ["one", "two", "three"].into_iter().enumerate() {
        let conversation = rig.sms(PHONE, &[word].repeat(80).join(" ")).await;
        rig.eventually("it is answered", |rig| rig.replies(conversation).len() > at).await;
    }
    assert_eq!(server.answered().await, [200, 200, 400, 200]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_answers_and_its_refusals_are_told_apart_by_their_words() {
    let server = OpenAiServer::gateway().await;
    waits_out_what_is_refused_for_now(&server).await;
    says_that_it_was_told_too_much(&server).await;
}

async fn waits_out_what_is_refused_for_now(server: &OpenAiServer) {
    // Were a want of room the turns' own failure, two attempts would be the end of them; what breaks may be theirs.
    for (model, schedule) in [("limited", "20ms"), ("broken", "20ms,20ms,20ms,5s,5s,5s,5s,5s")] {
        let mut rig = rig(server, model, &[("CHIMEIN_AGENT_SCHEDULE", schedule)]).await;
        let conversation = rig.sms(PHONE, "hello").await;
        let is_tried = |rig: &Rig| tries(rig, conversation) >= 4;
        rig.eventually("it is tried again", is_tried).await;
        assert!(rig.replies(conversation).is_empty());
        rig.stop_service().await;
        rig.set("CHIMEIN_OPENAI_MODEL", "mock");
        rig.start_service().await;
        rig.expect(conversation, &["Hello from behind the gateway"]).await;
        rig.end().await;
    }
}

/// Which it says in words alone.
async fn says_that_it_was_told_too_much(server: &OpenAiServer) {
    let fallback = [("CHIMEIN_OPENAI_FALLBACK", "That is too much for me.")];
    let rig = rig(server, "long", &fallback).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["That is too much for me."]).await;
    rig.end().await;
}

async fn rig(server: &OpenAiServer, model: &str, more: &[(&'static str, &str)]) -> Rig {
    let settings = server.settings(model);
    let own = settings.iter().map(|(name, value)| (*name, value.as_str()));
    let all: Vec<_> = own.chain(more.iter().copied()).collect();
    Rig::start(&all).await
}

fn tries(rig: &Rig, conversation: ConversationSid) -> usize {
    let records = rig.app().journal().recent(conversation);
    records.iter().filter(|record| record.stage == Stage::TurnStarted).count()
}

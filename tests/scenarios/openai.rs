//! Models: an agent behind the OpenAI API, well and ill, against the service and a Twilio.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use chimein::emulator::faults::{Action, Place};
use chimein::telemetry::journal::Stage;
use chimein::thread::{CauseClass, SkipReason};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::model::{Model, answer_to, body, delta, event, events, last_words, streamed};
use crate::rig::{NUMBER, PHONE, Rig};

#[tokio::test]
async fn a_model_answers_by_stream() {
    let model = Model::start(|request, _| streamed(&answer_to(request))).await;
    let folder = tempfile::tempdir().unwrap();
    let prompt = folder.path().join("system.txt");
    std::fs::write(&prompt, "\u{feff}Be brief.\n").unwrap();
    let rig = model
        .rig(&[
            ("OPENAI_API_KEY", "sk-planted"),
            ("CHIMEIN_OPENAI_SYSTEM_FILE", prompt.to_str().unwrap()),
            ("CHIMEIN_OPENAI_MAX_TOKENS", "100"),
        ])
        .await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["re: hello"]).await;
    let (key, request) = model.asked().remove(0);
    assert_eq!(key.as_deref(), Some("Bearer sk-planted"));
    assert_eq!(
        request,
        json!({
            "model": "mock",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "hello"},
            ],
            "stream": true,
            "max_completion_tokens": 100,
        })
    );
    rig.end().await;
}

#[tokio::test]
async fn whatever_goes_wrong_each_message_is_answered_once_and_in_order() {
    let model = Model::start(|request, before| match last_words(request).as_str() {
        fault if before == 0 => fail(fault, request),
        _ => streamed(&answer_to(request)),
    })
    .await;
    let rig = model
        .rig(&[
            ("CHIMEIN_AGENT_TIMEOUT", "2s"),
            ("CHIMEIN_AGENT_SCHEDULE", "20ms,50ms,100ms"),
            ("CHIMEIN_OPENAI_FIRST_TOKEN_TIMEOUT", "700ms"),
            ("CHIMEIN_OPENAI_FALLBACK", "Ask me something else."),
            ("CHIMEIN_OPENAI_HISTORY_MESSAGES", "0"),
        ])
        .await;
    let faults = [
        "rate", "broken", "cut", "garbled", "endless", "slow", "loading", "dies", "whole", "empty",
        "filtered", "tool", "flood",
    ];
    let mut conversation = None;
    for fault in faults {
        conversation = Some(rig.sms(PHONE, fault).await);
    }
    let conversation = conversation.unwrap();
    let expected: Vec<String> = faults
        .iter()
        .map(|fault| match *fault {
            "empty" | "filtered" | "tool" | "flood" => "Ask me something else.".to_owned(),
            fault => format!("re: {fault}"),
        })
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    rig.expect(conversation, &expected).await;
    rig.end().await;
}

#[tokio::test]
async fn turns_wait_for_credit_and_none_is_lost() {
    let paid = Arc::new(Mutex::new(false));
    let is_paid = Arc::clone(&paid);
    let model = Model::start(move |request, _| {
        if *is_paid.lock().unwrap() {
            return streamed(&answer_to(request));
        }
        let error = json!({"error": {"message": "You exceeded your current quota",
            "type": "insufficient_quota", "param": null, "code": "insufficient_quota"}});
        (StatusCode::TOO_MANY_REQUESTS, axum::Json(error)).into_response()
    })
    .await;
    // Were it the turns' own failure, two attempts would be the end of them.
    let rig = model.rig(&[("CHIMEIN_AGENT_SCHEDULE", "20ms")]).await;
    let one = rig.sms("+15555550123", "one").await;
    let two = rig.sms("+15555550124", "two").await;
    rig.eventually("it was asked more often than the schedule allows", |_| {
        model.asked().len() >= 6
    })
    .await;
    *paid.lock().unwrap() = true;
    rig.expect(one, &["re: one"]).await;
    rig.expect(two, &["re: two"]).await;
    rig.end().await;
}

#[tokio::test]
async fn without_words_and_fallback_the_message_is_a_dead_letter_with_its_cause() {
    let model = Model::start(|request, _| fail("filtered", request)).await;
    let rig = model.rig(&[]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.eventually("it is a dead letter", |rig| {
        let records = rig.app().journal().recent(conversation);
        let is_dead =
            |stage: &Stage| matches!(stage, Stage::Dead { reason: CauseClass::AgentWordless, .. });
        records.iter().any(|record| is_dead(&record.stage))
    })
    .await;
    rig.end().await;
}

#[tokio::test]
async fn without_words_a_person_gets_the_thread_after_the_fallback() {
    let model = Model::start(|request, _| match last_words(request).as_str() {
        "hello" => streamed(&answer_to(request)),
        _ => fail("filtered", request),
    })
    .await;
    let settings = [
        ("CHIMEIN_OPENAI_FALLBACK", "A colleague will help you."),
        ("CHIMEIN_OPENAI_HANDOFF", "true"),
        ("CHIMEIN_SEND_SCHEDULE", "20ms,50ms,100ms"),
    ];
    let rig = model.rig(&settings).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["re: hello"]).await;
    // Twilio does not take the mark at once.
    let path = Some(format!("/Conversations/{conversation}"));
    let update = Place::Rest { method: Some("POST".to_owned()), path };
    rig.fault(update, Action::Answer { status: 500, code: None, retry_after: None }, 2);
    rig.sms(PHONE, "a thing to say nothing about").await;
    let stages = |rig: &Rig, wanted: fn(&Stage) -> bool| {
        let records = rig.app().journal().recent(conversation);
        records.iter().filter(|record| wanted(&record.stage)).count()
    };
    rig.eventually("a person has it", |rig| stages(rig, |of| *of == Stage::HandedOver) == 1).await;
    rig.expect(conversation, &["re: hello", "A colleague will help you."]).await;
    rig.sms(PHONE, "are you there?").await;
    rig.eventually("it is the person's", |rig| {
        stages(rig, |of| matches!(of, Stage::Skipped { reason: SkipReason::Paused })) == 1
    })
    .await;
    assert_eq!(model.asked().len(), 2);
    rig.end().await;
}

#[tokio::test]
async fn the_responses_api_is_spoken_too() {
    let model = Model::start(|request, _| {
        assert_eq!(request["store"], false);
        let words = request["input"][0]["content"].as_str().unwrap();
        let delta = json!({"type": "response.output_text.delta", "delta": format!("re: {words}")});
        let end = json!({"type": "response.completed", "response": {"status": "completed"}});
        events(vec![delta.to_string(), end.to_string()])
    })
    .await;
    let rig = model.rig(&[("CHIMEIN_OPENAI_API", "responses")]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["re: hello"]).await;
    rig.end().await;
}

#[tokio::test]
async fn a_model_is_told_what_was_said_before() {
    let model = Model::start(|request, _| streamed(&answer_to(request))).await;
    let rig = model.rig(&[]).await;
    let conversation = rig.sms(PHONE, "one").await;
    rig.expect(conversation, &["re: one"]).await;
    let listing =
        Place::Rest { method: Some("GET".to_owned()), path: Some("/Messages".to_owned()) };
    rig.fault(listing, Action::Answer { status: 500, code: None, retry_after: None }, 2);
    rig.sms(PHONE, "two").await;
    rig.expect(conversation, &["re: one", "re: two"]).await;
    rig.sms(PHONE, "three").await;
    rig.expect(conversation, &["re: one", "re: two", "re: three"]).await;
    let told: Vec<Value> = model.asked().into_iter().map(|(_, request)| told(&request)).collect();
    assert_eq!(
        told,
        [
            json!(["user: one"]),
            json!(["user: one", "assistant: re: one", "user: two"]),
            json!([
                "user: one",
                "assistant: re: one",
                "user: two",
                "assistant: re: two",
                "user: three"
            ]),
        ]
    );
    rig.end().await;
}

#[tokio::test]
async fn a_model_is_told_what_was_said_on_a_plain_number() {
    let model = Model::start(|request, _| streamed(&answer_to(request))).await;
    let rig = Rig::on_numbers(&model.settings(&[])).await;
    rig.text(PHONE, NUMBER, "one").await;
    rig.expect_texts(PHONE, &["re: one"]).await;
    rig.text(PHONE, NUMBER, "two").await;
    rig.expect_texts(PHONE, &["re: one", "re: two"]).await;
    let told = told(&model.asked().last().unwrap().1);
    assert_eq!(told, json!(["user: one", "assistant: re: one", "user: two"]));
    rig.end().await;
}

#[tokio::test]
async fn a_model_that_finds_it_too_long_is_told_half_of_it_once() {
    let model = Model::start(|request, _| match request["messages"].as_array().unwrap().len() {
        0..=3 => streamed(&answer_to(request)),
        _ => {
            let error =
                json!({"error": {"message": "too long", "code": "context_length_exceeded"}});
            (StatusCode::BAD_REQUEST, axum::Json(error)).into_response()
        }
    })
    .await;
    let rig = model.rig(&[]).await;
    let conversation = rig.sms(PHONE, "one").await;
    rig.expect(conversation, &["re: one"]).await;
    rig.sms(PHONE, "two").await;
    rig.expect(conversation, &["re: one", "re: two"]).await;
    rig.sms(PHONE, "three").await;
    rig.expect(conversation, &["re: one", "re: two", "re: three"]).await;
    let asked = model.asked();
    assert_eq!(asked.len(), 4);
    assert_eq!(told(&asked[3].1), json!(["user: two", "assistant: re: two", "user: three"]));
    rig.end().await;
}

#[tokio::test]
async fn who_asks_for_no_history_is_told_none() {
    let model = Model::start(|request, _| streamed(&answer_to(request))).await;
    let rig = model.rig(&[("CHIMEIN_OPENAI_HISTORY_MESSAGES", "0")]).await;
    let conversation = rig.sms(PHONE, "one").await;
    rig.expect(conversation, &["re: one"]).await;
    rig.sms(PHONE, "two").await;
    rig.expect(conversation, &["re: one", "re: two"]).await;
    assert_eq!(told(&model.asked().last().unwrap().1), json!(["user: two"]));
    rig.end().await;
}

/// Who said what, as a model was told it.
fn told(request: &Value) -> Value {
    let messages = request["messages"].as_array().unwrap();
    let line = |message: &Value| {
        let text = |name: &str| message[name].as_str().unwrap().to_owned();
        Value::String(format!("{}: {}", text("role"), text("content")))
    };
    messages.iter().map(line).collect()
}

/// Answers ill in the way that a word names.
fn fail(fault: &str, request: &Value) -> Response {
    let error = |status: StatusCode, code: &str| {
        (status, axum::Json(json!({"error": {"message": "?", "type": code, "code": code}})))
    };
    let ends =
        |reason: &str| json!({"choices": [{"delta": {}, "finish_reason": reason}]}).to_string();
    match fault {
        "rate" => {
            let wait = [("retry-after-ms", "40"), ("retry-after", "600")];
            (wait, error(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded")).into_response()
        }
        "broken" => error(StatusCode::INTERNAL_SERVER_ERROR, "server_error").into_response(),
        "loading" => error(StatusCode::SERVICE_UNAVAILABLE, "unavailable_error").into_response(),
        "cut" => {
            let cut = stream::once(async { Err(io::Error::other("cut")) });
            let begin = stream::iter([Ok(event(&delta("half an ans")))]);
            body(begin.chain(cut))
        }
        "garbled" => {
            events(vec![delta("half"), "{\"choices\":[{\"del".to_owned(), "[DONE]".to_owned()])
        }
        "dies" => {
            events(vec![delta("half"), json!({"error": {"message": "?", "code": 500}}).to_string()])
        }
        "endless" => body(stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok::<_, Infallible>(event(&delta("la"))), ()))
        })),
        "slow" => body(stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b": thinking\n\n")), ()))
        })),
        "flood" => {
            let megabyte = event(&delta(&"x".repeat(1 << 20)));
            body(stream::iter((0..64).map(move |_| Ok::<_, Infallible>(megabyte.clone()))))
        }
        "empty" => events(vec![ends("stop"), "[DONE]".to_owned()]),
        "filtered" => events(vec![delta("how to"), ends("content_filter"), "[DONE]".to_owned()]),
        "tool" => {
            let call = json!({"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]}).to_string();
            events(vec![call, ends("tool_calls"), "[DONE]".to_owned()])
        }
        // Not streamed, though it was asked for.
        _ => {
            let message = json!({"role": "assistant", "content": answer_to(request)});
            axum::Json(json!({"choices": [{"message": message, "finish_reason": "stop"}]}))
                .into_response()
        }
    }
}

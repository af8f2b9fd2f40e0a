//! Answers as servers write them, each read in pieces of several sizes.
//!
//! The transcripts are written by hand after public pages, read 2026-11-29; ids, times and models are made up.
//! OpenAI: API reference, "Chat completions streaming events" and "Responses streaming events", and
//! openai-openapi. vLLM: "Reasoning Outputs" (0.7.2, for `<think>`; 0.11.2, for `reasoning`), and issue
//! 20409 for errors. Ollama: issue 4357 (an empty reason with each event) and "OpenAI compatibility".
//! llama.cpp: issue 19774 and unsloth pull request 9390 for errors; assumed: its members' order. Assumed:
//! that gateways send comments while they wait.

use std::io;
use std::pin::pin;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use sse_stream::SseByteStream;

use super::chat::Chat;
use super::problem::{Problem, Remedy};
use super::reading::{Fault, Read};
use super::responses::Responses;
use super::said::{ModelSaid, UnsaidAnswer};

/// What a person is given, or why not.
type Outcome = Result<Result<&'static str, UnsaidAnswer>, Fault>;

macro_rules! golden {
    ($name:literal) => {
        ($name, include_bytes!(concat!("golden/", $name)).as_slice())
    };
}

const TEXT_BYTES_MAX: usize = 4096;

#[tokio::test]
async fn chat_completions_are_read_as_servers_write_them() {
    let cases: &[((&str, &[u8]), Outcome)] = &[
        (golden!("openai-chat.sse"), Ok(Ok("Hello! Grüße 👋"))),
        (golden!("openai-refusal.sse"), Ok(Err(UnsaidAnswer::Refused))),
        (golden!("openai-filtered.sse"), Ok(Err(UnsaidAnswer::Filtered))),
        (golden!("openai-length.sse"), Ok(Ok("It began when"))),
        (golden!("openai-tool-call.sse"), Ok(Err(UnsaidAnswer::ToolCalls))),
        (golden!("vllm-reasoning.sse"), Ok(Ok("Hello."))),
        (golden!("vllm-think.sse"), Ok(Ok("Hello."))),
        (golden!("vllm-dies.sse"), Err(Fault::Problem(Problem::Status(500)))),
        (golden!("ollama-old.sse"), Ok(Ok("How are you?"))),
        (golden!("ollama-new.sse"), Ok(Ok("How are you?"))),
        (golden!("llamacpp.sse"), Ok(Ok("Sure, why not?"))),
        (golden!("llamacpp-overflow.sse"), Err(Fault::Problem(Problem::Overflow))),
        (golden!("gateway-comments.sse"), Ok(Ok("Late but whole"))),
        (golden!("cut.sse"), Err(Fault::Incomplete)),
        (golden!("cut-in-a-line.sse"), Err(Fault::Incomplete)),
        (golden!("garbled.sse"), Err(Fault::Garbled)),
    ];
    check(cases, || Chat::new(TEXT_BYTES_MAX)).await;
}

#[tokio::test]
async fn responses_are_read_as_servers_write_them() {
    let quota = Problem::Configuration(Remedy::Credit);
    let cases: &[((&str, &[u8]), Outcome)] = &[
        (golden!("openai-responses.sse"), Ok(Ok("Hi there!"))),
        (golden!("openai-responses-cut.sse"), Ok(Ok("Once"))),
        (golden!("openai-responses-failed.sse"), Err(Fault::Problem(Problem::Status(500)))),
        (golden!("openai-responses-quota.sse"), Err(Fault::Problem(quota))),
        (golden!("openai-responses-refusal.sse"), Ok(Err(UnsaidAnswer::Refused))),
        (golden!("openai-responses-tool.sse"), Ok(Err(UnsaidAnswer::ToolCalls))),
    ];
    check(cases, || Responses::new(TEXT_BYTES_MAX)).await;
}

#[test]
fn an_answer_that_is_not_streamed_is_read_too() {
    let mut chat = Chat::new(TEXT_BYTES_MAX);
    chat.event(include_str!("golden/whole-chat.json")).unwrap();
    assert_eq!(chat.finish().unwrap().for_people(), Ok("Not streamed"));
    let mut responses = Responses::new(TEXT_BYTES_MAX);
    responses.event(include_str!("golden/whole-responses.json")).unwrap();
    assert_eq!(responses.finish().unwrap().for_people(), Ok("Not streamed"));
}

#[test]
fn a_text_beyond_the_bound_is_cut_off_before_it_is_held() {
    let event = |text: &str| format!(r#"{{"choices":[{{"delta":{{"content":"{text}"}}}}]}}"#);
    let mut chat = Chat::new(8);
    chat.event(&event("12345678")).unwrap();
    assert_eq!(chat.event(&event("9")), Err(Fault::TooLarge));
    let mut responses = Responses::new(8);
    let event = r#"{"type":"response.output_text.delta","delta":"123456789"}"#;
    assert_eq!(responses.event(event), Err(Fault::TooLarge));
}

#[test]
fn only_words_and_thoughts_are_a_beginning() {
    let begun = |event: &str| {
        let mut chat = Chat::new(TEXT_BYTES_MAX);
        chat.event(event).unwrap();
        chat.has_begun()
    };
    assert!(!begun(r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#));
    assert!(!begun(r#"{"choices":[]}"#));
    assert!(begun(r#"{"choices":[{"delta":{"content":"a"}}]}"#));
    assert!(begun(r#"{"choices":[{"delta":{"reasoning_content":"a"}}]}"#));
    assert!(begun(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#));
}

async fn check<R: Read>(cases: &[((&str, &[u8]), Outcome)], reader: impl Fn() -> R) {
    for ((name, transcript), expected) in cases {
        for size in [1, 7, 1 << 20] {
            let said = read(transcript, size, reader()).await;
            let outcome = said.as_ref().map(ModelSaid::for_people).map_err(|fault| *fault);
            assert_eq!(outcome, *expected, "{name} in pieces of {size}");
        }
    }
}

async fn read(transcript: &[u8], size: usize, mut reader: impl Read) -> Result<ModelSaid, Fault> {
    let pieces =
        transcript.chunks(size).map(|piece| Ok::<_, io::Error>(Bytes::copy_from_slice(piece)));
    let mut events = pin!(SseByteStream::new(stream::iter(pieces)));
    while let Some(event) = events.next().await {
        if let Some(data) = event.unwrap().data {
            reader.event(&data)?;
        }
    }
    reader.finish()
}

//! The log of one message's way, as a collector gets it.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use chimein::http;
use chimein::twilio::sid::{ConversationSid, MessageSid};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::child;
use crate::rig::{Rig, texts};

#[tokio::test(flavor = "multi_thread")]
async fn every_stage_of_a_message_logs_under_one_trace() {
    let rig = Rig::start(&[("LOG_LEVEL", "debug")]).await;
    let conversation = rig.sms("one").await;
    rig.answered(conversation, 1).await;
    settled(&rig, conversation, 1).await;
    assert_eq!(rig.sms("two").await, conversation);
    rig.answered(conversation, 2).await;
    settled(&rig, conversation, 2).await;
    let [first, second] = messages_of(&rig, conversation)[..] else { panic!("two messages") };

    // The first message is on the way of its conversation.
    let trace = digits(&conversation.to_string());
    rig.told(&trace, "stage", &["webhook", "joins", "socket", "inbox", "outbox"]).await;
    let answered = ["message_seen", "turn_started", "agent_answered", "reply_sent"];
    let steps = [&["webhook_acknowledged", "joined", "socket_joined"][..], &answered].concat();
    let lines = rig.told(&trace, "step", &steps).await;
    assert_eq!(traces_of(&lines, first), [trace]);

    // A later one is on its own.
    let trace = digits(&second.to_string());
    let lines = rig.told(&trace, "step", &answered).await;
    assert_eq!(traces_of(&lines, second), [trace]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_answered_writes_one_line_for_the_turn_and_one_for_the_reply() {
    let rig = Rig::start(&[("LOG_LEVEL", "info")]).await;
    let conversation = rig.sms("nobody's business").await;
    rig.answered(conversation, 1).await;
    let log = || rig.service.log()[0].clone();
    // The reply is on its way before the turn is told to be finished.
    let is_told = || ["reply is sent", "turn is finished"].iter().all(|said| log().contains(said));
    assert!(child::eventually(is_told).await, "{}", rig.service.log_tail());
    let [message] = messages_of(&rig, conversation)[..] else { panic!("one message") };
    let reply = reply_in(&rig, conversation);
    let lines = rig.lines();
    let saying = |words: &str| -> Vec<&Value> {
        lines.iter().filter(|line| line["msg"] == words && line["level"] == "info").collect()
    };
    let [turn] = saying("turn is finished")[..] else { panic!("{}", log()) };
    assert_eq!(turn["message_sid"], message.to_string());
    assert_eq!(turn["conversation_sid"], conversation.to_string());
    assert_eq!((&turn["outcome"], &turn["count"]), (&json!("answered"), &json!(1)));
    assert!(turn["elapsed_ms"].is_u64() && turn["attempt"] == 1, "{turn}");
    let [sent] = saying("reply is sent")[..] else { panic!("{}", log()) };
    assert_eq!(sent["message_sid"], reply.to_string());
    assert_eq!(sent["conversation_sid"], conversation.to_string());
    assert!(sent["via"] == "socket" || sent["via"] == "rest", "{sent}");
    assert_eq!(turn["trace_id"], sent["trace_id"]);
    for secret in ["business", &crate::rig::PHONE[1..], &child::NUMBER[1..]] {
        assert!(!log().contains(secret), "{secret} is in {}", log());
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_turn_is_told_under_its_trace_though_only_warnings_are_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/turns", listener.local_addr().unwrap());
    let cancel = CancellationToken::new();
    let fail = || async { StatusCode::INTERNAL_SERVER_ERROR };
    let router = Router::new().route("/turns", post(fail));
    let serving =
        tokio::spawn(http::serve(listener, router, http::Options::default(), cancel.clone()));
    let rig = Rig::start(&[
        ("CHIMEIN_AGENT_KIND", "http"),
        ("CHIMEIN_AGENT_URL", &url),
        ("CHIMEIN_AGENT_SCHEDULE", "10ms"),
    ])
    .await;
    let conversation = rig.sms("one").await;
    let dead = || rig.service.log()[1].contains("dead letter");
    assert!(child::eventually(dead).await, "{}", rig.service.log_tail());
    let lines = rig.lines();
    let way = of_trace(&lines, &digits(&conversation.to_string()));
    assert_eq!(texts(&way, "level"), ["error", "warn"].into());
    assert_eq!(texts(&way, "stage"), ["inbox"].into());
    rig.end().await;
    cancel.cancel();
    serving.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_have_the_platforms_keys_and_are_split_by_level() {
    let rig = Rig::start(&[
        ("LOG_LEVEL", "debug"),
        ("CHIMEIN_SERVER_NAME", "twilio-ingress"),
        ("CHIMEIN_AGENT_KIND", "http"),
        ("CHIMEIN_AGENT_URL", "http://127.0.0.1:9/turns"),
    ])
    .await;
    let _ = rig.sms("one").await;
    let warned = || rig.service.log()[1].contains("agent gave no answer");
    assert!(child::eventually(warned).await, "{}", rig.service.log_tail());
    let streams = rig.service.log();
    for (stream, levels) in streams.iter().zip([&["info", "debug"][..], &["warn", "error"]]) {
        assert!(!stream.is_empty());
        for line in stream.lines() {
            let line: Value = serde_json::from_str(line).expect(line);
            let level = line["level"].as_str().unwrap();
            assert!(levels.contains(&level), "{line}");
            let severity = match level {
                "warn" => "WARNING".to_owned(),
                level => level.to_uppercase(),
            };
            assert_eq!(line["severity"], severity.as_str());
            assert_eq!(line["service"], "twilio-ingress");
            assert!(line["ts"].as_str().is_some_and(|ts| ts.ends_with('Z')), "{line}");
            assert!(line["msg"].as_str().is_some_and(|msg| !msg.is_empty()), "{line}");
        }
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platforms_format_names_lines_and_correlates_them() {
    let rig = Rig::start(&[("LOG_LEVEL", "debug"), ("CHIMEIN_LOG_FORMAT", "bitbrat")]).await;
    let conversation = rig.sms("one").await;
    rig.answered(conversation, 1).await;
    settled(&rig, conversation, 1).await;
    let [message] = messages_of(&rig, conversation)[..] else { panic!("one message") };
    let correlation = chimein::telemetry::log::bitbrat::correlation_id(&message.to_string());
    let lines = rig.lines();
    let of: Vec<&Value> =
        lines.iter().filter(|line| line["message_sid"] == message.to_string().as_str()).collect();
    assert_eq!(texts(&of, "correlationId"), [correlation.to_string().as_str()].into());
    assert_eq!(texts(&of, "traceId"), [digits(&conversation.to_string()).as_str()].into());
    let all: Vec<&Value> = lines.iter().collect();
    let names = texts(&all, "msg");
    assert!(names.contains("cli.serve.service_is_up"), "{names:?}");
    assert!(names.iter().all(|name| name.contains('.') && !name.contains(' ')), "{names:?}");
    rig.end().await;
}

/// Waits until the last reply is noted, which comes after Twilio has it.
async fn settled(rig: &Rig, conversation: ConversationSid, count: usize) {
    let sent = || {
        let log = rig.service.log().concat();
        let of = |line: &&str| line.contains(&conversation.to_string());
        log.lines().filter(of).filter(|line| line.contains("reply_sent")).count()
    };
    assert!(child::eventually(|| sent() >= count).await, "{}", rig.service.log_tail());
}

/// What the phone has said.
fn messages_of(rig: &Rig, conversation: ConversationSid) -> Vec<MessageSid> {
    let messages = rig.emulator.control().messages(conversation).into_iter();
    messages.filter(|message| message.author == crate::rig::PHONE).map(|one| one.sid).collect()
}

/// What the bot has said first.
fn reply_in(rig: &Rig, conversation: ConversationSid) -> MessageSid {
    let mut messages = rig.emulator.control().messages(conversation).into_iter();
    messages.find(|message| message.author == child::BOTS[0]).unwrap().sid
}

fn of_trace<'a>(lines: &'a [Value], trace: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["trace_id"] == trace).collect()
}

/// Every trace that lines about a message are in.
fn traces_of(lines: &[Value], message: MessageSid) -> Vec<&str> {
    let sid = message.to_string();
    let of: Vec<&Value> = lines.iter().filter(|line| line["message_sid"] == sid.as_str()).collect();
    assert!(of.iter().all(|line| line["trace_id"].is_string()), "{of:#?}");
    texts(&of, "trace_id").into_iter().collect()
}

/// A sid's digits.
fn digits(sid: &str) -> String {
    sid[2..].to_owned()
}

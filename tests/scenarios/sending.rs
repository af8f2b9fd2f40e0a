//! Replies: each once, whatever becomes of the answer to the send.

use chimein::emulator::faults::{Action, Place};
use chimein::emulator::state::limits::Limits;
use chimein::telemetry::journal::Stage;
use chimein::twilio::sid::ConversationSid;

use crate::rig::{PHONE, Rig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_over_the_socket_whose_answer_is_lost_is_not_sent_again() {
    let rig = Rig::start(&[]).await;
    let conversation = rig.sms(PHONE, "first").await;
    rig.expect(conversation, &["first"]).await;
    rig.fault(socket_send(), Action::BreakAfter, 1);
    rig.sms(PHONE, "second").await;
    rig.expect(conversation, &["first", "second"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_over_the_socket_that_never_arrived_is_sent_again() {
    let rig = Rig::start(&[]).await;
    let conversation = rig.sms(PHONE, "first").await;
    rig.expect(conversation, &["first"]).await;
    rig.fault(socket_send(), Action::BreakBefore, 1);
    rig.sms(PHONE, "second").await;
    rig.expect(conversation, &["first", "second"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_over_the_socket_that_is_answered_wrongly_or_not_at_all_is_sent_once() {
    for action in [
        Action::Silence,
        Action::AnswerAfter { status: 500, code: Some(20500) },
        Action::Answer { status: 503, code: None, retry_after: None },
        Action::Answer { status: 429, code: Some(50063), retry_after: None },
    ] {
        let rig = Rig::start(&[]).await;
        let conversation = rig.sms(PHONE, "first").await;
        rig.expect(conversation, &["first"]).await;
        rig.on_socket(conversation).await;
        rig.fault(socket_send(), action, 1);
        rig.sms(PHONE, "second").await;
        rig.expect(conversation, &["first", "second"]).await;
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_over_rest_whose_answer_is_lost_is_looked_for_first() {
    for action in [
        Action::BreakAfter,
        Action::BreakBefore,
        Action::AnswerAfter { status: 500, code: Some(20500) },
        Action::AnswerAfter { status: 504, code: None },
        Action::Answer { status: 500, code: Some(20500), retry_after: None },
        Action::Answer { status: 429, code: Some(20429), retry_after: Some(0) },
    ] {
        let rig = Rig::start(&[("CHIMEIN_REALTIME_ENABLED", "false")]).await;
        let method = Some("POST".to_owned());
        rig.fault(Place::Rest { method, path: Some("/Messages".into()) }, action, 2);
        let conversation = rig.sms(PHONE, "hello").await;
        rig.expect(conversation, &["hello"]).await;
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_attempt_is_looked_for_too() {
    for (last, replies) in
        [(Action::AnswerAfter { status: 504, code: None }, 1), (Action::BreakBefore, 0)]
    {
        // Time enough for another reply to go out in between: then a failure is this reply's own.
        let schedule = ("CHIMEIN_SEND_SCHEDULE", "10s");
        let rig = Rig::start(&[SLOW_RETRY[0], schedule]).await;
        let place = |path: &str| Place::Rest {
            method: Some("POST".to_owned()),
            path: Some(format!("{path}/Messages")),
        };
        rig.fault(place(""), Action::BreakBefore, 1);
        let conversation = rig.sms(PHONE, "hello").await;
        rig.eventually("the first attempt failed", |rig| {
            rig.rest_requests("POST", &format!("{conversation}/Messages")) == 1
        })
        .await;
        rig.fault(place(&conversation.to_string()), last, 1);
        let other = rig.sms("+15555550188", "hi").await;
        rig.expect(other, &["hi"]).await;
        rig.eventually("it is there or dead", |rig| {
            !rig.replies(conversation).is_empty() || is_dead(rig, conversation)
        })
        .await;
        rig.settled().await;
        assert_eq!(rig.replies(conversation).len(), replies);
        assert_eq!(is_dead(&rig, conversation), replies == 0, "dead only if it is not there");
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_is_written_by_the_bot_and_carries_its_key() {
    let rig = Rig::start(&[]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["hello"]).await;
    let reply = rig.control.messages(conversation).pop().unwrap();
    assert!(reply.participant.is_some(), "the message counts as the participant's");
    assert!(reply.attributes.contains("\"chimein\""), "the key is in the attributes");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_is_found_below_hundreds_of_newer_messages() {
    let mut rig = Rig::start(&SLOW_RETRY).await;
    let conversation = reply_of_unknown_outcome(&mut rig, 250).await;
    rig.start_service().await;
    rig.settled().await;
    assert_eq!(rig.replies(conversation), ["hello"]);
    assert!(rig.rest_requests("GET", "/Messages") >= 3, "pages of a hundred");
    assert!(!is_dead(&rig, conversation));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_goes_on_after_a_hiccup() {
    let mut rig = Rig::start(&[SLOW_RETRY[0], ("CHIMEIN_SEND_SCHEDULE", "3s")]).await;
    let conversation = reply_of_unknown_outcome(&mut rig, 150).await;
    let place = Place::Rest { method: Some("GET".to_owned()), path: Some("/Messages".into()) };
    rig.fault(place, Action::Answer { status: 503, code: None, retry_after: None }, 3);
    rig.start_service().await;
    rig.settled().await;
    assert_eq!(rig.replies(conversation), ["hello"]);
    assert!(!is_dead(&rig, conversation), "the last attempt found it");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_may_lie_too_far_back_is_a_dead_letter_and_not_sent_again() {
    let mut rig = Rig::start(&SLOW_RETRY).await;
    let conversation = reply_of_unknown_outcome(&mut rig, 1001).await;
    rig.start_service().await;
    rig.settled().await;
    rig.eventually("it is a dead letter", |rig| is_dead(rig, conversation)).await;
    assert_eq!(rig.replies(conversation), ["hello"]);
    rig.end().await;
}

/// Leaves time to stop the service after the first attempt.
const SLOW_RETRY: [(&str, &str); 2] =
    [("CHIMEIN_REALTIME_ENABLED", "false"), ("CHIMEIN_SEND_SCHEDULE", "3s,3s,3s")];

/// Lets Twilio store a reply without saying so, stops the service, and puts newer messages above.
async fn reply_of_unknown_outcome(rig: &mut Rig, newer: usize) -> ConversationSid {
    rig.control.set_limits(Limits { conversation_writes: usize::MAX, ..Limits::default() });
    let method = Some("POST".to_owned());
    let unknown = Action::AnswerAfter { status: 504, code: None };
    rig.fault(Place::Rest { method, path: Some("/Messages".into()) }, unknown, 1);
    let conversation = rig.sms(PHONE, "hello").await;
    rig.eventually("the reply is stored", |rig| rig.replies(conversation).len() == 1).await;
    rig.stop_service().await;
    let path = format!("Conversations/{conversation}/Messages");
    for _ in 0..newer {
        rig.rest_post(&path, &[("Body", "news")]).await;
    }
    conversation
}

fn is_dead(rig: &Rig, conversation: ConversationSid) -> bool {
    let mut records = rig.app().journal().recent(conversation).into_iter();
    records.any(|record| matches!(record.stage, Stage::Dead { queue: "outbox", .. }))
}

fn socket_send() -> Place {
    Place::SocketRequest { method: Some("POST".into()), path: Some("/Messages".into()) }
}

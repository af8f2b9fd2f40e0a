//! Replies: each once, whatever becomes of the answer to the send.

use chimein::emulator::faults::{Action, Place};

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
async fn a_reply_is_written_by_the_bot_and_carries_its_key() {
    let rig = Rig::start(&[]).await;
    let conversation = rig.sms(PHONE, "hello").await;
    rig.expect(conversation, &["hello"]).await;
    let reply = rig.control.messages(conversation).pop().unwrap();
    assert!(reply.participant.is_some(), "the message counts as the participant's");
    assert!(reply.attributes.contains("\"chimein\""), "the key is in the attributes");
    rig.end().await;
}

fn socket_send() -> Place {
    Place::SocketRequest { method: Some("POST".into()), path: Some("/Messages".into()) }
}
